/*
 * What HTTP/1.1 and HTTP/2 share: bytes in, events out; heads and data in, bytes out. No sockets, no
 * clock. One codec stands on one connection side; streams are numbered, HTTP/1.1 has one at a time.
 */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

#include <stdint.h>
#include <sys/types.h>

#define HTTP_HEAD_MAX (64U << 10)  /* bytes of one head */
#define HTTP_HEADERS_MAX 200
#define HTTP_TARGET_MAX (16U << 10)

struct header {
	struct slice name;  /* as sent: case kept */
	struct slice value; /* without surrounding blanks */
};

struct http_head {
	/* request */
	struct slice method, target; /* target: path and query as sent */
	struct slice authority;      /* Host, lower-cased by the parser, without port ":443"/":80" */
	/* response */
	int status;
	struct slice reason;
	/* both */
	uint8_t minor;               /* HTTP/1.minor */
	struct header *headers;      /* order and case as sent */
	size_t n_headers;
	int64_t content_length;      /* -1: none */
	bool chunked;
	bool keep_alive;             /* the message allows another one after it */
	bool expect_continue;        /* request: Expect: 100-continue */
	bool upgrade;                /* request: Connection: upgrade with an Upgrade header */
	bool no_body;                /* 204, 304, 1xx, answer to HEAD, request without framing */
};

/* Value of the first header of that name (any case); ptr NULL when there is none. */
struct slice http_header(const struct http_head *h, const char *name);
/* Deep copy into an arena. 0 or -ENOMEM. */
int http_head_copy(const struct http_head *in, struct arena *a, struct http_head *out);
/* Sets (replaces the first, removes others) or, with value.ptr NULL, removes. In place, arena memory. */
int http_header_set(struct http_head *h, const char *name, struct slice value, struct arena *a);

/* What a codec tells its owner. Slices live until the callback returns. Non-zero stops feeding. */
struct codec_events {
	int (*head)(void *ctx, uint32_t stream, struct http_head *h);
	int (*data)(void *ctx, uint32_t stream, struct slice d);
	int (*end)(void *ctx, uint32_t stream);
};

struct codec;

struct codec_ops {
	/*
	 * Takes what it can of `in`; returns bytes consumed, or -EPROTO (codec->why says what),
	 * -EMSGSIZE, or the callback's error. HTTP/1.1 consumes nothing while a message's end is
	 * reported and the next may not begin (codec_next()), so pipelined requests wait in the
	 * owner's buffer.
	 */
	ssize_t (*feed)(struct codec *c, struct slice in);
	/* The connection ended: completes a body that ends by EOF, else -EPROTO when in mid-message. */
	int (*eof)(struct codec *c);
	/* Ready for the next message of this side. */
	void (*next)(struct codec *c);
	/* Append to `out`. Heads are written as given: h1 adds nothing but the framing it is told by
	 * head->chunked / content_length (the owner sets the headers with http_head_frame()). */
	int (*send_head)(struct codec *c, uint32_t stream, const struct http_head *h, struct buf *out);
	int (*send_data)(struct codec *c, uint32_t stream, struct slice d, struct buf *out);
	int (*send_end)(struct codec *c, uint32_t stream, struct buf *out);
	void (*free)(struct codec *c);
};

struct codec {
	const struct codec_ops *ops;
	const char *why; /* of the last -EPROTO: static text, never bytes of the peer */
};

/* HTTP/1.1 (RFC 9112). h1_requests parses requests (the side toward the application), h1_responses
 * responses (toward the provider). expect_head() tells the latter that the next answer is to a HEAD. */
int h1_requests(const struct codec_events *ev, void *ctx, struct codec **out);
int h1_responses(const struct codec_events *ev, void *ctx, struct codec **out);
void h1_expect_head(struct codec *responses, bool answer_to_head);
/* True between messages with nothing half-read: the connection may be reused or closed cleanly. */
bool h1_idle(const struct codec *c);

#endif
