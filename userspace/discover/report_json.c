/* Everything, as one JSON object. Money in micro-USD, times in UTC, sizes in bytes. */
#include "discover/report.h"

#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

int report_json(const struct report *r, struct buf *out);

struct writer {
	struct buf *out;
	int error;
	bool more; /* a member stands before */
};

static void put(struct writer *w, const char *text)
{
	if (w->error == 0)
		w->error = buf_str(w->out, text);
}

static void put_string(struct writer *w, const char *text)
{
	if (w->error == 0)
		w->error = jwrite_string(w->out, slice_str(text));
}

static void key(struct writer *w, const char *name)
{
	put(w, w->more ? ",\n" : "\n");
	put_string(w, name);
	put(w, ":");
	w->more = true;
}

static void text(struct writer *w, const char *name, const char *value)
{
	key(w, name);
	put_string(w, value);
}

static void number(struct writer *w, const char *name, int64_t n)
{
	key(w, name);
	if (w->error == 0)
		w->error = buf_printf(w->out, "%" PRId64, n);
}

static void time_of(struct writer *w, const char *name, uint64_t ns)
{
	char out[CLOCK_TEXT_LEN];

	clock_format(ns, out);
	text(w, name, out);
}

static void boolean(struct writer *w, const char *name, bool b)
{
	key(w, name);
	put(w, b ? "true" : "false");
}

static void open_(struct writer *w, const char *name, const char *bracket)
{
	if (name)
		key(w, name);
	put(w, bracket);
	w->more = false;
}

static void close_(struct writer *w, const char *bracket)
{
	put(w, bracket);
	w->more = true;
}

static void element(struct writer *w, size_t i)
{
	put(w, i ? ",\n{" : "\n{");
	w->more = false;
}

static void list(struct writer *w, const char *name, const struct report_list *l)
{
	open_(w, name, "[");
	for (size_t i = 0; i < l->n; i++) {
		put(w, i ? "," : "");
		put_string(w, l->item[i]);
	}
	close_(w, "]");
}

static void sums(struct writer *w, const struct report_sums *s)
{
	number(w, "requests", s->requests);
	number(w, "connections", s->connections);
	number(w, "blocked", s->blocked);
	number(w, "redacted", s->redacted);
	number(w, "findings", s->findings);
	number(w, "bytes_out", s->bytes_out);
	number(w, "bytes_in", s->bytes_in);
	number(w, "tokens_in", s->tokens_in);
	number(w, "tokens_out", s->tokens_out);
	number(w, "cost_microusd", s->cost_microusd);
}

static void caller(struct writer *w, const struct report_caller *c)
{
	char hex[17];

	(void)snprintf(hex, sizeof(hex), "%016" PRIx64, c->key);
	text(w, "caller", hex);
	text(w, "standing", report_standing_name(c->standing));
	text(w, "program", report_program(c));
	text(w, "exe", c->exe);
	text(w, "sha256", c->digest);
	text(w, "user", c->user);
	number(w, "uid", c->uid);
	number(w, "pid", c->pid);
	text(w, "unit", c->unit);
	text(w, "slice", c->slice);
	text(w, "container", c->container);
	text(w, "provider", c->provider);
	text(w, "provider_name", c->provider_name);
	text(w, "jurisdiction", c->jurisdiction);
	list(w, "hosts", &c->hosts);
	list(w, "endpoints", &c->endpoints);
	list(w, "models", &c->models);
	time_of(w, "first_seen", c->first_ns);
	time_of(w, "last_seen", c->last_ns);
	sums(w, &c->sums);
	boolean(w, "distrust", c->distrust);
	text(w, "reason", c->reason);
}

static void providers(const struct report *r, struct writer *w)
{
	open_(w, "providers", "[");
	for (size_t i = 0; i < r->n_providers; i++) {
		const struct report_provider *p = &r->provider[i];

		element(w, i);
		text(w, "provider", p->id);
		text(w, "name", p->name);
		text(w, "jurisdiction", p->jurisdiction);
		number(w, "callers", (int64_t)p->callers);
		number(w, "unsanctioned_callers", (int64_t)p->unsanctioned);
		sums(w, &p->sums);
		close_(w, "}");
	}
	close_(w, "]");
}

static void days(const struct report *r, struct writer *w)
{
	open_(w, "days", "[");
	for (size_t i = 0; i < r->n_days; i++) {
		char day[CLOCK_TEXT_LEN];

		clock_format(r->day[i].day * 86400ULL * 1000000000, day);
		day[10] = '\0';
		element(w, i);
		text(w, "day", day);
		sums(w, &r->day[i].sums);
		close_(w, "}");
	}
	close_(w, "]");
}

static void findings(const struct report *r, struct writer *w)
{
	open_(w, "findings", "[");
	for (size_t i = 0; i < r->n_findings; i++) {
		const struct report_finding *f = &r->finding[i];

		element(w, i);
		text(w, "type", f->type);
		text(w, "where", f->place);
		text(w, "action", f->action);
		number(w, "count", f->n);
		number(w, "requests", f->requests);
		close_(w, "}");
	}
	close_(w, "]");
}

static void budgets(const struct report *r, struct writer *w)
{
	open_(w, "budgets", "[");
	for (size_t i = 0; i < r->n_budgets; i++) {
		const struct report_budget *b = &r->budget[i];

		element(w, i);
		text(w, "budget", b->id);
		text(w, "per", b->per);
		number(w, "accounts", b->accounts);
		number(w, "spent_microusd", b->spent_microusd);
		number(w, "limit_microusd", b->limit_microusd);
		number(w, "spent_tokens", b->spent_tokens);
		number(w, "limit_tokens", b->limit_tokens);
		number(w, "used_percent", b->percent);
		close_(w, "}");
	}
	close_(w, "]");
}

static void coverage(const struct report_coverage *c, struct writer *w)
{
	if (!c->known) {
		key(w, "coverage");
		put(w, "null");
		return;
	}
	open_(w, "coverage", "{");
	text(w, "mode", c->mode);
	text(w, "since", c->since);
	number(w, "attempts", c->attempts);
	number(w, "observed", c->observed);
	number(w, "redirected", c->redirected);
	number(w, "inspected", c->inspected);
	number(w, "passed_unread", c->spliced);
	number(w, "refused_by_proxy", c->refused_proxy);
	number(w, "passed_proxy_absent", c->failed_open);
	number(w, "refused_proxy_absent", c->refused_kernel);
	number(w, "quic_refused", c->quic_refused);
	number(w, "unexplained", c->unexplained);
	number(w, "events_lost", c->events_lost);
	close_(w, "}");
}

static void headline(const struct report *r, struct writer *w)
{
	open_(w, "totals", "{");
	number(w, "callers", (int64_t)(r->who[0] + r->who[1] + r->who[2]));
	number(w, "callers_sanctioned", (int64_t)r->who[STANDING_SANCTIONED]);
	number(w, "callers_unsanctioned", (int64_t)r->who[STANDING_UNSANCTIONED]);
	number(w, "callers_not_judged", (int64_t)r->who[STANDING_UNJUDGED]);
	number(w, "providers", (int64_t)r->n_providers);
	number(w, "calls_sanctioned", r->calls[STANDING_SANCTIONED]);
	number(w, "calls_unsanctioned", r->calls[STANDING_UNSANCTIONED]);
	number(w, "calls_not_judged", r->calls[STANDING_UNJUDGED]);
	sums(w, &r->sums);
	close_(w, "}");
}

static void sentences(struct writer *w, const char *name, const char *const *all, size_t n)
{
	open_(w, name, "[");
	for (size_t i = 0; i < n && all[i]; i++) {
		put(w, i ? ",\n" : "\n");
		put_string(w, all[i]);
	}
	close_(w, "]");
}

int report_json(const struct report *r, struct buf *out)
{
	struct writer w = { .out = out };

	open_(&w, NULL, "{");
	number(&w, "sallyport_report", 1);
	text(&w, "version", r->version);
	text(&w, "node", r->node);
	text(&w, "source", r->watched ? "watched" : "inventory");
	time_of(&w, "from", r->from_ns);
	time_of(&w, "to", r->to_ns);
	time_of(&w, "generated", r->made_ns);
	text(&w, "prices_date", r->prices_date);
	text(&w, "catalog_date", r->catalog_date);
	headline(r, &w);
	open_(&w, "callers", "[");
	for (size_t i = 0; i < r->n_callers; i++) {
		element(&w, i);
		caller(&w, &r->caller[i]);
		close_(&w, "}");
	}
	close_(&w, "]");
	providers(r, &w);
	days(r, &w);
	findings(r, &w);
	budgets(r, &w);
	coverage(&r->coverage, &w);
	sentences(&w, "notes", r->note, r->n_notes);
	sentences(&w, "not_seen", report_not_seen, SIZE_MAX);
	close_(&w, "}");
	put(&w, "\n");
	return w.error;
}
