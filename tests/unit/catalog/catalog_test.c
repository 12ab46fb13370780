/* Whose a host is: the order of exact, pattern and suffix, shared hosts, and all facts there are. */
#include "tests/t.h"

#include "base/clock.h"
#include "base/file.h"
#include "catalog/catalog.h"

#include <time.h>

#define FACTS "../shared/data/providers/catalogue.json"

static struct catalog *load(const char *text, struct mistakes *m)
{
	struct catalog *c = NULL;

	mistakes_init(m, "providers.json");
	(void)catalog_load(slice_str(text), m, &c);
	return c;
}

static const char *id_of(const struct catalog *c, const char *host)
{
	struct catalog_match m;

	return catalog_find(c, slice_str(host), &m) ? m.provider->id : "";
}

static const char *id_on(const struct catalog *c, const char *host, const char *path)
{
	struct catalog_match m;

	return catalog_find_path(c, slice_str(host), slice_str(path), &m) ? m.provider->id : "";
}

#define P(id, hosts) "{\"id\":\"" id "\",\"name\":\"n\",\"category\":\"api\",\"hosts\":" hosts "}"

static void test_order(void)
{
	static const char text[] = "{\"providers\":["
		P("exact", "{\"inference\":[\"a.x.test\"]}") ","
		P("pattern", "{\"inference\":[\"*.x.test\",\"p-{region}-*.q.test\"]}") ","
		P("short", "{\"inference\":[\".x.test\"]}") ","
		P("long", "{\"inference\":[\".deep.x.test\",\".y.test\"]}") ","
		P("later", "{\"web\":[\"both.test\"]}") ","
		P("first", "{\"inference\":[\"both.test\"]}") "]}";
	static const struct { const char *why, *host, *id; } rows[] = {
		{ "exact before pattern", "a.x.test", "exact" },
		{ "any case, trailing dot", "A.X.Test.", "exact" },
		{ "pattern before suffix", "b.x.test", "pattern" },
		{ "one label only", "b.c.x.test", "short" },
		{ "the longer suffix", "b.deep.x.test", "long" },
		{ "a suffix is the host too", "y.test", "long" },
		{ "a pattern is not", "x.test", "short" },
		{ "no half label", "notx.test", "" },
		{ "wildcards inside a label", "p-eu-west1-7.q.test", "pattern" },
		{ "they need a character", "p--7.q.test", "" },
		{ "and take no dot", "p-eu.x-7.q.test", "" },
		{ "nothing behind", "a.x.test.evil", "" },
		{ "inference before web", "both.test", "first" },
		{ "empty", "", "" },
		{ "a dot", ".", "" },
		{ "not a label character", "b_!.x.test", "short" },
	};
	struct mistakes m;
	struct catalog *c = load(text, &m);

	t_ok(c != NULL, "loads: %.*s", SLICE_FMT(buf_slice(&m.text)));
	for (size_t i = 0; c && i < ARRAY_LEN(rows); i++)
		t_str(id_of(c, rows[i].host), rows[i].id, "%s: %s", rows[i].why, rows[i].host);
	mistakes_done(&m);
	catalog_unref(c);
}

static void test_paths(void)
{
	static const char text[] = "{\"providers\":["
		P("part", "{\"inference\":[{\"host\":\"s.test\",\"paths\":[\"/api/codex\",\"/c/*/ai/\"]}]}") ","
		P("whole", "{\"web\":[\"s.test\"]}") ","
		P("only", "{\"inference\":[{\"host\":\"o.test\",\"paths\":[\"/Chat\"]}]}") "]}";
	static const struct { const char *host, *path, *id; } rows[] = {
		{ "s.test", "/api/codex/responses?x=1", "part" },
		{ "s.test", "/api/codex", "part" },
		{ "s.test", "/api/codexx", "whole" },
		{ "s.test", "/c/17/ai/run", "part" },
		{ "s.test", "/c/17/18/ai/run", "whole" },
		{ "s.test", "/x/../api/./codex/", "part" },
		{ "s.test", "//api%2Fcode%78/y", "part" },
		{ "o.test", "/chat", "only" },
		{ "o.test", "/chat?q=/", "only" },
		{ "o.test", "/", "" },
		{ "o.test", "", "" },
		{ "o.test", "/x?/chat", "" },
	};
	struct mistakes m;
	struct catalog *c = load(text, &m);

	t_ok(c != NULL, "loads: %.*s", SLICE_FMT(buf_slice(&m.text)));
	t_str(c ? id_of(c, "s.test") : "", "whole", "without a path the whole host comes first");
	for (size_t i = 0; c && i < ARRAY_LEN(rows); i++)
		t_str(id_on(c, rows[i].host, rows[i].path), rows[i].id, "%s%s", rows[i].host,
		      rows[i].path);
	mistakes_done(&m);
	catalog_unref(c);
}

/* Every mistake names its place. */
static void test_mistakes(void)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "", "line 1" },
		{ "[]", "must be an object" },
		{ "{}", "providers" },
		{ "{\"providers\":[]}", "providers" },
		{ "{\"providers\":[1]}", "providers[0]" },
		{ "{\"providers\":[{\"id\":\"a\"}]}", "providers[0].name" },
		{ "{\"providers\":[" P("a", "{\"inferense\":[]}") "]}",
		  "providers[0].hosts.inferense: unknown; did you mean \"inference\"" },
		{ "{\"providers\":[" P("a", "{}") "," P("a", "{}") "]}", "providers[1].id" },
		{ "{\"providers\":[" P("a", "{\"web\":[\"a..b\"]}") "]}", "providers[0].hosts.web[0]" },
		{ "{\"providers\":[" P("a", "{\"web\":[\"*\"]}") "]}", "providers[0].hosts.web[0]" },
		{ "{\"providers\":[" P("a", "{\"web\":[\"x.*\"]}") "]}", "providers[0].hosts.web[0]" },
		{ "{\"providers\":[" P("a", "{\"web\":[\".\"]}") "]}", "providers[0].hosts.web[0]" },
		{ "{\"providers\":[" P("a", "{\"web\":[\":0\"]}") "]}", "port" },
		{ "{\"providers\":[" P("a", "{\"web\":[7]}") "]}", "providers[0].hosts.web[0]" },
		{ "{\"providers\":[" P("a", "{\"web\":[{\"host\":\"h.x\",\"paths\":[\"p\"]}]}") "]}",
		  "must begin with '/'" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mistakes m;
		struct catalog *c = load(rows[i].text, &m);

		t_ok(!c && m.n && slice_find(buf_slice(&m.text), slice_str(rows[i].says)) >= 0,
		     "%s: %.*s", rows[i].text, SLICE_FMT(buf_slice(&m.text)));
		mistakes_done(&m);
		catalog_unref(c);
	}
}

/* ---- all facts ---- */

static void region_star(const char *in, char *out, size_t size)
{
	size_t n = 0;

	for (; *in && n + 1 < size; in++) {
		out[n++] = *in == '{' ? '*' : *in;
		if (*in == '{')
			in = strchr(in, '}');
	}
	out[n] = '\0';
}

static bool has_host(const struct catalog *c, const char *id, const json_t *fact)
{
	const char *match = json_string_value(json_object_get(fact, "match"));
	const struct catalog_host *h;
	char want[256];
	size_t n = catalog_hosts(c, &h);
	bool shared = json_array_size(json_object_get(fact, "paths")) > 0;

	region_star(json_string_value(json_object_get(fact, "host")), want, sizeof(want));
	if (strchr(want, '*'))
		match = "pattern";
	for (size_t i = 0; i < n; i++)
		if (strcmp(h[i].pattern, want) == 0 &&
		    strcmp(catalog_provider(c, h[i].provider)->id, id) == 0 &&
		    strcmp(h[i].role, json_string_value(json_object_get(fact, "role"))) == 0 &&
		    strcmp(h[i].exact ? "exact" : h[i].suffix ? "suffix" : "pattern", match) == 0 &&
		    h[i].shared == shared)
			return true;
	return false;
}

static bool has_port(const struct catalog *c, const char *id, const json_t *fact)
{
	const char *host = json_string_value(json_object_get(fact, "host"));
	long long port = json_integer_value(json_array_get(json_object_get(fact, "ports"), 0));
	const struct catalog_port *p;
	size_t n = catalog_ports(c, &p);

	for (size_t i = 0; i < n; i++)
		if (p[i].port == port && strcmp(p[i].host, *host == '*' ? "" : host) == 0 &&
		    strcmp(catalog_provider(c, p[i].provider)->id, id) == 0)
			return true;
	return false;
}

/* The paths of a shared host, seen from outside: a request under each is this provider's. */
static void check_paths(const struct catalog *c, const char *id, const json_t *fact)
{
	const json_t *paths = json_object_get(fact, "paths");
	char host[256];

	region_star(json_string_value(json_object_get(fact, "host")), host, sizeof(host));
	for (char *s = host; *s; s++)
		*s = *s == '*' ? 'x' : *s;
	for (size_t i = 0; i < json_array_size(paths); i++)
		t_str(id_on(c, host, json_string_value(json_array_get(paths, i))), id, "%s%s", host,
		      json_string_value(json_array_get(paths, i)));
}

static size_t check_provider(const struct catalog *c, const json_t *fact)
{
	const char *id = json_string_value(json_object_get(fact, "id"));
	const struct provider *p = catalog_provider_id(c, id);
	const json_t *hosts = json_object_get(fact, "hosts");
	const char *country = json_string_value(json_object_get(fact, "jurisdiction"));
	size_t found = 0;

	t_ok(p != NULL, "provider %s", id);
	if (!p)
		return 0;
	t_str(p->jurisdiction, country ? country : "", "country of %s", id);
	t_str(p->category, json_string_value(json_object_get(fact, "category")), "category of %s", id);
	for (size_t i = 0; i < json_array_size(hosts); i++) {
		const json_t *h = json_array_get(hosts, i);
		bool tls = json_integer_value(json_array_get(json_object_get(h, "ports"), 0)) == 443;
		bool ok = tls ? has_host(c, id, h) : has_port(c, id, h);

		t_ok(ok, "%s: %s", id, json_string_value(json_object_get(h, "host")));
		found += ok;
		check_paths(c, id, h);
	}
	return found;
}

static void test_complete(const struct catalog *c)
{
	json_t *facts = json_load_file(FACTS, 0, NULL);
	const json_t *list = json_object_get(facts, "providers");
	size_t found = 0;

	if (!facts) {
		t_skip("%s is not here", FACTS);
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++)
		found += check_provider(c, json_array_get(list, i));
	t_int(catalog_size(c), json_array_size(list), "as many providers");
	t_int(found, 1530, "all hosts");
	json_decref(facts);
}

static void test_speed(const struct catalog *c)
{
	static const char *const hosts[] = { "api.openai.com", "www.example.org",
					     "my-org.openai.azure.com", "sqs.eu-west-1.amazonaws.com" };
	enum { ROUNDS = 200000 };
	struct timespec a, b;
	struct catalog_match m;
	size_t hits = 0;

	for (size_t h = 0; h < ARRAY_LEN(hosts); h++) {
		struct slice host = slice_str(hosts[h]);

		clock_gettime(CLOCK_MONOTONIC, &a);
		for (int i = 0; i < ROUNDS; i++)
			hits += catalog_find(c, host, &m);
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("# catalog_find(%s): %.0f ns\n", hosts[h],
		       ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) /
			       ROUNDS);
	}
	t_ok(hits == 2 * ROUNDS, "two of four are AI");
}

int main(void)
{
	struct catalog *c = NULL;
	struct mistakes m;
	struct buf text;

	test_order();
	test_paths();
	test_mistakes();
	buf_init(&text, 16U << 20);
	mistakes_init(&m, "policies/providers.json");
	t_ok(file_read("policies/providers.json", &text) == 0, "the catalogue can be read");
	t_ok(catalog_load(buf_slice(&text), &m, &c) == 0, "and has no mistake: %.*s",
	     SLICE_FMT(buf_slice(&m.text)));
	if (c) {
		struct catalog_match p;

		test_complete(c);
		test_speed(c);
		t_ok(catalog_find_port(c, SLICE("127.0.0.1"), 11434, &p) &&
			     strcmp(p.provider->id, "ollama") == 0, "a local server by its port");
		t_ok(!catalog_find(c, SLICE("localhost"), &p), "localhost as such is nobody's");
	}
	catalog_unref(c);
	mistakes_done(&m);
	buf_done(&text);
	return t_done();
}
