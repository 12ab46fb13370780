/*
 * What the kernel needs to know at connect(): per scope and provider the highest mode that any rule
 * could give to any caller the kernel would look up there.
 *
 * The kernel takes the nearest scope: a cgroup or one above it, then the uid, then ANY. So an entry
 * speaks for every caller that reaches it, whatever else is true of that caller, and is computed by
 * walking the rules in order with three answers:
 *   never   the rule names another provider, another uid (in a UID entry), or, in a UID or ANY
 * entry, a unit: who is in that unit was found by its CGROUP entry before; surely  the rule asks
 * for nothing but what the entry itself says: it ends the walk; maybe   everything else (an exe, a
 * host, another unit that may lie below this one): it raises. Hence entry(principal, provider) >=
 * policy_on_connect(principal, provider).mode always, and equal where rules select on units, uids
 * and providers alone. tests/unit/policy/scopes_test.c draws random policies and callers against
 * this.
 *
 * Every scope has an entry for "any provider", so the kernel's walk ends at the nearest scope.
 */
#include "policy/rules.h"

#include <errno.h>

/* Beyond these the map in the kernel would fill up: the scopes are given up and ANY widens instead.
 */
#define SCOPE_UIDS_MAX 256
#define SCOPE_UNITS_MAX 256
#define SCOPES_MAX 8192

struct plan {
	const struct policy *p;
	const char *provider[256 + 1]; /* those that rules name; the last is NULL: any other */
	size_t n_providers;
	uint32_t uid[SCOPE_UIDS_MAX];
	size_t n_uids;
	const char *unit[SCOPE_UNITS_MAX];
	size_t n_units;
	bool all_providers, by_uid, by_unit;
};

static bool note_text(const char **list, size_t *n, size_t max, const char *s)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(list[i], s) == 0)
			return true;
	if (*n == max)
		return false;
	list[(*n)++] = s;
	return true;
}

static bool note_uid(struct plan *plan, uint32_t uid)
{
	for (size_t i = 0; i < plan->n_uids; i++)
		if (plan->uid[i] == uid)
			return true;
	if (plan->n_uids == SCOPE_UIDS_MAX)
		return false;
	plan->uid[plan->n_uids++] = uid;
	return true;
}

static void plan_member(struct plan *plan, const struct member *m)
{
	for (uint32_t i = 0; i < m->n; i++) {
		const struct pattern *at = &m->patterns[i];

		switch (m->field) {
		case FIELD_UID:
			plan->by_uid = plan->by_uid && note_uid(plan, (uint32_t)at->head);
			break;
		case FIELD_UNIT:
		case FIELD_SLICE:
			plan->by_unit = plan->by_unit && note_text(plan->unit, &plan->n_units,
								   SCOPE_UNITS_MAX, at->text);
			break;
		case FIELD_PROVIDER:
			plan->all_providers =
				plan->all_providers &&
				note_text(plan->provider, &plan->n_providers, 256, at->text);
			break;
		default:
			break;
		}
	}
}

static bool has_text(const struct member *m, const char *text)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (strcmp(m->patterns[i].text, text) == 0)
			return true;
	return false;
}

static bool has_number(const struct member *m, uint64_t number)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->patterns[i].head == number)
			return true;
	return false;
}

static enum fit scope_member_fit(const struct plan *plan, const struct member *m,
				 const struct policy_scope *s)
{
	switch (m->field) {
	case FIELD_PROVIDER:
		if (!plan->all_providers)
			return FIT_MAYBE;
		/* "any" is looked up for providers that no rule names */
		return s->provider && has_text(m, s->provider) ? FIT_YES : FIT_NO;
	case FIELD_UID:
		if (s->kind == SP_SCOPE_CGROUP || !plan->by_uid)
			return FIT_MAYBE;
		return s->kind == SP_SCOPE_UID && has_number(m, s->uid) ? FIT_YES : FIT_NO;
	case FIELD_UNIT:
	case FIELD_SLICE:
		if (!plan->by_unit)
			return FIT_MAYBE;
		if (s->kind != SP_SCOPE_CGROUP)
			return FIT_NO;
		return has_text(m, s->unit) ? FIT_YES : FIT_MAYBE;
	default:
		return FIT_MAYBE;
	}
}

static void scope_fill(const struct plan *plan, struct policy_scope *s)
{
	s->mode = SP_MODE_OBSERVE;
	s->fail_closed = false;
	for (size_t i = 0; i <= plan->p->n_rules; i++) {
		const struct rule *r =
			i < plan->p->n_rules ? &plan->p->rules[i] : &plan->p->otherwise;
		enum fit fit = FIT_YES;

		for (uint32_t k = 0; k < r->sel.n; k++)
			fit = MIN(fit, scope_member_fit(plan, &r->sel.members[k], s));
		if (fit == FIT_NO)
			continue;
		s->mode = MAX(s->mode, r->says.mode);
		s->fail_closed = s->fail_closed || r->says.fail_closed;
		if (fit == FIT_YES)
			return;
	}
}

/* The entries of one scope: "any provider", then the providers that differ from it. */
static size_t scope_entries(const struct plan *plan, struct policy_scope scope,
			    struct policy_scope *out)
{
	size_t n = 1;

	scope.provider = NULL;
	out[0] = scope;
	scope_fill(plan, &out[0]);
	for (size_t i = 0; plan->all_providers && i < plan->n_providers; i++) {
		scope.provider = plan->provider[i];
		scope_fill(plan, &scope);
		if (scope.mode != out[0].mode || scope.fail_closed != out[0].fail_closed)
			out[n++] = scope;
	}
	return n;
}

/* A UID scope that says the same as ANY is looked up for nothing. */
static bool same_entries(const struct policy_scope *a, size_t na, const struct policy_scope *b,
			 size_t nb)
{
	for (size_t i = 0; i < na && na == nb; i++)
		if (a[i].mode != b[i].mode || a[i].fail_closed != b[i].fail_closed ||
		    a[i].provider != b[i].provider)
			return false;
	return na == nb;
}

static int plan_run(const struct plan *plan, struct policy *p)
{
	size_t each = plan->n_providers + 1, any;
	size_t max = (1 + (plan->by_uid ? plan->n_uids : 0) + (plan->by_unit ? plan->n_units : 0)) *
		     each;

	if (max > SCOPES_MAX)
		return -E2BIG;
	p->scopes = arena_array(&p->arena, struct policy_scope, max);
	if (!p->scopes)
		return -ENOMEM;
	any = p->n_scopes =
		scope_entries(plan, (struct policy_scope){ .kind = SP_SCOPE_ANY }, p->scopes);
	for (size_t i = 0; plan->by_uid && i < plan->n_uids; i++) {
		struct policy_scope *at = p->scopes + p->n_scopes;
		size_t n = scope_entries(
			plan, (struct policy_scope){ .kind = SP_SCOPE_UID, .uid = plan->uid[i] },
			at);

		if (!same_entries(at, n, p->scopes, any))
			p->n_scopes += n;
	}
	for (size_t i = 0; plan->by_unit && i < plan->n_units; i++)
		p->n_scopes += scope_entries(
			plan,
			(struct policy_scope){ .kind = SP_SCOPE_CGROUP, .unit = plan->unit[i] },
			p->scopes + p->n_scopes);
	return 0;
}

int scopes_build(struct policy *p)
{
	struct plan plan = { .p = p, .all_providers = true, .by_uid = true, .by_unit = true };
	int r;

	for (size_t i = 0; i < p->n_rules; i++)
		for (uint32_t k = 0; k < p->rules[i].sel.n; k++)
			plan_member(&plan, &p->rules[i].sel.members[k]);
	if (!plan.all_providers)
		plan.n_providers = 0;
	r = plan_run(&plan, p);
	if (r ==
	    -E2BIG) { /* too many products: providers first, they are what the kernel knows best */
		plan.by_uid = plan.by_unit = false;
		r = plan_run(&plan, p);
	}
	return r;
}
