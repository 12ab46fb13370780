/* "who" and "to": JSON members into compiled selectors. */
#include "policy/rules.h"

#include <ctype.h>

#define ID_NUMBER_MAX 4294967294LL /* ~0 is "no uid" to the kernel */

static bool folds(enum field f)
{
	return f == FIELD_HOST || f == FIELD_MODEL;
}

static void compile_number(struct load *l, const json_t *v, const char *at, struct pattern *out)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > ID_NUMBER_MAX) {
		mistakes_add(l->m, at, "must be a whole number from 0 to %lld", ID_NUMBER_MAX);
		return;
	}
	out->kind = PATTERN_NUMBER;
	out->head = (uint64_t)json_integer_value(v);
}

static void compile_text(struct load *l, enum field f, const json_t *v, const char *at,
			 struct pattern *out)
{
	struct slice s = slice_of(json_string_value(v), json_string_length(v)), text, copy;
	const char *wrong;

	if (!json_is_string(v) || memchr(s.ptr, 0, s.len)) {
		mistakes_add(l->m, at, "must be a string in double quotes");
		return;
	}
	text = arena_dup(&l->p->arena, s);
	copy = arena_dup(&l->p->arena, s);
	if (!text.ptr || !copy.ptr) {
		l->oom = true;
		return;
	}
	for (size_t i = 0; folds(f) && i < copy.len; i++)
		((char *)copy.ptr)[i] = (char)tolower((unsigned char)copy.ptr[i]);
	wrong = pattern_compile(f, text.ptr, (char *)copy.ptr, out);
	if (wrong) {
		mistakes_add(l->m, at, "\"%.128s\" %s", text.ptr, wrong);
	} else if (f == FIELD_PROVIDER && out->kind != PATTERN_LITERAL) {
		mistakes_add(l->m, at,
			     "\"%.64s\": a provider is named whole; leave \"provider\" out to "
			     "mean every one",
			     text.ptr);
	} else if (f == FIELD_PROVIDER && l->names &&
		   !l->names->provider_exists(l->names->ctx, text.ptr)) {
		mistakes_add(l->m, at,
			     "no provider \"%.64s\" in providers.json; sallyport catalog match "
			     "HOST prints the id a host belongs to",
			     text.ptr);
	}
}

static void load_member(struct load *l, enum field f, const json_t *v, const char *place,
			struct selector *out)
{
	size_t n = json_is_array(v) ? json_array_size(v) : 1;
	struct pattern *patterns;
	char at[PLACE_MAX];

	if (n == 0) {
		mistakes_add(l->m, place,
			     "is empty and would match nothing; remove it to mean any");
		return;
	}
	l->n_patterns += n;
	if (l->n_patterns > PATTERNS_MAX) {
		if (l->n_patterns - n <= PATTERNS_MAX)
			mistakes_add(l->m, place, "more than %d patterns in one file; use globs",
				     PATTERNS_MAX);
		return;
	}
	patterns = arena_array(&l->p->arena, struct pattern, n);
	if (!patterns) {
		l->oom = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
		const char *where = json_is_array(v) ? jread_place_at(at, place, i) : place;

		if (f == FIELD_UID || f == FIELD_GID)
			compile_number(l, one, where, &patterns[i]);
		else
			compile_text(l, f, one, where, &patterns[i]);
	}
	out->members[out->n++] = (struct member){ (uint8_t)f, (uint32_t)n, patterns };
}

static void load_side(struct load *l, const json_t *o, const char *place, const char *key, bool who,
		      struct selector *out)
{
	const json_t *side = jread_object(o, place, key, l->m);
	const char *known[FIELD_N + 1];
	char at[PLACE_MAX], at_member[PLACE_MAX];
	size_t n = 0;

	if (!side)
		return;
	jread_place(at, place, key);
	for (int f = 0; f < FIELD_N; f++) {
		const json_t *v;

		if (field_is_who((enum field)f) != who)
			continue;
		known[n++] = field_name((enum field)f);
		v = json_object_get(side, field_name((enum field)f));
		if (v)
			load_member(l, (enum field)f, v,
				    jread_place(at_member, at, field_name((enum field)f)), out);
	}
	known[n] = NULL;
	if (who && json_object_get(side, "comm")) {
		mistakes_add(
			l->m, jread_place(at_member, at, "comm"),
			"any program may call itself what it likes; use \"exe\" with a path or a "
			"digest");
		return;
	}
	jread_known(side, at, known, l->m);
}

static int by_cost(const void *a, const void *b)
{
	return ((const struct member *)a)->field - ((const struct member *)b)->field;
}

void load_selector(struct load *l, const json_t *o, const char *place, struct selector *out)
{
	load_side(l, o, place, "who", true, out);
	load_side(l, o, place, "to", false, out);
	qsort(out->members, out->n, sizeof(out->members[0]), by_cost);
}
