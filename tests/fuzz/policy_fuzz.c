/* Any bytes as a policy file: a mistake or a policy that decides, explains and plans the same always. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/policy/fixture.h"

static void decide(const struct policy *p, const char *provider, struct slice model)
{
	struct principal who = { .uid = 1000, .unit = "billing.service", .user = "alice",
				 .exe = "/usr/bin/python3.11", .cgroup = "/system.slice/billing.service" };
	struct facts f = { .who = &who, .provider = provider, .host = SLICE("api.openai.com"),
			   .endpoint = "chat", .model = model };
	const struct budget_rule *budgets[8];
	const struct policy_scope *scopes;
	struct decision early, late;
	struct buf text;
	size_t n;

	policy_on_connect(p, &f, &early);
	policy_decide(p, &f, &late);
	fuzz_must(late.mode <= early.mode, "connect said mode %d, the request %d", early.mode, late.mode);
	fuzz_must(late.verdict != VERDICT_ALLOW || early.verdict == VERDICT_ALLOW,
		  "refused at connect what would be allowed");
	fuzz_must(policy_budgets(p, &f, budgets, 8) <= 8, "too many budgets");
	n = policy_scopes(p, &scopes);
	fuzz_must(n > 0 && scopes[0].kind == SP_SCOPE_ANY && !scopes[0].provider, "no scope for all");
	buf_init(&text, 8U << 20);
	(void)policy_explain(p, &f, &text);
	buf_clear(&text);
	if (policy_explain_json(p, &f, &text) == 0) {
		json_t *j = json_loadb(buf_slice(&text).ptr, buf_size(&text), 0, NULL);

		fuzz_must(j, "explain --json is no JSON");
		json_decref(j);
	}
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct policy *p = NULL;
	struct mistakes m;
	int r;

	mistakes_init(&m, "policy.json");
	r = policy_load(slice_of(data, len), NULL, &fixture_names, (int)(len % 4) - 1, &m, &p);
	fuzz_must(r == 0 ? m.n == 0 : r != -EINVAL || m.n > 0, "error %d with %zu mistakes", r, m.n);
	if (r == 0) {
		decide(p, "openai", SLICE("gpt-4o"));
		decide(p, "gemini", (struct slice){ NULL, 0 });
		decide(p, "", SLICE("x"));
	}
	policy_unref(p);
	mistakes_done(&m);
	return 0;
}
