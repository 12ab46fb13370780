/* tests/data/policy/mistakes.json: malformed policies and the exact lines each must give. */
#include "fixture.h"

static void expect_lines(const char *why, const json_t *want, struct slice got)
{
	struct buf text;
	const json_t *line;
	size_t i;

	buf_init(&text, 1U << 20);
	json_array_foreach((json_t *)want, i, line)
		(void)buf_printf(&text, "%s\n", json_string_value(line));
	if (!slice_eq(buf_slice(&text), got))
		printf("# got:\n%.*s# want:\n%.*s", SLICE_FMT(got), SLICE_FMT(buf_slice(&text)));
	t_ok(slice_eq(buf_slice(&text), got), "%s", why);
	buf_done(&text);
}

static void run_case(const json_t *c)
{
	const char *why = json_string_value(json_object_get(c, "why"));
	const json_t *policy = json_object_get(c, "policy");
	char *text = policy ? json_dumps(policy, JSON_ENCODE_ANY) :
			      strdup(json_string_value(json_object_get(c, "text")));
	const json_t *warnings = json_object_get(c, "warnings");
	struct policy *p = NULL;
	struct mistakes m;
	int r;

	mistakes_init(&m, "policy.json");
	r = policy_load(slice_str(text), NULL, &fixture_names, -1, &m, &p);
	if (warnings) {
		t_int(r, 0, "%s: loads", why);
		if (p)
			expect_lines(why, warnings, policy_warnings(p));
	} else {
		t_int(r, -EINVAL, "%s: is refused", why);
		expect_lines(why, json_object_get(c, "mistakes"), buf_slice(&m.text));
	}
	policy_unref(p);
	mistakes_done(&m);
	free(text);
}

/* --mode stands in for the file's mode, and for the rules that say none. */
static void test_override(void)
{
	static const char text[] = "{\"version\":1,\"mode\":\"enforce\",\"rules\":["
				   "{\"id\":\"own\",\"mode\":\"monitor\",\"who\":{\"uid\":1}},"
				   "{\"id\":\"none\",\"who\":{\"uid\":2}}]}";
	struct principal who = { .uid = 2 };
	struct facts f = { .who = &who, .provider = "openai" };
	struct policy *p = NULL;
	struct decision d;
	struct mistakes m;

	mistakes_init(&m, "policy.json");
	t_int(policy_load(slice_str(text), NULL, NULL, SP_MODE_OBSERVE, &m, &p), 0, "loads");
	policy_decide(p, &f, &d);
	t_ok(strcmp(d.rule, "none") == 0 && d.mode == SP_MODE_OBSERVE && !d.fail_closed,
	     "--mode observe reaches the rule without a mode");
	who.uid = 1;
	policy_decide(p, &f, &d);
	t_int(d.mode, SP_MODE_MONITOR, "and leaves one with a mode alone");
	t_ok(policy_ref(p) == p, "a reference is the same snapshot");
	policy_unref(p);
	policy_unref(p);
	mistakes_done(&m);
}

static void test_money(void)
{
	static const struct {
		const char *usd;
		int64_t micro; /* -1: a mistake */
	} rows[] = {
		{ "5", 5000000 },	      { "5.00", 5000000 },	      { "0.1", 100000 },
		{ "0.000001", 1 },	      { "0.0000001", -1 },	      { "1.0000005", -1 },
		{ "999999.999999", 999999999999 }, { "1000000000", 1000000000000000 },
		{ "1000000001", -1 },	      { "-1", -1 },		      { "0", 0 },
		{ "1e3", 1000000000 },	      { "0.30", 300000 },	      { "\"5\"", -1 },
		{ "4.35", 4350000 },	      { "1e999", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct budget_rule *b;
		struct policy *p = NULL;
		struct mistakes m;
		char text[256];
		int r;

		(void)snprintf(text, sizeof(text), "{\"version\":1,\"budgets\":[{\"id\":\"b\",\"per\":"
						   "\"day\",\"usd\":%s}]}", rows[i].usd);
		mistakes_init(&m, "policy.json");
		r = policy_load(slice_str(text), NULL, NULL, -1, &m, &p);
		t_int(r, rows[i].micro < 0 ? -EINVAL : 0, "usd %s", rows[i].usd);
		if (r == 0 && policy_all_budgets(p, &b) == 1)
			t_int(b->limit_microusd, rows[i].micro, "usd %s in micro-USD", rows[i].usd);
		policy_unref(p);
		mistakes_done(&m);
	}
}

static const json_t *schema_part(const json_t *schema, const char *name)
{
	const json_t *o = *name ? json_object_get(json_object_get(schema, "$defs"), name) : schema;

	return json_object_get(o, "properties");
}

/* Every member that schema.json offers is one the loader knows, and none is missing there. */
static void test_schema(void)
{
	static const struct {
		const char *part, *before, *after;
		size_t members;
	} rows[] = {
		{ "", "", "", 7 },
		{ "default", "\"default\":{", "}", 6 },
		{ "rule", "\"rules\":[{", "}]", 10 },
		{ "who", "\"rules\":[{\"id\":\"a\",\"who\":{", "}}]", 11 },
		{ "to", "\"rules\":[{\"id\":\"a\",\"to\":{", "}}]", 4 },
		{ "dlp", "\"dlp\":{", "}", 2 },
		{ "budget", "\"budgets\":[{", "}]", 9 },
	};
	json_t *schema = json_load_file("policies/schema.json", 0, NULL);

	t_ok(schema, "policies/schema.json is JSON");
	for (size_t i = 0; schema && i < ARRAY_LEN(rows); i++) {
		const json_t *members = schema_part(schema, rows[i].part);
		const char *key;
		json_t *v;

		t_int(json_object_size(members), rows[i].members, "members of \"%s\"", rows[i].part);
		json_object_foreach((json_t *)members, key, v) {
			struct policy *p = NULL;
			struct mistakes m;
			char text[256];

			(void)snprintf(text, sizeof(text), "{%s\"%s\":{}%s}", rows[i].before, key,
				       rows[i].after);
			mistakes_init(&m, "p");
			(void)policy_load(slice_str(text), NULL, NULL, -1, &m, &p);
			t_ok(slice_find(buf_slice(&m.text), SLICE("unknown")) < 0,
			     "the loader knows \"%s\" of \"%s\"", key, rows[i].part);
			policy_unref(p);
			mistakes_done(&m);
		}
	}
	json_decref(schema);
}

int main(void)
{
	json_error_t e;
	json_t *root = json_load_file("tests/data/policy/mistakes.json", 0, &e), *c;
	size_t i;

	t_ok(root, "mistakes.json: line %d: %s", root ? 0 : e.line, root ? "" : e.text);
	json_array_foreach(root, i, c)
		run_case(c);
	json_decref(root);
	test_override();
	test_money();
	test_schema();
	return t_done();
}
