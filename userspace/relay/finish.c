/* The end of an exchange: settle what was reserved, write the record, count, let the next one come. */
#include "relay/txn.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>

#define RECORD_PARENTS 4 /* of a line each: who started the caller, not the way to init */

static void tls_text(const struct tls *t, char *out, size_t size)
{
	struct tls_info i;

	if (!t)
		return;
	tls_info(t, &i);
	slice_copy(out, size, slice_str(i.version));
	if (i.resumed)
		strncat(out, " resumed", size - strlen(out) - 1);
}

static void record_conn(struct conn *c, struct record *r)
{
	struct slice host = slice_str(c->host);

	memset(r, 0, sizeof(*r));
	if (c->caller) {
		r->who = c->caller->who;
		for (size_t i = RECORD_PARENTS; i < r->who.n_ancestors; i++)
			memset(&r->who.ancestor[i], 0, sizeof(r->who.ancestor[i]));
		r->who.n_ancestors = MIN(r->who.n_ancestors, (uint8_t)RECORD_PARENTS);
	}
	r->mode = c->decision.mode;
	r->sanctioned = c->decision.sanctioned;
	slice_copy(r->rule, sizeof(r->rule), slice_str(c->decision.rule));
	slice_copy(r->provider, sizeof(r->provider), slice_str(c->match.provider ? c->match.provider->id : ""));
	slice_copy(r->host, sizeof(r->host), host);
	slice_copy(r->address, sizeof(r->address), slice_str(c->address));
	if (!c->tls_text[0])
		tls_text(c->client.tls, c->tls_text, sizeof(c->tls_text));
	memcpy(r->tls_client, c->tls_text, sizeof(r->tls_client));
	tls_text(c->upstream.tls, r->tls_upstream, sizeof(r->tls_upstream));
	r->input_tokens = r->output_tokens = r->cached_tokens = r->cache_write_tokens =
		r->reasoning_tokens = -1;
}

void conn_record(struct conn *c, uint32_t kind, const char *reason, uint64_t out, uint64_t in)
{
	struct record *r = &c->w->record;

	record_conn(c, r);
	r->kind = kind;
	r->action = kind == RECORD_REFUSED ? ACTION_BLOCKED : ACTION_ALLOWED;
	r->would = r->action;
	r->id = worker_request_id(c->w, r->request_id);
	r->start_ns = c->started_ns;
	r->duration_us = (clock_mono_ns() - c->started_mono_ns) / 1000;
	r->bytes_out = out;
	r->bytes_in = in;
	r->distrust = c->distrusts;
	slice_copy(r->reason, sizeof(r->reason), slice_str(reason));
	(void)worker_record(c->w, r, false);
}

/* Without the query, which may hold a key. */
static struct slice path_of(const struct txn *t)
{
	long query = slice_find(t->head.target, SLICE("?"));

	return query < 0 ? t->head.target : slice_sub(t->head.target, 0, (size_t)query);
}

static void record_request(struct txn *t, struct record *r)
{
	record_conn(t->c, r);
	r->id = t->id;
	r->start_ns = t->start_ns;
	r->mode = t->decision.mode;
	r->sanctioned = t->decision.sanctioned;
	r->stream = t->message.stream;
	slice_copy(r->rule, sizeof(r->rule), slice_str(t->decision.rule));
	slice_copy(r->request_id, sizeof(r->request_id), slice_str(t->request_id));
	slice_copy(r->endpoint, sizeof(r->endpoint), slice_str(t->endpoint.name));
	slice_copy(r->dialect, sizeof(r->dialect), slice_str(t->dialect ? t->dialect->name : ""));
	slice_copy(r->method, sizeof(r->method), t->head.method);
	slice_copy(r->path, sizeof(r->path), t->path_found ? SLICE("[withheld]") : path_of(t));
	slice_copy(r->model, sizeof(r->model),
		   t->reply.model.len ? t->reply.model : t->downgrade.ptr ? t->downgrade : t->model_asked);
	if (!slice_is(t->model_asked, r->model))
		slice_copy(r->model_asked, sizeof(r->model_asked), t->model_asked);
	for (size_t i = 0; t->reserved && i < t->reservation.n && i < RECORD_BUDGETS; i++) {
		const struct budget_account *a = &t->reservation.held[i].account;

		slice_copy(r->budget[i].id, sizeof(r->budget[i].id), slice_str(a->id));
		r->budget[i].caller = a->caller;
		r->budget[i].window_s = a->window_s;
		r->n_budgets = (uint32_t)i + 1;
	}
}

int txn_open(struct txn *t)
{
	struct record *r = &t->c->w->record;
	int rc;

	record_request(t, r);
	r->kind = RECORD_OPEN;
	/* Only kept if the worker dies in mid-flight: the short form of who it was will do. */
	r->who.n_ancestors = 0;
	memset(r->who.ancestor, 0, sizeof(r->who.ancestor));
	r->reserved_microusd = t->reserve_microusd;
	r->reserved_tokens = t->reserve_tokens;
	rc = worker_record(t->c->w, r, false);
	t->opened = rc == 0;
	t->c->w->n_opened += t->opened;
	return rc;
}

/* What the exchange used: the provider's word, or an estimate, never nothing (dialects.md 0.9). */
static void usage_settle(struct txn *t, struct usage *u, bool *estimated)
{
	*u = t->reply.usage;
	*estimated = false;
	/* The provider's status, not ours: an answer that we block or lose was generated and is billed. */
	if (!t->endpoint.inference || !t->forwarded || t->reply_head.status >= 400) {
		u->input = MAX(u->input, (int64_t)0);
		u->output = MAX(u->output, (int64_t)0);
		return;
	}
	if (u->input < 0) {
		u->input = usage_estimate_input(t->dialect->name, t->message.prompt_bytes,
						t->message.n_tools > 0);
		*estimated = true;
	}
	if (u->output < 0 || (t->message.stream && !t->reply.ended && t->action == ACTION_FAILED)) {
		u->output = MAX(u->output, usage_estimate_output(t->dialect->name, t->reply.text_bytes));
		*estimated = true;
	}
}

static const char *action_word(enum dlp_action a)
{
	return a == DLP_BLOCK ? "block" : a == DLP_REDACT ? "redact" : "log";
}

static void record_findings(struct txn *t, struct record *r, const struct findings *f, const uint8_t *actions,
			    const char *where)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *type = dlp_type_name(t->rules->dlp, f->items[i].type);
		size_t k;

		if (actions && actions[f->items[i].type] == DLP_OFF)
			continue;
		metric_add(t->c->w->metrics, findings, 1);
		for (k = 0; k < r->n_findings; k++)
			if (strcmp(r->finding[k].type, type) == 0 && strcmp(r->finding[k].where, where) == 0)
				break;
		if (k == RECORD_FINDINGS)
			continue;
		if (k == r->n_findings) {
			slice_copy(r->finding[k].type, sizeof(r->finding[k].type), slice_str(type));
			slice_copy(r->finding[k].where, sizeof(r->finding[k].where), slice_str(where));
			slice_copy(r->finding[k].action, sizeof(r->finding[k].action),
				   slice_str(action_word(actions ? (enum dlp_action)actions[f->items[i].type] :
								   DLP_LOG)));
			r->n_findings++;
		}
		r->finding[k].count++;
	}
}

static void record_write(struct txn *t, const struct usage *u, bool estimated, int64_t cost)
{
	struct record *r = &t->c->w->record;
	uint64_t now = clock_mono_ns();

	record_request(t, r);
	r->kind = RECORD_EXCHANGE;
	r->action = t->action;
	r->would = MAX(t->would, t->action);
	r->duration_us = (now - t->start_mono_ns) / 1000;
	r->first_byte_us = t->first_byte_ns && t->sent_ns ? (t->first_byte_ns - t->sent_ns) / 1000 : 0;
	r->bytes_out = t->bytes_out;
	r->bytes_in = t->bytes_in;
	r->status = (uint32_t)t->status;
	r->upstream_status = (uint32_t)t->reply_head.status;
	r->input_tokens = u->input;
	r->output_tokens = u->output;
	r->cached_tokens = u->cached;
	r->cache_write_tokens = u->cache_write;
	r->reasoning_tokens = u->reasoning;
	r->cost_microusd = cost;
	r->estimated = estimated;
	r->priced = t->price != NULL;
	record_findings(t, r, &t->findings, t->decision.dlp_request, "request");
	record_findings(t, r, &t->fixed, t->decision.dlp_request, "request");
	record_findings(t, r, &t->reply_findings, t->decision.dlp_response, "response");
	if (!t->reply_findings.n)
		record_findings(t, r, &t->whole_findings, t->decision.dlp_response, "response");
	for (size_t i = 0; i < t->reply.n_tool_calls && i < RECORD_TOOLS; i++) {
		slice_copy(r->tool[i], sizeof(r->tool[i]), t->reply.tool_calls[i]);
		r->n_tools = (uint32_t)i + 1;
	}
	if (!t->reason[0] && t->warned >= 0)
		(void)snprintf(t->reason, sizeof(t->reason), "budget \"%s\" passed %u %%",
			       t->budget[t->warned]->id, t->budget[t->warned]->warn_percent);
	if (!t->reason[0] && t->over >= 0)
		(void)snprintf(t->reason, sizeof(t->reason), "budget \"%s\" is used up%s%.*s",
			       t->budget[t->over]->id, t->downgrade.ptr ? ": model changed to " : "",
			       SLICE_FMT(t->downgrade));
	slice_copy(r->reason, sizeof(r->reason), slice_str(t->reason));
	(void)worker_record(t->c->w, r, t->opened);
	t->c->w->n_opened -= t->opened;
}

static void settle(struct txn *t)
{
	struct metrics *m = t->c->w->metrics;
	const struct price *price = t->price;
	struct usage u;
	bool estimated;
	int64_t cost;

	if (t->finished)
		return;
	t->finished = true;
	usage_settle(t, &u, &estimated);
	cost = price ? price_cost(price, &u) : 0;
	if (t->reserved)
		budget_settle(t->c->w->budgets, &t->reservation, cost, u.input + u.output + u.unlisted);
	if (t->warned >= 0)
		log_warn("budget passed its warning line budget=%s percent=%u", t->budget[t->warned]->id,
			 t->budget[t->warned]->warn_percent);
	record_write(t, &u, estimated, cost);
	metric_add(m, exchanges, 1);
	metric_add(m, bytes_out, t->bytes_out);
	metric_add(m, bytes_in, t->bytes_in);
	if (t->action == ACTION_BLOCKED)
		metric_add(m, blocked, 1);
	if (t->action == ACTION_REDACTED)
		metric_add(m, redacted, 1);
}

void txn_finish(struct txn *t)
{
	struct conn *c = t->c;
	bool truncated = t->truncated;

	settle(t);
	c->keep_alive = t->head.keep_alive;
	c->txn = NULL;
	txn_free(t);
	if (truncated) {
		/* No close_notify, no last chunk: the client must see that something is missing. */
		sock_reset(c->client.watch.fd);
		conn_free(c);
		return;
	}
	http_idle(c);
}

void txn_abandon(struct txn *t)
{
	struct conn *c = t->c;

	if (!t->finished && t->complete) {
		if (!t->reason[0])
			(void)snprintf(t->reason, sizeof(t->reason), "%s",
				       c->w->stopping ? "sallyport was stopped" : "the client hung up");
		if (t->action == ACTION_ALLOWED)
			t->action = ACTION_FAILED;
	}
	settle(t);
	c->txn = NULL;
	txn_free(t);
}
