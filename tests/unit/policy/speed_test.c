/* What a decision costs: once a request, under 1 us for 50 rules on the machine of the figures. */
#include "fixture.h"

#include "base/clock.h"

#define RULES 50
#define ROUNDS 10000
#define BATCHES 30 /* the quickest counts: the others met somebody else's work */

/* Rules as operators write them, none of which matches: the whole list is walked. */
static void rule_write(struct buf *b, int i)
{
	static const char *const providers[] = { "openai", "anthropic", "azure-openai", "gemini" };

	(void)buf_printf(b, "%s{\"id\":\"r%d\",\"who\":{", i ? "," : "", i);
	switch (i % 5) {
	case 0:
		(void)buf_printf(b, "\"unit\":[\"team-%d.service\",\"team-%d-*.service\"]", i, i);
		break;
	case 1:
		(void)buf_printf(b, "\"exe\":[\"/opt/team-%d/*/bin/python3*\"]", i);
		break;
	case 2:
		(void)buf_printf(b, "\"uid\":[%d,%d],\"user\":\"team%d\"", 5000 + i, 6000 + i, i);
		break;
	case 3:
		(void)buf_printf(b, "\"slice\":\"team-%d.slice\"", i);
		break;
	default:
		(void)buf_printf(b, "\"ancestor\":[\"/opt/ci-%d/runner\"]", i);
	}
	(void)buf_printf(b, "},\"to\":{\"provider\":[\"%s\"],\"model\":[\"gpt-%d*\"]}}",
			 i % 2 ? "openai" : providers[i % 4], i);
}

static struct policy *policy_of(bool budgets)
{
	struct policy *p;
	struct buf b;

	buf_init(&b, 1U << 20);
	(void)buf_printf(&b, "{\"version\":1,\"rules\":[");
	for (int i = 0; i < RULES; i++)
		rule_write(&b, i);
	(void)buf_str(&b, "],\"budgets\":[");
	for (int i = 0; budgets && i < 20; i++)
		(void)buf_printf(&b, "%s{\"id\":\"b%d\",\"per\":\"day\",\"usd\":1,\"who\":{\"unit\":"
				     "\"team-%d.service\"}}", i ? "," : "", i, i);
	(void)buf_str(&b, "]}");
	(void)buf_append(&b, slice_of("", 1));
	p = fixture_policy(b.data);
	buf_done(&b);
	return p;
}

int main(void)
{
	struct principal who = { .uid = 1000, .n_ancestors = 4, .digest_known = true };
	struct facts f = { .who = &who, .provider = "openai", .host = SLICE("api.openai.com"),
			   .endpoint = "chat", .dialect = "openai-chat", .model = SLICE("gpt-4o-mini") };
	struct policy *p = policy_of(true);
	const struct budget_rule *b[8];
	struct decision d;
	uint64_t start, decide = UINT64_MAX, budgets = UINT64_MAX;
	size_t n = 0;

	slice_copy(who.user, sizeof(who.user), SLICE("alice"));
	slice_copy(who.exe, sizeof(who.exe), SLICE("/usr/bin/python3.11"));
	slice_copy(who.unit, sizeof(who.unit), SLICE("billing.service"));
	slice_copy(who.cgroup, sizeof(who.cgroup), SLICE("/system.slice/billing.service"));
	for (int i = 0; i < 4; i++)
		slice_copy(who.ancestor[i].exe, sizeof(who.ancestor[i].exe), SLICE("/usr/bin/bash"));
	for (int k = 0; k < BATCHES; k++) {
		start = clock_mono_ns();
		for (int i = 0; i < ROUNDS; i++) {
			policy_decide(p, &f, &d);
			n += d.rule[0] == 'd';
		}
		decide = MIN(decide, (clock_mono_ns() - start) / ROUNDS);
		start = clock_mono_ns();
		for (int i = 0; i < ROUNDS; i++)
			n += policy_budgets(p, &f, b, 8);
		budgets = MIN(budgets, (clock_mono_ns() - start) / ROUNDS);
	}
	t_int(n, ROUNDS * BATCHES, "no rule and no budget of another team matches");
	printf("# %d rules: decide %llu ns; 20 budgets: %llu ns\n", RULES, (unsigned long long)decide,
	       (unsigned long long)budgets);
	/* Sanitizers and loaded machines are slow; this catches a search that is no longer cheap. */
	t_ok(decide < 20000 && budgets < 20000, "a decision stays in the order of a microsecond");
	policy_unref(p);
	return t_done();
}
