/* The engine: compile once, then one Vectorscan pass a text and PCRE2 where a trigger fired. */
#include "dlp/engine.h"

#include "base/def.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Below this the bit-parallel automaton costs less than a Vectorscan call. */
#define SHORT_TEXT 48

static const struct detector *const tables[] = {
#define DETECTORS(name) detect_##name,
#include "dlp/detectors.def"
#undef DETECTORS
};

int dlp_type_add(struct dlp *d, const char *name, uint8_t rank)
{
	int at = dlp_type_find(d, name);
	struct type *t;

	if (at < 0) {
		if (d->n_types == DLP_TYPES_MAX)
			return -ENOSPC;
		t = &d->types[d->n_types];
		t->name = strdup(name);
		if (!t->name || asprintf(&t->mask, "[%s]", name) < 0) {
			free(t->name);
			*t = (struct type){ 0 };
			return -ENOMEM;
		}
		at = (int)d->n_types++;
	}
	t = &d->types[at];
	t->rank = MAX(t->rank, rank);
	return at;
}

static int trigger_use_add(struct dlp *d, const char *pattern, unsigned flags, uint16_t detector)
{
	bool ignore_case = flags & DETECT_IGNORE_CASE;
	struct trigger_use *t;
	size_t i;
	int width;

	for (i = 0; i < d->n_triggers; i++)
		if (d->triggers[i].ignore_case == ignore_case &&
		    strcmp(d->triggers[i].pattern, pattern) == 0)
			break;
	if (i == d->n_triggers) {
		t = reallocarray(d->triggers, i + 1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		d->triggers = t;
		width = trigger_add(d->set, pattern, ignore_case);
		if (width < 0)
			return width;
		t[i] = (struct trigger_use){ .pattern = pattern,
					     .ignore_case = ignore_case,
					     .width = (uint8_t)width,
					     .edge = true,
					     .number = !strcmp(pattern, TRIGGER_NUMBER) };
		d->n_triggers++;
	}
	t = &d->triggers[i];
	if (t->n == ARRAY_LEN(t->detector))
		return -ENOSPC;
	t->edge = t->edge && flags & DETECT_EDGE;
	t->detector[t->n++] = detector;
	return 0;
}

static void back_set(uint64_t set[4], const char *class)
{
	for (const char *p = class; *p; p++) {
		unsigned from = (unsigned char)*p, to = from;

		if (p[1] == '-' && p[2]) {
			to = (unsigned char)p[2];
			p += 2;
		}
		for (; from <= to; from++)
			set[from >> 6] |= 1ull << (from & 63);
	}
}

/* Our own tables are compiled in: a mistake in them is ours, -EINVAL with the detector named. */
static int detector_add(struct dlp *d, const struct detector *def, struct mistakes *m)
{
	unsigned flags = REGEX_ANCHORED | (def->flags & DETECT_IGNORE_CASE ? REGEX_IGNORE_CASE : 0);
	struct compiled *c = &d->detectors[d->n_detectors];
	struct regex_mistake why = { 0 };
	int r = dlp_type_add(d, def->type, def->rank);

	if (r < 0)
		return r;
	c->def = def;
	c->type = (uint16_t)r;
	d->n_detectors++;
	if (def->back)
		back_set(c->back, def->back);
	if (def->words) {
		c->words.list = def->words;
		words_first(c->words.first, def->words);
	}
	r = def->lead ? regex_new(def->lead, flags, &c->lead, &why) : 0;
	if (r == 0)
		r = regex_new(def->value, flags, &c->value, &why);
	for (size_t i = 0; r == 0 && i < DETECTOR_TRIGGERS && def->trigger[i]; i++)
		r = trigger_use_add(d, def->trigger[i], def->flags, (uint16_t)(c - d->detectors));
	if (r < 0 && r != -ENOMEM)
		mistakes_add(m, def->type, "built-in detector: %s at byte %zu", why.text,
			     why.offset);
	return r;
}

static int detectors_load(struct dlp *d, struct mistakes *m)
{
	size_t n = 0;

	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct detector *def = tables[t]; def->type; def++)
			n++;
	d->detectors = calloc(n, sizeof(*d->detectors));
	d->set = calloc(1, sizeof(*d->set));
	if (!d->detectors || !d->set)
		return -ENOMEM;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct detector *def = tables[t]; def->type; def++) {
			int r = detector_add(d, def, m);

			if (r < 0)
				return r;
		}
	return 0;
}

/*
 * The same triggers at the edge of a token only (trigger_edge() in Vectorscan's words), for those
 * that begin with a digit: a callback for every digit of a long number would cost more.
 */
#define EDGE "(?:^|[^0-9A-Za-z]|\\\\[nrtbf]|%[0-9A-Fa-f]{2}|\\\\u[0-9A-Fa-f]{4})"

static const char *trigger_pattern(const struct trigger_use *t, struct arena *a)
{
	if (!t->edge || strncmp(t->pattern, "\\d", 2) != 0)
		return t->pattern;
	return arena_printf(a, "%s%s", EDGE, t->pattern).ptr;
}

/* One database: triggers by end offset, rules once each ("look closer") in superset mode. */
static int database_build(struct dlp *d, struct mistakes *m)
{
	size_t n = d->n_triggers + d->n_rules;
	cleanup(freep) const char **patterns = calloc(n, sizeof(*patterns));
	cleanup(freep) unsigned *flags = calloc(n, sizeof(*flags)), *ids = calloc(n, sizeof(*ids));
	cleanup(arena_done) struct arena arena;
	hs_compile_error_t *error = NULL;

	arena_init(&arena, 1u << 20);
	if (!patterns || !flags || !ids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct rule *rule = i < d->n_triggers ? NULL : &d->rules[i - d->n_triggers];

		ids[i] = (unsigned)i;
		patterns[i] = rule ? rule->pattern : trigger_pattern(&d->triggers[i], &arena);
		if (!patterns[i])
			return -ENOMEM;
		flags[i] = HS_FLAG_DOTALL;
		if (rule)
			flags[i] |= HS_FLAG_PREFILTER | HS_FLAG_SINGLEMATCH;
		if (rule ? rule->ignore_case : d->triggers[i].ignore_case)
			flags[i] |= HS_FLAG_CASELESS;
	}
	if (hs_compile_multi(patterns, flags, ids, (unsigned)n, HS_MODE_BLOCK, NULL, &d->db,
			     &error) != HS_SUCCESS) {
		char place[PLACE_MAX] = "";

		if (error && error->expression >= (int)d->n_triggers)
			snprintf(place, sizeof(place), "detectors[%zu].pattern",
				 (size_t)error->expression - d->n_triggers);
		mistakes_add(m, place, "Vectorscan cannot take it: %s; write a simpler pattern",
			     error ? error->message : "no reason given");
		hs_free_compile_error(error);
		return -EINVAL;
	}
	return hs_alloc_scratch(d->db, &d->proto) == HS_SUCCESS ? 0 : -ENOMEM;
}

static void dlp_unrefp(struct dlp **d)
{
	dlp_unref(*d);
}

int dlp_new(struct slice operator_json, struct mistakes *m, struct dlp **out)
{
	cleanup(dlp_unrefp) struct dlp *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->refs = 1;
	r = detectors_load(d, m);
	if (r == 0 && operator_json.ptr)
		r = rules_load(d, operator_json, m);
	if (r == 0)
		r = database_build(d, m);
	if (r < 0)
		return r;
	*out = take(d);
	return 0;
}

struct dlp *dlp_ref(struct dlp *d)
{
	__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	return d;
}

void dlp_unref(struct dlp *d)
{
	if (!d || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < d->n_detectors; i++) {
		regex_free(d->detectors[i].lead);
		regex_free(d->detectors[i].value);
	}
	rules_done(d);
	for (size_t i = 0; i < d->n_types; i++) {
		free(d->types[i].name);
		free(d->types[i].mask);
	}
	hs_free_scratch(d->proto);
	hs_free_database(d->db);
	free(d->detectors);
	free(d->triggers);
	free(d->set);
	free(d);
}

static void dlp_scratch_freep(struct dlp_scratch **s)
{
	dlp_scratch_free(*s);
}

int dlp_scratch_new(struct dlp *d, struct dlp_scratch **out)
{
	cleanup(dlp_scratch_freep) struct dlp_scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->d = dlp_ref(d);
	if (hs_clone_scratch(d->proto, &s->hs) != HS_SUCCESS || regex_scratch_new(&s->regex) < 0)
		return -ENOMEM;
	*out = take(s);
	return 0;
}

void dlp_scratch_free(struct dlp_scratch *s)
{
	if (!s)
		return;
	hs_free_scratch(s->hs);
	regex_scratch_free(s->regex);
	free(s->raw.items);
	free(s->edges);
	dlp_unref((struct dlp *)s->d);
	free(s);
}

size_t dlp_n_types(const struct dlp *d)
{
	return d->n_types;
}

const char *dlp_type_name(const struct dlp *d, uint16_t type)
{
	return type < d->n_types ? d->types[type].name : NULL;
}

int dlp_type_find(const struct dlp *d, const char *name)
{
	for (size_t i = 0; i < d->n_types; i++)
		if (strcmp(d->types[i].name, name) == 0)
			return (int)i;
	return -1;
}

struct slice dlp_mask(const struct dlp *d, uint16_t type)
{
	return slice_str(type < d->n_types ? d->types[type].mask : "[REDACTED]");
}

/* One text under way. */
struct scan {
	const struct dlp *d;
	struct dlp_scratch *s;
	const uint8_t *action;
	struct view view;
	uint64_t rules; /* bit per rule that must be looked at, from rule_from[] on */
	size_t rule_from[DLP_RULES_MAX];
	uint32_t part;
	struct findings *out;
	int error;
};

static bool is_off(const struct scan *sc, uint16_t type)
{
	return sc->action && sc->action[type] == DLP_OFF;
}

static void scan_found(struct scan *sc, enum verdict v, const struct raw *found)
{
	if (v == MATCH_YES && raw_add(&sc->s->raw, *found) < 0)
		sc->error = -ENOMEM;
}

static int on_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
		  void *arg)
{
	struct scan *sc = arg;
	const struct trigger_use *t;

	(void)from;
	(void)flags;
	if (id >= sc->d->n_triggers) {
		size_t k = id - sc->d->n_triggers, max = sc->d->rules[k].max;

		sc->rules |= 1ull << k;
		sc->rule_from[k] = to > max ? (size_t)to - max : 0;
		return 0;
	}
	t = &sc->d->triggers[id];
	if (match_pointless(t, &sc->view, (size_t)to - t->width))
		return 0;
	for (size_t i = 0; i < t->n && !sc->error; i++) {
		const struct compiled *c = &sc->d->detectors[t->detector[i]];
		struct raw found;

		if (!is_off(sc, c->type))
			scan_found(sc,
				   match_try(c, sc->s->regex, &sc->view, (size_t)to - t->width,
					     &found),
				   &found);
	}
	return sc->error;
}

static void scan_short(struct scan *sc)
{
	const struct trigger_set *set = sc->d->set;
	struct trigger_state state = { { 0 } };

	for (size_t i = 0; i < sc->view.text.len; i++) {
		uint64_t hits;

		trigger_step(set, &state, (unsigned char)sc->view.text.ptr[i], &hits);
		if (!hits)
			continue;
		for (size_t w = 0; w < set->n_words; w++)
			for (uint64_t on = state.on[w] & set->last[w]; on; on &= on - 1)
				(void)on_hit(set->id[w][__builtin_ctzll(on)], 0, i + 1, 0, sc);
	}
	for (size_t k = 0; k < sc->d->n_rules; k++) {
		sc->rules |= 1ull << k;
		sc->rule_from[k] = 0;
	}
}

static void scan_rules(struct scan *sc)
{
	for (size_t k = 0; k < sc->d->n_rules && !sc->error; k++) {
		size_t from = sc->rule_from[k];
		struct raw found;

		if (!(sc->rules >> k & 1) || is_off(sc, sc->d->rules[k].type))
			continue;
		while (!sc->error && match_rule(&sc->d->rules[k], sc->s->regex, &sc->view, from,
						&found, &from) == MATCH_YES)
			scan_found(sc, MATCH_YES, &found);
	}
}

static bool key_taken(const struct dlp *d, struct slice key)
{
	for (size_t i = 0; i < d->n_detectors; i++)
		if (d->detectors[i].def->key && d->detectors[i].def->key(key))
			return true;
	return false;
}

/* Nearly every key of a message is nobody's: said once, then from memory. */
static bool key_quiet(struct scan *sc)
{
	struct slice key = sc->view.key;
	struct key_memo *memo;
	uint32_t h = (uint32_t)key.len;

	if (key.len > KEY_MEMO_LEN)
		return false;
	for (size_t i = 0; i < key.len; i++)
		h = (h ^ (unsigned char)key.ptr[i]) * 16777619U;
	memo = &sc->s->keys[(h ^ h >> 15) & (KEY_MEMO - 1)];
	if (memo->len != key.len || memcmp(memo->key, key.ptr, key.len) != 0) {
		memo->len = (uint8_t)key.len;
		memcpy(memo->key, key.ptr, key.len);
		memo->any = key_taken(sc->d, key);
	}
	return !memo->any;
}

static void scan_key(struct scan *sc)
{
	if (key_quiet(sc))
		return;
	for (size_t i = 0; i < sc->d->n_detectors; i++) {
		const struct compiled *c = &sc->d->detectors[i];
		struct raw found;

		if (c->def->key && !is_off(sc, c->type))
			scan_found(sc, match_key(c, sc->s->regex, &sc->view, &found), &found);
	}
}

int findings_keep(struct findings *f, const struct finding *one)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;
		struct finding *items = arena_array(f->arena, struct finding, cap);

		if (!items)
			return -ENOMEM;
		if (f->n)
			memcpy(items, f->items, f->n * sizeof(*items));
		f->items = items;
		f->cap = cap;
	}
	f->items[f->n++] = *one;
	return 0;
}

int findings_add(struct findings *f, uint32_t part, const struct raw *r)
{
	const struct finding one = { .type = r->type, .confidence = r->confidence, .part = part,
				     .start = (uint32_t)r->start, .end = (uint32_t)r->end };

	return findings_keep(f, &one);
}

static int scan_emit(void *arg, const struct raw *r)
{
	struct scan *sc = arg;

	return findings_add(sc->out, sc->part, r);
}

int dlp_scan_for(const struct dlp *d, struct dlp_scratch *s, const uint8_t *action,
		 struct slice text, struct slice key, uint32_t part, struct findings *out)
{
	struct scan sc = { .d = d,
			   .s = s,
			   .action = action,
			   .view = { text, key, false },
			   .part = part,
			   .out = out };

	if (text.len > DLP_TEXT_MAX)
		return -EMSGSIZE;
	if (!text.len)
		return 0;
	s->raw.n = 0;
	if (text.len <= SHORT_TEXT)
		scan_short(&sc);
	else if (hs_scan(d->db, text.ptr, (unsigned)text.len, 0, s->hs, on_hit, &sc) !=
			 HS_SUCCESS &&
		 !sc.error)
		sc.error = -ENOMEM;
	scan_rules(&sc);
	if (key.len)
		scan_key(&sc);
	return sc.error ? sc.error : resolve(d, s, action, &s->raw, scan_emit, &sc);
}

int dlp_scan(const struct dlp *d, struct dlp_scratch *s, struct slice text, struct slice key,
	     uint32_t part, struct findings *out)
{
	return dlp_scan_for(d, s, NULL, text, key, part, out);
}
