/* Reads policies/prices.json; what each mistake is and where, is the operator's to read. */
#include "spend/prices_store.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define PRICES_MAX (32U << 20)  /* bytes of text one table may hold */
#define ROWS_MAX 100000
#define ALIASES_MAX 64          /* "match" entries of one row */
#define PICO_PER_USD_PER_MILLION 1e6
#define USD_PER_MILLION_MAX 1e6 /* a dearer rate is a slip of the pen */

static const char *const rate_keys[RATES + 1] = { "in", "out", "cache_read", "cache_write",
						  "reasoning", NULL };

struct load {
	struct prices *p;
	struct mistakes *m;
	bool no_memory;
};

static const char *text_keep(struct load *l, const char *s)
{
	struct slice copy = arena_dup(&l->p->arena, slice_str(s));

	if (!copy.ptr) {
		l->no_memory = true;
		return "";
	}
	for (char *c = (char *)copy.ptr; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	return copy.ptr;
}

/* Room for n more names at a load of one half. */
static int slots_reserve(struct prices *p, size_t n)
{
	size_t size = 1024;

	while (size < n * 2)
		size *= 2;
	p->slots = calloc(size, sizeof(*p->slots));
	p->n_slots = size;
	return p->slots ? 0 : -ENOMEM;
}

/* The first row of a name keeps it. */
static void name_add(struct load *l, const char *provider, const char *model, const struct row *row)
{
	struct price_slot *s = price_slot(l->p, slice_str(provider), slice_str(model));

	if (s->row || l->p->n_used + 1 >= l->p->n_slots)
		return;
	*s = (struct price_slot){ provider, model, row };
	l->p->n_used++;
}

static void glob_add(struct load *l, const char *provider, const char *text, const struct row *row)
{
	struct prices *p = l->p;
	struct price_glob *g;

	if (p->n_globs == p->cap_globs) {
		size_t cap = p->cap_globs ? p->cap_globs * 2 : 256;

		g = realloc(p->globs, cap * sizeof(*g));
		if (!g) {
			l->no_memory = true;
			return;
		}
		p->globs = g;
		p->cap_globs = cap;
	}
	g = &p->globs[p->n_globs];
	*g = (struct price_glob){ .provider = provider, .text = text, .order = p->n_globs++,
				  .row = row };
	for (; *text; text++)
		g->literal += *text != '*' && *text != '#';
}

/* False when the object names no token rate at all (priced by image, second or query). */
static bool rates_read(struct load *l, const json_t *j, const char *place, int64_t rate[RATES])
{
	bool any = false;

	for (int i = 0; i < RATES; i++) {
		double usd = jread_number(j, place, rate_keys[i], NO_RATE, l->m);
		char at[PLACE_MAX];

		rate[i] = NO_RATE;
		if (usd == NO_RATE && !json_object_get(j, rate_keys[i]))
			continue;
		if (!(usd >= 0 && usd <= USD_PER_MILLION_MAX)) {
			mistakes_add(l->m, jread_place(at, place, rate_keys[i]),
				     "must be USD per million tokens, from 0 to %.0f",
				     USD_PER_MILLION_MAX);
			continue;
		}
		rate[i] = llround(usd * PICO_PER_USD_PER_MILLION);
		any = any || i == RATE_IN || i == RATE_OUT;
	}
	return any;
}

static void tiers_read(struct load *l, const json_t *j, const char *place, struct price *p)
{
	static const char *const known[] = { "above", "in", "out", "cache_read", "cache_write",
					     "reasoning", NULL };
	const json_t *list = jread_array(j, place, "tiers", l->m);
	char at[PLACE_MAX], here[PLACE_MAX];

	jread_place(at, place, "tiers");
	if (json_array_size(list) > TIERS_MAX)
		mistakes_add(l->m, at, "at most %d tiers", TIERS_MAX);
	for (size_t i = 0; i < MIN(json_array_size(list), (size_t)TIERS_MAX); i++) {
		const json_t *t = json_array_get(list, i);

		jread_place_at(here, at, i);
		if (!json_is_object(t)) {
			mistakes_add(l->m, here,
				     "must be an object: { \"above\": 200000, \"in\": ... }");
			continue;
		}
		jread_known(t, here, known, l->m);
		p->tiers[i].above = jread_int(t, here, "above", 0, 1, INT64_MAX, l->m);
		(void)rates_read(l, t, here, p->tiers[i].rate);
		p->n_tiers = i + 1;
	}
}

static void aliases_read(struct load *l, const json_t *j, const char *place, const char *provider,
			 const struct row *row)
{
	const json_t *list = jread_array(j, place, "match", l->m);
	char at[PLACE_MAX];

	if (json_array_size(list) > ALIASES_MAX)
		mistakes_add(l->m, jread_place(at, place, "match"), "at most %d names",
			     ALIASES_MAX);
	for (size_t i = 0; i < MIN(json_array_size(list), (size_t)ALIASES_MAX); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (!s || !*s) {
			mistakes_add(l->m, jread_place(at, place, "match"),
				     "must be names of models; '*' is any text, '#' one digit");
		} else if (strpbrk(s, "*#")) {
			glob_add(l, provider, text_keep(l, s), row);
		} else {
			s = text_keep(l, s);
			name_add(l, provider, s, row);
			name_add(l, "", s, row);
		}
	}
}

static void row_read(struct load *l, const json_t *j, const char *place)
{
	/* The prices that are not by text token are kept for reports; nothing here computes with
	 * them. */
	static const char *const known[] = {
		"provider", "model", "match", "in", "out", "cache_read", "cache_write", "reasoning",
		"tiers", "source", "audio_in", "audio_out", "cache_read_audio", "batch_in",
		"batch_out", "per_image_in", "per_image_out", "per_second_in", "per_character_in",
		"per_query", "per_request", "per_1k_requests", "search_per_query", NULL
	};
	const char *provider, *model;
	struct row *row;

	jread_known(j, place, known, l->m);
	provider = jread_string(j, place, "provider", "", l->m);
	model = jread_string(j, place, "model", "", l->m);
	if (!*provider || !*model) {
		mistakes_add(l->m, place, "needs \"provider\" and \"model\"");
		return;
	}
	row = arena_new(&l->p->arena, struct row);
	if (!row) {
		l->no_memory = true;
		return;
	}
	l->p->n_rows++;
	if (!rates_read(l, j, place, row->price.rate))
		return;
	tiers_read(l, j, place, &row->price);
	provider = text_keep(l, provider);
	model = text_keep(l, model);
	name_add(l, provider, model, row);
	name_add(l, "", model, row);
	aliases_read(l, j, place, provider, row);
}

static int glob_order(const void *a, const void *b)
{
	const struct price_glob *x = a, *y = b;
	int order = strcmp(x->provider, y->provider);

	if (order)
		return order;
	if (x->literal != y->literal)
		return x->literal > y->literal ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static void fallback_read(struct load *l, const json_t *root)
{
	const json_t *list = jread_array(root, "", "fallback", l->m);
	size_t n = MIN(json_array_size(list), (size_t)ALIASES_MAX);

	l->p->fallback = arena_array(&l->p->arena, const char *, n + 1);
	if (!l->p->fallback) {
		l->no_memory = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s)
			l->p->fallback[l->p->n_fallback++] = text_keep(l, s);
		else
			mistakes_add(l->m, "fallback", "must be a list of provider ids");
	}
}

static void table_read(struct load *l, const json_t *root)
{
	static const char *const known[] = { "version",	 "source_date", "unit", "sources",
					     "fallback", "models",	NULL };
	const json_t *list;
	size_t n, names = 0;

	if (!json_is_object(root)) {
		mistakes_add(l->m, "", "must be an object: { \"version\": 1, \"models\": [...] }");
		return;
	}
	jread_known(root, "", known, l->m);
	(void)jread_int(root, "", "version", 1, 1, 1, l->m);
	l->p->source_date = text_keep(l, jread_string(root, "", "source_date", "", l->m));
	fallback_read(l, root);
	list = jread_array(root, "", "models", l->m);
	n = json_array_size(list);
	if (n > ROWS_MAX) {
		mistakes_add(l->m, "models", "at most %d rows", ROWS_MAX);
		return;
	}
	for (size_t i = 0; i < n; i++)
		names += 1 + MIN(json_array_size(json_object_get(json_array_get(list, i), "match")),
				 (size_t)ALIASES_MAX);
	if (slots_reserve(l->p, names * 2) < 0)
		l->no_memory = true;
	for (size_t i = 0; i < n && !l->no_memory; i++) {
		const json_t *j = json_array_get(list, i);
		char place[PLACE_MAX];

		jread_place_at(place, "models", i);
		if (json_is_object(j))
			row_read(l, j, place);
		else
			mistakes_add(l->m, place, "must be an object: { \"provider\": ... }");
	}
	if (l->p->n_globs)
		qsort(l->p->globs, l->p->n_globs, sizeof(*l->p->globs), glob_order);
}

static void prices_unrefp(struct prices **p)
{
	prices_unref(*p);
}

int prices_load(struct slice json, struct mistakes *m, struct prices **out)
{
	cleanup(prices_unrefp) struct prices *p = calloc(1, sizeof(*p));
	cleanup(json_decrefp) json_t *root = NULL;
	struct load l = { .p = p, .m = m };
	size_t before = m->n;

	if (!p)
		return -ENOMEM;
	p->refs = 1;
	p->source_date = "";
	arena_init(&p->arena, PRICES_MAX);
	root = jread_text(json, m);
	if (!root)
		return -EINVAL;
	table_read(&l, root);
	if (l.no_memory)
		return -ENOMEM;
	if (m->n != before)
		return -EINVAL;
	*out = take(p);
	return 0;
}
