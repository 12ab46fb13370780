/* From what the dialect says to bytes on the wire: gzip, Content-Length or chunks, and the faults. */
#include "base/text.h"
#include "tests/fake/lib/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

static struct slice piece_of(const struct pieces *p, size_t i)
{
	size_t from = i ? p->list[i - 1].end : 0;

	return slice_of(p->bytes.data + p->bytes.off + from, p->list[i].end - from);
}

/* Compresses piece by piece; a sync flush after each keeps a stream a stream. */
static int frame_gzip(struct pieces *p)
{
	struct pieces out;
	z_stream z = { 0 };
	int r = 0;

	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	pieces_init(&out);
	for (size_t i = 0; i < p->n && r == 0; i++) {
		struct slice in = piece_of(p, i);

		z.next_in = (Bytef *)(uintptr_t)in.ptr;
		z.avail_in = (uInt)in.len;
		r = buf_reserve(&out.bytes, deflateBound(&z, in.len) + 64);
		if (r < 0)
			break;
		z.next_out = (Bytef *)out.bytes.data + out.bytes.len;
		z.avail_out = (uInt)(out.bytes.cap - out.bytes.len);
		(void)deflate(&z, i + 1 == p->n ? Z_FINISH : Z_SYNC_FLUSH);
		out.bytes.len = (size_t)((char *)z.next_out - out.bytes.data);
		r = pieces_end(&out, p->list[i].wait_ms, 0);
	}
	deflateEnd(&z);
	pieces_done(p);
	*p = out;
	return r;
}

static int frame_head(const struct reply *r, const struct knobs *k, bool keep_alive, struct buf *b)
{
	bool chunked = r->stream || k->fault == FAULT_TWO_LENGTHS;
	long length = (long)buf_size(&r->body.bytes);
	int e = 0;

	if (k->early_hints)
		e = buf_str(b, "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n");
	if (e == 0)
		e = buf_printf(b,
			       "HTTP/1.1 %d %s\r\ncontent-type: %s\r\n%s: %s\r\nserver: lab\r\n",
			       r->status, r->status < 400 ? "OK" : "Error", r->type,
			       r->id_header, r->request_id);
	if (e == 0 && k->gzip)
		e = buf_str(b, "content-encoding: gzip\r\n");
	for (int i = 0; e == 0 && k->fault == FAULT_BIG_HEAD && i < 4096; i++)
		e = buf_printf(b, "x-filler-%d: %.48s\r\n", i,
			       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	if (k->fault == FAULT_LONG_LENGTH)
		length += 64;
	else if (k->fault == FAULT_SHORT_LENGTH)
		length /= 2;
	if (e == 0 && k->fault == FAULT_UNTIL_CLOSE)
		return buf_str(b, "connection: close\r\n\r\n");
	if (e == 0 && chunked)
		e = buf_str(b, "transfer-encoding: chunked\r\n");
	if (e == 0 && (!chunked || k->fault == FAULT_TWO_LENGTHS))
		e = buf_printf(b, "content-length: %ld\r\n", length);
	if (e == 0)
		e = buf_printf(b, "connection: %s\r\n\r\n", keep_alive ? "keep-alive" : "close");
	return e;
}

static int frame_body(struct reply *r, const struct knobs *k, struct pieces *wire)
{
	bool chunked = (r->stream || k->fault == FAULT_TWO_LENGTHS) && k->fault != FAULT_UNTIL_CLOSE;
	int e = 0;

	for (size_t i = 0; i < r->body.n && e == 0; i++) {
		const struct piece *p = &r->body.list[i];
		struct slice s = piece_of(&r->body, i);
		size_t at, stamp = p->stamp;

		if (!s.len)
			continue;
		if (chunked)
			e = buf_printf(&wire->bytes, "%zx\r\n", s.len);
		at = buf_size(&wire->bytes);
		if (stamp)
			stamp = at + stamp - (i ? r->body.list[i - 1].end : 0);
		if (e == 0)
			e = buf_append(&wire->bytes, s);
		if (e == 0 && chunked)
			e = buf_str(&wire->bytes, "\r\n");
		/* The head leaves with the first piece, and so does the end with the last. */
		if (e == 0 && chunked && i + 1 == r->body.n)
			e = buf_str(&wire->bytes, "0\r\n\r\n");
		if (e == 0)
			e = pieces_end(wire, p->wait_ms, stamp);
	}
	return e;
}

/* Half of what would have been sent: of an SSE stream whole events, of one piece half its bytes. */
static void frame_half(struct pieces *p)
{
	if (p->n > 1) {
		p->n = (p->n + 1) / 2;
	} else if (p->n == 1) {
		p->list[0].end = p->list[0].end * 3 / 4;
	}
	if (p->n)
		p->bytes.len = p->bytes.off + p->list[p->n - 1].end;
}

/* The same bytes in writes of k->split bytes. */
static int frame_split(struct pieces *p, size_t split)
{
	size_t total = buf_size(&p->bytes), wait = p->n ? p->list[0].wait_ms : 0;
	int e = 0;

	p->n = 0;
	for (size_t at = 0; at < total && e == 0; at += split) {
		e = pieces_end(p, at ? 0 : (unsigned)wait, 0);
		p->list[p->n - 1].end = MIN(at + split, total);
	}
	return e;
}

static void frame_after(const struct knobs *k, bool keep_alive, struct script *out)
{
	out->after = keep_alive ? AFTER_KEEP : AFTER_CLOSE;
	switch (k->fault) {
	case FAULT_STALL:
		pieces_clear(&out->wire);
		/* fall through */
	case FAULT_STALL_MIDSTREAM:
		out->after = AFTER_STALL;
		break;
	case FAULT_RESET:
		pieces_clear(&out->wire);
		/* fall through */
	case FAULT_RESET_MIDSTREAM:
		out->after = AFTER_RESET;
		break;
	case FAULT_TRUNCATED:
	case FAULT_LONG_LENGTH:
		out->after = AFTER_DROP;
		break;
	case FAULT_CLOSE:
		pieces_clear(&out->wire);
		out->after = AFTER_CLOSE;
		break;
	case FAULT_UNTIL_CLOSE:
	case FAULT_GARBAGE:
		out->after = AFTER_CLOSE;
		break;
	default:
		break;
	}
	if (k->fault == FAULT_STALL_MIDSTREAM || k->fault == FAULT_RESET_MIDSTREAM ||
	    k->fault == FAULT_TRUNCATED)
		frame_half(&out->wire);
}

int frame_reply(struct reply *r, const struct knobs *k, bool keep_alive, struct script *out)
{
	int e = 0;

	pieces_clear(&out->wire);
	if (k->fault == FAULT_GARBAGE) {
		e = buf_str(&out->wire.bytes, "\x16\x03garbage that is not HTTP\r\n\r\n\r\n");
		if (e == 0)
			e = pieces_end(&out->wire, (unsigned)k->slow_ms, 0);
	} else {
		if (k->gzip)
			e = frame_gzip(&r->body);
		if (e == 0)
			e = frame_head(r, k, keep_alive && k->fault != FAULT_UNTIL_CLOSE,
				       &out->wire.bytes);
		if (e == 0)
			e = frame_body(r, k, &out->wire);
		if (e == 0 && out->wire.n)
			out->wire.list[0].wait_ms = (unsigned)k->slow_ms;
	}
	if (e == 0)
		frame_after(k, keep_alive, out);
	if (e == 0 && k->split && out->wire.n)
		e = frame_split(&out->wire, (size_t)k->split);
	return e;
}
