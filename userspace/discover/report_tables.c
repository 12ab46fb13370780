/* The tables of the HTML report. */
#include "discover/report_page.h"

#include <inttypes.h>
#include <stdio.h>

#define HOSTS_SHOWN 4
#define DIGEST_SHOWN 16
#define CONTAINER_SHOWN 12

static void sub(struct page *p, const char *class, const char *text)
{
	if (!*text)
		return;
	page_f(p, "<span class=\"sub %s\">", class);
	page_text(p, text);
	page_put(p, "</span>");
}

/* Shortened; the whole shows when the mouse rests on it. */
static void sub_titled(struct page *p, const char *class, const char *text, const char *whole)
{
	page_f(p, "<span class=\"sub %s\" title=\"", class);
	page_text(p, whole);
	page_put(p, "\">");
	page_text(p, text);
	page_put(p, "</span>");
}

static void who(struct page *p, const struct report_caller *c)
{
	char text[32];

	page_put(p, "<th scope=\"row\"><strong>");
	page_text(p, report_program(c));
	page_put(p, "</strong>");
	if (c->distrust)
		page_put(p, " <span class=\"chip warn\">does not trust the CA</span>");
	if (*c->container) {
		(void)snprintf(text, sizeof(text), "container %.*s", CONTAINER_SHOWN, c->container);
		sub_titled(p, "", text, c->container);
	} else {
		sub(p, "", report_home(c));
	}
	sub(p, "mono", c->exe);
	if (*c->digest) {
		(void)snprintf(text, sizeof(text), "sha256 %.*s\xe2\x80\xa6", DIGEST_SHOWN,
			       c->digest);
		sub_titled(p, "mono", text, c->digest);
	}
	if (p->r->watched && c->pid) {
		(void)snprintf(text, sizeof(text), "pid %" PRIu32, c->pid);
		sub(p, "", text);
	}
	page_put(p, "</th>");
}

static void whom(struct page *p, const struct report_caller *c)
{
	page_put(p, "<td class=\"whom\">");
	page_text(p, c->provider_name);
	page_put(p, " <span class=\"chip\" title=\"jurisdiction\">");
	page_text(p, *c->jurisdiction ? c->jurisdiction : "unknown");
	page_put(p, "</span>");
	sub(p, "", report_join(&p->arena, &c->hosts, HOSTS_SHOWN));
	sub(p, "", report_join(&p->arena, &c->models, HOSTS_SHOWN));
	page_put(p, "</td>");
}

static void times(struct page *p, const struct report_caller *c)
{
	char first[17], last[17];

	report_minute(c->first_ns, first);
	report_minute(c->last_ns, last);
	page_f(p, "<td class=\"t\">%s<span class=\"sub\">%s</span></td>", last, first);
}

static void volume(struct page *p, const struct report_caller *c, bool inspected)
{
	char a[32], b[32];

	report_number(report_calls(&c->sums), a);
	page_f(p, "<td class=\"n\">%s", a);
	if (inspected && c->sums.requests && c->sums.connections) {
		report_number(c->sums.requests, a);
		page_f(p, "<span class=\"sub\">%s inspected</span>", a);
	}
	report_bytes(c->sums.bytes_out, a);
	report_bytes(c->sums.bytes_in, b);
	page_f(p, "</td><td class=\"n\">%s<span class=\"sub\">%s</span></td>", a, b);
	if (!inspected)
		return;
	report_short(c->sums.tokens_in + c->sums.tokens_out, a);
	report_money(c->sums.cost_microusd, b);
	page_f(p, "<td class=\"n\">%s</td><td class=\"n\">%s</td><td>",
	       c->sums.requests ? a : "&ndash;", c->sums.requests ? b : "&ndash;");
	if (c->sums.blocked)
		page_f(p, "<span class=\"chip bad\">%" PRId64 " blocked</span> ", c->sums.blocked);
	if (c->sums.redacted)
		page_f(p, "<span class=\"chip warn\">%" PRId64 " redacted</span> ",
		       c->sums.redacted);
	if (c->sums.findings)
		page_f(p, "<span class=\"chip\">%" PRId64 " findings</span>", c->sums.findings);
	sub(p, "", c->reason);
	page_put(p, "</td>");
}

static bool is_in(const struct report_caller *c, bool unsanctioned)
{
	return (c->standing == STANDING_UNSANCTIONED) == unsanctioned;
}

static void callers_head(struct page *p, bool unsanctioned, bool inspected)
{
	if (unsanctioned)
		page_put(p, "<section><h2>Unsanctioned use</h2><p>No rule of the policy approves "
			    "these. Approve a use by "
			    "a rule with <code>\"sanctioned\": true</code>, or block it.</p>");
	else if (p->r->watched)
		page_put(p, "<section><h2>Who talks to AI providers</h2>");
	else
		page_put(
			p,
			"<section><h2>Other use</h2><p>Approved by a rule, or not judged yet.</p>");
	page_put(p, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Program</th><th "
		    "scope=\"col\">User</th>"
		    "<th scope=\"col\">Provider, hosts, models</th>");
	if (!unsanctioned && !p->r->watched)
		page_put(p, "<th scope=\"col\">Standing</th>");
	page_put(p, "<th scope=\"col\">Last seen<br>first seen</th><th scope=\"col\" "
		    "class=\"n\">Calls</th>"
		    "<th scope=\"col\" class=\"n\">Sent<br>received</th>");
	if (inspected)
		page_put(p, "<th scope=\"col\" class=\"n\">Tokens</th><th scope=\"col\" "
			    "class=\"n\">Cost</th>"
			    "<th scope=\"col\">Outcome</th>");
	page_put(p, "</tr></thead><tbody>\n");
}

void page_callers(struct page *p, bool unsanctioned)
{
	const struct report *r = p->r;
	bool inspected = r->sums.requests || r->sums.blocked, any = false;

	for (size_t i = 0; i < r->n_callers; i++) {
		const struct report_caller *c = &r->caller[i];
		char user[48];

		if (!is_in(c, unsanctioned))
			continue;
		if (!any)
			callers_head(p, unsanctioned, inspected);
		any = true;
		page_put(p, "<tr>");
		who(p, c);
		page_put(p, "<td>");
		page_text(p, report_user(c, user));
		page_put(p, "</td>");
		whom(p, c);
		if (!unsanctioned && !r->watched)
			page_f(p, "<td><span class=\"chip %s\">%s</span></td>",
			       c->standing == STANDING_SANCTIONED ? "good" : "",
			       report_standing_name(c->standing));
		times(p, c);
		volume(p, c, inspected);
		page_put(p, "</tr>\n");
	}
	if (any)
		page_put(p, "</tbody></table></div></section>\n");
}

static void bar(struct page *p, const char *class, double percent)
{
	page_f(p,
	       "<span class=\"bar\" aria-hidden=\"true\"><span class=\"%s\" "
	       "style=\"width:%.1f%%\"></span></span>",
	       class, MIN(percent, 100.0));
}

void page_providers(struct page *p)
{
	const struct report *r = p->r;
	int64_t all = MAX(report_calls(&r->sums), (int64_t)1);
	bool inspected = r->sums.requests > 0;

	if (!r->n_providers)
		return;
	page_put(p,
		 "<section><h2>Providers</h2><div class=\"scroll\"><table><thead><tr><th "
		 "scope=\"col\">Provider</th>"
		 "<th scope=\"col\">Jurisdiction</th><th scope=\"col\" class=\"n\">Programs</th>");
	if (!r->watched)
		page_put(p, "<th scope=\"col\" class=\"n\">Unsanctioned</th>");
	page_put(p, "<th scope=\"col\" class=\"n\">Calls</th><th scope=\"col\">Share</th>"
		    "<th scope=\"col\" class=\"n\">Sent</th><th scope=\"col\" "
		    "class=\"n\">Received</th>");
	page_put(p, inspected ? "<th scope=\"col\" class=\"n\">Tokens</th><th scope=\"col\" "
				"class=\"n\">Cost</th>"
				"</tr></thead><tbody>\n"
			      : "</tr></thead><tbody>\n");
	for (size_t i = 0; i < r->n_providers; i++) {
		const struct report_provider *one = &r->provider[i];
		double percent = 100.0 * (double)report_calls(&one->sums) / (double)all;
		char a[32], b[32], c[32];

		page_put(p, "<tr><th scope=\"row\">");
		page_text(p, one->name);
		page_put(p, "</th><td>");
		page_text(p, *one->jurisdiction ? one->jurisdiction : "unknown");
		page_f(p, "</td><td class=\"n\">%zu</td>", one->callers);
		if (!r->watched)
			page_f(p, "<td class=\"n\">%zu</td>", one->unsanctioned);
		report_number(report_calls(&one->sums), a);
		page_f(p, "<td class=\"n\">%s</td><td>", a);
		bar(p, "", percent);
		report_bytes(one->sums.bytes_out, a);
		report_bytes(one->sums.bytes_in, b);
		page_f(p, "</td><td class=\"n\">%s</td><td class=\"n\">%s</td>", a, b);
		report_short(one->sums.tokens_in + one->sums.tokens_out, b);
		report_money(one->sums.cost_microusd, c);
		if (inspected)
			page_f(p, "<td class=\"n\">%s</td><td class=\"n\">%s</td>", b, c);
		page_put(p, "</tr>\n");
	}
	page_put(p, "</tbody></table></div></section>\n");
}

void page_findings(struct page *p)
{
	const struct report *r = p->r;

	if (!r->n_findings)
		return;
	page_put(p,
		 "<section><h2>What was found in the traffic</h2><p>Types and counts only: the "
		 "text itself is recorded "
		 "nowhere.</p><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Type</th>"
		 "<th scope=\"col\">In</th><th scope=\"col\">Action</th><th scope=\"col\" "
		 "class=\"n\">Found</th>"
		 "<th scope=\"col\"><span aria-hidden=\"true\"></span></th>"
		 "<th scope=\"col\" class=\"n\">Requests</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < r->n_findings; i++) {
		const struct report_finding *f = &r->finding[i];
		bool block = strcmp(f->action, "block") == 0,
		     redact = strcmp(f->action, "redact") == 0;
		char a[32], b[32];

		page_put(p, "<tr><th scope=\"row\">");
		page_text(p, f->type);
		page_put(p, "</th><td>");
		page_text(p, f->place);
		page_f(p, "</td><td><span class=\"chip %s\">",
		       block	? "bad"
		       : redact ? "warn"
				: "");
		page_text(p, f->action);
		report_number(f->n, a);
		report_number(f->requests, b);
		page_f(p, "</span></td><td class=\"n\">%s</td><td>", a);
		bar(p,
		    block    ? "bad"
		    : redact ? "warn"
			     : "",
		    100.0 * (double)f->n / (double)MAX(r->finding[0].n, (int64_t)1));
		page_f(p, "</td><td class=\"n\">%s</td></tr>\n", b);
	}
	page_put(p, "</tbody></table></div></section>\n");
}

static void limit_cell(struct page *p, const char *spent, const char *limit, int64_t accounts)
{
	page_f(p, "<td class=\"n\">%s<span class=\"sub\">%s%s%s</span></td>", spent,
	       limit ? "of " : "no limit", limit ? limit : "",
	       limit && accounts > 1 ? " each" : "");
}

static void budget(struct page *p, const struct report_budget *b)
{
	const char *class = b->percent >= 100 ? "bad" : b->percent >= b->warn_percent ? "warn" : "";
	char spent[32], limit[32], tokens[32], max[32];

	report_money(b->spent_microusd, spent);
	report_money(b->limit_microusd, limit);
	report_short(b->spent_tokens, tokens);
	report_short(b->limit_tokens, max);
	page_put(p, "<tr><th scope=\"row\">");
	page_text(p, b->id);
	page_put(p, "</th><td>");
	page_text(p, b->per);
	page_f(p, "</td><td class=\"n\">%" PRId64 "</td>", b->accounts);
	limit_cell(p, spent, b->limit_microusd < 0 ? NULL : limit, b->accounts);
	limit_cell(p, tokens, b->limit_tokens < 0 ? NULL : max, b->accounts);
	page_f(p, "<td class=\"n\">%s%" PRId64 " %%%s</td><td>", *class ? "<strong>" : "",
	       b->percent, *class ? "</strong>" : "");
	bar(p, class, (double)b->percent);
	page_put(p, "</td></tr>\n");
}

void page_budgets(struct page *p)
{
	if (!p->r->n_budgets)
		return;
	page_put(p,
		 "<section><h2>Budgets</h2><p>The day or month that runs now. Where each caller "
		 "has an account of his "
		 "own, spending is the sum and the percentage is of the fullest.</p>"
		 "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Budget</th><th "
		 "scope=\"col\">Per</th>"
		 "<th scope=\"col\" class=\"n\">Accounts</th><th scope=\"col\" "
		 "class=\"n\">Spent</th>"
		 "<th scope=\"col\" class=\"n\">Tokens</th><th scope=\"col\" class=\"n\">Used</th>"
		 "<th scope=\"col\"><span aria-hidden=\"true\"></span></th></tr></thead><tbody>\n");
	for (size_t i = 0; i < p->r->n_budgets; i++)
		budget(p, &p->r->budget[i]);
	page_put(p, "</tbody></table></div></section>\n");
}

void page_distrust(struct page *p)
{
	const struct report *r = p->r;
	bool any = false;
	char user[48];

	for (size_t i = 0; i < r->n_callers; i++) {
		const struct report_caller *c = &r->caller[i];

		if (!c->distrust)
			continue;
		if (!any) {
			page_put(p,
				 "<section><h2>Clients that do not trust the CA</h2><p>They hang "
				 "up when they are shown the "
				 "certificate of this node, so what they send is not inspected. ");
			page_prose(p, report_distrust_remedy);
			page_put(p, "</p><ul class=\"plain\">");
		}
		any = true;
		page_put(p, "<li><strong>");
		page_text(p, report_program(c));
		page_put(p, "</strong> of ");
		page_text(p, report_user(c, user));
		if (*report_home(c)) {
			page_put(p, " in ");
			page_text(p, report_home(c));
		}
		page_put(p, ", to ");
		page_text(p, c->hosts.n ? report_join(&p->arena, &c->hosts, HOSTS_SHOWN)
					: c->provider_name);
		page_put(p, "</li>");
	}
	if (any)
		page_put(p, "</ul></section>\n");
}
