/*
 * Runs bytes through an HTTP/1.1 codec as an owner would, and notes what it said as one line of
 * text. Shared by the unit test (the table's events column) and the fuzzers.
 */
#ifndef TESTS_H1_RUN_H
#define TESTS_H1_RUN_H

#include "wire/codec.h"

#include <stdlib.h>

enum h1_side { H1_REQUESTS, H1_RESPONSES, H1_ANSWER_TO_HEAD };

struct h1_trace {
	struct buf text;
	bool in_body;
	int pause;   /* returned from every event */
	int wrong;   /* events out of order, or a head that breaks its own promises */
	bool in_message;
};

static void h1_body_close(struct h1_trace *t)
{
	if (t->in_body)
		(void)buf_str(&t->text, "]");
	t->in_body = false;
}

static int h1_on_head(void *ctx, uint32_t stream, struct http_head *h)
{
	struct h1_trace *t = ctx;

	(void)stream;
	if (t->in_message || (h->chunked && h->content_length >= 0) ||
	    h->n_headers > HTTP_HEADERS_MAX)
		t->wrong++;
	t->in_message = h->method.ptr || h->status >= 200 || h->status == 101;
	(void)buf_str(&t->text, buf_size(&t->text) ? " " : "");
	if (h->method.ptr)
		(void)buf_printf(&t->text, "%.*s %.*s %.*s", SLICE_FMT(h->method),
				 SLICE_FMT(h->target),
				 SLICE_FMT(h->authority.ptr ? h->authority : SLICE("-")));
	else
		(void)buf_printf(&t->text, "%d", h->status);
	(void)buf_str(&t->text, h->keep_alive ? "" : " close");
	if (h->content_length >= 0)
		(void)buf_printf(&t->text, " cl=%lld", (long long)h->content_length);
	(void)buf_str(&t->text, h->chunked ? " chunked" : "");
	(void)buf_str(&t->text, h->expect_continue ? " 100" : "");
	(void)buf_str(&t->text, h->upgrade ? " upgrade" : "");
	(void)buf_str(&t->text, h->no_body ? " nobody" : "");
	return t->pause;
}

static int h1_on_data(void *ctx, uint32_t stream, struct slice d)
{
	struct h1_trace *t = ctx;

	(void)stream;
	t->wrong += !t->in_message || !d.len;
	if (!t->in_body)
		(void)buf_str(&t->text, " [");
	t->in_body = true;
	(void)buf_append(&t->text, d);
	return t->pause;
}

static int h1_on_end(void *ctx, uint32_t stream)
{
	struct h1_trace *t = ctx;

	(void)stream;
	t->wrong += !t->in_message;
	t->in_message = false;
	h1_body_close(t);
	(void)buf_str(&t->text, " .");
	return t->pause;
}

static const struct codec_events h1_tracing = { h1_on_head, h1_on_data, h1_on_end };

/* What a run ended in; h1_verdict_done() frees it. */
struct h1_verdict {
	int r, status, wrong;
	const char *why;
	struct buf trace;
};

/* Hands bytes over again that were not taken, and asks for the next message when nothing is. */
static ssize_t h1_feed_all(struct codec *c, struct slice in, size_t (*next_len)(void *ctx),
			   void *ctx, int *stuck)
{
	size_t at = 0, given = 0;
	ssize_t n = 0;

	*stuck = 0;
	while (at < in.len && n >= 0 && *stuck < 3) {
		char *copy;

		if (given <= at)
			given = next_len ? MIN(in.len, at + 1 + next_len(ctx)) : in.len;
		copy = malloc(given - at); /* exactly its length, and gone after the call */
		memcpy(copy, in.ptr + at, given - at);
		n = c->ops->feed(c, slice_of(copy, given - at));
		free(copy);
		if (n > 0)
			at += (size_t)n;
		*stuck = n == 0 ? *stuck + 1 : 0;
		if (n == 0)
			c->ops->next(c);
	}
	return n;
}

/* One stream from its start to its end, in pieces of 1 + next_len(ctx) bytes (NULL: whole). */
static struct h1_verdict h1_run(enum h1_side side, struct slice in, size_t (*next_len)(void *ctx),
				void *ctx, int pause)
{
	struct h1_trace t = { .pause = pause };
	struct h1_verdict v = { 0 };
	struct codec *c = NULL;
	int stuck;
	ssize_t n;

	buf_init(&t.text, 16 << 20);
	if (side == H1_REQUESTS) {
		(void)h1_requests(&h1_tracing, &t, &c);
	} else {
		(void)h1_responses(&h1_tracing, &t, &c);
		h1_expect_head(c, side == H1_ANSWER_TO_HEAD);
	}
	n = h1_feed_all(c, in, next_len, ctx, &stuck);
	if (n >= 0)
		n = c->ops->eof(c);
	h1_body_close(&t);
	if (stuck >= 3)
		(void)buf_str(&t.text, " opaque");
	(void)buf_append(&t.text, slice_of("", 1));
	v.r = n < 0 ? (int)n : 0;
	v.status = n < 0 ? c->status : 0;
	v.why = n < 0 ? c->why : "";
	v.wrong = t.wrong + (n >= 0 && t.in_message);
	v.trace = t.text;
	c->ops->free(c);
	return v;
}

static void h1_verdict_done(struct h1_verdict *v)
{
	buf_done(&v->trace);
}

#endif
