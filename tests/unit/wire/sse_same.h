/*
 * Event streams in cuts: whatever the pieces, the same events with the same bytes. Shared by the unit
 * test and the fuzzer.
 */
#ifndef TESTS_SSE_SAME_H
#define TESTS_SSE_SAME_H

#include "wire/sse.h"

#include <errno.h>
#include <stdlib.h>

/* All that was said of a stream: "name|data|start,end|raw bytes" a line, or the raws alone. */
struct sse_heard {
	struct buf events, raw;
	bool wrong;  /* an event contradicted itself */
};

static int sse_hear(void *ctx, const struct sse_event *e)
{
	struct sse_heard *h = ctx;

	if (e->data_end && !slice_eq(slice_sub(e->raw, e->data_start, e->data_end), e->data))
		h->wrong = true;
	(void)buf_append(&h->events, e->name);
	(void)buf_str(&h->events, "|");
	(void)buf_append(&h->events, e->data.ptr ? e->data : SLICE("(none)"));
	(void)buf_printf(&h->events, "|%zu,%zu|%zu\n", e->data_start, e->data_end, e->raw.len);
	(void)buf_append(&h->raw, e->raw);
	return 0;
}

/* Feeds `in` in pieces; next_len(ctx) says how long each may be, NULL: whole. Ends the stream. */
static int sse_run(struct slice in, size_t (*next_len)(void *ctx), void *ctx, struct sse_heard *h)
{
	struct slice rest = in;
	struct sse s;
	int r = 0;

	sse_init(&s);
	buf_init(&h->events, 64 << 20);
	buf_init(&h->raw, 64 << 20);
	h->wrong = false;
	while (rest.len && r == 0) {
		size_t n = next_len ? MIN(rest.len, 1 + next_len(ctx)) : rest.len;
		char *copy = malloc(n); /* exactly its length, and gone after the call */

		memcpy(copy, rest.ptr, n);
		r = sse_feed(&s, slice_of(copy, n), sse_hear, h);
		free(copy);
		rest = slice_from(rest, n);
	}
	if (r == 0)
		r = sse_end(&s, sse_hear, h);
	sse_done(&s);
	if (r == 0 && !slice_eq(buf_slice(&h->raw), in))
		h->wrong = true;
	return r;
}

static void sse_heard_done(struct sse_heard *h)
{
	buf_done(&h->events);
	buf_done(&h->raw);
}

/* NULL, or what differs between the whole and the cut stream. */
static const char *sse_differs(struct slice in, size_t (*next_len)(void *ctx), void *ctx)
{
	struct sse_heard whole, cut;
	const char *how = NULL;
	int a = sse_run(in, NULL, NULL, &whole), b = sse_run(in, next_len, ctx, &cut);

	if (a != b)
		how = "the verdict depends on the cuts";
	else if (whole.wrong || cut.wrong)
		how = "the raws are not the stream, or data is not where it is said to be";
	else if (!slice_eq(buf_slice(&whole.events), buf_slice(&cut.events)))
		how = "the events depend on the cuts";
	sse_heard_done(&whole);
	sse_heard_done(&cut);
	return how;
}

#endif
