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
/* Sets (replaces the first, removes others) or, with value.ptr NULL, removes. In place; name and value
 * are copied into the arena. */
int http_header_set(struct http_head *h, const char *name, struct slice value, struct arena *a);

/*
 * Rewrites the framing headers (Content-Length, Transfer-Encoding) and fields of a head: a body of
 * content_length bytes, -1 chunked, -2 none (for a response: until the connection ends). The first
 * framing header keeps its place; there being none, the new one goes to the end.
 * 0, -EINVAL (chunked in HTTP/1.0, a length under -2), -ENOMEM.
 */
int http_head_frame(struct http_head *h, struct arena *a, int64_t content_length);

/*
 * What a codec tells its owner. Slices live until the callback returns; nothing may free the codec
 * from inside one. A negative return ends the feed with that error (the codec is dead then); a
 * positive one pauses: feed returns what it took so far, that event included.
 *
 * Interim responses (1xx but 101) are a head with no_body and no end; the final head follows by
 * itself. After a 101 come head and end, and the codec takes nothing more: what follows is the other
 * protocol. Trailers are checked, bounded and dropped.
 */
struct codec_events {
	int (*head)(void *ctx, uint32_t stream, struct http_head *h);
	int (*data)(void *ctx, uint32_t stream, struct slice d);
	int (*end)(void *ctx, uint32_t stream);
};

struct codec;

struct codec_ops {
	/*
	 * Takes what it can of `in`; returns bytes consumed, or -EPROTO or -EMSGSIZE (codec->why
	 * says what, codec->status what a server answers), or -ENOMEM, or the callback's error.
	 * HTTP/1.1 consumes nothing while a message's end is reported and the next may not begin
	 * (codec_next()), so pipelined requests wait in the owner's buffer.
	 */
	ssize_t (*feed)(struct codec *c, struct slice in);
	/* The connection ended: completes a body that ends by EOF, else -EPROTO when in mid-message. */
	int (*eof)(struct codec *c);
	/* Ready for the next message of this side. */
	void (*next)(struct codec *c);
	/*
	 * Append to `out`. Heads are written as given: h1 adds nothing but the framing it is told
	 * by head->chunked / content_length (the owner sets the headers with http_head_frame()).
	 * -EINVAL: the head cannot be written so (CR, LF or NUL in a part, two framings), or data
	 * do not fit the framing (more or fewer bytes than content_length, a body where no_body).
	 */
	int (*send_head)(struct codec *c, uint32_t stream, const struct http_head *h, struct buf *out);
	int (*send_data)(struct codec *c, uint32_t stream, struct slice d, struct buf *out);
	int (*send_end)(struct codec *c, uint32_t stream, struct buf *out);
	void (*free)(struct codec *c);
};

struct codec {
	const struct codec_ops *ops;
	const char *why; /* of the last -EPROTO, -EMSGSIZE: static text, never bytes of the peer */
	int status;      /* the answer to give then: 400, 405, 414, 417, 431, 501, 505; 502 when a
			    response was at fault; else 0 */
};

/* HTTP/1.1 (RFC 9112). h1_requests parses requests (the side toward the application), h1_responses
 * responses (toward the provider). expect_head() tells the latter that the next answer is to a HEAD. */
int h1_requests(const struct codec_events *ev, void *ctx, struct codec **out);
int h1_responses(const struct codec_events *ev, void *ctx, struct codec **out);
void h1_expect_head(struct codec *responses, bool answer_to_head);
/* True between messages with nothing half-read: the connection may be reused or closed cleanly. */
bool h1_idle(const struct codec *c);

#endif
