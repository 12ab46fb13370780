/*
 * One self-contained page: no script, no font, no picture, nothing fetched from anywhere. Read by
 * people who decide, so what is not approved comes first.
 */
#include "discover/report_page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

int report_html(const struct report *r, struct buf *out);

void page_put(struct page *p, const char *markup)
{
	if (p->error == 0)
		p->error = buf_str(p->out, markup);
}

void page_f(struct page *p, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	page_put(p, text);
}

static void page_char(struct page *p, char c)
{
	char one[2] = { c };

	page_put(p, c == '<'	? "&lt;"
		    : c == '>'	? "&gt;"
		    : c == '&'	? "&amp;"
		    : c == '"'	? "&quot;"
		    : c == '\'' ? "&#39;"
				: one);
}

void page_text(struct page *p, const char *text)
{
	while (*text)
		page_char(p, *text++);
}

void page_prose(struct page *p, const char *text)
{
	for (bool code = false; *text; text++) {
		if (*text != '`') {
			page_char(p, *text);
			continue;
		}
		code = !code;
		page_put(p, code ? "<code>" : "</code>");
	}
}

static size_t callers(const struct report *r)
{
	return r->who[0] + r->who[1] + r->who[2];
}

static const char *s(size_t n)
{
	return n == 1 ? "" : "s";
}

static void head(struct page *p)
{
	const struct report *r = p->r;
	char from[17], to[17], made[17];

	report_minute(r->from_ns, from);
	report_minute(r->to_ns, to);
	report_minute(r->made_ns, made);
	page_put(p, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
		    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		    "style-src 'unsafe-inline'\"><meta name=\"referrer\" "
		    "content=\"no-referrer\"><title>"
		    "AI traffic of ");
	page_text(p, r->node);
	page_put(p, "</title><style>");
	page_put(p, report_style);
	page_put(p,
		 "</style></head>\n<body><header><div class=\"over\">AI traffic report</div><h1>");
	page_text(p, r->node);
	page_f(p, "</h1><p class=\"meta\">%s to %s UTC%s &middot; made %s UTC by sallyport ", from,
	       to, r->watched ? ", watched live" : "", made);
	page_text(p, r->version);
	page_put(p, "</p></header>\n<main>");
}

/* The one sentence for somebody who reads no further. */
static void lede(struct page *p)
{
	const struct report *r = p->r;
	size_t bad = r->who[STANDING_UNSANCTIONED], all = callers(r), distrust = 0;

	for (size_t i = 0; i < r->n_callers; i++)
		distrust += r->caller[i].distrust;
	if (!all) {
		page_put(p, "<p class=\"lede good\">Nobody on this node was seen with an AI "
			    "provider in this "
			    "time.");
	} else if (bad) {
		page_f(p,
		       "<p class=\"lede bad\"><strong>%zu of %zu program%s that use%s AI services "
		       "%s approved by "
		       "no rule.</strong>",
		       bad, all, s(all), all == 1 ? "s" : "", bad == 1 ? "is" : "are");
	} else if (r->who[STANDING_UNJUDGED]) {
		page_f(p,
		       "<p class=\"lede warn\"><strong>%zu program%s on this node talk%s to %zu AI "
		       "provider%s."
		       "</strong> No policy has been asked whether that is approved.",
		       all, s(all), all == 1 ? "s" : "", r->n_providers, s(r->n_providers));
	} else {
		page_f(p,
		       "<p class=\"lede good\"><strong>Every use of AI services seen here is "
		       "approved by a "
		       "rule:</strong> %zu program%s, %zu provider%s.",
		       all, s(all), r->n_providers, s(r->n_providers));
	}
	if (distrust)
		page_f(p,
		       "<small>%zu client%s could not be inspected, because %s not trust the CA: "
		       "see below."
		       "</small>",
		       distrust, s(distrust), distrust == 1 ? "it does" : "they do");
	for (size_t i = 0; i < r->n_notes; i++) {
		page_put(p, "<small>");
		page_text(p, r->note[i]);
		page_put(p, "</small>");
	}
	page_put(p, "</p>\n");
}

static void tile(struct page *p, const char *class, const char *label, const char *value,
		 const char *sub)
{
	page_f(p, "<li class=\"tile %s\"><span>%s</span><b>", class, label);
	page_text(p, value);
	page_put(p, "</b><i>");
	page_text(p, sub);
	page_put(p, "</i></li>");
}

static void tile_number(struct page *p, const char *class, const char *label, int64_t n,
			const char *sub)
{
	char text[32];

	report_number(n, text);
	tile(p, n ? class : "", label, text, sub);
}

static void tiles(struct page *p)
{
	const struct report *r = p->r;
	const struct report_sums *t = &r->sums;
	char a[32], b[32], sub[96];

	page_put(p, "<ul class=\"tiles\">");
	(void)snprintf(sub, sizeof(sub),
		       r->who[STANDING_UNJUDGED] ? "%zu sanctioned, %zu not judged"
						 : "%zu sanctioned",
		       r->who[STANDING_SANCTIONED], r->who[STANDING_UNJUDGED]);
	tile_number(p, "", "Programs using AI", (int64_t)callers(r), r->watched ? "" : sub);
	if (!r->watched)
		tile_number(p, "bad", "Unsanctioned", (int64_t)r->who[STANDING_UNSANCTIONED],
			    "approved by no rule");
	tile_number(p, "", "Providers", (int64_t)r->n_providers, "");
	tile_number(p, "", "Connections", t->connections, "seen or passed, unread");
	report_bytes(t->bytes_out, a);
	report_bytes(t->bytes_in, b);
	(void)snprintf(sub, sizeof(sub), "%s came back", b);
	tile(p, "", "Data sent to AI", a, sub);
	if (t->requests || t->blocked) {
		tile_number(p, "", "Requests inspected", t->requests, "");
		report_money(t->cost_microusd, a);
		(void)snprintf(sub, sizeof(sub), *r->prices_date ? "prices of %.20s" : "%s",
			       r->prices_date);
		tile(p, "", "Cost", a, sub);
		report_short(t->tokens_in + t->tokens_out, a);
		report_short(t->tokens_out, b);
		(void)snprintf(sub, sizeof(sub), "%s of them in answers", b);
		tile(p, "", "Tokens", a, sub);
		tile_number(p, "warn", "Blocked", t->blocked, "refused or cut");
		tile_number(p, "warn", "Redacted", t->redacted, "sent without what was found");
		tile_number(p, "warn", "Findings", t->findings, "secrets and personal data");
	}
	page_put(p, "</ul>\n");
}

static void share_part(struct page *p, const char *class, enum standing st)
{
	int64_t all = p->r->calls[0] + p->r->calls[1] + p->r->calls[2];

	if (p->r->calls[st])
		page_f(p, "<span class=\"%s\" style=\"width:%.2f%%\"></span>", class,
		       100.0 * (double)p->r->calls[st] / (double)all);
}

static void share_key(struct page *p, const char *class, enum standing st)
{
	int64_t all = p->r->calls[0] + p->r->calls[1] + p->r->calls[2];
	char n[32];

	if (!p->r->calls[st])
		return;
	report_number(p->r->calls[st], n);
	page_f(p, "<li><i class=\"%s\"></i>%s: %s (%.0f %%)</li>", class, report_standing_name(st),
	       n, 100.0 * (double)p->r->calls[st] / (double)all);
}

static void share(struct page *p)
{
	if (p->r->watched || p->r->calls[0] + p->r->calls[1] + p->r->calls[2] == 0)
		return;
	page_put(p, "<section><h2>Sanctioned share of all calls</h2><div class=\"share\" "
		    "aria-hidden=\"true\">");
	share_part(p, "bad", STANDING_UNSANCTIONED);
	share_part(p, "none", STANDING_UNJUDGED);
	share_part(p, "good", STANDING_SANCTIONED);
	page_put(p, "</div><ul class=\"key\">");
	share_key(p, "bad", STANDING_UNSANCTIONED);
	share_key(p, "none", STANDING_UNJUDGED);
	share_key(p, "good", STANDING_SANCTIONED);
	page_put(p, "</ul></section>\n");
}

#define CHART_DAYS 92
#define CHART_W 1000
#define CHART_H 130

/* A bar a day: the blocked part on top in another colour. */
static void chart_bar(struct page *p, uint64_t first, uint64_t days, int64_t top,
		      const struct report_day *d)
{
	int64_t calls = report_calls(&d->sums), blocked = MIN(d->sums.blocked, calls);
	double step = (double)CHART_W / (double)days, w = MIN(step * 0.78, 46.0);
	double x = ((double)(d->day - first) + 0.5) * step - w / 2;
	double h = (double)calls * CHART_H / (double)top,
	       bad = (double)blocked * CHART_H / (double)top;
	char day[17], n[32];

	report_minute(d->day * 86400ULL * 1000000000, day);
	report_number(calls, n);
	page_f(p, "<g><title>%.10s: %s calls, %" PRId64 " blocked</title>", day, n, blocked);
	page_f(p,
	       "<rect class=\"ok\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>",
	       x, 18 + CHART_H - h, w, MAX(h, calls ? 1.5 : 0.0));
	if (blocked)
		page_f(p,
		       "<rect class=\"no\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
		       "rx=\"2\"/>",
		       x, 18 + CHART_H - h, w, MAX(bad, 1.5));
	page_put(p, "</g>");
}

static void chart(struct page *p)
{
	const struct report *r = p->r;
	uint64_t last = r->n_days ? r->day[r->n_days - 1].day : 0, first, days;
	char from[17], to[17], n[32];
	int64_t top = 1;

	if (r->n_days < 2)
		return;
	first = MAX(r->day[0].day, last > CHART_DAYS ? last - CHART_DAYS + 1 : 0);
	days = last - first + 1;
	for (size_t i = 0; i < r->n_days; i++)
		if (r->day[i].day >= first)
			top = MAX(top, report_calls(&r->day[i].sums));
	report_minute(first * 86400ULL * 1000000000, from);
	report_minute(last * 86400ULL * 1000000000, to);
	report_number(top, n);
	page_f(p,
	       "<section><h2>Calls by day</h2><svg viewBox=\"0 0 %d %d\" role=\"img\" "
	       "aria-label=\"Calls by day "
	       "from %.10s to %.10s, at most %s\">",
	       CHART_W, CHART_H + 42, from, to, n);
	page_f(p,
	       "<line x1=\"0\" x2=\"%d\" y1=\"18\" y2=\"18\"/><line x1=\"0\" x2=\"%d\" y1=\"%d\" "
	       "y2=\"%d\"/>"
	       "<text x=\"0\" y=\"13\">%s</text>",
	       CHART_W, CHART_W, 18 + CHART_H, 18 + CHART_H, n);
	for (size_t i = 0; i < r->n_days; i++)
		if (r->day[i].day >= first)
			chart_bar(p, first, days, top, &r->day[i]);
	page_f(p,
	       "<text x=\"0\" y=\"%d\">%.10s</text><text x=\"%d\" y=\"%d\" "
	       "text-anchor=\"end\">%.10s</text></svg>",
	       CHART_H + 36, from, CHART_W, CHART_H + 36, to);
	page_put(p,
		 r->sums.blocked
			 ? "<ul class=\"key\"><li><i style=\"background:var(--bar)\"></i>calls</li>"
			   "<li><i class=\"bad\"></i>of these blocked</li></ul></section>\n"
			 : "</section>\n");
}

static void count(struct page *p, int64_t n, const char *what)
{
	char text[32];

	report_number(n, text);
	page_f(p, "<dt>%s</dt><dd>%s</dd>", text, what);
}

static void coverage(struct page *p)
{
	const struct report_coverage *c = &p->r->coverage;

	page_put(p, "<div class=\"two\"><section><h2>Is every connection accounted for?</h2>");
	if (c->known) {
		page_put(p, "<p>Since the daemon started at ");
		page_text(p, c->since);
		page_put(p, ", strictest mode ");
		page_text(p, c->mode);
		page_put(p, ".</p><dl>");
		count(p, c->attempts, "connections to AI providers, seen by the kernel");
		count(p, c->observed, "observed only");
		count(p, c->inspected, "inspected");
		count(p, c->spliced, "passed through unread");
		count(p, c->refused_proxy, "refused by the proxy");
		count(p, c->failed_open, "passed because the proxy was not there");
		count(p, c->refused_kernel, "refused because the proxy was not there");
		count(p, c->quic_refused, "QUIC attempts refused");
		count(p, c->unexplained, "<strong>not explained</strong>, or on their way");
		if (c->events_lost)
			count(p, c->events_lost,
			      "<strong>events lost</strong>: the node was too busy");
		page_put(p, "</dl>");
	} else {
		page_put(p, p->r->watched ? "<p>Watched for a while only; <code>sallyport "
					    "daemon</code> keeps count for good.</p>"
					  : "<p>The daemon was not reachable when this was made, "
					    "so its counters are missing "
					    "(<code>sallyport status</code>). The figures above "
					    "are what it had recorded.</p>");
	}
	page_put(p, "</section><section><h2>What this cannot show</h2><ul class=\"plain\">");
	for (size_t i = 0; report_not_seen[i]; i++)
		page_f(p, "<li>%s</li>", report_not_seen[i]);
	page_put(p, "</ul></section></div>\n");
}

static void foot(struct page *p)
{
	const struct report *r = p->r;

	page_put(p, "</main><footer><p>Times are UTC; sums are of whole UTC days, first and last "
		    "seen are of all "
		    "time. ");
	if (*r->prices_date) {
		page_put(p, "Cost at list prices of ");
		page_text(p, r->prices_date);
		page_put(p, ", an estimate. ");
	}
	page_put(p, "Provider catalogue of ");
	page_text(p, *r->catalog_date ? r->catalog_date : "unknown date");
	page_put(p,
		 ". No prompt, answer or key is part of this report.</p></footer></body></html>\n");
}

int report_html(const struct report *r, struct buf *out)
{
	struct page p = { .r = r, .out = out };

	arena_init(&p.arena, 256U << 20);
	head(&p);
	lede(&p);
	tiles(&p);
	share(&p);
	chart(&p);
	page_callers(&p, true);
	page_callers(&p, false);
	page_providers(&p);
	page_findings(&p);
	page_budgets(&p);
	page_distrust(&p);
	coverage(&p);
	foot(&p);
	arena_done(&p.arena);
	return p.error;
}
