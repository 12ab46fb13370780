/*
 * What tokens cost: one row of the table for a provider and a model, and the sum for a usage. Rates
 * are whole pico-USD a token, so that 0.0375 USD a million is exact (37,500), and a sum is rounded
 * once, up, to a micro-USD. prices_load.c reads the file.
 */
#include "spend/prices_store.h"

#include <stdlib.h>

#define MODEL_MAX 128     /* bytes of a model's name that can be priced */
#define PREFIX_MIN 4      /* shorter known names say too little about a longer one */
#define PICO_PER_MICRO 1000000

struct prices *prices_ref(struct prices *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void prices_unref(struct prices *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		return;
	arena_done(&p->arena);
	free(p->slots);
	free(p->globs);
	free(p);
}

const char *prices_source_date(const struct prices *p)
{
	return p->source_date;
}

size_t prices_size(const struct prices *p)
{
	return p->n_rows;
}

/* ---- finding the row ---- */

static size_t slot_first(const struct prices *p, struct slice provider, struct slice model)
{
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < provider.len; i++)
		h = (h ^ (unsigned char)provider.ptr[i]) * 1099511628211ULL;
	h *= 31;
	for (size_t i = 0; i < model.len; i++)
		h = (h ^ (unsigned char)model.ptr[i]) * 1099511628211ULL;
	return (size_t)(h ^ h >> 29) & (p->n_slots - 1);
}

struct price_slot *price_slot(const struct prices *p, struct slice provider, struct slice model)
{
	size_t i = slot_first(p, provider, model);

	while (p->slots[i].row && !(slice_is(provider, p->slots[i].provider) &&
				    slice_is(model, p->slots[i].model)))
		i = (i + 1) & (p->n_slots - 1);
	return &p->slots[i];
}

/* '*' any run, '#' one digit; both texts in lower case. */
static bool glob_matches(const char *g, struct slice s)
{
	const char *back = NULL;
	size_t i = 0, back_i = 0;

	while (i < s.len || *g) {
		if (*g == '*') {
			back = ++g;
			back_i = i;
		} else if (i < s.len && *g && (*g == s.ptr[i] || (*g == '#' && s.ptr[i] >= '0' &&
								 s.ptr[i] <= '9'))) {
			g++, i++;
		} else if (back && back_i < s.len) {
			g = back;
			i = ++back_i;
		} else {
			return false;
		}
	}
	return true;
}

/* By provider, and there by how much is literal: the first match is the most specific one. */
static const struct price *glob_find(const struct prices *p, struct slice provider,
				     struct slice model)
{
	size_t low = 0, high = p->n_globs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *at = p->globs[mid].provider;
		int order = strncmp(at, provider.ptr, provider.len);

		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < p->n_globs && slice_is(provider, p->globs[low].provider); low++)
		if (glob_matches(p->globs[low].text, model))
			return &p->globs[low].row->price;
	return NULL;
}

static const struct price *row_find(const struct prices *p, struct slice provider,
				    struct slice model)
{
	const struct row *row = price_slot(p, provider, model)->row;

	return row ? &row->price : glob_find(p, provider, model);
}

static bool digits(struct slice s, size_t from, size_t n)
{
	if (from + n > s.len)
		return false;
	for (size_t i = from; i < from + n; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return true;
}

/* Without what says when, not what: "-2024-08-06", "-20241022", "-0613", "@...", "-latest". */
static bool suffix_drop(struct slice *m)
{
	static const char *const words[] = { "-latest", ":latest", "-v1:0",
					     "-v2:0", ":0", ":free" };
	const char *at = memchr(m->ptr, '@', m->len);

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (slice_ends(*m, slice_str(words[i])) && m->len > strlen(words[i])) {
			m->len -= strlen(words[i]);
			return true;
		}
	}
	if (at && at > m->ptr) {
		m->len = (size_t)(at - m->ptr);
		return true;
	}
	if (m->len > 11 && m->ptr[m->len - 11] == '-' && digits(*m, m->len - 10, 4) &&
	    m->ptr[m->len - 6] == '-' && digits(*m, m->len - 5, 2) && m->ptr[m->len - 3] == '-' &&
	    digits(*m, m->len - 2, 2)) {
		m->len -= 11;
		return true;
	}
	if (m->len > 9 && m->ptr[m->len - 9] == '-' && digits(*m, m->len - 8, 8)) {
		m->len -= 9;
		return true;
	}
	if (m->len > 5 && m->ptr[m->len - 5] == '-' && digits(*m, m->len - 4, 4)) {
		m->len -= 5;
		return true;
	}
	return false;
}

/* Without what says where: "models/", "publishers/x/models/", "us.", "anthropic.". */
static bool prefix_drop(struct slice *m)
{
	static const char *const dotted[] = { "us.", "eu.", "apac.", "global.", "jp.", "au.", "ca.",
					      "us-gov.", "anthropic.", "amazon.", "meta.",
					      "mistral.", "cohere.", "openai.", "deepseek.", "qwen.",
					      "ai21." };
	const char *slash = memchr(m->ptr, '/', m->len);

	if (slash && (size_t)(slash - m->ptr) + 1 < m->len) {
		*m = slice_from(*m, (size_t)(slash - m->ptr) + 1);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(dotted); i++) {
		if (slice_starts(*m, slice_str(dotted[i])) && m->len > strlen(dotted[i])) {
			*m = slice_from(*m, strlen(dotted[i]));
			return true;
		}
	}
	return false;
}

/* The name as sent, then without suffixes, then the same with each prefix gone. */
static const struct price *name_find(const struct prices *p, struct slice provider,
				     struct slice model)
{
	do {
		struct slice m = model;

		do {
			const struct price *found = row_find(p, provider, m);

			if (found)
				return found;
		} while (suffix_drop(&m));
	} while (prefix_drop(&model));
	return NULL;
}

/* The longest known name that this one begins with, cut where a word ends. */
static const struct price *prefix_find(const struct prices *p, struct slice provider,
				       struct slice model)
{
	do {
		for (size_t len = model.len; len-- > PREFIX_MIN;) {
			const struct row *row;

			if (!strchr("-:.@/", model.ptr[len]))
				continue;
			row = price_slot(p, provider, slice_sub(model, 0, len))->row;
			if (row)
				return &row->price;
		}
	} while (prefix_drop(&model));
	return NULL;
}

const struct price *price_find(const struct prices *p, const char *provider, struct slice model)
{
	const struct price *found = NULL;
	struct slice own = slice_str(provider);
	char lower[MODEL_MAX];
	struct slice m;

	model = slice_trim(model);
	if (model.len == 0 || model.len > sizeof(lower))
		return NULL;
	for (size_t i = 0; i < model.len; i++)
		lower[i] = model.ptr[i] >= 'A' && model.ptr[i] <= 'Z' ? (char)(model.ptr[i] + 32) :
									model.ptr[i];
	m = slice_of(lower, model.len);
	if (own.len) {
		found = name_find(p, own, m);
		if (!found)
			found = prefix_find(p, own, m);
	}
	for (size_t i = 0; i < p->n_fallback && !found; i++)
		found = name_find(p, slice_str(p->fallback[i]), m);
	if (!found)
		found = name_find(p, SLICE(""), m);
	for (size_t i = 0; i < p->n_fallback && !found; i++)
		found = prefix_find(p, slice_str(p->fallback[i]), m);
	return found;
}

/* ---- the sum ---- */

static int64_t rate_of(const struct price *p, const struct tier *t, enum rate r, enum rate plain)
{
	int64_t rate = t && t->rate[r] != NO_RATE ? t->rate[r] : p->rate[r];

	if (rate == NO_RATE && r != plain)
		return rate_of(p, t, plain, plain);
	return MAX(rate, (int64_t)0);
}

int64_t price_cost(const struct price *p, const struct usage *u)
{
	int64_t input = MAX(u->input, (int64_t)0);
	int64_t output = MAX(u->output, (int64_t)0), unlisted = MAX(u->unlisted, (int64_t)0);
	int64_t cached = MIN(MAX(u->cached, (int64_t)0), input);
	int64_t written = MIN(MAX(u->cache_write, (int64_t)0), input - cached);
	int64_t reasoning = MIN(MAX(u->reasoning, (int64_t)0), output);
	const struct tier *t = NULL;
	__int128 sum = 0;

	for (size_t i = 0; i < p->n_tiers; i++)
		if (input > p->tiers[i].above && (!t || p->tiers[i].above > t->above))
			t = &p->tiers[i];
	sum += (__int128)(input - cached - written) * rate_of(p, t, RATE_IN, RATE_IN);
	sum += (__int128)cached * rate_of(p, t, RATE_CACHED, RATE_IN);
	sum += (__int128)written * rate_of(p, t, RATE_CACHE_WRITE, RATE_IN);
	sum += ((__int128)output - reasoning + unlisted) * rate_of(p, t, RATE_OUT, RATE_OUT);
	sum += (__int128)reasoning * rate_of(p, t, RATE_REASONING, RATE_OUT);
	sum = (sum + PICO_PER_MICRO - 1) / PICO_PER_MICRO;
	return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}
