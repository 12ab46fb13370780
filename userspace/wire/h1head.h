/* Heads of HTTP/1.1 messages (RFC 9112 2 to 6). Private to wire/: the codec around it is h1.c. */
#ifndef WIRE_H1HEAD_H
#define WIRE_H1HEAD_H

#include "wire/codec.h"

#define H1_AUTHORITY_MAX 262 /* a name of 255 bytes, ':' and a port */

/* What a head needs beside the bytes it came in. */
struct h1_room {
	struct header headers[HTTP_HEADERS_MAX];
	char authority[H1_AUTHORITY_MAX];
};

/*
 * Reads one head from the start of `in`; *out points into `in` and `room`. A request may have one
 * empty line before it (RFC 9112 2.2).
 *
 * The bytes of the head, or -EAGAIN (not all there), -EPROTO, -EMSGSIZE (c->why, c->status).
 */
ssize_t h1_request_read(struct codec *c, struct slice in, struct http_head *out,
			struct h1_room *room);
ssize_t h1_response_read(struct codec *c, struct slice in, struct http_head *out,
			 struct h1_room *room);

/* Notes the reason; returns -EPROTO. */
int h1_refuse(struct codec *c, int status, const char *why);

/* May the bytes stand as a token (RFC 9110 5.6.2), a field value or reason, a target? */
bool h1_is_token(struct slice s);
bool h1_is_value(struct slice s);
bool h1_is_target(struct slice s);

#endif
