/* Text helpers. */
#include "base/text.h"

#include <errno.h>

void text_hex(const void *in, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = in;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int text_unhex(struct slice in, void *out, size_t out_size)
{
	unsigned char *p = out;

	if (in.len % 2 || in.len / 2 > out_size)
		return -EINVAL;
	for (size_t i = 0; i < in.len; i += 2) {
		int hi = hex_value(in.ptr[i]), lo = hex_value(in.ptr[i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		p[i / 2] = (unsigned char)(hi << 4 | lo);
	}
	return (int)(in.len / 2);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

int text_base64_decode(struct slice in, struct buf *out)
{
	uint32_t acc = 0;
	int bits = 0, r;
	size_t i;

	r = buf_reserve(out, in.len / 4 * 3 + 3);
	if (r < 0)
		return r;
	for (i = 0; i < in.len; i++) {
		char c = in.ptr[i];
		int v = base64_value(c);

		if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
			continue;
		if (c == '=')
			break;
		if (v < 0)
			return -EINVAL;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out->data[out->len++] = (char)(acc >> bits & 255);
		}
	}
	for (; i < in.len; i++)
		if (in.ptr[i] != '=' && in.ptr[i] != '\n' && in.ptr[i] != '\r')
			return -EINVAL;
	return bits == 6 ? -EINVAL : 0;
}

int text_base64_encode(struct slice in, struct buf *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)in.ptr;
	size_t i;
	int r;

	r = buf_reserve(out, (in.len + 2) / 3 * 4);
	if (r < 0)
		return r;
	for (i = 0; i < in.len; i += 3) {
		size_t left = in.len - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);

		out->data[out->len++] = digits[v >> 18];
		out->data[out->len++] = digits[v >> 12 & 63];
		out->data[out->len++] = left > 1 ? digits[v >> 6 & 63] : '=';
		out->data[out->len++] = left > 2 ? digits[v & 63] : '=';
	}
	return 0;
}

size_t text_utf8_next(struct slice in, uint32_t *codepoint)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)in.ptr;
	uint32_t c;
	size_t n;

	if (!in.len)
		return 0;
	if (p[0] < 0x80) {
		*codepoint = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] < 0xe0)
		n = 2, c = p[0] & 0x1f;
	else if (p[0] >= 0xe0 && p[0] < 0xf0)
		n = 3, c = p[0] & 0x0f;
	else if (p[0] >= 0xf0 && p[0] < 0xf5)
		n = 4, c = p[0] & 0x07;
	else
		return 0;
	if (in.len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*codepoint = c;
	return n;
}

size_t text_utf8_put(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

bool text_is_utf8(struct slice in)
{
	uint32_t c;

	while (in.len) {
		size_t n = text_utf8_next(in, &c);

		if (!n)
			return false;
		in = slice_from(in, n);
	}
	return true;
}

bool text_glob(const char *pattern, struct slice text)
{
	const char *star = NULL;
	size_t i = 0, mark = 0;

	/* Greedy with one point of return: linear in pattern times text, no recursion. */
	while (i < text.len) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = i;
		} else if (*pattern == '?' || (*pattern && *pattern == text.ptr[i])) {
			pattern++;
			i++;
		} else if (star) {
			pattern = star;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
