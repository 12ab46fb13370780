/*
 * A reply from its bytes, whole or as text/event-stream, in any cuts: frames it, parses each piece
 * and asks the dialect. For whoever reads a whole exchange: `sallyport exchange`, the tests.
 */
#ifndef DIALECT_READER_H
#define DIALECT_READER_H

#include "base/buf.h"
#include "dialect/dialect.h"
#include "wire/sse.h"

struct reader {
	const struct dialect *dialect;
	struct arena *keep;      /* the exchange's: model, tool names */
	struct reply reply;
	bool stream;
	/*
	 * Called after the dialect has read a piece: r->reply.parts are those of `doc` (n 0: not
	 * JSON, its text is raw). e: the event, NULL for a whole body. Both live until it returns;
	 * non-zero stops and is returned by the feeding function. NULL: nobody asks.
	 */
	int (*fn)(void *ctx, struct reader *r, const struct sse_event *e, const struct jdoc *doc);
	void *ctx;
	/* its own */
	struct arena piece;      /* dies with each event */
	struct sse sse;
	struct buf body;
};

/* body_max: bytes a whole body may have. */
void reader_init(struct reader *r, const struct dialect *d, bool stream, struct arena *keep,
		 size_t body_max);
void reader_done(struct reader *r);
/* Decoded content bytes. 0, fn's value, -ENOBUFS (body over its bound), -EMSGSIZE (event too long),
 * -ENOMEM. */
int reader_feed(struct reader *r, struct slice in);
/* The body ended: a whole body is read now, a last event without its blank line too. */
int reader_end(struct reader *r);

/* Does this Content-Type say text/event-stream? */
bool reader_is_stream(struct slice content_type);

#endif
