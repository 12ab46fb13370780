/* Markdown (CommonMark with GFM tables): for a ticket, a mail, a terminal. */
#include "discover/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

int report_md(const struct report *r, struct buf *out);

struct writer {
	struct buf *out;
	struct arena arena;
	int error;
};

static void put(struct writer *w, const char *text)
{
	if (w->error == 0)
		w->error = buf_str(w->out, text);
}

static void printf_like(2, 3) put_f(struct writer *w, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(w, text);
}

/* What Markdown or HTML inside it would read as markup is escaped. */
static void put_text(struct writer *w, const char *text)
{
	for (; *text; text++) {
		char one[3] = { *text };

		if (strchr("\\`*_{}[]<>#|~!&", *text)) {
			one[0] = '\\';
			one[1] = *text;
		}
		put(w, one);
	}
}

static void head(struct writer *w, const char *columns, const char *align)
{
	put_f(w, "\n| %s |\n| %s |\n", columns, align);
}

static void callers(struct writer *w, const struct report *r, bool unsanctioned)
{
	char a[32], b[32], c[32], user[48], first[17], last[17];

	head(w,
	     "Program | Where | User | Provider | Models | Calls | Out | In | Tokens | Cost | "
	     "First seen | Last seen",
	     "--- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---");
	for (size_t i = 0; i < r->n_callers; i++) {
		const struct report_caller *one = &r->caller[i];

		if ((one->standing == STANDING_UNSANCTIONED) != unsanctioned)
			continue;
		put(w, "| ");
		put_text(w, one->exe[0] ? one->exe : report_program(one));
		put(w, " | ");
		put_text(w, report_home(one));
		put(w, " | ");
		put_text(w, report_user(one, user));
		put(w, " | ");
		put_text(w, one->provider_name);
		put_f(w, "%s%s%s | ", *one->jurisdiction ? " (" : "", one->jurisdiction,
		      *one->jurisdiction ? ")" : "");
		put_text(w, report_join(&w->arena, &one->models, 4));
		report_number(report_calls(&one->sums), a);
		report_bytes(one->sums.bytes_out, b);
		report_bytes(one->sums.bytes_in, c);
		put_f(w, " | %s | %s | %s", a, b, c);
		report_number(one->sums.tokens_in + one->sums.tokens_out, a);
		report_money(one->sums.cost_microusd, b);
		report_minute(one->first_ns, first);
		report_minute(one->last_ns, last);
		put_f(w, " | %s | %s | %s | %s |\n", a, b, first, last);
	}
}

static void headline(struct writer *w, const struct report *r)
{
	char a[32], b[32], from[17], to[17];
	size_t n = r->who[0] + r->who[1] + r->who[2];

	report_minute(r->from_ns, from);
	report_minute(r->to_ns, to);
	put(w, "# AI traffic of ");
	put_text(w, r->node);
	put_f(w, "\n\n%s to %s UTC%s.\n\n", from, to,
	      r->watched ? ", watched by sallyport discover" : "");
	put_f(w, "- callers: **%zu**", n);
	if (!r->watched)
		put_f(w, " (%zu unsanctioned, %zu sanctioned, %zu not judged)",
		      r->who[STANDING_UNSANCTIONED], r->who[STANDING_SANCTIONED],
		      r->who[STANDING_UNJUDGED]);
	put_f(w, "\n- providers: **%zu**\n", r->n_providers);
	report_number(r->sums.connections, a);
	put_f(w, "- connections seen or passed unread: %s\n", a);
	if (r->watched)
		return;
	report_number(r->sums.requests, a);
	put_f(w, "- requests inspected: %s; ", a);
	report_number(r->sums.blocked, a);
	report_number(r->sums.redacted, b);
	put_f(w, "blocked %s, redacted %s\n", a, b);
	report_number(r->sums.tokens_in + r->sums.tokens_out, a);
	report_money(r->sums.cost_microusd, b);
	put_f(w, "- tokens: %s; cost: %s%s%s\n", a, b, *r->prices_date ? " at prices of " : "",
	      r->prices_date);
}

static void providers(struct writer *w, const struct report *r)
{
	char a[32], b[32], c[32];

	put(w, "\n## Providers\n");
	head(w, "Provider | Jurisdiction | Callers | Unsanctioned | Calls | Out | Cost",
	     "--- | --- | ---: | ---: | ---: | ---: | ---:");
	for (size_t i = 0; i < r->n_providers; i++) {
		const struct report_provider *p = &r->provider[i];

		report_number(report_calls(&p->sums), a);
		report_bytes(p->sums.bytes_out, b);
		report_money(p->sums.cost_microusd, c);
		put(w, "| ");
		put_text(w, p->name);
		put(w, " | ");
		put_text(w, *p->jurisdiction ? p->jurisdiction : "unknown");
		put_f(w, " | %zu | %zu | %s | %s | %s |\n", p->callers, p->unsanctioned, a, b, c);
	}
}

static void findings(struct writer *w, const struct report *r)
{
	char a[32], b[32];

	put(w, "\n## Findings\n");
	head(w, "Type | Where | Action | Found | Requests", "--- | --- | --- | ---: | ---:");
	for (size_t i = 0; i < r->n_findings; i++) {
		report_number(r->finding[i].n, a);
		report_number(r->finding[i].requests, b);
		put(w, "| ");
		put_text(w, r->finding[i].type);
		put(w, " | ");
		put_text(w, r->finding[i].place);
		put(w, " | ");
		put_text(w, r->finding[i].action);
		put_f(w, " | %s | %s |\n", a, b);
	}
}

static void budgets(struct writer *w, const struct report *r)
{
	char a[32], b[32], c[32];

	put(w, "\n## Budgets\n");
	head(w, "Budget | Per | Accounts | Spent | Limit | Tokens | Used",
	     "--- | --- | ---: | ---: | ---: | ---: | ---:");
	for (size_t i = 0; i < r->n_budgets; i++) {
		const struct report_budget *one = &r->budget[i];

		report_money(one->spent_microusd, a);
		if (one->limit_microusd < 0)
			(void)snprintf(b, sizeof(b), "none");
		else
			report_money(one->limit_microusd, b);
		report_number(one->spent_tokens, c);
		put(w, "| ");
		put_text(w, one->id);
		put_f(w, " | %s | %" PRId64 " | %s | %s | %s | %" PRId64 " %% |\n", one->per,
		      one->accounts, a, b, c, one->percent);
	}
}

static void distrust(struct writer *w, const struct report *r)
{
	char user[48];
	bool any = false;

	for (size_t i = 0; i < r->n_callers; i++) {
		const struct report_caller *c = &r->caller[i];

		if (!c->distrust)
			continue;
		if (!any)
			put_f(w, "\n## Clients that do not trust the CA\n\n%s\n\n",
			      report_distrust_remedy);
		any = true;
		put(w, "- ");
		put_text(w, c->exe[0] ? c->exe : report_program(c));
		put(w, " (");
		put_text(w, report_user(c, user));
		put(w, ") to ");
		put_text(w, report_join(&w->arena, &c->hosts, 4));
		put(w, "\n");
	}
}

static void coverage(struct writer *w, const struct report *r)
{
	const struct report_coverage *c = &r->coverage;

	if (c->known) {
		put_f(w, "\n## Coverage since %s (strictest mode %s)\n\n", c->since, c->mode);
		put_f(w,
		      "- attempts: %" PRId64 "\n- observed only: %" PRId64
		      "\n- redirected: %" PRId64 " (inspected %" PRId64 ", passed unread %" PRId64
		      ", refused %" PRId64 ")\n",
		      c->attempts, c->observed, c->redirected, c->inspected, c->spliced,
		      c->refused_proxy);
		put_f(w,
		      "- proxy absent: passed %" PRId64 ", refused %" PRId64
		      "\n- not explained: %" PRId64 "\n",
		      c->failed_open, c->refused_kernel, c->unexplained);
	}
	put(w, "\n## What this cannot show\n\n");
	for (size_t i = 0; report_not_seen[i]; i++)
		put_f(w, "- %s\n", report_not_seen[i]);
}

int report_md(const struct report *r, struct buf *out)
{
	struct writer w = { .out = out };
	char made[17];

	arena_init(&w.arena, 256U << 20);
	headline(&w, r);
	for (size_t i = 0; i < r->n_notes; i++) {
		put(&w, "\n> ");
		put_text(&w, r->note[i]);
		put(&w, "\n");
	}
	if (r->who[STANDING_UNSANCTIONED]) {
		put(&w, "\n## Unsanctioned\n");
		callers(&w, r, true);
	}
	if (r->who[STANDING_SANCTIONED] + r->who[STANDING_UNJUDGED]) {
		put(&w, r->watched ? "\n## Callers\n" : "\n## Sanctioned, or not judged\n");
		callers(&w, r, false);
	}
	if (r->n_providers)
		providers(&w, r);
	if (r->n_findings)
		findings(&w, r);
	if (r->n_budgets)
		budgets(&w, r);
	distrust(&w, r);
	coverage(&w, r);
	report_minute(r->made_ns, made);
	put_f(&w, "\nsallyport %s, made %s UTC; catalogue of %s.\n", r->version, made,
	      r->catalog_date);
	arena_done(&w.arena);
	return w.error;
}
