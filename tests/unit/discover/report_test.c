/* Reports of hostile names: every format stays what it is, whatever a program is called. */
#include "discover/report.h"
#include "discover/inventory.h"
#include "ident/principal.h"
#include "tests/t.h"

#include <jansson.h>
#include <stdbool.h>

#define DAY 20000ULL

static struct catalog *catalog;

static void note(struct db *d, const struct principal *who, uint64_t key, const char *provider,
		 const char *model, uint64_t day, bool exchange, bool sanctioned)
{
	struct inventory *i = inventory_new();
	struct inventory_note n = {
		.caller = key, .who = who, .provider = provider, .endpoint = exchange ? "chat" : "",
		.model = model, .host = "api.openai.com", .time_ns = day * INVENTORY_DAY_NS + 5,
		.exchange = exchange, .seen = !exchange, .sanctioned = sanctioned, .reason = "",
		.bytes_out = 100, .bytes_in = 1000, .tokens_in = 10, .tokens_out = 5,
		.cost_microusd = 7,
	};

	if (exchange) {
		n.finding[0] = (struct inventory_finding){ "AWS_KEY", "request", "block", 2 };
		n.n_findings = 1;
	}
	t_int(inventory_note(i, &n), 0, "noted");
	t_int(inventory_store(i, d), 0, "stored");
	inventory_free(i);
}

static const char hostile[] = "/tmp/\"><script>alert(1)</script>|`*_\n\x1b[31m\xe2\x80\xae'&=";

static struct db *filled(void)
{
	struct principal a = { .uid = 1001, .pid = 7 }, b = { .uid = 1002 };
	struct db *d = NULL;

	strcpy(a.exe, hostile);
	strcpy(a.user, "=cmd()");
	strcpy(a.unit, "@SUM(A1)");
	strcpy(a.slice, "+1");
	strcpy(a.container, "-2");
	strcpy(b.exe, "/usr/bin/curl");
	strcpy(b.user, "bob");
	t_int(db_open(":memory:", false, &d), 0, "database");
	t_int(inventory_init(d), 0, "tables");
	note(d, &a, 1, "openai", "gpt-4o", DAY - 9, true, false);
	note(d, &a, 1, "openai", "gpt-4o", DAY, true, false);
	note(d, &a, 1, "openai", "\tgpt,\"4o\"", DAY, true, true);
	note(d, &b, 2, "openai", "gpt-4o", DAY, true, true);
	note(d, &b, 2, "anthropic", "", DAY + 1, false, false);
	return d;
}

static enum standing judge_no(void *ctx, const struct report_caller *c)
{
	++*(int *)ctx;
	return strcmp(c->provider, "anthropic") == 0 ? STANDING_UNSANCTIONED : STANDING_SANCTIONED;
}

static void collect(struct report *r, struct db *d)
{
	report_init(r);
	r->node = report_text(r, "<b>node</b>");
	r->from_ns = DAY * INVENTORY_DAY_NS + 77;
	r->to_ns = r->made_ns = (DAY + 2) * INVENTORY_DAY_NS;
	t_int(report_collect(r, d, catalog), 0, "collected");
}

static void figures(struct db *d)
{
	struct report r;
	int asked = 0;

	collect(&r, d);
	t_int(r.n_callers, 3, "a row a caller and provider");
	t_int(r.caller[0].standing, STANDING_UNSANCTIONED, "unsanctioned first");
	t_int(r.caller[0].sums.requests, 2, "only the range's requests count");
	t_int(r.caller[0].models.n, 2, "both models");
	t_int(r.caller[0].sums.findings, 4, "and their findings");
	t_ok(r.caller[0].first_ns < DAY * INVENTORY_DAY_NS, "first seen is of all time");
	t_int(r.caller[1].standing, STANDING_UNJUDGED, "what was only seen is not judged");
	t_int(r.caller[2].standing, STANDING_SANCTIONED, "a sanctioned use is");
	t_int(r.who[STANDING_UNSANCTIONED] + r.who[STANDING_UNJUDGED], 2, "a caller counts once, by its worst");
	t_int(r.who[STANDING_SANCTIONED], 0, "so none is clean");
	t_int(r.n_providers, 2, "two providers");
	t_str(r.provider[0].id, "openai", "the busiest first");
	t_int(r.provider[0].callers, 2, "its callers");
	t_int(r.n_days, 2, "a bar a day");
	t_int(r.sums.requests, 3, "requests");
	t_int(r.sums.connections, 1, "connections");
	t_int(r.sums.cost_microusd, 28, "cost");
	t_int(r.n_findings, 1, "findings by type");
	t_int(r.finding[0].n, 6, "how many");
	report_done(&r);

	report_init(&r);
	r.judge = judge_no;
	r.judge_ctx = &asked;
	t_int(report_collect(&r, d, catalog), 0, "collected");
	t_int(asked, 1, "the policy is asked for what no rule judged");
	t_int(r.who[STANDING_UNSANCTIONED], 2, "and believed");
	report_done(&r);
}

static char *written(const struct report *r, const char *format)
{
	struct buf out;
	char *text;

	buf_init(&out, 1U << 20);
	t_int(report_format_find(format)->write(r, &out), 0, "%s written", format);
	(void)buf_append(&out, slice_of("", 1));
	text = strdup(out.data + out.off);
	buf_done(&out);
	return text;
}

static void html(const struct report *r)
{
	char *t = written(r, "html");

	t_ok(!strstr(t, "<script"), "html: a program's name is no markup");
	t_ok(strstr(t, "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;") != NULL, "html: but readable");
	t_ok(!strstr(t, "<b>node"), "html: nor the node's");
	t_ok(!strchr(t, 0x1b) && !strstr(t, "\xe2\x80\xae"), "html: no control or direction characters");
	t_ok(!strstr(t, "http://") && !strstr(t, "https://") && !strstr(t, "src=") && !strstr(t, "href=") &&
	     !strstr(t, "url(") && !strstr(t, "@import"), "html: nothing is fetched");
	t_ok(strstr(t, "</body></html>") != NULL, "html: whole");
	free(t);
}

/* Cells of a line of RFC 4180; how many, and how many would start a formula. */
static size_t csv_line(const char **p, size_t *formulas)
{
	size_t n = 0;

	for (;;) {
		bool quoted = **p == '"';
		const char *start = *p += quoted;

		n++;
		*formulas += *start && strchr("=+-@\t", *start) != NULL;
		while (**p && (quoted ? **p != '"' || (*p)[1] == '"' : **p != ',' && **p != '\r'))
			*p += quoted && **p == '"' ? 2 : 1;
		*p += quoted && **p == '"';
		if (**p != ',')
			break;
		++*p;
	}
	*p += 2;
	return n;
}

static void csv(const struct report *r)
{
	char *t = written(r, "csv");
	size_t formulas = 0, lines = 0;
	const char *p = t;

	for (; *p; lines++)
		t_int(csv_line(&p, &formulas), 31, "csv: as many cells in every line (%zu)", lines);
	t_int(lines, 4, "csv: a line a row and one of names");
	t_int(formulas, 0, "csv: no cell starts a formula");
	t_ok(strstr(t, "\"'=cmd()\"") != NULL, "csv: it is made text");
	free(t);
}

static void json(const struct report *r)
{
	char *t = written(r, "json");
	json_error_t e;
	json_t *j = json_loads(t, JSON_REJECT_DUPLICATES, &e);
	json_t *first = json_array_get(json_object_get(j, "callers"), 0);

	t_ok(j != NULL, "json: parses: %s", e.text);
	t_int(json_array_size(json_object_get(j, "callers")), 3, "json: callers");
	t_str(json_string_value(json_object_get(first, "user")), "=cmd()", "json: as it is");
	t_str(json_string_value(json_object_get(first, "standing")), "unsanctioned", "json: standing");
	t_int(json_integer_value(json_object_get(json_object_get(j, "totals"), "requests")), 3, "json: totals");
	t_ok(json_is_null(json_object_get(j, "coverage")), "json: no counters are null");
	json_decref(j);
	free(t);
}

static void md(const struct report *r)
{
	char *t = written(r, "md"), *line;

	t_ok(strstr(t, "\\<script\\>") != NULL, "md: no markup of others");
	line = strstr(t, "\\<script");
	t_ok(line && strstr(line, "\\|\\`\\*\\_"), "md: no cell ends early");
	free(t);
}

static void words(void)
{
	static const struct { int64_t n; const char *number, *brief, *bytes, *money; } rows[] = {
		{ 0, "0", "0", "0 B", "$0.00" },
		{ 999, "999", "999", "999 B", "$0.000999" },
		{ 12345, "12,345", "12,345", "12.3 kB", "$0.01" },
		{ 1234567, "1,234,567", "1.2 M", "1.2 MB", "$1.23" },
		{ 999999999, "999,999,999", "1.0 G", "1.0 GB", "$999.99" },
		{ 1234567890123, "1,234,567,890,123", "1235 G", "1.2 TB", "$1,234,567.89" },
	};
	char out[32];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		report_number(rows[i].n, out);
		t_str(out, rows[i].number, "number");
		report_short(rows[i].n, out);
		t_str(out, rows[i].brief, "short");
		report_bytes(rows[i].n, out);
		t_str(out, rows[i].bytes, "bytes");
		report_money(rows[i].n, out);
		t_str(out, rows[i].money, "money");
	}
}

static void empty(void)
{
	struct db *d = NULL;
	struct report r;

	t_int(db_open(":memory:", false, &d), 0, "database");
	t_int(inventory_init(d), 0, "tables");
	collect(&r, d);
	t_int(r.n_callers, 0, "nobody");
	html(&(struct report){ .node = "\"><script>alert(1)</script>", .version = "", .prices_date = "",
			       .catalog_date = "" });
	for (const struct report_format *f = report_formats; f->name; f++)
		free(written(&r, f->name));
	report_done(&r);
	db_close(d);
}

int main(void)
{
	static const char providers[] =
		"{\"version\":1,\"source_date\":\"2026-08-22\",\"providers\":[{\"id\":\"openai\",\"name\":"
		"\"OpenAI <API>\",\"category\":\"api\",\"jurisdiction\":\"US\",\"dialects\":[\"openai-chat\"],"
		"\"hosts\":{\"inference\":[\"api.openai.com\"]}}]}";
	struct mistakes m;
	struct report r;
	struct db *d;

	mistakes_init(&m, "test");
	t_int(catalog_load(slice_str(providers), &m, &catalog), 0, "catalogue: %.*s",
	      SLICE_FMT(buf_slice(&m.text)));
	mistakes_done(&m);
	d = filled();
	figures(d);
	collect(&r, d);
	html(&r);
	csv(&r);
	json(&r);
	md(&r);
	report_done(&r);
	db_close(d);
	empty();
	words();
	catalog_unref(catalog);
	return t_done();
}
