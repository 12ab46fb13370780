/* What the load generator sends, and how it reads what comes back. */
#ifndef TESTS_BENCH_EXCHANGE_H
#define TESTS_BENCH_EXCHANGE_H

#include "base/buf.h"

/*
 * A chat completion request whose body has about `body` bytes in four messages. Each message has a
 * part that no other request of this process had, so that no proxy answers its scan from a cache.
 * `fault`: words for the scripted provider (tests/fake/README.md).
 */
void exchange_request(struct buf *out, const char *host, size_t body, bool stream,
		      const char *fault);

enum framing { FRAME_HEAD, FRAME_LENGTH, FRAME_CHUNK_SIZE, FRAME_CHUNK, FRAME_TRAILER };

/* One response as it arrives; zeroed before the first byte. */
struct response {
	enum framing framing;
	size_t left; /* bytes of the body or of the chunk to come */
	void (*body)(void *ctx, struct slice bytes);
	void *ctx;
};

/* Consumes what it can of `in`. 1: complete, 0: more to come, -EBADMSG: not HTTP, or not a 200 (it is
 * shown on stderr). */
int exchange_feed(struct response *r, struct buf *in);

#endif
