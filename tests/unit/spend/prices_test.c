/* What tokens cost: which row, exact sums, tiers; and that all facts are there. */
#include "tests/t.h"

#include "base/file.h"
#include "spend/prices.h"

#include <time.h>

#define FACTS "../shared/data/providers/prices.json"

#define ROW(provider, model, rest) "{\"provider\":\"" provider "\",\"model\":\"" model "\"," rest "}"
static const char table[] = "{\"version\":1,\"source_date\":\"2026-01-02\",\"fallback\":[\"maker\"],\"models\":["
	ROW("gateway", "vendor/small", "\"in\":1,\"out\":1") ","
	ROW("gateway", "big-1", "\"in\":7,\"out\":7") ","
	ROW("maker", "Big-1", "\"match\":[\"big-1-*\",\"big-one\"],\"in\":0.0375,\"out\":0.15,"
	    "\"cache_read\":0.01875,\"cache_write\":0.05,\"reasoning\":0.3,"
	    "\"tiers\":[{\"above\":1000,\"in\":1,\"out\":2}]") ","
	ROW("maker", "big-1-preview", "\"in\":2,\"out\":2") ","
	ROW("maker", "dated", "\"match\":[\"dated-########\"],\"in\":3,\"out\":3") ","
	ROW("maker", "picture", "\"per_image_out\":0.04") ","
	ROW("cloud", "maker.big-1-v1:0", "\"in\":4,\"out\":4") "]}";

static struct prices *load(const char *text, struct mistakes *m)
{
	struct prices *p = NULL;

	mistakes_init(m, "prices.json");
	(void)prices_load(slice_str(text), m, &p);
	return p;
}

/* Input price of the row that was found, in micro-USD a million tokens; -1 none. */
static int64_t in_price(const struct prices *p, const char *provider, const char *model)
{
	const struct price *row = price_find(p, provider, slice_str(model));
	struct usage u = { .input = 1000, .output = -1, .cached = -1, .cache_write = -1 };

	u.input = 1000; /* below the tier */
	return row ? price_cost(row, &u) : -1;
}

static void test_find(const struct prices *p)
{
	static const struct { const char *why, *provider, *model; int64_t micro_1000; } rows[] = {
		{ "own row", "gateway", "big-1", 7000 },
		{ "any case", "gateway", "BIG-1", 7000 },
		{ "a row's other name", "maker", "big-one", 38 },
		{ "a glob", "maker", "big-1-fast", 38 },
		{ "the exact name before a glob", "maker", "big-1-preview", 2000 },
		{ "digits only", "maker", "dated-20250102", 3000 },
		{ "a date nobody listed", "gateway", "big-1-2025-01-02", 7000 },
		{ "another date", "gateway", "big-1-0613", 7000 },
		{ "a revision", "gateway", "big-1@20250101", 7000 },
		{ "latest", "gateway", "big-1-latest", 7000 },
		{ "models/", "gateway", "models/big-1", 7000 },
		{ "a path", "gateway", "publishers/maker/models/big-1", 7000 },
		{ "a region", "cloud", "us.maker.big-1-v1:0", 4000 },
		{ "the longest known beginning", "gateway", "big-1-turbo-x", 7000 },
		{ "the maker's price elsewhere", "unknown", "big-1", 38 },
		{ "no provider", "", "big-1", 38 },
		{ "anybody's", "unknown", "vendor/small", 1000 },
		{ "no price by token", "maker", "picture", -1 },
		{ "nobody's", "maker", "nothing", -1 },
		{ "half a word is no beginning", "maker", "big-11", -1 },
		{ "empty", "maker", "", -1 },
		{ "too long", "maker", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		t_int(in_price(p, rows[i].provider, rows[i].model), rows[i].micro_1000, "%s: %s %s",
		      rows[i].why, rows[i].provider, rows[i].model);
}

static void test_cost(const struct prices *p)
{
	static const struct { const char *why; struct usage u; int64_t micro; } rows[] = {
		{ "nothing", { 0, 0, 0, 0, 0, 0 }, 0 },
		{ "nothing known", { -1, -1, -1, -1, -1, 0 }, 0 },
		{ "one token rounds up", { 1, 0, -1, -1, -1, 0 }, 1 },
		{ "exact: 800 at 0.0375 is 30", { 800, 0, -1, -1, -1, 0 }, 30 },
		{ "one more is 31", { 801, 0, -1, -1, -1, 0 }, 31 },
		{ "cached is part of input", { 800, 0, 800, -1, -1, 0 }, 15 },
		{ "more cached than input", { 800, 0, 900, 900, -1, 0 }, 15 },
		{ "written", { 800, 0, 0, 800, -1, 0 }, 40 },
		{ "output", { 0, 200, -1, -1, -1, 0 }, 30 },
		{ "reasoning has its own price", { 0, 200, -1, -1, 200, 0 }, 60 },
		{ "unlisted is output", { 0, 100, -1, -1, -1, 100 }, 30 },
		{ "at the tier's edge", { 1000, 0, -1, -1, -1, 0 }, 38 },
		{ "above it all costs more", { 1001, 0, -1, -1, -1, 0 }, 1001 },
		{ "what the tier leaves out stays", { 2000, 100, 1000, -1, -1, 0 }, 1000 + 19 + 200 },
		{ "no overflow", { INT64_MAX, INT64_MAX, -1, -1, -1, 0 }, INT64_MAX },
		{ "nor there", { 0, INT64_MAX, -1, -1, -1, INT64_MAX }, 2767011611056432743 },
	};
	const struct price *row = price_find(p, "maker", SLICE("big-1"));

	t_ok(row != NULL, "the row is there");
	for (size_t i = 0; row && i < ARRAY_LEN(rows); i++)
		t_int(price_cost(row, &rows[i].u), rows[i].micro, "%s", rows[i].why);
}

static void test_mistakes(void)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "x", "line 1" },
		{ "[]", "must be an object" },
		{ "{\"models\":[7]}", "models[0]" },
		{ "{\"models\":[{\"model\":\"m\"}]}", "models[0]: needs" },
		{ "{\"models\":[" ROW("p", "m", "\"in\":-1") "]}", "models[0].in" },
		{ "{\"models\":[" ROW("p", "m", "\"in\":\"1\"") "]}", "models[0].in" },
		{ "{\"models\":[" ROW("p", "m", "\"inn\":1") "]}", "did you mean \"in\"" },
		{ "{\"models\":[" ROW("p", "m", "\"in\":1,\"match\":[1]") "]}", "models[0].match" },
		{ "{\"models\":[" ROW("p", "m", "\"in\":1,\"tiers\":[{\"above\":0}]") "]}",
		  "models[0].tiers[0].above" },
		{ "{\"version\":2,\"models\":[]}", "version" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mistakes m;
		struct prices *p = load(rows[i].text, &m);

		t_ok(!p && m.n && slice_find(buf_slice(&m.text), slice_str(rows[i].says)) >= 0,
		     "%s: %.*s", rows[i].text, SLICE_FMT(buf_slice(&m.text)));
		mistakes_done(&m);
		prices_unref(p);
	}
}

/* ---- all facts ---- */

static bool same(const json_t *a, const json_t *b)
{
	return (!a && !b) || (a && b && json_number_value(a) == json_number_value(b));
}

static void test_complete(struct slice ours)
{
	static const char *const keys[] = { "in", "out", "cache_read", "cache_write", "reasoning" };
	json_t *facts = json_load_file(FACTS, 0, NULL), *file = json_loadb(ours.ptr, ours.len, 0, NULL);
	const json_t *want = json_object_get(facts, "models"), *have = json_object_get(file, "models");
	size_t equal = 0;

	if (!facts) {
		t_skip("%s is not here", FACTS);
		json_decref(file);
		return;
	}
	t_int(json_array_size(have), json_array_size(want), "as many rows");
	for (size_t i = 0; i < json_array_size(want); i++) {
		const json_t *w = json_array_get(want, i), *h = json_array_get(have, i);
		bool ok = json_equal(json_object_get(w, "model"), json_object_get(h, "model")) &&
			  json_equal(json_object_get(w, "provider"), json_object_get(h, "provider")) &&
			  json_array_size(json_object_get(w, "tiers")) ==
				  json_array_size(json_object_get(h, "tiers"));

		/* Where a price depends on the hour, the dearer one is listed. */
		for (size_t k = 0; k < ARRAY_LEN(keys) && !json_object_get(w, "time_of_day"); k++)
			ok = ok && same(json_object_get(w, keys[k]), json_object_get(h, keys[k]));
		if (!ok)
			t_ok(false, "row %zu: %s", i,
			     json_string_value(json_object_get(w, "model")));
		equal += ok;
	}
	t_int(equal, json_array_size(want), "every row has its prices");
	json_decref(facts);
	json_decref(file);
}

static void test_real(const struct prices *p)
{
	static const struct { const char *provider, *model; int64_t micro_1000; } rows[] = {
		{ "openai", "gpt-4o-mini-2024-07-18", 150 },
		{ "azure-openai", "gpt-4o-2024-08-06", 2500 },
		{ "anthropic", "claude-3-5-sonnet-20241022", 3000 },
		{ "claude-code", "claude-3-5-sonnet-20241022", 3000 },
		{ "google-gemini", "models/gemini-2.0-flash", 100 },
		{ "aws-bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", 3000 },
	};
	enum { ROUNDS = 20000 };
	struct timespec a, b;
	size_t found = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		t_int(in_price(p, rows[i].provider, rows[i].model), rows[i].micro_1000, "%s %s",
		      rows[i].provider, rows[i].model);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < ROUNDS; i++)
		found += price_find(p, rows[i % 6].provider, slice_str(rows[i % 6].model)) != NULL;
	clock_gettime(CLOCK_MONOTONIC, &b);
	t_int(found, ROUNDS, "all found");
	printf("# price_find: %.0f ns\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 +
					  (double)(b.tv_nsec - a.tv_nsec)) / ROUNDS);
}

int main(void)
{
	struct mistakes m;
	struct prices *p = load(table, &m);
	struct buf text;

	t_ok(p != NULL, "loads: %.*s", SLICE_FMT(buf_slice(&m.text)));
	if (p) {
		t_str(prices_source_date(p), "2026-01-02", "the day of the facts");
		t_int(prices_size(p), 7, "rows");
		test_find(p);
		test_cost(p);
	}
	prices_unref(p);
	mistakes_done(&m);
	test_mistakes();

	buf_init(&text, 16U << 20);
	t_ok(file_read("policies/prices.json", &text) == 0, "the table can be read");
	mistakes_init(&m, "policies/prices.json");
	p = NULL;
	t_ok(prices_load(buf_slice(&text), &m, &p) == 0, "and has no mistake: %.*s",
	     SLICE_FMT(buf_slice(&m.text)));
	if (p)
		test_real(p);
	test_complete(buf_slice(&text));
	prices_unref(p);
	mistakes_done(&m);
	buf_done(&text);
	return t_done();
}
