/*
 * The way back: head, body, end. A body that no rule may change goes on as it comes, with a copy to
 * read at the end; one that may be changed is held whole; an event stream is read event by event.
 */
#include "relay/txn.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool content_is(const struct http_head *h, const char *type)
{
	struct slice v = http_header(h, "content-type"), t = slice_str(type);

	return v.ptr && v.len >= t.len && slice_ieq(slice_sub(v, 0, t.len), t);
}

static bool is_text(const struct http_head *h)
{
	return content_is(h, "application/json") || content_is(h, "text/") ||
	       content_is(h, "application/x-ndjson") || content_is(h, "application/problem+json");
}

static enum reply_mode mode_of(const struct txn *t)
{
	if (t->reply_head.no_body || t->too_big || t->not_ai)
		return REPLY_PASS;
	if (content_is(&t->reply_head, "text/event-stream") && t->reply_coding == CODING_IDENTITY)
		return REPLY_STREAM;
	return t->edit_reply && is_text(&t->reply_head) ? REPLY_HOLD : REPLY_PASS;
}

int reply_send_head(struct txn *t)
{
	struct conn *c = t->c;
	struct http_head *h = &t->reply_head;

	/* QUIC would go round us: the provider must not advertise it (RFC 7838). */
	(void)http_header_set(h, "alt-svc", (struct slice){ NULL, 0 }, &t->arena);
	t->status = h->status;
	if (!h->keep_alive)
		t->head.keep_alive = false;
	return c->client.codec->ops->send_head(c->client.codec, 0, h, &c->client.out);
}

int reply_send_data(struct txn *t, struct slice d)
{
	struct conn *c = t->c;

	return d.len ? c->client.codec->ops->send_data(c->client.codec, 0, d, &c->client.out) : 0;
}

static int send_end(struct txn *t)
{
	struct conn *c = t->c;

	t->reply_done = true;
	return c->client.codec->ops->send_end(c->client.codec, 0, &c->client.out);
}

int reply_on_head(struct txn *t, struct http_head *h)
{
	struct slice coding;
	int r;

	if (h->status < 200)
		return 0; /* 100: we asked for the body ourselves; 103: a hint that may be dropped */
	if (!t->first_byte_ns)
		t->first_byte_ns = loop_now_ns(t->c->w->loop);
	r = http_head_copy(h, &t->arena, &t->reply_head);
	if (r < 0)
		return r;
	t->c->upstream_keep = h->keep_alive;
	coding = http_header(h, "content-encoding");
	t->reply_coding = coding.ptr ? encoding_of(coding) : CODING_IDENTITY;
	t->mode = mode_of(t);
	/* An HTTP/1.0 client cannot read chunks: it gets the bytes and the end of the connection. */
	if (t->head.minor == 0 && t->reply_head.chunked) {
		r = http_head_frame(&t->reply_head, &t->arena, -2);
		t->head.keep_alive = false;
	}
	if (r == 0 && t->mode == REPLY_STREAM)
		r = stream_start(t);
	if (r == 0 && t->mode != REPLY_HOLD)
		r = reply_send_head(t);
	return r;
}

int reply_on_data(struct txn *t, struct slice d)
{
	int r = 0;

	t->bytes_in += d.len;
	if (t->mode == REPLY_STREAM)
		return t->reply_done ? 0 : stream_feed(t, d);
	if (!t->reply_copy_full && !t->not_ai && is_text(&t->reply_head)) {
		r = buf_append(&t->reply_body, d);
		if (r == -ENOBUFS) {
			t->reply_copy_full = true;
			r = 0;
			if (t->mode == REPLY_HOLD)
				return -EFBIG;
		}
	}
	if (r == 0 && t->mode == REPLY_PASS)
		r = reply_send_data(t, d);
	return r;
}

/* The answer as text: decoded when it came with a content coding. */
static int body_text(struct txn *t, struct buf *plain, struct slice *out)
{
	struct decoder *d = NULL;
	int r;

	*out = buf_slice(&t->reply_body);
	if (t->reply_coding == CODING_IDENTITY || !out->len)
		return 0;
	if (t->reply_coding == CODING_UNKNOWN || t->reply_copy_full)
		return -EPROTONOSUPPORT;
	r = decoder_new(t->reply_coding, &d);
	if (r == 0)
		r = decoder_feed(d, *out, plain);
	if (r == 0)
		r = decoder_end(d);
	decoder_free(d);
	*out = buf_slice(plain);
	return r;
}

/* A gzip-coded event stream that passed by: read for its usage all the same. */
static int copied_event(void *ctx, const struct sse_event *e)
{
	struct txn *t = ctx;
	struct jdoc doc;

	if (!e->data.ptr || !e->data.len)
		return 0;
	if (jspan_parse(e->data, &t->arena, &doc) < 0)
		doc = (struct jdoc){ .text = e->data };
	t->reply.n_parts = 0;
	return t->dialect->read_event(&t->reply, e->name, &doc, &t->arena, &t->arena);
}

static int read_copy(struct txn *t, struct slice text, struct jdoc *doc)
{
	int r;

	if (content_is(&t->reply_head, "text/event-stream")) {
		struct sse s;

		sse_init(&s);
		r = sse_feed(&s, text, copied_event, t);
		if (r == 0)
			r = sse_end(&s, copied_event, t);
		sse_done(&s);
		return r;
	}
	r = jspan_parse(text, &t->arena, doc);
	if (r == 0)
		return t->dialect->read_reply(&t->reply, doc, &t->arena);
	doc->n = 0;
	return r == -ENOMEM ? r : reply_part(&t->reply, &t->arena, (struct part){ .node = UINT32_MAX });
}

/* Held answer: out it goes, masked where the policy says so. */
static int send_held(struct txn *t, struct slice text, const struct jdoc *doc)
{
	const uint8_t *actions = t->decision.dlp_response;
	enum dlp_action worst = inspect_strictest(&t->reply_findings, actions);
	struct splice *s;
	size_t n;
	int r;

	if (worst == DLP_BLOCK)
		return txn_refuse(t, 400, "content_policy_violation",
				  "the provider's answer held data that the policy blocks");
	if (worst == DLP_REDACT) {
		r = act_splices(t, doc, t->reply.parts, &t->reply_findings, actions, &s, &n);
		if (r == -EACCES)
			return txn_refuse(t, 400, "content_policy_violation",
					  "the provider's answer held data to be masked inside a signed block");
		if (r == 0)
			r = splice_apply(text, s, n, &t->edited_reply);
		if (r < 0)
			return r;
		t->action = ACTION_REDACTED;
		text = buf_slice(&t->edited_reply);
		(void)http_header_set(&t->reply_head, "content-encoding", (struct slice){ NULL, 0 },
				      &t->arena);
		(void)http_header_set(&t->reply_head, "etag", (struct slice){ NULL, 0 }, &t->arena);
	} else {
		text = buf_slice(&t->reply_body);
	}
	r = http_head_frame(&t->reply_head, &t->arena, (int64_t)text.len);
	if (r == 0)
		r = reply_send_head(t);
	if (r == 0)
		r = reply_send_data(t, text);
	return r == 0 ? send_end(t) : r;
}

int reply_on_end(struct txn *t)
{
	struct jdoc doc = { 0 };
	struct buf plain;
	struct slice text;
	int r;

	if (!t->mode)
		return 0; /* the end of an interim response */
	if (t->mode == REPLY_STREAM) {
		r = t->reply_done ? 0 : stream_end(t);
		return r == 0 && !t->reply_done ? send_end(t) : r;
	}
	buf_init(&plain, t->reply_body.max);
	r = body_text(t, &plain, &text);
	if (r == 0 && text.len)
		r = read_copy(t, text, &doc);
	if (r == 0 && t->reply.n_parts)
		r = inspect_parts(t, t->decision.dlp_response, &doc, text, t->reply.parts, t->reply.n_parts,
				  &t->reply_findings);
	if (r < 0 && t->mode == REPLY_PASS) {
		/* It is out already: nothing to refuse, and no second answer may follow the first. */
		log_warn("answer not read error=\"%s\" request=%s host=%s", strerror(-r), t->request_id,
			 t->c->host);
		if (!t->reason[0])
			(void)snprintf(t->reason, sizeof(t->reason), "answer passed without inspection (%s)",
				       strerror(-r));
		t->reply_findings.n = 0;
		r = 0;
	} else if (r < 0) {
		r = txn_fail(t, "reply", r);
		t->reply_findings.n = r == 0 ? 0 : t->reply_findings.n;
	}
	if (r == 0 && t->mode == REPLY_HOLD)
		r = send_held(t, text, &doc);
	else if (r == 0)
		r = send_end(t);
	buf_done(&plain);
	/* An answer of our own ended the transaction; the codec only needs to know that it went well. */
	return r == TXN_ANSWERED ? 0 : r;
}

void reply_broken(struct txn *t, const char *why)
{
	struct conn *c = t->c;
	bool begun = t->mode == REPLY_STREAM || t->mode == REPLY_PASS;

	conn_upstream_close(c);
	metric_add(c->w->metrics, failed, 1);
	if (!begun && t->complete) {
		(void)txn_refuse(t, strcmp(why, "the provider stalled") == 0 ? 504 : 502,
				 "upstream_failed", "%s, and no answer came", why);
		if (c->txn && c->state != CONN_DEAD)
			txn_finish(c->txn);
		return;
	}
	/* Something is out already: end it so that no client takes it for a whole answer. */
	(void)snprintf(t->reason, sizeof(t->reason), "%s in the middle of the answer", why);
	t->action = ACTION_FAILED;
	t->head.keep_alive = false;
	if (t->mode == REPLY_STREAM)
		stream_break(t, "upstream_failed", t->reason);
	else
		t->truncated = true;
	t->reply_done = true;
	txn_finish(t);
}
