/*
 * The HTTP/1.1 codec (RFC 9112): where messages begin and end. Heads are read by h1head.c; bodies
 * are handed on as slices of the input. Only a head that is cut is kept, and let go with it, so an
 * idle codec is this struct alone.
 */
#include "wire/h1head.h"

#include <errno.h>
#include <stdlib.h>

#define STREAM 1            /* there is one at a time */
#define CHUNK_DIGITS_MAX 15 /* fits 60 bits */
#define CHUNK_EXTRA_MAX 256U /* bytes of one chunk's extensions */
#define EXTRA_MAX 4096U     /* extension bytes of a message */
#define TRAILERS_MAX 8192U  /* bytes of a trailer section */
#define INTERIM_MAX 32      /* 1xx heads before the answer */
#define LINE_OVERDUE (8U << 10) /* a cut head is read again at each; divides HTTP_HEAD_MAX */

enum state {
	ST_HEAD,
	ST_LENGTH,     /* body of `left` bytes */
	ST_EOF,        /* body until the connection ends */
	ST_SIZE,       /* chunk size digits */
	ST_EXTENSION,
	ST_SIZE_LF,
	ST_CHUNK,      /* chunk data, `left` bytes */
	ST_CHUNK_CR,
	ST_CHUNK_LF,
	ST_TRAILER,    /* at the start of a trailer line */
	ST_NAME,
	ST_VALUE,
	ST_VALUE_LF,
	ST_LAST_LF,
	ST_DONE,       /* until next() */
	ST_OPAQUE,     /* after 101: not HTTP any more */
	ST_DEAD,       /* after an error */
};

struct h1 {
	struct codec codec; /* first: the owner holds a pointer to it */
	const struct codec_events *ev;
	void *ctx;
	struct buf kept;    /* of a head that is not complete */
	uint64_t left;
	int64_t out_left;   /* what send_data() may still send; -1 any number */
	uint32_t extra;     /* extension or trailer bytes of this message */
	uint16_t chunk_extra;
	uint8_t digits;
	uint8_t state;
	uint8_t interim;    /* 1xx heads seen before the answer */
	bool responses, answer_to_head, out_chunked;
};

static int message_end(struct h1 *h)
{
	h->state = ST_DONE;
	h->interim = 0;
	h->answer_to_head = false;
	return h->ev->end(h->ctx, STREAM);
}

/* The state behind a head. */
static int body_state(struct h1 *h, const struct http_head *head)
{
	h->left = 0;
	h->extra = 0;
	h->digits = 0;
	h->chunk_extra = 0;
	if (head->no_body)
		return ST_DONE;
	if (head->chunked)
		return ST_SIZE;
	if (head->content_length < 0)
		return ST_EOF; /* responses only: a request without framing has no body */
	h->left = (uint64_t)head->content_length;
	return h->left ? ST_LENGTH : ST_DONE;
}

static int head_give(struct h1 *h, struct http_head *head)
{
	bool interim = h->responses && head->status < 200 && head->status != 101;
	bool opaque = h->responses && head->status == 101;
	int r, state, ended;

	if (interim && ++h->interim > INTERIM_MAX)
		return h1_refuse(&h->codec, 400, "too many interim responses");
	if (h->answer_to_head && !interim && !opaque)
		head->no_body = true;
	state = body_state(h, head);
	if (state == ST_EOF)
		head->keep_alive = false;
	h->state = (uint8_t)(interim ? ST_HEAD : state);
	r = h->ev->head(h->ctx, STREAM, head);
	buf_clear(&h->kept);
	buf_trim(&h->kept);
	if (r < 0 || interim || state != ST_DONE)
		return r;
	ended = message_end(h);
	if (opaque)
		h->state = ST_OPAQUE;
	return ended ? ended : r;
}

static ssize_t head_read(struct h1 *h, struct slice in, struct http_head *head,
			 struct h1_room *room)
{
	return h->responses ? h1_response_read(&h->codec, in, head, room) :
			      h1_request_read(&h->codec, in, head, room);
}

static int head_feed(struct h1 *h, struct slice in, size_t *used)
{
	size_t before = buf_size(&h->kept), n = MIN(in.len, HTTP_HEAD_MAX - before);
	struct http_head head;
	struct h1_room room; /* filled by head_read(); 7 KB nobody need clear */
	ssize_t len;
	int r;

	if (before) {
		/* A head ends, and mistakes show, with a line, or with none where one is due. */
		bool due = (before + n) / LINE_OVERDUE != before / LINE_OVERDUE;

		r = buf_append(&h->kept, slice_sub(in, 0, n));
		if (r < 0)
			return r;
		len = -EAGAIN;
		if (due || memchr(in.ptr, '\n', n))
			len = head_read(h, buf_slice(&h->kept), &head, &room);
	} else {
		len = head_read(h, in, &head, &room);
	}
	if (len == -EAGAIN) {
		*used = n;
		return before ? 0 : buf_append(&h->kept, slice_sub(in, 0, n));
	}
	if (len < 0)
		return (int)len;
	*used = (size_t)len - before;
	return head_give(h, &head);
}

/* Body bytes as they lie in the input. */
static int data_feed(struct h1 *h, struct slice in, size_t *used)
{
	int r;

	if (h->state != ST_EOF) {
		in.len = (size_t)MIN((uint64_t)in.len, h->left);
		h->left -= in.len;
	}
	*used = in.len;
	if (h->state == ST_CHUNK && !h->left)
		h->state = ST_CHUNK_CR;
	r = h->ev->data(h->ctx, STREAM, in);
	if (r >= 0 && h->state == ST_LENGTH && !h->left) {
		int ended = message_end(h);

		r = ended ? ended : r;
	}
	return r;
}

static int chunk_refuse(struct h1 *h, const char *why)
{
	return h1_refuse(&h->codec, 400, why);
}

/* Behind the digits of a chunk size: its line must end, or extensions follow. */
static int size_end(struct h1 *h, char c)
{
	if (!h->digits)
		return chunk_refuse(h, "chunk size is not hexadecimal");
	if (c == '\r')
		h->state = ST_SIZE_LF;
	else if (c == ';')
		h->state = ST_EXTENSION;
	else
		return chunk_refuse(h, c == '\n' ? "bare LF in a chunk line" :
						   "chunk size is not hexadecimal");
	return 0;
}

static int size_byte(struct h1 *h, char c)
{
	int v = c >= '0' && c <= '9'		 ? c - '0' :
		(c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 :
							 -1;

	if (v < 0)
		return size_end(h, c);
	if (++h->digits > CHUNK_DIGITS_MAX)
		return chunk_refuse(h, "chunk size is too long");
	h->left = h->left << 4 | (uint64_t)v;
	return 0;
}

/* Extensions mean nothing to us; they are bounded, clean, and dropped. */
static int extension_byte(struct h1 *h, char c)
{
	if (c == '\r') {
		h->state = ST_SIZE_LF;
		return 0;
	}
	if (c != '\t' && ((unsigned char)c < 0x20 || c == 0x7f))
		return chunk_refuse(h, "control character in a chunk extension");
	if (++h->chunk_extra > CHUNK_EXTRA_MAX || ++h->extra > EXTRA_MAX)
		return chunk_refuse(h, "chunk extensions are too long");
	return 0;
}

static int size_lf(struct h1 *h, char c)
{
	if (c != '\n')
		return chunk_refuse(h, "bare CR in a chunk line");
	h->state = h->left ? ST_CHUNK : ST_TRAILER;
	if (!h->left)
		h->extra = 0;
	h->digits = 0;
	h->chunk_extra = 0;
	return 0;
}

static int trailer_byte(struct h1 *h, char c)
{
	bool token = h1_is_token(slice_of(&c, 1));

	if (++h->extra > TRAILERS_MAX)
		return chunk_refuse(h, "trailers are too long");
	switch (h->state) {
	case ST_TRAILER:
		if (c == '\r')
			h->state = ST_LAST_LF;
		else if (token)
			h->state = ST_NAME;
		else
			return chunk_refuse(h, "trailer line without a name");
		return 0;
	case ST_NAME:
		if (c == ':')
			h->state = ST_VALUE;
		else if (!token)
			return chunk_refuse(h, "character in a trailer name that is no token");
		return 0;
	case ST_VALUE:
		if (c == '\r')
			h->state = ST_VALUE_LF;
		else if (!h1_is_value(slice_of(&c, 1)))
			return chunk_refuse(h, "control character in a trailer");
		return 0;
	default: /* ST_VALUE_LF, ST_LAST_LF */
		if (c != '\n')
			return chunk_refuse(h, "bare CR in a trailer");
		if (h->state == ST_LAST_LF)
			return message_end(h);
		h->state = ST_TRAILER;
		return 0;
	}
}

/* One byte of chunked framing. */
static int chunk_byte(struct h1 *h, char c)
{
	switch (h->state) {
	case ST_SIZE:
		return size_byte(h, c);
	case ST_EXTENSION:
		return extension_byte(h, c);
	case ST_SIZE_LF:
		return size_lf(h, c);
	case ST_CHUNK_CR:
	case ST_CHUNK_LF:
		if (c != (h->state == ST_CHUNK_CR ? '\r' : '\n'))
			return chunk_refuse(h, "chunk data do not end in CRLF");
		h->state = h->state == ST_CHUNK_CR ? ST_CHUNK_LF : ST_SIZE;
		return 0;
	default:
		return trailer_byte(h, c);
	}
}

/* After an error nothing is read any more. What a server did wrong is for a gateway to answer. */
static int dead(struct h1 *h, int r)
{
	h->state = ST_DEAD;
	buf_done(&h->kept);
	if (h->responses && h->codec.status)
		h->codec.status = 502;
	return r;
}

static ssize_t h1_feed(struct codec *c, struct slice in)
{
	struct h1 *h = container_of(c, struct h1, codec);
	size_t at = 0;
	int r = 0;

	if (h->state == ST_DEAD)
		return -EPROTO;
	while (at < in.len && r == 0 && h->state != ST_DONE && h->state != ST_OPAQUE) {
		size_t used = 1;

		switch (h->state) {
		case ST_HEAD:
			r = head_feed(h, slice_from(in, at), &used);
			break;
		case ST_LENGTH:
		case ST_EOF:
		case ST_CHUNK:
			r = data_feed(h, slice_from(in, at), &used);
			break;
		default:
			r = chunk_byte(h, in.ptr[at]);
			break;
		}
		at += used;
	}
	return r < 0 ? dead(h, r) : (ssize_t)at;
}

/* An empty line before a request is no part of one (RFC 9112 2.2). */
static bool nothing_kept(const struct h1 *h)
{
	return !buf_size(&h->kept) || (!h->responses && slice_is(buf_slice(&h->kept), "\r\n"));
}

static int h1_eof(struct codec *c)
{
	struct h1 *h = container_of(c, struct h1, codec);

	if (h->state == ST_EOF)
		return message_end(h);
	if (h->state == ST_DONE || h->state == ST_OPAQUE ||
	    (h->state == ST_HEAD && !h->interim && nothing_kept(h)))
		return 0;
	if (h->state == ST_DEAD)
		return -EPROTO;
	return dead(h, h1_refuse(c, 400, "connection closed in mid-message"));
}

static void h1_next(struct codec *c)
{
	struct h1 *h = container_of(c, struct h1, codec);

	if (h->state == ST_DONE)
		h->state = ST_HEAD;
}

/* Nothing that ends a line early or begins another message: heads hold words of policies too. */
static bool head_is_clean(const struct h1 *h, const struct http_head *head)
{
	if (head->chunked && head->content_length >= 0)
		return false;
	if (h->responses ? !h1_is_token(head->method) || !h1_is_target(head->target) :
			   head->status < 100 || head->status > 999 || !h1_is_value(head->reason))
		return false;
	for (size_t i = 0; i < head->n_headers; i++)
		if (!h1_is_token(head->headers[i].name) || !h1_is_value(head->headers[i].value))
			return false;
	return true;
}

static void put(char **at, struct slice s)
{
	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
}

/* "GET /path HTTP/1.1" or "HTTP/1.1 200 OK" and its CRLF; room for it was reserved. */
static void first_line(const struct h1 *h, const struct http_head *head, char **at)
{
	struct slice version = head->minor ? SLICE("HTTP/1.1") : SLICE("HTTP/1.0");
	char status[5] = { ' ', (char)('0' + head->status / 100 % 10),
			   (char)('0' + head->status / 10 % 10), (char)('0' + head->status % 10),
			   ' ' };

	if (h->responses) {
		put(at, head->method);
		put(at, SLICE(" "));
		put(at, head->target);
		put(at, SLICE(" "));
		put(at, version);
	} else {
		put(at, version);
		put(at, slice_of(status, sizeof(status)));
		put(at, head->reason);
	}
	put(at, SLICE("\r\n"));
}

static int h1_send_head(struct codec *c, uint32_t stream, const struct http_head *head,
			struct buf *out)
{
	struct h1 *h = container_of(c, struct h1, codec);
	size_t len = head->method.len + head->target.len + head->reason.len + 32;
	char *at;
	int r;

	(void)stream;
	if (!head_is_clean(h, head))
		return -EINVAL;
	for (size_t i = 0; i < head->n_headers; i++)
		len += head->headers[i].name.len + head->headers[i].value.len + 4;
	r = buf_reserve(out, len);
	if (r < 0)
		return r;
	at = out->data + out->len;
	first_line(h, head, &at);
	for (size_t i = 0; i < head->n_headers; i++) {
		put(&at, head->headers[i].name);
		put(&at, SLICE(": "));
		put(&at, head->headers[i].value);
		put(&at, SLICE("\r\n"));
	}
	put(&at, SLICE("\r\n"));
	out->len = (size_t)(at - out->data);
	h->out_chunked = head->chunked && !head->no_body;
	if (head->no_body || (h->responses && !head->chunked && head->content_length < 0))
		h->out_left = 0;
	else
		h->out_left = head->content_length; /* -1, any number, when there is none */
	return 0;
}

static int h1_send_data(struct codec *c, uint32_t stream, struct slice d, struct buf *out)
{
	static const char hex[] = "0123456789abcdef";
	struct h1 *h = container_of(c, struct h1, codec);
	char line[18], *p = line + sizeof(line);
	int r;

	(void)stream;
	if (!d.len)
		return 0; /* as a chunk it would end the body */
	if (!h->out_chunked) {
		if (h->out_left >= 0 && d.len > (uint64_t)h->out_left)
			return -EINVAL;
		r = buf_append(out, d);
		if (r == 0 && h->out_left > 0)
			h->out_left -= (int64_t)d.len;
		return r;
	}
	*--p = '\n';
	*--p = '\r';
	for (size_t n = d.len; n; n >>= 4)
		*--p = hex[n & 15];
	r = buf_reserve(out, d.len + sizeof(line) + 2);
	if (r < 0)
		return r;
	(void)buf_append(out, slice_of(p, (size_t)(line + sizeof(line) - p)));
	(void)buf_append(out, d);
	return buf_append(out, SLICE("\r\n"));
}

static int h1_send_end(struct codec *c, uint32_t stream, struct buf *out)
{
	struct h1 *h = container_of(c, struct h1, codec);
	int r;

	(void)stream;
	if (!h->out_chunked)
		return h->out_left > 0 ? -EINVAL : 0;
	r = buf_append(out, SLICE("0\r\n\r\n"));
	if (r == 0) {
		h->out_chunked = false;
		h->out_left = 0;
	}
	return r;
}

static void h1_free(struct codec *c)
{
	struct h1 *h;

	if (!c)
		return;
	h = container_of(c, struct h1, codec);
	buf_done(&h->kept);
	free(h);
}

static const struct codec_ops h1_ops = {
	.feed = h1_feed,
	.eof = h1_eof,
	.next = h1_next,
	.send_head = h1_send_head,
	.send_data = h1_send_data,
	.send_end = h1_send_end,
	.free = h1_free,
};

static int h1_new(const struct codec_events *ev, void *ctx, bool responses, struct codec **out)
{
	struct h1 *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->codec.ops = &h1_ops;
	h->ev = ev;
	h->ctx = ctx;
	h->responses = responses;
	buf_init(&h->kept, HTTP_HEAD_MAX);
	*out = &h->codec;
	return 0;
}

int h1_requests(const struct codec_events *ev, void *ctx, struct codec **out)
{
	return h1_new(ev, ctx, false, out);
}

int h1_responses(const struct codec_events *ev, void *ctx, struct codec **out)
{
	return h1_new(ev, ctx, true, out);
}

void h1_expect_head(struct codec *responses, bool answer_to_head)
{
	container_of(responses, struct h1, codec)->answer_to_head = answer_to_head;
}

bool h1_idle(const struct codec *c)
{
	const struct h1 *h = container_of(c, struct h1, codec);

	return h->state == ST_HEAD && !h->interim && nothing_kept(h);
}
