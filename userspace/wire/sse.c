/*
 * text/event-stream. Bytes fall into blocks, each ended by a blank line; every block is handed on
 * with its raw bytes, with or without data. A block that lies wholly in the input is read in place;
 * only the rest of a cut one is kept.
 *
 * Whether a CR ends its line alone is known by the next byte. A blank line's CR waits for it, unless
 * the line before ended in a CR alone: then the stream speaks CR and need not wait.
 */
#include "wire/sse.h"

#include "wire/scan.h"

#include <errno.h>

#define PIECE (4U << 10) /* bytes copied behind a cut block at a time */

typedef int sse_fn(void *ctx, const struct sse_event *e);

void sse_init(struct sse *s)
{
	*s = (struct sse){ .scanned = 0 };
	buf_init(&s->pending, SSE_EVENT_MAX + PIECE);
	buf_init(&s->joined, SSE_EVENT_MAX);
}

void sse_done(struct sse *s)
{
	buf_done(&s->pending);
	buf_done(&s->joined);
}

/* The length of a byte order mark at the start of the stream. */
static size_t bom_len(const struct sse *s, struct slice in)
{
	return !s->begun && slice_starts(in, SLICE("\xef\xbb\xbf")) ? 3 : 0;
}

/* Behind the blank line that ends the block at the start of `in`, or 0; *scanned moves on. */
static size_t block_end(struct slice in, size_t first, size_t *scanned)
{
	const char *base = in.ptr + first, *end = in.ptr + in.len;
	const char *p = in.ptr + MAX(first, *scanned);

	for (; (p = scan_eol(p, end)) < end; p++) {
		bool blank = p == base || p[-1] == '\n' || p[-1] == '\r';

		if (*p == '\n') {
			if (p > base && p[-1] == '\r')
				continue; /* the second half of a CRLF */
			if (blank)
				return (size_t)(p - in.ptr) + 1;
		} else if (blank) {
			if (p > base && p[-1] == '\r')
				return (size_t)(p - in.ptr) + 1;
			if (p + 1 == end)
				break;
			return (size_t)(p - in.ptr) + (p[1] == '\n' ? 2 : 1);
		}
	}
	*scanned = (size_t)(p - in.ptr);
	return 0;
}

/* Joins a further data: line. */
static int data_join(struct sse *s, struct sse_event *e, size_t n_data, struct slice value)
{
	int r = 0;

	if (n_data == 1) {
		buf_clear(&s->joined);
		r = buf_append(&s->joined, e->data);
	}
	if (r == 0)
		r = buf_append(&s->joined, SLICE("\n"));
	if (r == 0)
		r = buf_append(&s->joined, value);
	e->data = buf_slice(&s->joined);
	e->data_start = e->data_end = 0;
	return r;
}

/* One block into an event (WHATWG HTML 9.2.6). */
static int block_read(struct sse *s, struct slice raw, struct sse_event *e)
{
	const char *p = raw.ptr + bom_len(s, raw), *end = raw.ptr + raw.len, *eol;
	size_t n_data = 0;
	int r = 0;

	*e = (struct sse_event){ .raw = raw };
	for (; p < end && r == 0; p = eol + 1) {
		struct slice line, value;
		const char *colon;

		eol = scan_eol(p, end);
		line = slice_of(p, (size_t)(eol - p));
		if (!line.len || (line.ptr[0] != 'd' && line.ptr[0] != 'e'))
			continue;
		colon = memchr(p, ':', MIN(line.len, sizeof("event")));
		value = slice_from(line, colon ? (size_t)(colon - p) + 1 : line.len);
		if (value.len && value.ptr[0] == ' ')
			value = slice_from(value, 1);
		if (colon)
			line.len = (size_t)(colon - p);
		if (slice_is(line, "event")) {
			e->name = value;
		} else if (slice_is(line, "data")) {
			if (n_data) {
				r = data_join(s, e, n_data, value);
			} else {
				e->data = value;
				if (colon) {
					e->data_start = (size_t)(value.ptr - raw.ptr);
					e->data_end = e->data_start + value.len;
				}
			}
			n_data++;
		}
	}
	return r;
}

static int block_give(struct sse *s, struct slice raw, sse_fn *fn, void *ctx)
{
	struct sse_event e;
	int r;

	if (raw.len > SSE_EVENT_MAX)
		return -EMSGSIZE;
	r = block_read(s, raw, &e);
	if (r < 0)
		return r == -ENOBUFS ? -EMSGSIZE : r;
	s->begun = true;
	r = fn(ctx, &e);
	buf_clear(&s->joined);
	buf_trim(&s->joined);
	return r;
}

/* Gives every whole block of `in`; returns the bytes given, or what fn said in *stop. */
static size_t blocks_give(struct sse *s, struct slice in, sse_fn *fn, void *ctx, int *stop)
{
	size_t given = 0;

	while (given < in.len) {
		struct slice rest = slice_from(in, given);
		size_t end = block_end(rest, bom_len(s, rest), &s->scanned);

		if (!end)
			break;
		s->scanned = 0;
		given += end;
		*stop = block_give(s, slice_sub(rest, 0, end), fn, ctx);
		if (*stop)
			break;
	}
	return given;
}

int sse_feed(struct sse *s, struct slice in, sse_fn *fn, void *ctx)
{
	int r = 0;

	while (buf_size(&s->pending) && in.len) {
		size_t n = MIN(in.len, (size_t)PIECE);

		r = buf_append(&s->pending, slice_sub(in, 0, n));
		if (r < 0)
			return r == -ENOBUFS ? -EMSGSIZE : r;
		in = slice_from(in, n);
		buf_consume(&s->pending, blocks_give(s, buf_slice(&s->pending), fn, ctx, &r));
		if (r)
			return r;
		if (buf_size(&s->pending) > SSE_EVENT_MAX)
			return -EMSGSIZE;
	}
	buf_trim(&s->pending);
	in = slice_from(in, blocks_give(s, in, fn, ctx, &r));
	if (r || !in.len)
		return r;
	if (in.len > SSE_EVENT_MAX)
		return -EMSGSIZE;
	return buf_append(&s->pending, in);
}

int sse_end(struct sse *s, sse_fn *fn, void *ctx)
{
	int r = 0;

	if (buf_size(&s->pending))
		r = block_give(s, buf_slice(&s->pending), fn, ctx);
	buf_done(&s->pending);
	s->scanned = 0;
	return r;
}
