/* The story of a request, stage by stage, and the one function that says what a failure means. */
#include "relay/txn.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	int (*run)(struct txn *t);
} request_story[] = {
	{ "read", request_read },       /* wire, dialect: bytes become a message        */
	{ "decide", request_decide },   /* policy: facts become a decision              */
	{ "inspect", request_inspect }, /* dlp: the message yields findings             */
	{ "reserve", request_reserve }, /* spend: hold the worst case, learn the budget */
	{ "act", request_act },         /* redact, change the model, refuse             */
	{ "forward", request_forward }, /* out to the provider                          */
};

#define SPARE_MAX 64          /* ended transactions a worker keeps for reuse */
#define SPARE_BUF (32U << 10) /* a buffer that grew beyond this is not kept */

static struct buf *const *txn_bufs(struct txn *t, struct buf *out[5])
{
	out[0] = &t->body;
	out[1] = &t->plain;
	out[2] = &t->edited;
	out[3] = &t->reply_body;
	out[4] = &t->edited_reply;
	return out;
}

/* A fresh one, or one that ended, with its buffers and the first chunk of its arenas. */
static struct txn *txn_get(struct worker *w)
{
	struct txn *t = w->spare, old;
	struct buf *to[5], *from[5];

	if (!t)
		return calloc(1, sizeof(*t));
	w->spare = t->next_spare;
	w->n_spare--;
	(void)txn_bufs(t, to);
	(void)txn_bufs(&old, from);
	for (size_t i = 0; i < ARRAY_LEN(to); i++)
		*from[i] = *to[i];
	old.arena = t->arena;
	old.event_arena = t->event_arena;
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < ARRAY_LEN(to); i++)
		*to[i] = *from[i];
	t->arena = old.arena;
	t->event_arena = old.event_arena;
	return t;
}

static void txn_destroy(struct txn *t)
{
	struct buf *b[5];

	(void)txn_bufs(t, b);
	for (size_t i = 0; i < ARRAY_LEN(b); i++)
		buf_done(b[i]);
	arena_done(&t->event_arena);
	arena_done(&t->arena);
	free(t);
}

void txn_spare_done(struct worker *w)
{
	while (w->spare) {
		struct txn *t = w->spare;

		w->spare = t->next_spare;
		txn_destroy(t);
	}
	w->n_spare = 0;
}

int txn_new(struct conn *c, struct txn **out)
{
	struct txn *t = txn_get(c->w);

	if (!t)
		return -ENOMEM;
	t->c = c;
	t->rules = snapshot_ref(c->w->rules);
	t->start_ns = clock_wall_ns();
	t->start_mono_ns = loop_now_ns(c->w->loop);
	t->id = worker_request_id(c->w, t->request_id);
	t->over = t->warned = -1;
	t->reply.usage = USAGE_NONE;
	t->arena.max = t->event_arena.max = TXN_ARENA_MAX;
	t->body.max = t->plain.max = t->reply_body.max = c->w->setup.max_body;
	t->edited.max = t->edited_reply.max = (size_t)c->w->setup.max_body * 2;
	t->findings.arena = t->fixed.arena = t->reply_findings.arena = t->whole_findings.arena = &t->arena;
	t->decision = c->decision;
	*out = t;
	return 0;
}

void txn_free(struct txn *t)
{
	struct worker *w;
	struct buf *b[5];

	if (!t)
		return;
	w = t->c->w;
	stream_free(t);
	snapshot_unref(t->rules);
	if (w->n_spare >= SPARE_MAX) {
		txn_destroy(t);
		return;
	}
	(void)txn_bufs(t, b);
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		buf_clear(b[i]);
		if (b[i]->cap > SPARE_BUF)
			buf_done(b[i]);
	}
	arena_reset(&t->arena);
	arena_reset(&t->event_arena);
	t->next_spare = w->spare;
	w->spare = t;
	w->n_spare++;
}

int txn_step(struct txn *t)
{
	for (; t->stage < ARRAY_LEN(request_story); t->stage++) {
		int r = request_story[t->stage].run(t);

		if (r == -EAGAIN || r == TXN_ANSWERED)
			return r;
		if (r < 0) {
			r = txn_fail(t, request_story[t->stage].name, r);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

int txn_fail(struct txn *t, const char *stage, int error)
{
	bool closed = t->decision.mode == SP_MODE_ENFORCE && t->decision.fail_closed;

	metric_add(t->c->w->metrics, failed, 1);
	log_warn("stage failed stage=%s error=\"%s\" request=%s host=%s outcome=%s", stage,
		 strerror(-error), t->request_id, t->c->host, closed ? "refused" : "passed");
	if (closed)
		return txn_refuse(t, 400, "inspection_failed",
				  "this request could not be inspected (%s: %s), and the rule \"%s\" fails closed",
				  stage, strerror(-error), t->decision.rule);
	if (!t->reason[0])
		(void)snprintf(t->reason, sizeof(t->reason), "passed without inspection (%s: %s)", stage,
			       strerror(-error));
	return 0;
}

/* The cap is passed: what the policy says of the rest, from the head alone. */
static int body_too_big(struct txn *t)
{
	int r = request_target(t);

	if (r == 0 && !t->not_ai)
		r = txn_fail(t, "read", -EFBIG);
	if (r == 0)
		r = request_decide(t);
	if (r == 0 && !t->not_ai && t->decision.mode == SP_MODE_ENFORCE &&
	    t->decision.verdict == VERDICT_BLOCK)
		r = request_act(t);
	return r;
}

int txn_body(struct txn *t, struct slice d)
{
	struct conn *c = t->c;
	int r;

	if (t->refused)
		return 0;
	if (!t->too_big) {
		r = buf_append(&t->body, d);
		if (r != -ENOBUFS)
			return r;
		t->too_big = true;
		r = body_too_big(t);
		if (r != 0)
			return r == TXN_ANSWERED ? 0 : r;
	}
	if (!t->forwarded) {
		/* Sent by forward_big(), once nothing runs on the codec; until then no more is read. */
		t->body.max = buf_size(&t->body) + d.len;
		return buf_append(&t->body, d);
	}
	r = c->upstream.codec ? c->upstream.codec->ops->send_data(c->upstream.codec, 0, d,
								  &c->upstream.out) :
				-EPIPE;
	t->bytes_out += d.len;
	if (r == 0)
		r = http_flush(c, &c->upstream);
	if (buf_size(&c->upstream.out) > OUT_HIGH)
		c->client.paused = true;
	return r;
}
