/* Reading out of parsed JSON: members, decoded text, numbers, offsets; and writing escaped text. */
#include "wire/jsonspan.h"

#include "base/text.h"
#include "wire/jsonescape.h"
#include "wire/scan.h"

#include <errno.h>

const int8_t jescape_hex[256] = {
	[0 ... '0' - 1] = -1,
	['0'] = 0, ['1'] = 1, ['2'] = 2, ['3'] = 3, ['4'] = 4,
	['5'] = 5, ['6'] = 6, ['7'] = 7, ['8'] = 8, ['9'] = 9,
	['9' + 1 ... 'A' - 1] = -1,
	['A'] = 10, ['B'] = 11, ['C'] = 12, ['D'] = 13, ['E'] = 14, ['F'] = 15,
	['F' + 1 ... 'a' - 1] = -1,
	['a'] = 10, ['b'] = 11, ['c'] = 12, ['d'] = 13, ['e'] = 14, ['f'] = 15,
	['f' + 1 ... 255] = -1,
};

static uint32_t hex4(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)jescape_hex[(unsigned char)p[i]];
	return v;
}

size_t jescape_read(const char *p, char out[4], size_t *n)
{
	uint32_t c;

	*n = 1;
	switch (p[1]) {
	case 'b':
		out[0] = '\b';
		return 2;
	case 'f':
		out[0] = '\f';
		return 2;
	case 'n':
		out[0] = '\n';
		return 2;
	case 'r':
		out[0] = '\r';
		return 2;
	case 't':
		out[0] = '\t';
		return 2;
	case 'u':
		break;
	default:
		out[0] = p[1];
		return 2;
	}
	c = hex4(p + 2);
	if (c < 0xd800 || c >= 0xe000) {
		*n = text_utf8_put(c, out);
		return 6;
	}
	c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 8) - 0xdc00);
	*n = text_utf8_put(c, out);
	return 12;
}

/* Does a raw string read as `text`? */
static bool raw_is(struct slice raw, bool escaped, struct slice text)
{
	struct jescape_walk w;

	if (!escaped)
		return slice_eq(raw, text);
	if (text.len > raw.len)
		return false;
	w = jescape_walk(raw);
	for (size_t i = 0; i < text.len; i++)
		if (jescape_next(&w) != (unsigned char)text.ptr[i])
			return false;
	return jescape_next(&w) < 0;
}

const struct jnode *jspan_get(const struct jdoc *d, const struct jnode *obj, const char *key)
{
	struct slice want = slice_str(key);
	const struct jnode *found = NULL;

	if (!obj || obj->type != JT_OBJECT)
		return NULL;
	for (const struct jnode *n = jspan_first(d, obj); n; n = jspan_next(d, n)) {
		if (!raw_is(jspan_key(d, n), n->key_escaped, want))
			continue;
		found = n;
		if (!d->duplicates)
			break;
	}
	return found;
}

const struct jnode *jspan_first(const struct jdoc *d, const struct jnode *parent)
{
	return parent && parent->child ? &d->nodes[parent->child] : NULL;
}

const struct jnode *jspan_next(const struct jdoc *d, const struct jnode *n)
{
	return n && n->next ? &d->nodes[n->next] : NULL;
}

struct slice jspan_raw(const struct jdoc *d, const struct jnode *n)
{
	return n ? slice_of(d->text.ptr + n->start, n->end - n->start) : slice_of(NULL, 0);
}

struct slice jspan_key(const struct jdoc *d, const struct jnode *n)
{
	return n ? slice_of(d->text.ptr + n->key, n->key_len) : slice_of(NULL, 0);
}

struct slice jspan_text(const struct jdoc *d, const struct jnode *n, struct arena *a)
{
	struct slice raw;
	const char *p, *end;
	char *out, *to;

	if (!n || n->type != JT_STRING)
		return slice_of(NULL, 0);
	raw = jspan_raw(d, n);
	if (!n->escaped)
		return raw;
	out = to = arena_bytes(a, raw.len); /* an escape is never shorter than what it stands for */
	if (!out)
		return slice_of(NULL, 0);
	for (p = raw.ptr, end = raw.ptr + raw.len; p < end;) {
		const char *stop = memchr(p, '\\', (size_t)(end - p));
		size_t run = (size_t)((stop ? stop : end) - p), len;
		char c[4];

		memcpy(to, p, run);
		to += run;
		p += run;
		if (p == end)
			break;
		p += jescape_read(p, c, &len);
		memcpy(to, c, len);
		to += len;
	}
	return slice_of(out, (size_t)(to - out));
}

bool jspan_is(const struct jdoc *d, const struct jnode *n, const char *text)
{
	return n && n->type == JT_STRING && raw_is(jspan_raw(d, n), n->escaped, slice_str(text));
}

bool jspan_true(const struct jnode *n)
{
	return n && n->type == JT_TRUE;
}

/* The exponent behind an 'e', kept within what decides anything. */
static int64_t exponent_of(const char *p, const char *end)
{
	const int64_t far = INT64_C(1) << 40; /* over any number of digits in a text */
	bool minus = *p == '-';
	int64_t e = 0;

	if (*p == '-' || *p == '+')
		p++;
	for (; p < end && e < far; p++)
		e = e * 10 + (*p - '0');
	return minus ? -e : e;
}

int64_t jspan_int(const struct jdoc *d, const struct jnode *n, int64_t absent)
{
	struct slice raw = jspan_raw(d, n);
	const char *end, *mantissa, *exp, *dot;
	int64_t whole, v = 0, at = 0; /* digits before the point, once the exponent has moved it */
	bool minus;

	if (!n || n->type != JT_NUMBER)
		return absent;
	minus = raw.ptr[0] == '-';
	raw = slice_from(raw, minus ? 1 : 0);
	mantissa = end = raw.ptr + raw.len;
	for (exp = raw.ptr; exp < end && *exp != 'e' && *exp != 'E'; exp++)
		;
	if (exp < end)
		mantissa = exp;
	dot = memchr(raw.ptr, '.', (size_t)(mantissa - raw.ptr));
	whole = (dot ? dot : mantissa) - raw.ptr + (exp < end ? exponent_of(exp + 1, end) : 0);
	for (const char *p = raw.ptr; p < mantissa; p++) {
		if (p == dot)
			continue;
		if (at++ >= whole) {
			if (*p != '0')
				return absent; /* a fraction */
		} else if (__builtin_mul_overflow(v, 10, &v) ||
			   __builtin_add_overflow(v, *p - '0', &v)) {
			return absent;
		}
	}
	for (; v && at < whole; at++)
		if (__builtin_mul_overflow(v, 10, &v))
			return absent;
	return minus && v ? absent : v;
}

uint32_t jspan_raw_offset(const struct jdoc *d, const struct jnode *n, uint32_t decoded,
			  struct jcursor *hint)
{
	struct slice raw = jspan_raw(d, n);
	struct jcursor at = *hint;

	if (!n || n->type != JT_STRING)
		return 0;
	if (!n->escaped)
		return MIN(decoded, (uint32_t)raw.len);
	if (at.decoded > decoded)
		at = (struct jcursor){ 0, 0 };
	while (at.decoded < decoded && at.raw < raw.len) {
		const char *p = raw.ptr + at.raw, *stop;
		size_t want = MIN((size_t)(decoded - at.decoded), raw.len - at.raw), len;
		char c[4];

		stop = memchr(p, '\\', want);
		if (stop != p) {
			want = stop ? (size_t)(stop - p) : want;
			at.raw += (uint32_t)want;
			at.decoded += (uint32_t)want;
			continue;
		}
		want = jescape_read(p, c, &len);
		if (at.decoded + len > decoded)
			break;
		at.raw += (uint32_t)want;
		at.decoded += (uint32_t)len;
	}
	*hint = at;
	return at.raw;
}

/* The escape of one byte that may not stand in a string; returns its length. */
static size_t escape_write(unsigned char c, char out[6])
{
	static const char hex[] = "0123456789abcdef";
	static const char short_of[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};

	out[0] = '\\';
	if (c >= 0x20 || short_of[c]) {
		out[1] = c >= 0x20 ? (char)c : short_of[c];
		return 2;
	}
	memcpy(out + 1, "u00", 3);
	out[4] = hex[c >> 4];
	out[5] = hex[c & 15];
	return 6;
}

int jspan_escape(struct slice text, struct buf *out)
{
	const size_t before = out->len - out->off;
	int r = 0;

	while (text.len && r == 0) {
		size_t run = (size_t)(scan_json(text.ptr, text.ptr + text.len) - text.ptr), len;
		unsigned char c;
		uint32_t point;
		char one[6];

		r = buf_append(out, slice_sub(text, 0, run));
		text = slice_from(text, run);
		if (r < 0 || !text.len)
			break;
		c = (unsigned char)text.ptr[0];
		len = c < 0x80 ? 0 : text_utf8_next(text, &point);
		if (c < 0x80)
			r = buf_append(out, slice_of(one, escape_write(c, one)));
		else if (len)
			r = buf_append(out, slice_sub(text, 0, len));
		else
			r = buf_append(out, SLICE("\xef\xbf\xbd")); /* no text: U+FFFD */
		text = slice_from(text, len ? len : 1);
	}
	if (r < 0)
		out->len = out->off + before; /* all or nothing */
	return r;
}
