/* Overlaps: every byte to the strictest, then highest-ranked type that covers it. */
#include "dlp/engine.h"

#include "base/def.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE_MIN 4 /* what is left of a loser and shorter is no secret */

int raw_add(struct raw_list *l, struct raw item)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct raw *items = reallocarray(l->items, cap, sizeof(*items));

		if (!items)
			return -ENOMEM;
		l->items = items;
		l->cap = cap;
	}
	l->items[l->n++] = item;
	return 0;
}

static int raw_by_type(const void *a, const void *b)
{
	const struct raw *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Findings of one type that overlap are one finding. */
static void unite(struct raw_list *l)
{
	size_t n = 0;

	qsort(l->items, l->n, sizeof(*l->items), raw_by_type);
	for (size_t i = 0; i < l->n; i++) {
		struct raw *last = n ? &l->items[n - 1] : NULL, *this = &l->items[i];

		if (last && last->type == this->type && this->start < last->end) {
			last->end = MAX(last->end, this->end);
			last->confidence = MAX(last->confidence, this->confidence);
		} else {
			l->items[n++] = *this;
		}
	}
	l->n = n;
}

static int edge_by_place(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static int edges_make(struct dlp_scratch *s, const struct raw_list *l)
{
	if (s->edges_cap < l->n * 2) {
		struct edge *edges = reallocarray(s->edges, l->n * 2, sizeof(*edges));

		if (!edges)
			return -ENOMEM;
		s->edges = edges;
		s->edges_cap = l->n * 2;
	}
	for (size_t i = 0; i < l->n; i++) {
		s->edges[2 * i] = (struct edge){ l->items[i].start, (uint32_t)i, true };
		s->edges[2 * i + 1] = (struct edge){ l->items[i].end, (uint32_t)i, false };
	}
	qsort(s->edges, l->n * 2, sizeof(*s->edges), edge_by_place);
	return 0;
}

/* Types are disjoint by now, so no more items are open at one place than there are types. */
struct sweep {
	uint32_t open[DLP_TYPES_MAX];
	size_t n;
};

static void sweep_edge(struct sweep *w, const struct edge *e)
{
	if (e->open) {
		if (w->n < DLP_TYPES_MAX)
			w->open[w->n++] = e->item;
		return;
	}
	for (size_t i = 0; i < w->n; i++)
		if (w->open[i] == e->item) {
			w->open[i] = w->open[--w->n];
			return;
		}
}

static unsigned weight(const struct dlp *d, const uint8_t *action, uint16_t type)
{
	/* The lower number wins a draw, so that the order of opening does not matter. */
	return (unsigned)(action ? action[type] : 0) << 20 | (unsigned)d->types[type].rank << 10 |
	       (DLP_TYPES_MAX - 1u - type);
}

static long sweep_winner(const struct dlp *d, const uint8_t *action, const struct sweep *w,
			 const struct raw *items)
{
	long best = -1;

	for (size_t i = 0; i < w->n; i++)
		if (best < 0 ||
		    weight(d, action, items[w->open[i]].type) > weight(d, action, items[best].type))
			best = (long)w->open[i];
	return best;
}

int resolve(const struct dlp *d, struct dlp_scratch *s, const uint8_t *action, struct raw_list *l,
	    int (*emit)(void *arg, const struct raw *r), void *arg)
{
	struct sweep w = { .n = 0 };
	long winner = -1;
	uint64_t from = 0;
	int r;

	if (l->n == 0)
		return 0;
	if (l->n == 1)
		return emit(arg, &l->items[0]);
	unite(l);
	r = edges_make(s, l);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->n * 2;) {
		uint64_t at = s->edges[i].at;
		long next;

		/* First what closes, so that `open` never holds two of one type; -: ends and starts
		 * at one place come in any order from the sort. */
		for (size_t k = i; k < l->n * 2 && s->edges[k].at == at; k++)
			if (!s->edges[k].open)
				sweep_edge(&w, &s->edges[k]);
		for (; i < l->n * 2 && s->edges[i].at == at; i++)
			if (s->edges[i].open)
				sweep_edge(&w, &s->edges[i]);
		next = sweep_winner(d, action, &w, l->items);
		if (next == winner)
			continue;
		if (winner >= 0) {
			struct raw piece = l->items[winner];
			bool whole = piece.start == from && piece.end == at;

			piece.start = from;
			piece.end = at;
			r = whole || at - from >= PIECE_MIN ? emit(arg, &piece) : 0;
			if (r < 0)
				return r;
		}
		winner = next;
		from = at;
	}
	return 0;
}
