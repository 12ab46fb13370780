/* "budgets": who may spend how much a day or a month. */
#include "policy/rules.h"

#include <math.h>

#define BUDGET_ID_MAX 47     /* spend/budget.h: BUDGET_ID_LEN with its NUL */
#define USD_MAX 1000000000.0 /* a thousand million dollars, in micro-USD far below 2^53 */
#define TOKENS_MAX 1000000000000000LL
#define MODEL_MAX 128

/*
 * A number of dollars as micro-USD, exactly. The double nearest to k / 10^6 is what the division of
 * the two exact integers gives (IEEE 754 rounds it correctly), so a decimal of at most six places
 * comes back equal, and one of more does not.
 */
static int64_t load_usd(struct load *l, const json_t *o, const char *place)
{
	char at[PLACE_MAX];
	double usd = jread_number(o, place, "usd", -1, l->m);
	int64_t micro;

	if (!json_is_number(json_object_get(o, "usd")))
		return -1;
	jread_place(at, place, "usd");
	if (!(usd >= 0 && usd <= USD_MAX)) {
		mistakes_add(l->m, at, "must be from 0 to %.0f dollars", USD_MAX);
		return -1;
	}
	micro = llround(usd * 1e6);
	if ((double)micro / 1e6 != usd) {
		mistakes_add(l->m, at, "has more than six decimals; the smallest sum is 0.000001");
		return -1;
	}
	return micro;
}

/* "block", or {"downgrade": MODEL}. */
static const char *load_at_limit(struct load *l, const json_t *o, const char *place)
{
	static const char *const known[] = { "downgrade", NULL };
	const json_t *v = json_object_get(o, "at_limit");
	const char *model;
	char at[PLACE_MAX];

	jread_place(at, place, "at_limit");
	if (!v || (json_is_string(v) && strcmp(json_string_value(v), "block") == 0))
		return NULL;
	if (!json_is_object(v)) {
		mistakes_add(l->m, at, "must be \"block\" or {\"downgrade\": \"MODEL\"}");
		return NULL;
	}
	jread_known(v, at, known, l->m);
	if (!json_object_get(v, "downgrade")) {
		mistakes_add(l->m, at, "names no model; write {\"downgrade\": \"MODEL\"}");
		return NULL;
	}
	model = load_text(l, v, at, "downgrade", MODEL_MAX);
	if (!*model || strpbrk(model, "*? ")) {
		if (json_is_string(json_object_get(v, "downgrade")))
			mistakes_add(l->m, at, "\"%.64s\" is not one model's whole name", model);
		return NULL;
	}
	return model;
}

static void check_downgrade(struct load *l, const struct budget *b, const char *place)
{
	const struct member *models = selector_member(&b->sel, FIELD_MODEL);
	char at[PLACE_MAX];

	if (!b->rule.downgrade || !models)
		return;
	for (uint32_t i = 0; i < models->n; i++)
		if (models->patterns[i].text &&
		    strcasecmp(models->patterns[i].text, b->rule.downgrade) == 0)
			mistakes_add(l->m, jread_place(at, place, "at_limit.downgrade"),
				     "\"%s\" is the model this budget limits; name a cheaper one",
				     b->rule.downgrade);
}

static void load_budget(struct load *l, const json_t *o, const char *place, struct budget *out)
{
	static const char *const known[] = { "id",  "who",    "to",   "per",          "usd",
					     "tokens", "each", "warn_percent", "at_limit",
					     NULL };
	static const char *const periods[] = { "day", "month", NULL };
	static const char *const eachs[] = { "shared", "caller", NULL };
	struct budget_rule *r = &out->rule;
	char at[PLACE_MAX];

	jread_known(o, place, known, l->m);
	r->id = load_id(l, o, place, BUDGET_ID_MAX);
	load_selector(l, o, place, &out->sel);
	if (!json_object_get(o, "per"))
		mistakes_add(l->m, jread_place(at, place, "per"),
			     "is missing; write \"day\" or "
			     "\"month\"");
	r->monthly = jread_choice(o, place, "per", periods, 0, l->m) == 1;
	r->each = jread_choice(o, place, "each", eachs, 0, l->m) == 1;
	r->limit_microusd = load_usd(l, o, place);
	r->limit_tokens = jread_int(o, place, "tokens", -1, 0, TOKENS_MAX, l->m);
	r->warn_percent = (unsigned)jread_int(o, place, "warn_percent", 80, 1, 100, l->m);
	r->downgrade = load_at_limit(l, o, place);
	if (!json_object_get(o, "usd") && !json_object_get(o, "tokens"))
		mistakes_add(l->m, place, "has no limit; add \"usd\" or \"tokens\"");
	check_downgrade(l, out, place);
}

void load_budgets(struct load *l, const json_t *root)
{
	const json_t *list = jread_array(root, "", "budgets", l->m);
	size_t n = json_array_size(list);
	struct policy *p = l->p;
	struct budget_rule *rules;
	char place[PLACE_MAX], at[PLACE_MAX];

	if (n > BUDGETS_FILE_MAX) {
		mistakes_add(l->m, "budgets", "more than %d; use \"each\": \"caller\"",
			     BUDGETS_FILE_MAX);
		return;
	}
	p->budgets = arena_array(&p->arena, struct budget, n ? n : 1);
	rules = arena_array(&p->arena, struct budget_rule, n ? n : 1);
	if (!p->budgets || !rules) {
		l->oom = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *o = json_array_get(list, i);

		jread_place_at(place, "budgets", i);
		if (!json_is_object(o)) {
			mistakes_add(l->m, place, "must be an object: { ... }");
			continue;
		}
		load_budget(l, o, place, &p->budgets[i]);
		for (size_t k = 0; k < i; k++)
			if (p->budgets[i].rule.id && p->budgets[k].rule.id &&
			    strcmp(p->budgets[i].rule.id, p->budgets[k].rule.id) == 0)
				mistakes_add(l->m, jread_place(at, place, "id"),
					     "\"%s\" is budgets[%zu]'s already; choose another",
					     p->budgets[i].rule.id, k);
		rules[i] = p->budgets[i].rule;
	}
	p->budget_rules = rules;
	p->n_budgets = n;
}
