/* An operator's mistakes are named by place and remedy, all of them in one run. */
#include "base/json.h"
#include "tests/t.h"

#include <errno.h>

static const char *noted(struct mistakes *m)
{
	(void)buf_append(&m->text, slice_of("", 1));
	return m->text.data ? m->text.data : "";
}

static void reads(void)
{
	static const char *const actions[] = { "allow", "block", NULL };
	static const char *const known[] = { "action", "limit", "name", "on", "when", NULL };
	static const char text[] =
		"{\"name\":5,\"action\":\"blok\",\"limit\":-1,\"on\":\"yes\",\"acton\":1,"
		"\"zzz\":1,\"when\":[],\"$schema\":\"x\",\"_note\":\"y\"}";
	struct mistakes m;
	json_t *j;

	mistakes_init(&m, "policy.json");
	j = jread_text(slice_str(text), &m);
	t_ok(j && m.n == 0, "it is JSON");
	t_str(jread_string(j, "rules[3]", "name", "none", &m), "none", "the default comes back");
	t_int(jread_choice(j, "rules[3]", "action", actions, 1, &m), 1, "the default comes back");
	t_int(jread_int(j, "rules[3]", "limit", 7, 0, 100, &m), 7, "the default comes back");
	t_ok(jread_bool(j, "rules[3]", "on", true, &m), "the default comes back");
	t_ok(!jread_object(j, "rules[3]", "when", &m), "a list is no object");
	t_ok(!jread_array(j, "rules[3]", "absent", &m), "absent is no mistake");
	t_int(jread_int(j, "rules[3]", "absent", 7, 0, 1, &m), 7, "absent is no mistake");
	t_ok(jread_number(j, "", "absent", 0.5, &m) > 0.4, "absent is no mistake");
	jread_known(j, "rules[3]", known, &m);
	t_int(m.n, 7, "each is counted");
	t_str(noted(&m),
	      "policy.json: rules[3].name: must be a string in double quotes\n"
	      "policy.json: rules[3].action: \"blok\" is none of allow, block\n"
	      "policy.json: rules[3].limit: must be a whole number from 0 to 100\n"
	      "policy.json: rules[3].on: must be true or false\n"
	      "policy.json: rules[3].when: must be an object: { ... }\n"
	      "policy.json: rules[3].acton: unknown; did you mean \"action\"?\n"
	      "policy.json: rules[3].zzz: unknown; remove it (sallyport-policy(5) lists the names)\n",
	      "place and remedy");
	json_decref(j);
	mistakes_done(&m);
}

static void texts(void)
{
	static const struct { const char *why, *in, *starts; } rows[] = {
		{ "cut", "{\"a\":", "f: line 1, column 5: " },
		{ "duplicate", "{\"a\":1,\"a\":2}", "f: line 1, column " },
		{ "text behind", "{}\n{}", "f: line 2, column " },
		{ "not UTF-8", "{\"a\":\"\xff\"}", "f: line 1, column " },
		{ "nothing", "", "f: line 1, column 0: " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mistakes m;

		mistakes_init(&m, "f");
		t_ok(!jread_text(slice_str(rows[i].in), &m), "%s", rows[i].why);
		t_int(m.n, 1, "%s", rows[i].why);
		t_ok(strncmp(noted(&m), rows[i].starts, strlen(rows[i].starts)) == 0, "%s: %s",
		     rows[i].why, m.text.data);
		mistakes_done(&m);
	}
}

static void places(void)
{
	char at[PLACE_MAX];

	t_str(jread_place(at, "", "rules"), "rules", "top");
	t_str(jread_place_at(at, "rules", 3), "rules[3]", "element");
	t_str(jread_place(at, "rules[3]", "action"), "rules[3].action", "member");
}

/* A flood of mistakes is cut, not fatal. */
static void flood(void)
{
	struct mistakes m;

	mistakes_init(&m, "f");
	for (int i = 0; i < 20000; i++)
		mistakes_add(&m, "x", "mistake %d", i);
	t_int(m.n, 20000, "all are counted");
	t_ok(buf_size(&m.text) <= 64 << 10, "their text is bounded");
	mistakes_done(&m);
}

static void writing(void)
{
	struct buf b;

	buf_init(&b, 200);
	t_int(jwrite_string(&b, SLICE("a\"\\\n\x7f\0\xc3\xa9\xff")), 0, "write");
	t_ok(slice_is(buf_slice(&b), "\"a\\\"\\\\\\u000a\\u007f\\u0000\xc3\xa9\xef\xbf\xbd\""),
	     "escaped: %.*s", SLICE_FMT(buf_slice(&b)));
	buf_done(&b);
	buf_init(&b, 5);
	t_int(jwrite_string(&b, SLICE("abcdef")), -ENOBUFS, "over the cap");
	buf_done(&b);
}

int main(void)
{
	reads();
	texts();
	places();
	flood();
	writing();
	return t_done();
}
