/* Policies and facts in tests/data/policy: the decision each must give. */
#include "fixture.h"

#include <glob.h>

static const char *const modes[] = { "observe", "monitor", "enforce" };

static void expect_dlp(const char *where, const json_t *want, const uint8_t *table, const char *side)
{
	static const char *const names[] = { "off", "log", "redact", "block" };
	const char *type;
	json_t *v;

	json_object_foreach((json_t *)want, type, v)
		t_str(names[table[dlp_type_find(NULL, type)]], json_string_value(v), "%s: dlp %s %s",
		      where, side, type);
}

static void expect_decision(const char *where, const json_t *want, const struct decision *d)
{
	const json_t *v;

	t_str(d->rule, json_string_value(json_object_get(want, "rule")), "%s: rule", where);
	if ((v = json_object_get(want, "mode")))
		t_str(modes[d->mode], json_string_value(v), "%s: mode", where);
	if ((v = json_object_get(want, "action")))
		t_str(d->verdict == VERDICT_BLOCK ? "block" : "allow", json_string_value(v),
		      "%s: action", where);
	if ((v = json_object_get(want, "reason")))
		t_str(d->reason, json_string_value(v), "%s: reason", where);
	if ((v = json_object_get(want, "sanctioned")))
		t_int(d->sanctioned, json_is_true(v), "%s: sanctioned", where);
	if ((v = json_object_get(want, "fail")))
		t_str(d->fail_closed ? "closed" : "open", json_string_value(v), "%s: fail", where);
	if ((v = json_object_get(want, "on_distrust")))
		t_str(d->on_distrust == DISTRUST_REFUSE ? "refuse" : "splice", json_string_value(v),
		      "%s: on_distrust", where);
	expect_dlp(where, json_object_get(want, "dlp_request"), d->dlp_request, "request");
	expect_dlp(where, json_object_get(want, "dlp_response"), d->dlp_response, "response");
}

static void expect_budgets(const char *where, const json_t *want, const struct policy *p,
			   const struct facts *f)
{
	const struct budget_rule *got[8];
	size_t n = policy_budgets(p, f, got, 8);

	if (!want)
		return;
	t_int(n, json_array_size(want), "%s: number of budgets", where);
	for (size_t i = 0; i < n && i < json_array_size(want); i++)
		t_str(got[i]->id, json_string_value(json_array_get(want, i)), "%s: budget %zu", where, i);
}

static void run_case(const char *file, const struct policy *p, const json_t *c)
{
	const json_t *facts = json_object_get(c, "facts");
	const char *provider = json_string_value(json_object_get(facts, "provider"));
	struct principal who;
	struct facts f = {
		.who = &who,
		.provider = provider ? provider : "",
		.host = fixture_slice(facts, "host"),
		.endpoint = json_string_value(json_object_get(facts, "endpoint")),
		.model = fixture_slice(facts, "model"),
	};
	struct decision d;
	struct buf text;
	char where[256];

	(void)snprintf(where, sizeof(where), "%s: %s", file,
		       json_string_value(json_object_get(c, "why")));
	fixture_who(json_object_get(facts, "who"), &who);
	policy_decide(p, &f, &d);
	expect_decision(where, json_object_get(c, "decision"), &d);
	expect_budgets(where, json_object_get(c, "budgets"), p, &f);

	f.endpoint = NULL;
	f.model = (struct slice){ NULL, 0 };
	if (json_object_get(c, "connect")) {
		(void)strncat(where, " (connect)", sizeof(where) - strlen(where) - 1);
		policy_on_connect(p, &f, &d);
		expect_decision(where, json_object_get(c, "connect"), &d);
	}
	/* Explaining never fails and says the rule that decided. */
	buf_init(&text, 1U << 20);
	t_int(policy_explain(p, &f, &text), 0, "%s: explained", where);
	t_int(policy_explain_json(p, &f, &text), 0, "%s: explained as JSON", where);
	buf_done(&text);
}

static void run_file(const char *path)
{
	json_t *root = json_load_file(path, 0, NULL), *c;
	char *text = json_dumps(json_object_get(root, "policy"), 0);
	const char *file = strrchr(path, '/') + 1;
	struct policy *p = text ? fixture_policy(text) : NULL;
	size_t i;

	t_ok(p, "%s: the policy loads", file);
	if (p)
		json_array_foreach(json_object_get(root, "cases"), i, c)
			run_case(file, p, c);
	policy_unref(p);
	free(text);
	json_decref(root);
}

int main(void)
{
	glob_t found;

	if (glob("tests/data/policy/decide-*.json", 0, NULL, &found) != 0) {
		t_ok(false, "tests/data/policy/decide-*.json are there");
		return t_done();
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		run_file(found.gl_pathv[i]);
	globfree(&found);
	return t_done();
}
