/* "dlp": which action a type of finding gets, as a table by type. */
#include "policy/rules.h"

#include <ctype.h>

static const char *const actions[] = { "off", "log", "redact", "block", NULL };
#define NAME_MAX_LEN 63

/* Edits (Levenshtein) between two names, case aside; names are short. */
static size_t edits(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), row[NAME_MAX_LEN + 1];

	if (na > NAME_MAX_LEN || nb > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (size_t k = 0; k <= nb; k++)
		row[k] = k;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= nb; k++) {
			bool same = toupper((unsigned char)a[i - 1]) ==
				    toupper((unsigned char)b[k - 1]);
			size_t insert = MIN(row[k], row[k - 1]) + 1, change = diagonal + !same;

			diagonal = row[k];
			row[k] = MIN(insert, change);
		}
	}
	return row[nb];
}

static void unknown_type(struct load *l, const char *place, const char *name)
{
	const char *near = NULL;
	size_t best = strlen(name) / 2 + 1;

	for (size_t i = 0; i < dlp_n_types(l->p->dlp); i++) {
		const char *type = dlp_type_name(l->p->dlp, (uint16_t)i);
		size_t d = edits(name, type);

		if (d < best) {
			best = d;
			near = type;
		}
	}
	if (near)
		mistakes_add(l->m, place, "no such type; did you mean \"%s\"?", near);
	else
		mistakes_add(l->m, place, "no such type; sallyport policy types lists them");
}

static void table_set(struct load *l, const json_t *v, const char *place, size_t from, size_t to,
		      uint8_t *table)
{
	for (int i = 0; actions[i]; i++) {
		if (json_is_string(v) && strcmp(json_string_value(v), actions[i]) == 0) {
			memset(table + from, i, to - from);
			return;
		}
	}
	if (json_is_string(v))
		mistakes_add(l->m, place, "\"%.64s\" is none of off, log, redact, block",
			     json_string_value(v));
	else
		mistakes_add(l->m, place, "must be \"off\", \"log\", \"redact\" or \"block\"");
}

static const uint8_t *load_table(struct load *l, const json_t *o, const char *place,
				 const uint8_t *base)
{
	size_t n = dlp_n_types(l->p->dlp);
	uint8_t *table = arena_bytes(&l->p->arena, n ? n : 1);
	char at[PLACE_MAX];
	const char *key;
	json_t *v;

	if (!table) {
		l->oom = true;
		return base;
	}
	memcpy(table, base, n);
	/* "*" first, wherever it stands: the named types are the exceptions from it. */
	v = json_object_get(o, "*");
	if (v)
		table_set(l, v, jread_place(at, place, "*"), 0, n, table);
	json_object_foreach((json_t *)o, key, v) {
		int type;

		if (strcmp(key, "*") == 0 || *key == '$' || *key == '_')
			continue;
		jread_place(at, place, key);
		type = dlp_type_find(l->p->dlp, key);
		if (type < 0)
			unknown_type(l, at, key);
		else
			table_set(l, v, at, (size_t)type, (size_t)type + 1, table);
	}
	return table;
}

void load_dlp(struct load *l, const json_t *o, const char *place, const struct dlp_tables *base,
	      struct dlp_tables *out)
{
	static const char *const known[] = { "request", "response", NULL };
	const json_t *dlp = jread_object(o, place, "dlp", l->m), *side;
	char at[PLACE_MAX], at_side[PLACE_MAX];

	*out = *base;
	if (!dlp)
		return;
	jread_place(at, place, "dlp");
	jread_known(dlp, at, known, l->m);
	side = jread_object(dlp, at, "request", l->m);
	if (side)
		out->request =
			load_table(l, side, jread_place(at_side, at, "request"), base->request);
	side = jread_object(dlp, at, "response", l->m);
	if (side)
		out->response =
			load_table(l, side, jread_place(at_side, at, "response"), base->response);
}
