/*
 * A text that arrives in pieces. The state is a function of the text so far, never of where it was
 * cut: triggers step byte by byte, a candidate is decided when no further byte could change the
 * decision, and what is undecided is held from the first byte that could belong to its finding.
 */
#include "dlp/engine.h"

#include "base/def.h"

#include <errno.h>
#include <stdlib.h>

#define HOLD_MIN 256 /* a trigger and what reaches back from it must fit */

/* A trigger that fired and is not decided. Offsets are the lane's. */
struct candidate {
	uint64_t at, start; /* start: first byte that could belong to the finding */
	uint16_t detector;
};

/* The earliest undecided byte, and what it could become. */
struct hold {
	uint64_t at;
	uint16_t type;
};

struct window {
	const struct dlp *d;
	struct dlp_scratch *s;
	size_t hold_max;
	struct buf text;    /* what is held, and DETECTOR_LEFT bytes before it */
	uint64_t base, end; /* lane offsets of text's first byte, and past its last */
	uint64_t safe;
	uint64_t floor; /* up to here an overflow was masked: findings begin after it */
	struct trigger_state state;
	struct candidate *open;
	size_t n_open, open_cap;
	uint64_t rule_from[DLP_RULES_MAX]; /* matches that begin before it are known */
	struct raw_list held, logged;	   /* decided, not yet returned */
	struct raw_list shadow;		   /* returned, but may still outrank something logged */
	struct hold hold[2];		   /* by [is held]: see window_settle() */
	uint64_t begun[2][TRIGGER_WORDS];  /* trigger positions where a finding may have begun */
	uint16_t reach[64];		   /* detectors whose value reaches back, not off */
	size_t n_reach;
	bool logs; /* some type is logged only */
	uint8_t action[DLP_TYPES_MAX];
};

static bool type_is_held(const struct window *w, uint16_t type)
{
	return w->action[type] >= DLP_REDACT;
}

/* Which positions of the automaton mean "a finding may have begun here". */
static void begun_build(struct window *w)
{
	const struct trigger_set *set = w->d->set;

	for (size_t i = 0; i < set->n_words; i++)
		for (size_t bit = 0; bit < 64; bit++) {
			const struct trigger_use *t = &w->d->triggers[set->id[i][bit]];
			uint64_t one = 1ull << bit;

			if (set->last[i] & one || i * 64 + bit >= set->free_bit)
				continue;
			for (size_t k = 0; k < t->n; k++) {
				const struct compiled *c = &w->d->detectors[t->detector[k]];

				if (!c->lead && w->action[c->type] != DLP_OFF)
					w->begun[type_is_held(w, c->type)][i] |= one;
			}
		}
}

static int reach_build(struct window *w)
{
	for (size_t i = 0; i < w->d->n_detectors; i++) {
		const struct compiled *c = &w->d->detectors[i];

		if (!c->def->back || w->action[c->type] == DLP_OFF)
			continue;
		if (w->n_reach == ARRAY_LEN(w->reach))
			return -ENOSPC;
		w->reach[w->n_reach++] = (uint16_t)i;
	}
	return 0;
}

int window_new(const struct dlp *d, struct dlp_scratch *s, const uint8_t *action, size_t hold_max,
	       struct window **out)
{
	struct window *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->d = d;
	w->s = s;
	w->hold_max = MAX(hold_max, (size_t)HOLD_MIN);
	memcpy(w->action, action, d->n_types);
	for (size_t i = 0; i < d->n_types; i++)
		w->logs = w->logs || action[i] == DLP_LOG;
	buf_init(&w->text, SIZE_MAX / 2);
	begun_build(w);
	r = reach_build(w);
	if (r < 0) {
		window_free(w);
		return r;
	}
	*out = w;
	return 0;
}

void window_free(struct window *w)
{
	if (!w)
		return;
	buf_done(&w->text);
	free(w->open);
	free(w->held.items);
	free(w->logged.items);
	free(w->shadow.items);
	free(w);
}

static int open_add(struct window *w, uint64_t at, uint16_t detector)
{
	if (w->n_open == w->open_cap) {
		size_t cap = w->open_cap ? w->open_cap * 2 : 16;
		struct candidate *open = reallocarray(w->open, cap, sizeof(*open));

		if (!open)
			return -ENOMEM;
		w->open = open;
		w->open_cap = cap;
	}
	w->open[w->n_open++] = (struct candidate){ .at = at, .start = at, .detector = detector };
	return 0;
}

static int trigger_fired(struct window *w, size_t id, uint64_t end)
{
	const struct trigger_use *t = &w->d->triggers[id];
	int r = 0;

	for (size_t k = 0; k < t->n && r == 0; k++)
		if (w->action[w->d->detectors[t->detector[k]].type] != DLP_OFF)
			r = open_add(w, end - t->width, t->detector[k]);
	return r;
}

/* Takes bytes in; w->end moves past them. */
static int triggers_run(struct window *w, struct slice more)
{
	const struct trigger_set *set = w->d->set;
	int r = buf_append(&w->text, more);

	for (size_t i = 0; i < more.len && r == 0; i++) {
		uint64_t hits;

		trigger_step(set, &w->state, (unsigned char)more.ptr[i], &hits);
		w->end++;
		for (size_t k = 0; hits && k < set->n_words && r == 0; k++)
			for (uint64_t on = w->state.on[k] & set->last[k]; on && r == 0;
			     on &= on - 1)
				r = trigger_fired(w, set->id[k][__builtin_ctzll(on)], w->end);
	}
	return r;
}

/* A decided finding, in lane offsets, without what was let out or masked before it was known. */
static int found_add(struct window *w, struct raw f)
{
	bool held = type_is_held(w, f.type);

	f.start += w->base;
	f.end += w->base;
	f.start = MAX(f.start, held ? MAX(w->floor, w->safe) : f.start);
	return f.start < f.end ? raw_add(held ? &w->held : &w->logged, f) : 0;
}

static void hold_lower(struct window *w, uint64_t at, uint16_t type)
{
	struct hold *h = &w->hold[type_is_held(w, type)];

	at = MAX(at, w->floor);
	if (at < h->at)
		*h = (struct hold){ at, type };
}

static int candidates_decide(struct window *w, const struct view *v)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < w->n_open && r == 0; i++) {
		struct candidate *c = &w->open[i];
		const struct compiled *det = &w->d->detectors[c->detector];
		struct raw f;

		switch (match_try(det, w->s->regex, v, (size_t)(c->at - w->base), &f)) {
		case MATCH_NO:
			break;
		case MATCH_YES:
			r = found_add(w, f);
			break;
		case MATCH_OPEN:
			c->start = w->base + f.start;
			hold_lower(w, c->start, det->type);
			w->open[kept++] = *c;
			break;
		}
	}
	w->n_open = kept;
	return r;
}

static int rules_decide(struct window *w, const struct view *v)
{
	int r = 0;

	for (size_t k = 0; k < w->d->n_rules && r == 0; k++) {
		const struct rule *rule = &w->d->rules[k];
		size_t from = (size_t)(w->rule_from[k] - w->base);
		enum verdict verdict;
		struct raw f;

		if (w->action[rule->type] == DLP_OFF) {
			w->rule_from[k] = w->end;
			continue;
		}
		while ((verdict = match_rule(rule, w->s->regex, v, from, &f, &from)) == MATCH_YES &&
		       r == 0)
			r = found_add(w, f);
		w->rule_from[k] = verdict == MATCH_OPEN ? w->base + f.start : w->end;
		if (verdict == MATCH_OPEN)
			hold_lower(w, w->rule_from[k], rule->type);
	}
	return r;
}

/* Triggers that have begun and not ended, and values that reach back from one yet to come. */
static void begun_hold(struct window *w, const struct view *v)
{
	const struct trigger_set *set = w->d->set;

	for (size_t k = 0; k < set->n_words; k++)
		for (uint64_t on = w->state.on[k] & (w->begun[0][k] | w->begun[1][k]); on;
		     on &= on - 1) {
			size_t bit = (size_t)__builtin_ctzll(on);
			const struct trigger_use *t = &w->d->triggers[set->id[k][bit]];
			size_t at = v->text.len - 1 - set->at[k][bit];

			if (t->edge && !trigger_edge(v->text, at))
				continue;
			for (size_t i = 0; i < t->n; i++) {
				const struct compiled *c = &w->d->detectors[t->detector[i]];

				size_t start = match_back(c, v->text, at);

				if (c->lead || w->action[c->type] == DLP_OFF ||
				    (c->def->flags & DETECT_BACK && start == at) ||
				    (c->def->flags & DETECT_EDGE && !trigger_edge(v->text, at)))
					continue;
				hold_lower(w, w->base + start, c->type);
			}
		}
	for (size_t i = 0; i < w->n_reach; i++) {
		const struct compiled *c = &w->d->detectors[w->reach[i]];
		size_t at = match_back(c, v->text, v->text.len);

		if (at < v->text.len)
			hold_lower(w, w->base + at, c->type);
	}
}

/* Lowers `at` until no finding of the list lies across it. */
static uint64_t uncut(const struct raw_list *l, uint64_t at)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].start < at && at < l->items[i].end) {
			at = l->items[i].start;
			i = (size_t)-1; /* another may lie across the new place */
		}
	return at;
}

struct returning {
	struct window *w;
	struct findings *out;
	bool held; /* which class is wanted; the other is there to outrank it */
};

static int finding_return(void *arg, const struct raw *r)
{
	struct returning *to = arg;

	if (type_is_held(to->w, r->type) != to->held)
		return 0;
	return findings_add(to->out, 0, r);
}

/* Moves what ends at or before `at` into the scratch list. */
static int raw_move(struct window *w, struct raw_list *l, uint64_t at, bool shadow)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->items[i].end > at) {
			l->items[kept++] = l->items[i];
			continue;
		}
		if (r == 0)
			r = raw_add(&w->s->raw, l->items[i]);
		if (r == 0 && shadow)
			r = raw_add(&w->shadow, l->items[i]);
	}
	l->n = kept;
	return r;
}

static int held_return(struct window *w, struct findings *out)
{
	struct returning to = { w, out, true };
	int r;

	if (!w->held.n)
		return 0;
	w->s->raw.n = 0;
	r = raw_move(w, &w->held, w->safe, w->logs);
	return r < 0 ? r : resolve(w->d, w->s, w->action, &w->s->raw, finding_return, &to);
}

/* Logged findings wait until nothing undecided could overlap them, but nothing waits for them. */
static int logged_return(struct window *w, struct findings *out)
{
	struct returning to = { w, out, false };
	uint64_t until = uncut(&w->logged, MIN(w->safe, w->hold[0].at));
	size_t kept = 0;
	int r = 0;

	if (w->logged.n) {
		w->s->raw.n = 0;
		r = raw_move(w, &w->logged, until, false);
		for (size_t i = 0; i < w->shadow.n && w->s->raw.n && r == 0; i++)
			r = raw_add(&w->s->raw, w->shadow.items[i]);
		if (r == 0)
			r = resolve(w->d, w->s, w->action, &w->s->raw, finding_return, &to);
	}
	for (size_t i = 0; i < w->shadow.n; i++)
		if (w->shadow.items[i].end > until)
			w->shadow.items[kept++] = w->shadow.items[i];
	w->shadow.n = kept;
	return r;
}

/* Forgets text that no decision can need. */
static void text_trim(struct window *w)
{
	uint64_t from = w->end;

	for (size_t i = 0; i < w->n_open; i++)
		from = MIN(from, w->open[i].at);
	for (size_t i = 0; i < w->d->n_rules; i++)
		from = MIN(from, w->rule_from[i]);
	from = from > DETECTOR_LEFT ? from - DETECTOR_LEFT : 0;
	/* In steps, so that the bytes behind it need not move with every event. */
	if (from < w->base + 4 * DETECTOR_LEFT)
		return;
	buf_consume(&w->text, (size_t)(from - w->base));
	w->base = from;
}

/* Decides what the text so far decides, and moves `safe`. */
static int window_settle(struct window *w, bool final, struct findings *out)
{
	const struct view v = { .text = buf_slice(&w->text), .more = !final };
	uint64_t safe;
	int r;

	w->hold[0] = w->hold[1] = (struct hold){ .at = w->end };
	r = candidates_decide(w, &v);
	if (r == 0 && w->d->n_rules)
		r = rules_decide(w, &v);
	if (r < 0)
		return r;
	if (!final)
		begun_hold(w, &v);
	safe = uncut(&w->held, w->hold[1].at);
	if (w->end - safe >= w->hold_max && !final) {
		/* The longest match we may wait for: masked, whatever it turns out to be. */
		r = raw_add(&w->held, (struct raw){ w->hold[1].at, w->end, w->hold[1].type, 1 });
		if (r < 0)
			return r;
		safe = w->floor = w->end;
	}
	w->safe = MAX(w->safe, safe);
	r = held_return(w, out);
	if (r == 0 && w->logs)
		r = logged_return(w, out);
	text_trim(w);
	return r;
}

int window_push(struct window *w, struct slice text, bool final, struct findings *out,
		uint64_t *safe)
{
	int r = 0;

	if (w->end + text.len > UINT32_MAX)
		return -EMSGSIZE;
	/* Never further than where the hold could first be full: there it is settled, so that an
	 * overflow falls on the same byte however the text is cut. */
	while (text.len && r == 0) {
		size_t n = MIN(text.len, (size_t)(w->safe + w->hold_max - w->end));

		r = triggers_run(w, slice_sub(text, 0, n));
		text = slice_from(text, n);
		if (r == 0 && (text.len || !final || w->end - w->safe >= w->hold_max))
			r = window_settle(w, false, out);
	}
	if (final && r == 0)
		r = window_settle(w, true, out);
	if (r == 0)
		*safe = w->safe;
	return r;
}
