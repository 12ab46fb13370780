/*
 * The callers for a spreadsheet: RFC 4180, a row a caller and provider. A cell a spreadsheet would
 * take for a formula gets an apostrophe in front (OWASP, "CSV Injection").
 */
#include "discover/report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

int report_csv(const struct report *r, struct buf *out);

struct writer {
	struct buf *out;
	struct arena *arena;
	int error;
	bool more; /* a cell stands before */
};

static void put(struct writer *w, struct slice s)
{
	if (w->error == 0)
		w->error = buf_append(w->out, s);
}

/* Also behind blanks, which some spreadsheets drop, and in the full-width forms. */
static bool is_formula(const char *text)
{
	static const char *const starts[] = { "=",
					      "+",
					      "-",
					      "@",
					      "\t",
					      "\r",
					      "\n",
					      "|",
					      "%",
					      "\xef\xbc\x9d",
					      "\xef\xbc\x8b",
					      "\xef\xbc\x8d",
					      "\xef\xbc\xa0" };
	struct slice s = slice_trim(slice_str(text));

	if (*text == '\t')
		return true;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (slice_starts(s, slice_str(starts[i])))
			return true;
	return false;
}

static void cell(struct writer *w, const char *text)
{
	struct slice s = slice_str(text);

	put(w, w->more ? SLICE(",") : SLICE(""));
	w->more = true;
	put(w, SLICE("\""));
	if (is_formula(text))
		put(w, SLICE("'"));
	while (s.len) {
		long quote = slice_find(s, SLICE("\""));
		size_t n = quote < 0 ? s.len : (size_t)quote + 1;

		put(w, slice_sub(s, 0, n));
		if (quote >= 0)
			put(w, SLICE("\""));
		s = slice_from(s, n);
	}
	put(w, SLICE("\""));
}

static void number(struct writer *w, int64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%s%" PRId64, w->more ? "," : "", n);
	put(w, slice_str(text));
	w->more = true;
}

static void time_of(struct writer *w, uint64_t ns)
{
	char text[CLOCK_TEXT_LEN];

	clock_format(ns, text);
	cell(w, text);
}

static void row(struct writer *w, const struct report_caller *c)
{
	char key[17], user[48];

	(void)snprintf(key, sizeof(key), "%016" PRIx64, c->key);
	w->more = false;
	cell(w, report_standing_name(c->standing));
	cell(w, report_program(c));
	cell(w, report_user(c, user));
	number(w, c->uid);
	cell(w, c->unit);
	cell(w, c->slice);
	cell(w, c->container);
	cell(w, c->exe);
	cell(w, c->digest);
	number(w, c->pid);
	cell(w, c->provider);
	cell(w, c->provider_name);
	cell(w, c->jurisdiction);
	cell(w, report_join(w->arena, &c->hosts, REPORT_LIST_MAX));
	cell(w, report_join(w->arena, &c->endpoints, REPORT_LIST_MAX));
	cell(w, report_join(w->arena, &c->models, REPORT_LIST_MAX));
	time_of(w, c->first_ns);
	time_of(w, c->last_ns);
	number(w, c->sums.requests);
	number(w, c->sums.connections);
	number(w, c->sums.blocked);
	number(w, c->sums.redacted);
	number(w, c->sums.findings);
	number(w, c->sums.bytes_out);
	number(w, c->sums.bytes_in);
	number(w, c->sums.tokens_in);
	number(w, c->sums.tokens_out);
	number(w, c->sums.cost_microusd);
	cell(w, c->distrust ? "yes" : "no");
	cell(w, c->reason);
	cell(w, key);
	put(w, SLICE("\r\n"));
}

int report_csv(const struct report *r, struct buf *out)
{
	struct writer w = { .out = out };
	struct arena a;

	arena_init(&a, 256U << 20);
	w.arena = &a;
	put(&w,
	    SLICE("standing,program,user,uid,unit,slice,container,exe,sha256,pid,provider,"
		  "provider_name,jurisdiction,hosts,endpoints,models,first_seen,last_seen,requests,"
		  "connections,blocked,redacted,findings,bytes_out,bytes_in,tokens_in,tokens_out,"
		  "cost_microusd,distrust,reason,caller\r\n"));
	for (size_t i = 0; i < r->n_callers; i++)
		row(&w, &r->caller[i]);
	arena_done(&a);
	return w.error;
}
