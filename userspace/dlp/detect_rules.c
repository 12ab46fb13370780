/* The operator's own patterns: policies/detectors.json (policies/README.md says how to write it).
 */
#include "dlp/engine.h"

#include "base/def.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define RULE_MAX 4096 /* bytes a match may have: a stream must hold that much back */
#define RULE_RANK 95  /* the operator knows best */

void rules_done(struct dlp *d)
{
	for (size_t i = 0; i < d->n_rules; i++) {
		free(d->rules[i].pattern);
		free((char *)d->rules[i].words.list);
		regex_free(d->rules[i].regex);
	}
	d->n_rules = 0;
}

static bool is_type_name(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return isupper((unsigned char)s[0]) && n >= 2 && n <= 48 && s[n] == '\0';
}

/* A look-ahead may see one character: what may follow without end could not be held back. */
static bool lookahead_is_short(const char *pattern)
{
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			continue;
		}
		if (strncmp(p, "(?=", 3) != 0 && strncmp(p, "(?!", 3) != 0)
			continue;
		p += 3;
		if (*p == '[') {
			for (p++; *p && *p != ']'; p++)
				p += *p == '\\' && p[1];
		} else if (*p == '\\' && p[1]) {
			p++;
		}
		if (*p == '\0' || p[1] != ')')
			return false;
	}
	return true;
}

/* The pattern as Vectorscan sees it: it must end somewhere. */
static int width_read(const char *pattern, bool ignore_case, const char *at, struct mistakes *m,
		      size_t *max)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *error = NULL;
	unsigned flags = HS_FLAG_DOTALL | HS_FLAG_PREFILTER | (ignore_case ? HS_FLAG_CASELESS : 0);
	int r = -EINVAL;

	if (hs_expression_info(pattern, flags, &info, &error) != HS_SUCCESS)
		mistakes_add(m, at, "%s; write a simpler pattern",
			     error ? error->message : "not taken");
	else if (info->min_width == 0)
		mistakes_add(m, at, "matches the empty text; say what must be there");
	else if (info->max_width > RULE_MAX)
		mistakes_add(m, at, "may match more than %d bytes; write {1,64} instead of * or +",
			     RULE_MAX);
	else
		r = 0;
	if (r == 0)
		*max = info->max_width + 2; /* and a character of look-ahead */
	hs_free_compile_error(error);
	free(info);
	return r;
}

static int pattern_read(struct rule *rule, const char *pattern, const char *at, struct mistakes *m)
{
	struct regex_mistake why = { 0 };
	int r = regex_new(pattern, rule->ignore_case ? REGEX_IGNORE_CASE : 0, &rule->regex, &why);

	if (r == -EINVAL)
		mistakes_add(m, at, "%s at byte %zu of the pattern", why.text, why.offset);
	if (r < 0)
		return r;
	if (regex_lookbehind(rule->regex) > DETECTOR_WORDS) {
		mistakes_add(m, at, "looks behind further than %d bytes; shorten it",
			     DETECTOR_WORDS);
		return -EINVAL;
	}
	if (!lookahead_is_short(pattern)) {
		mistakes_add(m, at,
			     "looks ahead further than one character; write (?![a-z]) or \\b");
		return -EINVAL;
	}
	r = width_read(pattern, rule->ignore_case, at, m, &rule->max);
	if (r < 0)
		return r;
	rule->pattern = strdup(pattern);
	return rule->pattern ? 0 : -ENOMEM;
}

/* ["employee", "staff id"] -> "employee|staff id", lower case. */
static int words_read(struct rule *rule, const json_t *o, const char *place, struct mistakes *m)
{
	const json_t *words = jread_array(o, place, "words", m), *one;
	cleanup(buf_done) struct buf joined;
	char list[PLACE_MAX], at[PLACE_MAX], *lower;
	size_t i;
	int r = 0;

	buf_init(&joined, 8192);
	jread_place(list, place, "words");
	json_array_foreach((json_t *)words, i, one)
	{
		const char *w = json_string_value(one);

		if (!w || !*w || strlen(w) > DETECTOR_RIGHT - 2 || strchr(w, '|')) {
			mistakes_add(m, jread_place_at(at, list, i),
				     "a word is a text of 1 to %d bytes", DETECTOR_RIGHT - 2);
			return -EINVAL;
		}
		r = buf_printf(&joined, "%s%s", i ? "|" : "", w);
		if (r < 0)
			break;
	}
	if (r == -ENOBUFS) {
		mistakes_add(m, list, "more than 8192 bytes of words");
		return -EINVAL;
	}
	if (r < 0 || !words || json_array_size(words) == 0)
		return r;
	lower = strndup(joined.data, joined.len);
	if (!lower)
		return -ENOMEM;
	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	rule->words.list = lower;
	words_first(rule->words.first, lower);
	return 0;
}

static int rule_read(struct dlp *d, const json_t *o, const char *place, struct mistakes *m)
{
	static const char *const known[] = { "type",	    "pattern",	  "validator",	 "words",
					     "ignore_case", "confidence", "description", NULL };
	struct rule *rule = &d->rules[d->n_rules];
	const char *type, *pattern, *check;
	char at[PLACE_MAX];
	int r;

	if (!json_is_object(o)) {
		mistakes_add(m, place, "is no object; write {\"type\": ..., \"pattern\": ...}");
		return -EINVAL;
	}
	jread_known(o, place, known, m);
	type = jread_string(o, place, "type", NULL, m);
	pattern = jread_string(o, place, "pattern", NULL, m);
	check = jread_string(o, place, "validator", NULL, m);
	(void)jread_string(o, place, "description", NULL, m);
	*rule = (struct rule){ .ignore_case = jread_bool(o, place, "ignore_case", false, m),
			       .confidence =
				       (uint8_t)jread_int(o, place, "confidence", 90, 1, 100, m) };
	d->n_rules++; /* from here rules_done() frees it */
	if (!type || !is_type_name(type)) {
		mistakes_add(m, jread_place(at, place, "type"),
			     "a type is 2 to 48 of A-Z, 0-9 and _, as in EMPLOYEE_ID");
		return -EINVAL;
	}
	if (check) {
		rule->valid = validator_find(check);
		(void)jread_choice(o, place, "validator", validator_names, 0, m);
	}
	if (!pattern) {
		mistakes_add(m, jread_place(at, place, "pattern"),
			     "is missing; write a PCRE2 pattern");
		return -EINVAL;
	}
	r = pattern_read(rule, pattern, jread_place(at, place, "pattern"), m);
	if (r == 0)
		r = words_read(rule, o, place, m);
	if (r < 0)
		return r;
	r = dlp_type_add(d, type, RULE_RANK);
	if (r == -ENOSPC)
		mistakes_add(m, place, "more than %d types", DLP_TYPES_MAX);
	if (r < 0)
		return r == -ENOSPC ? -EINVAL : r;
	rule->type = (uint16_t)r;
	return 0;
}

int rules_load(struct dlp *d, struct slice text, struct mistakes *m)
{
	static const char *const known[] = { "detectors", NULL };
	json_t *root = jread_text(text, m);
	const json_t *list, *one;
	size_t before = m->n, i;
	char at[PLACE_MAX];
	int r = 0;

	if (!root)
		return -EINVAL;
	if (!json_is_object(root))
		mistakes_add(m, "", "is no object; write {\"detectors\": []}");
	jread_known(root, "", known, m);
	list = jread_array(root, "", "detectors", m);
	if (json_array_size(list) > DLP_RULES_MAX)
		mistakes_add(m, "detectors", "more than %d; join some", DLP_RULES_MAX);
	else
		json_array_foreach((json_t *)list, i, one)
		{
			r = rule_read(d, one, jread_place_at(at, "detectors", i), m);
			if (r == -ENOMEM)
				break;
		}
	json_decref(root);
	if (r == -ENOMEM)
		return r;
	return m->n > before ? -EINVAL : 0;
}
