/* Facts -> decision. Pure: no clock, no allocation, no memory of what was asked before. */
#include "policy/rules.h"

static const struct rule *first_fit(const struct policy *p, struct view *v)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (selector_fit(&p->rules[i].sel, v, NULL) == FIT_YES)
			return &p->rules[i];
	return &p->otherwise;
}

void policy_decide(const struct policy *p, const struct facts *f, struct decision *out)
{
	struct view v;

	view_init(&v, f, false);
	*out = first_fit(p, &v)->says;
}

/* One more rule that may decide the request: the strictest of each word stays. */
static void widen(struct decision *all, const struct decision *one)
{
	if (one->mode > all->mode) {
		all->mode = one->mode;
		all->rule = one->rule;
		all->reason = one->reason;
	}
	if (one->verdict == VERDICT_ALLOW) /* refused before a request only when every rule would */
		all->verdict = VERDICT_ALLOW;
	all->sanctioned = all->sanctioned && one->sanctioned;
	all->fail_closed = all->fail_closed || one->fail_closed;
	if (one->on_distrust == DISTRUST_REFUSE)
		all->on_distrust = DISTRUST_REFUSE;
	all->dlp_request = one->dlp_request;
	all->dlp_response = one->dlp_response;
}

void policy_on_connect(const struct policy *p, const struct facts *f, struct decision *out)
{
	const struct rule *rule = NULL;
	enum fit fit = FIT_MAYBE;
	struct view v;
	bool any = false;

	view_init(&v, f, true);
	for (size_t i = 0; i <= p->n_rules && fit != FIT_YES; i++) {
		rule = i < p->n_rules ? &p->rules[i] : &p->otherwise;
		fit = i < p->n_rules ? selector_fit(&rule->sel, &v, NULL) : FIT_YES;
		if (fit == FIT_NO) {
			fit = FIT_MAYBE;
			continue;
		}
		if (any)
			widen(out, &rule->says);
		else
			*out = rule->says;
		any = true;
	}
}

const char *policy_contact(const struct policy *p)
{
	return p->contact;
}

size_t policy_budgets(const struct policy *p, const struct facts *f, const struct budget_rule **out,
		      size_t max)
{
	struct view v;
	size_t n = 0;

	view_init(&v, f, false);
	for (size_t i = 0; i < p->n_budgets && n < max; i++)
		if (selector_fit(&p->budgets[i].sel, &v, NULL) == FIT_YES)
			out[n++] = &p->budgets[i].rule;
	return n;
}

size_t policy_all_budgets(const struct policy *p, const struct budget_rule **out)
{
	*out = p->budget_rules;
	return p->n_budgets;
}

size_t policy_scopes(const struct policy *p, const struct policy_scope **out)
{
	*out = p->scopes;
	return p->n_scopes;
}

struct slice policy_warnings(const struct policy *p)
{
	return buf_slice(&p->warnings);
}
