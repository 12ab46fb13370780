/* Text: hex, base64, UTF-8, glob, slices. */
#include "base/text.h"
#include "tests/t.h"

#include <errno.h>

static void hex(void)
{
	char text[9];
	unsigned char bytes[4];

	text_hex("\x00\xff\x1a\x80", 4, text);
	t_str(text, "00ff1a80", "hex");
	t_int(text_unhex(SLICE("00Ff1a80"), bytes, sizeof(bytes)), 4, "unhex");
	t_ok(memcmp(bytes, "\x00\xff\x1a\x80", 4) == 0, "unhex");
	t_int(text_unhex(SLICE("abc"), bytes, sizeof(bytes)), -EINVAL, "odd");
	t_int(text_unhex(SLICE("zz"), bytes, sizeof(bytes)), -EINVAL, "no digit");
	t_int(text_unhex(SLICE("0011223344"), bytes, sizeof(bytes)), -EINVAL, "too long");
}

static const struct { const char *why, *in, *out; int r; } base64[] = {
	{ "RFC 4648 10", "Zm9vYmFy", "foobar", 0 },
	{ "one pad", "Zm9vYmE=", "fooba", 0 },
	{ "two pads", "Zm9vYg==", "foob", 0 },
	{ "no padding", "Zm9vYg", "foob", 0 },
	{ "nothing", "", "", 0 },
	{ "white space", " Zm9v\r\n\tYmFy\n", "foobar", 0 },
	{ "URL-safe", "_-8=", "\xff\xef", 0 },
	{ "standard", "/+8=", "\xff\xef", 0 },
	{ "one character", "Z", NULL, -EINVAL },
	{ "five characters", "Zm9vY", NULL, -EINVAL },
	{ "not base64", "Zm9v!", NULL, -EINVAL },
	{ "text behind the padding", "Zm9vYg==Zm9v", NULL, -EINVAL },
};

static void base64s(void)
{
	struct buf b, c;

	buf_init(&b, 4096);
	buf_init(&c, 4096);
	for (size_t i = 0; i < ARRAY_LEN(base64); i++) {
		buf_clear(&b);
		t_int(text_base64_decode(slice_str(base64[i].in), &b), base64[i].r, "%s",
		      base64[i].why);
		t_ok(base64[i].r || slice_is(buf_slice(&b), base64[i].out), "%s", base64[i].why);
	}
	for (size_t len = 0; len < 200; len++) {
		char in[200];

		for (size_t k = 0; k < len; k++)
			in[k] = (char)(k * 37 + len);
		buf_clear(&b);
		buf_clear(&c);
		t_int(text_base64_encode(slice_of(in, len), &b), 0, "encode");
		t_int(text_base64_decode(buf_slice(&b), &c), 0, "decode");
		t_ok(slice_eq(buf_slice(&c), slice_of(in, len)), "round trip of %zu", len);
	}
	buf_done(&b);
	buf_init(&b, 4);
	t_int(text_base64_decode(SLICE("Zm9vYmFyZm9v"), &b), -ENOBUFS, "over the cap");
	buf_done(&b);
	buf_done(&c);
}

static const struct { const char *why, *in; size_t len; uint32_t point; } utf8[] = {
	{ "ASCII", "a", 1, 'a' },
	{ "two bytes", "\xc2\x80", 2, 0x80 },
	{ "three bytes", "\xe0\xa0\x80", 3, 0x800 },
	{ "before the surrogates", "\xed\x9f\xbf", 3, 0xd7ff },
	{ "behind the surrogates", "\xee\x80\x80", 3, 0xe000 },
	{ "four bytes", "\xf0\x90\x80\x80", 4, 0x10000 },
	{ "the last", "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
	{ "overlong NUL", "\xc0\x80", 0, 0 },
	{ "overlong in two", "\xc1\xbf", 0, 0 },
	{ "overlong in three", "\xe0\x9f\xbf", 0, 0 },
	{ "overlong in four", "\xf0\x8f\xbf\xbf", 0, 0 },
	{ "surrogate", "\xed\xa0\x80", 0, 0 },
	{ "behind the last", "\xf4\x90\x80\x80", 0, 0 },
	{ "tail alone", "\x80", 0, 0 },
	{ "cut", "\xe2\x82", 0, 0 },
	{ "cut in four", "\xf0\x9f\x98", 0, 0 },
	{ "wrong tail", "\xe2\x28\xa1", 0, 0 },
	{ "FF", "\xff", 0, 0 },
	{ "nothing", "", 0, 0 },
};

static void utf8s(void)
{
	for (size_t i = 0; i < ARRAY_LEN(utf8); i++) {
		struct slice in = slice_str(utf8[i].in);
		uint32_t point = 0;
		char out[4];

		t_int(text_utf8_next(in, &point), utf8[i].len, "%s", utf8[i].why);
		t_ok(text_is_utf8(in) == (utf8[i].len > 0 || !in.len), "%s", utf8[i].why);
		if (!utf8[i].len)
			continue;
		t_int(point, utf8[i].point, "%s", utf8[i].why);
		t_int(text_utf8_put(point, out), utf8[i].len, "%s", utf8[i].why);
		t_ok(memcmp(out, in.ptr, in.len) == 0, "%s: put", utf8[i].why);
	}
}

static const struct { const char *pattern, *text; bool match; } globs[] = {
	{ "", "", true }, { "", "a", false }, { "*", "", true }, { "*", "/usr/bin/x", true },
	{ "a", "a", true }, { "a", "ab", false }, { "?", "a", true }, { "?", "", false },
	{ "a*c", "abc", true }, { "a*c", "ac", true }, { "a*c", "abcd", false },
	{ "*.py", "/opt/a.py", true }, { "*.py", "/opt/a.pyc", false },
	{ "/usr/*/python3*", "/usr/local/bin/python3.11", true }, { "a**b", "ab", true },
	{ "*a*b*c*", "xxaxxbxxcxx", true }, { "*a*b*c*", "xxaxxcxxbxx", false },
	{ "a?c", "a/c", true }, { "[a]", "a", false }, { "\xc3\xa9*", "\xc3\xa9t\xc3\xa9", true },
};

static void patterns(void)
{
	char evil[200];

	for (size_t i = 0; i < ARRAY_LEN(globs); i++)
		t_ok(text_glob(globs[i].pattern, slice_str(globs[i].text)) == globs[i].match,
		     "\"%s\" on \"%s\"", globs[i].pattern, globs[i].text);
	memset(evil, 'a', sizeof(evil));
	t_ok(!text_glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*b", slice_of(evil, sizeof(evil))),
	     "many stars end in time");
}

static void slices(void)
{
	char out[4];

	t_ok(slice_is(slice_trim(SLICE(" \ta b\t ")), "a b"), "trim");
	t_ok(slice_is(slice_trim(SLICE(" ")), ""), "trim to nothing");
	t_ok(slice_is(slice_sub(SLICE("abc"), 1, 9), "bc"), "clamped at the end");
	t_ok(slice_is(slice_sub(SLICE("abc"), 9, 1), ""), "crossed ends");
	t_ok(!slice_from(slice_of(NULL, 0), 1).ptr, "a part of nothing");
	t_int(slice_find(SLICE("abcabc"), SLICE("ca")), 2, "find");
	t_int(slice_find(SLICE("abc"), SLICE("x")), -1, "not found");
	t_ok(slice_ieq(SLICE("HoSt"), SLICE("host")) && !slice_ieq(SLICE("a"), SLICE("ab")), "ieq");
	t_ok(slice_starts(SLICE("ab"), SLICE("")) && !slice_ends(SLICE("b"), SLICE("ab")), "ends");
	slice_copy(out, sizeof(out), SLICE("abcdef"));
	t_str(out, "abc", "copy is cut and ended");
	slice_copy(out, sizeof(out), slice_of(NULL, 0));
	t_str(out, "", "copy of nothing");
}

int main(void)
{
	hex();
	base64s();
	utf8s();
	patterns();
	slices();
	return t_done();
}
