/* Stages "decide" and "act": the policy's word, and what it does to the request. */
#include "relay/txn.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int request_decide(struct txn *t)
{
	struct conn *c = t->c;
	const uint8_t *a;

	t->facts = (struct facts){
		.who = &c->caller->who,
		.provider = c->match.provider ? c->match.provider->id : "",
		.host = slice_str(c->host),
		.endpoint = t->endpoint.name,
		.dialect = t->dialect->name,
		.model = t->message.model,
		.method = t->head.method,
		.path = t->head.target,
	};
	policy_decide(t->rules->policy, &t->facts, &t->decision);
	a = t->decision.dlp_response;
	for (size_t i = 0; i < dlp_n_types(t->rules->dlp) && !t->edit_reply && !t->not_ai; i++)
		t->edit_reply = t->decision.mode == SP_MODE_ENFORCE && a[i] >= DLP_REDACT;
	return 0;
}

/* ---- refusing ---- */

const char *txn_status_words(int status)
{
	switch (status) {
	case 421:
		return "Misdirected Request";
	case 426:
		return "Upgrade Required";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 502:
		return "Bad Gateway";
	case 504:
		return "Gateway Timeout";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}

static int refusal_send(struct txn *t, int status, const struct slice body)
{
	struct conn *c = t->c;
	struct buf *out = &c->client.out;
	int r;

	r = buf_printf(out,
		       "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		       "x-sallyport-request-id: %s\r\nx-sallyport-rule: %s\r\nx-should-retry: %s\r\n%s%s\r\n",
		       status, txn_status_words(status), body.len, t->request_id,
		       t->decision.rule ? t->decision.rule : "-",
		       status >= 500 && !c->upstream_untrusted ? "true" : "false",
		       status == 426 ? "Upgrade: HTTP/1.1\r\nConnection: upgrade\r\n" : "",
		       t->head.keep_alive ? "" : "Connection: close\r\n");
	if (r == 0 && !slice_ieq(t->head.method, SLICE("HEAD")))
		r = buf_append(out, body);
	return r == 0 ? http_flush(c, &c->client) : r;
}

int txn_refuse(struct txn *t, int status, const char *code, const char *fmt, ...)
{
	/* Whom to ask about the policy; a provider's trouble is none of theirs. */
	const char *contact = status >= 500 ? "" : policy_contact(t->rules->policy);
	struct refusal f = { .code = code, .request_id = slice_str(t->request_id) };
	struct buf body;
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(t->reason, sizeof(t->reason), fmt, ap);
	va_end(ap);
	f.message = arena_printf(&t->arena, "sallyport: %s.%s%s%s Reference: %s.", t->reason,
				 *contact ? " Ask " : "", contact, *contact ? "." : "", t->request_id);
	buf_init(&body, 64U << 10);
	if (!t->dialect)
		t->dialect = dialect_find(NULL);
	r = f.message.ptr ? t->dialect->write_refusal(&f, &body) : -ENOMEM;
	if (r == 0)
		r = refusal_send(t, status, buf_slice(&body));
	buf_done(&body);
	t->refused = true;
	t->status = status;
	t->action = status >= 500 ? ACTION_FAILED : ACTION_BLOCKED;
	t->would = t->action;
	if (r < 0) {
		conn_free(t->c);
		return TXN_ANSWERED;
	}
	/* A request that still arrives is read to its end, so that the answer is not lost to a reset. */
	t->reply_done = true;
	if (t->complete && !t->forwarded)
		txn_finish(t);
	return TXN_ANSWERED;
}

/* ---- editing ---- */

/* The splice that masks finding f in its part; -EACCES where the part may not be changed. */
static int mask(struct txn *t, const struct jdoc *doc, const struct part *part, const struct finding *f,
		struct splice *out)
{
	struct slice with = dlp_mask(t->rules->dlp, f->type);

	if (part->frozen)
		return -EACCES;
	if (part->node == UINT32_MAX) {
		*out = (struct splice){ f->start, f->end, with };
		return 0;
	}
	struct jcursor at = { 0 };
	const struct jnode *n = &doc->nodes[part->node];
	uint32_t start = jspan_raw_offset(doc, n, f->start, &at);
	uint32_t end = jspan_raw_offset(doc, n, f->end, &at);

	*out = (struct splice){ n->start + start, n->start + end, with };
	return 0;
}

int act_splices(struct txn *t, const struct jdoc *doc, const struct part *parts,
		const struct findings *f, const uint8_t *actions, struct splice **out, size_t *n)
{
	struct splice *s = arena_array(&t->arena, struct splice, f->n + 3);

	*n = 0;
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < f->n; i++) {
		int r;

		if (actions[f->items[i].type] != DLP_REDACT)
			continue;
		r = mask(t, doc, &parts[f->items[i].part], &f->items[i], &s[*n]);
		if (r < 0)
			return r;
		(*n)++;
	}
	*out = s;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct splice *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* "2 CREDIT_CARD, 1 AWS_KEY": types and counts, never the text. */
static void findings_text(const struct txn *t, const struct findings *f, const uint8_t *actions,
			  char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < f->n && len < size; i++) {
		unsigned count = 0;
		bool seen = false;

		if (actions[f->items[i].type] != DLP_BLOCK)
			continue;
		for (size_t k = 0; k < f->n; k++) {
			if (f->items[k].type == f->items[i].type) {
				seen = seen || k < i;
				count++;
			}
		}
		if (!seen)
			len += (size_t)snprintf(out + len, size - len, "%s%u %s", len ? ", " : "", count,
						dlp_type_name(t->rules->dlp, f->items[i].type));
	}
}

static int edit(struct txn *t)
{
	struct splice *s, usage;
	size_t n;
	int r = act_splices(t, &t->message.doc, t->message.parts, &t->findings, t->decision.dlp_request, &s,
			    &n);

	if (r < 0)
		return r;
	if (n)
		t->action = ACTION_REDACTED;
	if (t->downgrade.ptr) {
		const struct jnode *m = &t->message.doc.nodes[t->message.model_node];
		struct buf escaped;

		buf_init(&escaped, 4096);
		r = jspan_escape(t->downgrade, &escaped);
		s[n++] = (struct splice){ m->start, m->end, arena_dup(&t->arena, buf_slice(&escaped)) };
		buf_done(&escaped);
	}
	if (r == 0 && t->reserved && !t->signs_body && t->dialect->ask_usage &&
	    t->dialect->ask_usage(&t->message, &t->arena, &usage) == 1) {
		s[n++] = usage;
		t->asked_usage = true;
	}
	if (r < 0 || !n)
		return r;
	qsort(s, n, sizeof(*s), by_start);
	return splice_apply(t->text, s, n, &t->edited);
}

/* What enforce would do, for the record of monitor mode. */
static uint32_t would_do(const struct txn *t, enum dlp_action worst)
{
	if (t->decision.verdict == VERDICT_BLOCK || worst == DLP_BLOCK ||
	    (t->over >= 0 && !t->budget[t->over]->downgrade))
		return ACTION_BLOCKED;
	return worst == DLP_REDACT ? ACTION_REDACTED : ACTION_ALLOWED;
}

static uint16_t strictest_type(const struct findings *f, const uint8_t *actions)
{
	size_t best = 0;

	for (size_t i = 1; i < f->n; i++)
		if (actions[f->items[i].type] > actions[f->items[best].type])
			best = i;
	return f->items[best].type;
}

int request_act(struct txn *t)
{
	enum dlp_action worst = inspect_strictest(&t->findings, t->decision.dlp_request);
	enum dlp_action fixed = inspect_strictest(&t->fixed, t->decision.dlp_request);
	int r;

	t->would = would_do(t, fixed >= DLP_REDACT ? DLP_BLOCK : worst);
	if (t->decision.mode != SP_MODE_ENFORCE || t->not_ai)
		return 0;
	if (t->decision.verdict == VERDICT_BLOCK)
		return txn_refuse(t, 400, "policy_violation", "blocked by rule \"%s\"%s%s",
				  t->decision.rule, t->decision.reason && *t->decision.reason ? ": " : "",
				  t->decision.reason ? t->decision.reason : "");
	if (worst == DLP_BLOCK) {
		char what[128];

		findings_text(t, &t->findings, t->decision.dlp_request, what, sizeof(what));
		return txn_refuse(t, 400, "content_policy_violation",
				  "the request holds %s, which must not leave this machine", what);
	}
	if (fixed >= DLP_REDACT)
		return txn_refuse(t, 400, "content_policy_violation",
				  "the request holds %s in its address, a name or a number, where it cannot be masked",
				  dlp_type_name(t->rules->dlp, strictest_type(&t->fixed, t->decision.dlp_request)));
	if (t->over >= 0 && !t->reserved)
		return txn_refuse(t, 400, "budget_exceeded", "the budget \"%s\" is used up for this %s",
				  t->budget[t->over]->id, t->budget[t->over]->monthly ? "month" : "day");
	if (worst == DLP_REDACT && t->signs_body)
		return txn_refuse(t, 400, "content_policy_violation",
				  "the request holds data to be masked, but its body is signed");
	r = edit(t);
	if (r == -EACCES)
		return txn_refuse(t, 400, "content_policy_violation",
				  "the request holds data to be masked inside a signed block");
	return r;
}
