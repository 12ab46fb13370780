/* Stage "reserve": hold the worst case of this request in every budget that applies. */
#include "relay/txn.h"

#include "base/clock.h"

#include <errno.h>

/* Where a request names no limit: not the model's maximum, which would block everything
 * (dialects.md section 13). */
#define OUTPUT_TOKENS_DEFAULT 4096

static void worst_case(struct txn *t)
{
	struct usage u = USAGE_NONE;

	u.input = usage_reserve_input(t->dialect->name, t->message.prompt_bytes, t->message.n_tools > 0);
	u.output = t->message.max_tokens >= 0 ? t->message.max_tokens : OUTPUT_TOKENS_DEFAULT;
	t->reserve_tokens = u.input + u.output;
	t->reserve_microusd = t->price ? price_cost(t->price, &u) : 0;
}

static void claims_of(const struct txn *t, struct budget_claim *claims, int64_t unlimited)
{
	uint64_t now_s = t->start_ns / 1000000000U;

	for (size_t i = 0; i < t->n_budgets; i++) {
		const struct budget_rule *b = t->budget[i];
		bool open = unlimited & (1LL << i);

		claims[i] = (struct budget_claim){
			.limit_microusd = open ? -1 : b->limit_microusd,
			.limit_tokens = open ? -1 : b->limit_tokens,
			.warn_percent = b->warn_percent,
		};
		slice_copy(claims[i].account.id, sizeof(claims[i].account.id), slice_str(b->id));
		claims[i].account.caller = b->each ? t->c->caller->key : 0;
		claims[i].account.window_s = budget_window_s(b->monthly, now_s);
	}
}

/* A budget with another model to fall back to is not an end: take that model's price instead. */
static void downgrade(struct txn *t, const struct budget_rule *b)
{
	t->downgrade = slice_str(b->downgrade);
	t->price = price_find(t->rules->prices, t->facts.provider, t->downgrade);
	worst_case(t);
}

int request_reserve(struct txn *t)
{
	struct budget_claim claims[BUDGETS_MAX];
	int64_t unlimited = 0;
	int r;

	if (!t->endpoint.inference || t->not_ai)
		return 0;
	t->price = price_find(t->rules->prices, t->facts.provider, t->message.model);
	t->n_budgets = policy_budgets(t->rules->policy, &t->facts, t->budget, BUDGETS_MAX);
	worst_case(t);
	if (!t->n_budgets)
		return 0;
	for (;;) {
		int which = -1;

		claims_of(t, claims, unlimited);
		r = budget_reserve(t->c->w->budgets, claims, t->n_budgets, t->reserve_microusd,
				   t->reserve_tokens, &t->reservation, &which, &t->warned);
		if (r != -EDQUOT)
			break;
		if (t->over < 0)
			t->over = which;
		if (t->budget[which]->downgrade && t->message.model_node && !t->signs_body &&
		    t->decision.mode == SP_MODE_ENFORCE && !t->downgrade.ptr &&
		    !slice_is(t->message.model, t->budget[which]->downgrade))
			downgrade(t, t->budget[which]);
		else if (t->decision.mode == SP_MODE_ENFORCE &&
			 !(t->budget[which]->downgrade && t->downgrade.ptr))
			return 0; /* the act stage refuses */
		unlimited |= 1LL << which;
	}
	t->reserved = r == 0;
	return r;
}
