/*
 * text/event-stream (WHATWG HTML 9.2): bytes in any cuts -> events, each with the exact raw bytes it
 * came in (comments and blank lines included), so that an event that is not edited leaves unchanged.
 * Every blank line ends an event, also one without data (comments, stray blank lines: data.ptr is
 * NULL); the raws of all events together are the stream.
 */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include "base/buf.h"
#include "base/slice.h"

#define SSE_EVENT_MAX (8U << 20) /* bytes of one event */

struct sse_event {
	struct slice raw;   /* everything from the end of the last event to the end of this one */
	struct slice name;  /* value of the event: field; len 0 none */
	struct slice data;  /* data: lines joined by LF; ptr NULL when there was none (a comment only) */
	/* One data: line (nearly always): where `data` stands inside `raw`; else 0, 0. */
	size_t data_start, data_end;
};

struct sse {
	struct buf pending;  /* bytes of an event that is not complete */
	struct buf joined;   /* multi-line data */
	size_t scanned;      /* bytes of pending known to hold no event end */
	bool begun;          /* the first event is behind us: no BOM any more */
};

void sse_init(struct sse *s);
void sse_done(struct sse *s);
/*
 * Feeds bytes; calls fn for each complete event; slices live until fn returns. LF, CRLF and CR all
 * end lines; a BOM at the start is skipped. Non-zero from fn stops and is returned.
 * 0, -EMSGSIZE (an event over SSE_EVENT_MAX), -ENOMEM.
 */
int sse_feed(struct sse *s, struct slice in, int (*fn)(void *ctx, const struct sse_event *e),
	     void *ctx);
/* End of stream: the last event may lack its blank line (dialects.md 0.3). */
int sse_end(struct sse *s, int (*fn)(void *ctx, const struct sse_event *e), void *ctx);

#endif
