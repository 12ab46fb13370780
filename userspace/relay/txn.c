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

int txn_new(struct conn *c, struct txn **out)
{
	struct txn *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->c = c;
	t->rules = snapshot_ref(c->w->rules);
	t->start_ns = clock_wall_ns();
	t->start_mono_ns = loop_now_ns(c->w->loop);
	t->id = worker_request_id(c->w, t->request_id);
	t->over = t->warned = -1;
	t->reply.usage = USAGE_NONE;
	arena_init(&t->arena, TXN_ARENA_MAX);
	arena_init(&t->event_arena, TXN_ARENA_MAX);
	buf_init(&t->body, c->w->setup.max_body);
	buf_init(&t->plain, c->w->setup.max_body);
	buf_init(&t->edited, (size_t)c->w->setup.max_body * 2);
	buf_init(&t->reply_body, c->w->setup.max_body);
	buf_init(&t->edited_reply, (size_t)c->w->setup.max_body * 2);
	t->findings.arena = t->reply_findings.arena = t->whole_findings.arena = &t->arena;
	t->decision = c->decision;
	*out = t;
	return 0;
}

void txn_free(struct txn *t)
{
	if (!t)
		return;
	stream_free(t);
	buf_done(&t->body);
	buf_done(&t->plain);
	buf_done(&t->edited);
	buf_done(&t->reply_body);
	buf_done(&t->edited_reply);
	arena_done(&t->event_arena);
	arena_done(&t->arena);
	snapshot_unref(t->rules);
	free(t);
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
		t->dialect = dialect_find(NULL);
		r = txn_fail(t, "read", -EFBIG);
		if (r != 0)
			return r == TXN_ANSWERED ? 0 : r;
		r = request_decide(t);
		if (r == 0)
			r = forward_start(t);
		if (r < 0)
			return r;
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
