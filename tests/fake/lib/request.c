/* HTTP/1.1 as the scripted provider reads it; answers are made in answer.c and framed in frame.c. */
#include "tests/fake/lib/request.h"

#include <errno.h>
#include <stdlib.h>

bool request_next_header(const struct request *r, size_t *at, struct slice *name,
			 struct slice *value)
{
	struct slice head = r->head;
	long colon, eol;

	if (*at == 0)
		*at = (size_t)slice_find(head, SLICE("\r\n")) + 2;
	eol = slice_find(slice_from(head, *at), SLICE("\r\n"));
	if (eol <= 0)
		return false;
	*value = slice_sub(head, *at, *at + (size_t)eol);
	*at += (size_t)eol + 2;
	colon = slice_find(*value, SLICE(":"));
	*name = colon < 0 ? *value : slice_sub(*value, 0, (size_t)colon);
	*value = colon < 0 ? SLICE("") : slice_trim(slice_from(*value, (size_t)colon + 1));
	return true;
}

struct slice request_header(const struct request *r, const char *name)
{
	struct slice key, value;
	size_t at = 0;

	while (request_next_header(r, &at, &key, &value))
		if (slice_ieq(key, slice_str(name)))
			return value;
	return slice_of(NULL, 0);
}

/* "POST /v1/messages HTTP/1.1" */
static int request_line(struct request *r)
{
	struct slice line = slice_sub(r->head, 0, (size_t)slice_find(r->head, SLICE("\r\n")));
	long a = slice_find(line, SLICE(" "));
	long b;

	if (a <= 0)
		return -EBADMSG;
	r->method = slice_sub(line, 0, (size_t)a);
	line = slice_from(line, (size_t)a + 1);
	b = slice_find(line, SLICE(" "));
	if (b <= 0 || !slice_starts(slice_from(line, (size_t)b + 1), SLICE("HTTP/1.")))
		return -EBADMSG;
	r->path = slice_sub(line, 0, (size_t)b);
	r->keep_alive = slice_ends(line, SLICE("1.1"));
	return 0;
}

/* One chunk after the other; `raw` starts after the head. Sets *used to the bytes taken. */
static int request_chunks(struct slice raw, struct buf *out, size_t *used)
{
	size_t at = 0;

	buf_clear(out);
	for (;;) {
		struct slice rest = slice_from(raw, at);
		long eol = slice_find(rest, SLICE("\r\n"));
		char digits[20], *end;
		unsigned long n;

		if (eol < 0)
			return rest.len > 4096 ? -EBADMSG : -EAGAIN;
		slice_copy(digits, sizeof(digits), slice_sub(rest, 0, (size_t)eol));
		n = strtoul(digits, &end, 16);
		if (end == digits || n > REQUEST_BODY_MAX)
			return -EBADMSG;
		at += (size_t)eol + 2;
		if (n == 0)
			break;
		if (raw.len < at + n + 2)
			return -EAGAIN;
		if (buf_append(out, slice_sub(raw, at, at + n)) < 0)
			return -EMSGSIZE;
		at += n + 2;
	}
	for (;;) { /* trailers, up to the empty line */
		long eol = slice_find(slice_from(raw, at), SLICE("\r\n"));

		if (eol < 0)
			return -EAGAIN;
		at += (size_t)eol + 2;
		if (eol == 0)
			break;
	}
	*used = at;
	return 0;
}

/* What the headers say of the body and the connection, in one pass. */
static void request_scan(struct request *r, size_t *content_length, bool *chunked)
{
	struct slice name, value;
	size_t at = 0;

	while (request_next_header(r, &at, &name, &value)) {
		if (slice_ieq(name, SLICE("host"))) {
			long colon = slice_find(value, SLICE(":"));

			r->host = colon < 0 ? value : slice_sub(value, 0, (size_t)colon);
		} else if (slice_ieq(name, SLICE("content-length"))) {
			char digits[20];

			slice_copy(digits, sizeof(digits), value);
			*content_length = strtoul(digits, NULL, 10);
		} else if (slice_ieq(name, SLICE("transfer-encoding"))) {
			*chunked = true;
		} else if (slice_ieq(name, SLICE("connection"))) {
			if (slice_ieq(value, SLICE("close")))
				r->keep_alive = false;
		} else if (slice_ieq(name, SLICE("expect"))) {
			r->expect_continue = true;
		}
	}
}

int request_parse(const struct buf *in, struct buf *chunks, struct request *r)
{
	struct slice all = buf_slice(in);
	long end = slice_find(slice_sub(all, 0, REQUEST_HEAD_MAX), SLICE("\r\n\r\n"));
	size_t content_length = 0, used;
	bool chunked = false;
	int e;

	memset(r, 0, sizeof(*r));
	if (end < 0)
		return all.len >= REQUEST_HEAD_MAX ? -EMSGSIZE : -EAGAIN;
	r->head = slice_sub(all, 0, (size_t)end + 4);
	e = request_line(r);
	if (e < 0)
		return e;
	request_scan(r, &content_length, &chunked);
	if (content_length > REQUEST_BODY_MAX)
		return -EMSGSIZE;
	if (chunked) {
		e = request_chunks(slice_from(all, r->head.len), chunks, &used);
		if (e < 0)
			return e;
		r->body = buf_slice(chunks);
		r->total = r->head.len + used;
		return 0;
	}
	if (all.len < r->head.len + content_length)
		return -EAGAIN;
	r->body = slice_sub(all, r->head.len, r->head.len + content_length);
	r->total = r->head.len + content_length;
	return 0;
}
