/*
 * Content codings (RFC 9110 8.4.1): zlib, brotli and zstd behind one loop. Members and frames that
 * follow one another are all decoded: what a client would read, the inspection has read too.
 */
#include "wire/encoding.h"

#include <brotli/decode.h>
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define STEP (16U << 10)      /* room made for output at a time */
#define ZSTD_WINDOW_LOG_MAX 23 /* 8 MB: what RFC 9659 lets a content coding ask for */

struct decoder {
	enum coding coding;
	bool begun;          /* a byte has been seen */
	bool ended;          /* at the end of a member or frame */
	bool in_frame;       /* zstd: the first byte of a frame was seen */
	bool ready;          /* z is set up (deflate decides by its first two bytes) */
	unsigned char held;  /* deflate: the first byte, while the second is awaited */
	bool holds;
	z_stream z;
	BrotliDecoderState *br;
	ZSTD_DStream *zstd;
};

enum coding encoding_of(struct slice value)
{
	static const struct {
		const char *name;
		enum coding coding;
	} names[] = {
		{ "", CODING_IDENTITY },   { "identity", CODING_IDENTITY },
		{ "gzip", CODING_GZIP },   { "x-gzip", CODING_GZIP },
		{ "br", CODING_BR },       { "deflate", CODING_DEFLATE },
		{ "zstd", CODING_ZSTD },
	};

	value = slice_trim(value);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_ieq(value, slice_str(names[i].name)))
			return names[i].coding;
	return CODING_UNKNOWN;
}

static int zlib_open(struct decoder *d, int window_bits)
{
	if (inflateInit2(&d->z, window_bits) != Z_OK)
		return -ENOMEM;
	d->ready = true;
	return 0;
}

static int decoder_open(struct decoder *d)
{
	switch (d->coding) {
	case CODING_IDENTITY:
	case CODING_DEFLATE:
		return 0;
	case CODING_GZIP:
		return zlib_open(d, 15 + 16);
	case CODING_BR:
		d->br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
		return d->br ? 0 : -ENOMEM;
	case CODING_ZSTD:
		d->zstd = ZSTD_createDStream();
		if (!d->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax,
								    ZSTD_WINDOW_LOG_MAX)))
			return -ENOMEM;
		return 0;
	default:
		return -EINVAL;
	}
}

int decoder_new(enum coding c, struct decoder **out)
{
	struct decoder *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->coding = c;
	r = decoder_open(d);
	if (r < 0) {
		decoder_free(d);
		return r;
	}
	*out = d;
	return 0;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	if (d->ready)
		(void)inflateEnd(&d->z);
	BrotliDecoderDestroyInstance(d->br);
	(void)ZSTD_freeDStream(d->zstd);
	free(d);
}

/* One call of the library: moves `in` and `room` on by what it took and made. 0 or -errno. */
static int zlib_step(struct decoder *d, struct slice *in, char **at, size_t *room)
{
	int rc;

	/* Only gzip knows members in a row (RFC 1952 2.2). */
	if (d->ended && (d->coding != CODING_GZIP || inflateReset(&d->z) != Z_OK))
		return -EBADMSG;
	d->z.next_in = (Bytef *)(uintptr_t)in->ptr;
	d->z.avail_in = (uInt)MIN(in->len, (size_t)1 << 30);
	d->z.next_out = (Bytef *)*at;
	d->z.avail_out = (uInt)*room;
	rc = inflate(&d->z, Z_NO_FLUSH);
	*in = slice_from(*in, (size_t)(d->z.next_in - (const Bytef *)in->ptr));
	*at = (char *)d->z.next_out;
	*room = d->z.avail_out;
	d->ended = rc == Z_STREAM_END;
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? 0 : -EBADMSG;
}

static int brotli_step(struct decoder *d, struct slice *in, char **at, size_t *room)
{
	const uint8_t *next = (const uint8_t *)in->ptr;
	uint8_t *to = (uint8_t *)*at;
	BrotliDecoderResult rc;

	if (d->ended)
		return -EBADMSG;
	rc = BrotliDecoderDecompressStream(d->br, &in->len, &next, room, &to, NULL);
	in->ptr = (const char *)next;
	*at = (char *)to;
	d->ended = rc == BROTLI_DECODER_RESULT_SUCCESS;
	return rc == BROTLI_DECODER_RESULT_ERROR ? -EBADMSG : 0;
}

/*
 * RFC 8878 knows two kinds of frames. libzstd may also read formats from before it, which clients do
 * not and which its streams take or refuse by how they are cut.
 */
static bool zstd_frame_starts(unsigned char c)
{
	return c == 0x28 || (c & 0xf0) == 0x50;
}

static int zstd_step(struct decoder *d, struct slice *in, char **at, size_t *room)
{
	ZSTD_inBuffer from = { in->ptr, in->len, 0 };
	ZSTD_outBuffer to = { *at, *room, 0 };
	size_t left;

	if (!d->in_frame && in->len && !zstd_frame_starts((unsigned char)in->ptr[0]))
		return -EBADMSG;
	left = ZSTD_decompressStream(d->zstd, &to, &from);
	if (ZSTD_isError(left))
		return -EBADMSG;
	*in = slice_from(*in, from.pos);
	*at += to.pos;
	*room -= to.pos;
	d->ended = left == 0;
	d->in_frame = left != 0;
	return 0;
}

static int step(struct decoder *d, struct slice *in, char **at, size_t *room)
{
	if (d->coding == CODING_BR)
		return brotli_step(d, in, at, room);
	if (d->coding == CODING_ZSTD)
		return zstd_step(d, in, at, room);
	return zlib_step(d, in, at, room);
}

/*
 * Until the input is used up and the library has no more to give: it had room left over. At the cap
 * one byte of scratch tells "just fits" from "too much".
 */
static int drain(struct decoder *d, struct slice in, struct buf *out)
{
	bool more = true;

	while (in.len || more) {
		size_t have = buf_size(out), room = have < out->max ? out->max - have : 0;
		size_t before, had = in.len;
		char scratch, *at = &scratch;
		int r;

		if (d->ended && !in.len)
			break;
		if (room) {
			room = MIN(room, (size_t)STEP);
			r = buf_reserve(out, room);
			if (r < 0)
				return r;
			at = out->data + out->len;
		} else {
			room = 1;
		}
		before = room;
		r = step(d, &in, &at, &room);
		if (r < 0)
			return r;
		if (before != room && at == &scratch + 1)
			return -ENOBUFS;
		out->len += at == &scratch ? 0 : before - room;
		if (had && had == in.len && before == room)
			return -EBADMSG; /* neither eats nor gives: it never will */
		more = room == 0;
	}
	return 0;
}

/*
 * "deflate" is the zlib format (RFC 9110 8.4.1.2), but some send the bare one; clients take both,
 * so the first two bytes decide as they do there (RFC 1950 2.2).
 */
static int deflate_open(struct decoder *d, struct slice *in, struct buf *out)
{
	unsigned char first = d->held, second;
	bool is_zlib;
	int r;

	if (!d->holds) {
		d->held = first = (unsigned char)in->ptr[0];
		d->holds = true;
		*in = slice_from(*in, 1);
		if (!in->len)
			return 0;
	}
	second = (unsigned char)in->ptr[0];
	is_zlib = (first & 0x0f) == 8 && (first >> 4) <= 7 && (first << 8 | second) % 31 == 0;
	r = zlib_open(d, is_zlib ? 15 : -15);
	return r < 0 ? r : drain(d, slice_of(&d->held, 1), out);
}

int decoder_feed(struct decoder *d, struct slice in, struct buf *out)
{
	int r = 0;

	if (!in.len)
		return 0;
	d->begun = true;
	if (d->coding == CODING_IDENTITY)
		return buf_append(out, in);
	if (d->coding == CODING_DEFLATE && !d->ready)
		r = deflate_open(d, &in, out);
	return r < 0 || !in.len ? r : drain(d, in, out);
}

int decoder_end(struct decoder *d)
{
	/* An empty body is no coded body at all: answers to HEAD and 304 say a coding too. */
	return !d->begun || d->coding == CODING_IDENTITY || d->ended ? 0 : -EBADMSG;
}
