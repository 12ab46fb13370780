/* Content codings: round trips in every cut, truncation, garbage, bombs, members in a row. */
#include "tests/t.h"
#include "wire/encoding.h"

#include <brotli/encode.h>
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

static uint32_t seed = 5;

static size_t random_below(size_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

enum made { GZIP, ZLIB, RAW, BROTLI, ZSTANDARD, N_MADE };

static const struct { const char *name; enum coding coding; } made[N_MADE] = {
	{ "gzip", CODING_GZIP }, { "zlib", CODING_DEFLATE }, { "bare deflate", CODING_DEFLATE },
	{ "br", CODING_BR }, { "zstd", CODING_ZSTD },
};

static void zlib_encode(int window_bits, struct slice in, struct buf *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len };
	size_t room;

	t_int(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, 0), Z_OK, "deflate");
	room = deflateBound(&z, in.len) + 32;
	t_int(buf_reserve(out, room), 0, "room");
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)room;
	t_int(deflate(&z, Z_FINISH), Z_STREAM_END, "deflate");
	out->len += room - z.avail_out;
	(void)deflateEnd(&z);
}

/* Appends `in`, coded. */
static void encode(enum made how, struct slice in, struct buf *out)
{
	size_t room = in.len + in.len / 2 + 1024;

	if (how <= RAW) {
		zlib_encode(how == GZIP ? 31 : how == ZLIB ? 15 : -15, in, out);
		return;
	}
	t_int(buf_reserve(out, room), 0, "room");
	if (how == BROTLI)
		t_ok(BrotliEncoderCompress(5, 22, BROTLI_MODE_TEXT, in.len, (const uint8_t *)in.ptr,
					   &room, (uint8_t *)out->data + out->len), "brotli");
	else
		room = ZSTD_compress(out->data + out->len, room, in.ptr, in.len, 3);
	out->len += room;
}

/* Decodes in pieces of up to `max` bytes. */
static int decode(enum coding coding, struct slice in, size_t max, struct buf *out)
{
	struct decoder *d = NULL;
	int r = decoder_new(coding, &d);

	while (r == 0 && in.len) {
		size_t n = MIN(in.len, 1 + random_below(max));
		char *copy = malloc(n);

		memcpy(copy, in.ptr, n);
		r = decoder_feed(d, slice_of(copy, n), out);
		free(copy);
		in = slice_from(in, n);
	}
	if (r == 0)
		r = decoder_end(d);
	decoder_free(d);
	return r;
}

static void names(void)
{
	static const struct { const char *value; enum coding want; } rows[] = {
		{ "", CODING_IDENTITY }, { " identity ", CODING_IDENTITY }, { "gzip", CODING_GZIP },
		{ "GZip", CODING_GZIP }, { "x-gzip", CODING_GZIP }, { "deflate", CODING_DEFLATE },
		{ "\tbr", CODING_BR }, { "zstd", CODING_ZSTD }, { "gzip, br", CODING_UNKNOWN },
		{ "gzip,", CODING_UNKNOWN }, { "identity, gzip", CODING_UNKNOWN },
		{ "compress", CODING_UNKNOWN }, { "aws-chunked", CODING_UNKNOWN },
		{ "gzip;q=1", CODING_UNKNOWN },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		t_int(encoding_of(slice_str(rows[i].value)), rows[i].want, "\"%s\"", rows[i].value);
}

static void round_trips(struct slice text)
{
	struct buf coded, out;

	buf_init(&coded, 1 << 22);
	buf_init(&out, 1 << 22);
	for (size_t m = 0; m < N_MADE; m++) {
		size_t len;

		buf_clear(&coded);
		encode((enum made)m, text, &coded);
		for (size_t max = 1; max < 100000; max *= 9) {
			buf_clear(&out);
			t_int(decode(made[m].coding, buf_slice(&coded), max, &out), 0, "%s, %zu",
			      made[m].name, max);
			t_ok(slice_eq(buf_slice(&out), text), "%s, %zu", made[m].name, max);
		}
		buf_done(&out);
		buf_init(&out, text.len);
		t_int(decode(made[m].coding, buf_slice(&coded), 4096, &out), 0,
		      "%s: just fits the cap", made[m].name);
		t_ok(slice_eq(buf_slice(&out), text), "%s: just fits the cap", made[m].name);
		buf_done(&out);
		buf_init(&out, text.len - 1);
		t_int(decode(made[m].coding, buf_slice(&coded), 4096, &out), -ENOBUFS,
		      "%s: a byte over the cap", made[m].name);
		buf_done(&out);
		buf_init(&out, 1 << 22);
		len = buf_size(&coded);
		for (size_t cut = 1; cut < len; cut += 1 + len / 40) {
			buf_clear(&out);
			t_int(decode(made[m].coding, slice_sub(buf_slice(&coded), 0, cut), 4096,
				     &out), -EBADMSG, "%s cut at %zu of %zu", made[m].name, cut, len);
		}
		(void)buf_str(&coded, "garbage");
		t_int(decode(made[m].coding, buf_slice(&coded), 4096, &out), -EBADMSG,
		      "%s: garbage behind", made[m].name);
		t_int(decode(made[m].coding, SLICE("this was never coded at all"), 9, &out),
		      -EBADMSG, "%s: garbage", made[m].name);
		t_int(decode(made[m].coding, SLICE(""), 9, &out), 0, "%s: no body", made[m].name);
	}
	buf_clear(&out);
	t_int(decode(CODING_IDENTITY, text, 4096, &out), 0, "identity");
	t_ok(slice_eq(buf_slice(&out), text), "identity");
	t_int(decode(CODING_UNKNOWN, text, 4096, &out), -EINVAL, "unknown");
	buf_done(&coded);
	buf_done(&out);
}

/* What a client reads behind the first member or frame, the inspection reads too. */
static void in_a_row(void)
{
	static const enum made rows[] = { GZIP, ZSTANDARD };
	struct buf coded, out;

	buf_init(&coded, 1 << 20);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&coded);
		encode(rows[i], SLICE("first, "), &coded);
		encode(rows[i], SLICE(""), &coded);
		encode(rows[i], SLICE("second"), &coded);
		for (size_t max = 1; max < 200; max += 33) {
			buf_clear(&out);
			t_int(decode(made[rows[i]].coding, buf_slice(&coded), max, &out), 0,
			      "%s in a row", made[rows[i]].name);
			t_ok(slice_is(buf_slice(&out), "first, second"), "%s in a row",
			     made[rows[i]].name);
		}
		t_int(decode(made[rows[i]].coding,
			     slice_sub(buf_slice(&coded), 0, buf_size(&coded) - 1), 50, &out),
		      -EBADMSG, "%s: the last one cut", made[rows[i]].name);
	}
	for (size_t max = 1; max < 9; max += 7)
		t_int(decode(CODING_ZSTD, SLICE("\x25\xb5\x2f\xfd\x00\x40\x00\x00"), max, &out),
		      -EBADMSG, "a frame of zstd 0.5, before the RFC");
	t_int(decode(CODING_ZSTD, SLICE("\x50\x2a\x4d\x18\x02\x00\x00\x00hi"), 3, &out), 0,
	      "a skippable frame");
	buf_done(&coded);
	buf_done(&out);
}

/* A gigabyte of nothing stops at the cap. */
static void bombs(void)
{
	struct slice zeroes = slice_of(calloc(1, 64 << 20), 64 << 20);
	struct buf coded, out;

	buf_init(&coded, 128 << 20);
	for (size_t m = 0; m < N_MADE; m++) {
		buf_clear(&coded);
		encode((enum made)m, zeroes, &coded);
		buf_init(&out, 1 << 20);
		t_int(decode(made[m].coding, buf_slice(&coded), 65536, &out), -ENOBUFS, "%s: bomb",
		      made[m].name);
		t_ok(out.cap <= 2 << 20, "%s: %zu bytes held", made[m].name, out.cap);
		buf_done(&out);
	}
	buf_done(&coded);
	free((char *)(uintptr_t)zeroes.ptr);
}

int main(void)
{
	static char text[60000];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 3 ? "{\"content\": \"words\"}"[i % 20] : (char)('a' + random_below(26));
	names();
	round_trips(slice_of(text, sizeof(text)));
	in_a_row();
	bombs();
	return t_done();
}
