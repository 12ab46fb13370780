/* What is no mistake but surely not meant: lines for `policy check` and the log of a reload. */
#include "policy/rules.h"

#define BUDGETS_A_REQUEST 8 /* spend/budget.h: BUDGETS_MAX */

static void check_reach(struct policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		for (size_t k = 0; k < i; k++) {
			if (!selector_covers(&p->rules[k].sel, &p->rules[i].sel))
				continue;
			(void)buf_printf(
				&p->warnings,
				"rules[%zu]: never reached: rules[%zu] \"%s\" before it matches "
				"all it could match; move it up or remove it\n",
				i, k, p->rules[k].says.rule);
			break;
		}
	}
	if (p->n_rules && p->rules[p->n_rules - 1].sel.n == 0)
		(void)buf_printf(
			&p->warnings,
			"default: never reached: rules[%zu] \"%s\" matches everything; say it in "
			"\"default\" instead\n",
			p->n_rules - 1, p->rules[p->n_rules - 1].says.rule);
}

static bool acts(const struct policy *p, const uint8_t *table)
{
	for (size_t i = 0; i < dlp_n_types(p->dlp); i++)
		if (table[i] >= DLP_REDACT)
			return true;
	return false;
}

static void check_modes(struct policy *p)
{
	for (size_t i = 0; i <= p->n_rules; i++) {
		const struct decision *d = i < p->n_rules ? &p->rules[i].says : &p->otherwise.says;
		char place[PLACE_MAX] = "default";

		if (i < p->n_rules)
			jread_place_at(place, "rules", i);
		if (d->mode != SP_MODE_ENFORCE && d->verdict == VERDICT_BLOCK)
			(void)buf_printf(
				&p->warnings,
				"%s.action: \"block\" blocks only in mode enforce; in mode %s it "
				"is %s\n",
				place, d->mode == SP_MODE_MONITOR ? "monitor" : "observe",
				d->mode == SP_MODE_MONITOR ? "recorded only" : "not seen");
		if (d->mode == SP_MODE_OBSERVE && i < p->n_rules &&
		    (acts(p, d->dlp_request) || acts(p, d->dlp_response)) &&
		    (d->dlp_request != p->otherwise.says.dlp_request ||
		     d->dlp_response != p->otherwise.says.dlp_response))
			(void)buf_printf(
				&p->warnings,
				"%s.dlp: mode observe reads no request; set mode to monitor or "
				"enforce\n",
				place);
	}
}

/* Rules whose caller the kernel cannot tell at connect() cost everybody the detour. */
static void check_kernel(struct policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct rule *r = &p->rules[i];
		bool who = false;

		for (uint32_t k = 0; k < r->sel.n; k++)
			who = who || field_is_who((enum field)r->sel.members[k].field);
		if (r->says.mode <= p->otherwise.says.mode || !who || !r->says.fail_closed ||
		    selector_member(&r->sel, FIELD_UID) || selector_member(&r->sel, FIELD_UNIT) ||
		    selector_member(&r->sel, FIELD_SLICE))
			continue;
		(void)buf_printf(
			&p->warnings,
			"rules[%zu].who: the kernel tells callers by uid, unit and slice only, so "
			"every caller takes the way through sallyport, and is refused while it is "
			"down; add \"uid\" or \"unit\", or write \"fail\": \"open\"\n",
			i);
	}
}

/* True unless a member of both excludes a caller from being in the two at once. */
static bool may_overlap(const struct selector *a, const struct selector *b)
{
	for (uint32_t i = 0; i < a->n; i++) {
		const struct member *ma = &a->members[i];
		const struct member *mb = selector_member(b, (enum field)ma->field);
		bool meet = !mb || ma->field == FIELD_ANCESTOR;

		for (uint32_t k = 0; mb && k < ma->n && !meet; k++)
			for (uint32_t n = 0; n < mb->n && !meet; n++)
				meet = ma->patterns[k].kind > PATTERN_LITERAL ||
				       mb->patterns[n].kind > PATTERN_LITERAL ||
				       pattern_covers((enum field)ma->field, &ma->patterns[k],
						      &mb->patterns[n]);
		if (!meet)
			return false;
	}
	return true;
}

static void check_budgets(struct policy *p)
{
	for (size_t i = 0; i < p->n_budgets; i++) {
		size_t before = 0;

		for (size_t k = 0; k < i; k++)
			before += may_overlap(&p->budgets[k].sel, &p->budgets[i].sel);
		if (before >= BUDGETS_A_REQUEST)
			(void)buf_printf(
				&p->warnings,
				"budgets[%zu]: %zu budgets before it may apply to the same "
				"request; a request is charged to the first %d that match\n",
				i, before, BUDGETS_A_REQUEST);
	}
}

void check_policy(struct policy *p)
{
	check_reach(p);
	check_modes(p);
	check_kernel(p);
	check_budgets(p);
}
