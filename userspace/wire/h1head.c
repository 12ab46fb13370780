/*
 * HTTP/1.1 heads. Two parsers that disagree about where a message ends are how requests are
 * smuggled past a filter, so whatever RFC 9112 leaves to taste is refused here, with a reason of its
 * own.
 */
#include "wire/h1head.h"

#include "wire/scan.h"

#include <errno.h>

#define METHOD_MAX 32

/* What a byte may be part of. */
enum { IS_TOKEN = 1, IS_TARGET = 2, IS_HOST = 4, IS_DIGIT = 8 };

#define ANY (IS_TOKEN | IS_TARGET)
#define NAME (IS_TOKEN | IS_TARGET | IS_HOST)
static const unsigned char class_of[256] = {
	['!'] = ANY, ['"'] = 0, ['#'] = IS_TOKEN, ['$' ... '\''] = ANY,
	['('] = IS_TARGET, [')'] = IS_TARGET, ['*'] = ANY, ['+'] = ANY,
	[','] = IS_TARGET, ['-'] = NAME, ['.'] = NAME, ['/'] = IS_TARGET,
	['0' ... '9'] = NAME | IS_DIGIT, [':' ... '@'] = IS_TARGET,
	['A' ... 'Z'] = NAME, ['['] = IS_TARGET, ['\\'] = 0, [']'] = IS_TARGET,
	['^'] = ANY, ['_'] = NAME, ['`'] = ANY, ['a' ... 'z'] = NAME,
	['{'] = IS_TARGET, ['|'] = ANY, ['}'] = IS_TARGET, ['~'] = ANY,
};

/* The fields that decide where the message ends and whose it is. */
struct fields {
	struct slice host, transfer_encoding;
	unsigned int n_host, n_length, n_transfer_encoding;
	int64_t length;
	bool close, keep_alive, connection_upgrade, upgrade, expect;
};

int h1_refuse(struct codec *c, int status, const char *why)
{
	c->why = why;
	c->status = status;
	return -EPROTO;
}

static int too_long(struct codec *c, int status, const char *why)
{
	(void)h1_refuse(c, status, why);
	return -EMSGSIZE;
}

static inline const char *class_end(const char *p, const char *end, unsigned char class)
{
	while (p < end && (class_of[(unsigned char)*p] & class))
		p++;
	return p;
}

static bool all_of(struct slice s, unsigned char class)
{
	return s.len && class_end(s.ptr, s.ptr + s.len, class) == s.ptr + s.len;
}

bool h1_is_token(struct slice s)
{
	return all_of(s, IS_TOKEN);
}

bool h1_is_target(struct slice s)
{
	return all_of(s, IS_TARGET);
}

/* Over a field value or a reason: to the first control character that is not a tab. */
static inline const char *value_end(const char *p, const char *end)
{
	while ((p = scan_control(p, end)) < end && *p == '\t')
		p++;
	return p;
}

bool h1_is_value(struct slice s)
{
	return !s.len || value_end(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

/* At p a line must end: 0 and *p behind its CRLF. */
static int line_end(struct codec *c, const char **p, const char *end)
{
	if (*p == end)
		return -EAGAIN;
	if (**p == '\r') {
		if (*p + 1 == end)
			return -EAGAIN;
		if ((*p)[1] != '\n')
			return h1_refuse(c, 400, "bare CR in the head");
		*p += 2;
		return 0;
	}
	if (**p == '\n')
		return h1_refuse(c, 400, "bare LF in the head");
	if (**p == '\0')
		return h1_refuse(c, 400, "NUL in the head");
	if ((unsigned char)**p < 0x20 || **p == 0x7f)
		return h1_refuse(c, 400, "control character in the head");
	return h1_refuse(c, 400, "text behind the HTTP version");
}

/* Digits only, no sign, no blank, no leading zero, no list. */
static int length_read(struct codec *c, struct slice v, int64_t *out)
{
	int64_t n = 0;

	if (!all_of(v, IS_DIGIT) || (v.len > 1 && v.ptr[0] == '0'))
		return h1_refuse(c, 400, "Content-Length is not one plain number");
	for (size_t i = 0; i < v.len; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, v.ptr[i] - '0', &n))
			return h1_refuse(c, 400, "Content-Length is too large");
	*out = n;
	return 0;
}

static int connection_read(struct codec *c, struct slice v, struct fields *f)
{
	while (v.len) {
		long comma = slice_find(v, SLICE(","));
		size_t len = comma < 0 ? v.len : (size_t)comma;
		struct slice one = slice_trim(slice_sub(v, 0, len));

		v = slice_from(v, comma < 0 ? len : len + 1);
		if (slice_ieq(one, SLICE("close")))
			f->close = true;
		else if (slice_ieq(one, SLICE("keep-alive")))
			f->keep_alive = true;
		else if (slice_ieq(one, SLICE("upgrade")))
			f->connection_upgrade = true;
		else if (slice_ieq(one, SLICE("host")) || slice_ieq(one, SLICE("content-length")) ||
			 slice_ieq(one, SLICE("transfer-encoding")))
			/* The next hop would drop them and see another message. */
			return h1_refuse(c, 400, "Connection names a field that frames or routes");
		else if (one.len && !h1_is_token(one))
			return h1_refuse(c, 400, "Connection is not a list of tokens");
	}
	return 0;
}

/* Remembers what one header line says about framing. */
static int field_note(struct codec *c, const struct header *h, struct fields *f)
{
	struct slice name = h->name;

	switch (name.len) {
	case 4:
		if (slice_ieq(name, SLICE("host"))) {
			f->host = h->value;
			f->n_host++;
		}
		return 0;
	case 6:
		if (!slice_ieq(name, SLICE("expect")))
			return 0;
		if (!slice_ieq(h->value, SLICE("100-continue")))
			return h1_refuse(c, 417, "Expect is not 100-continue");
		f->expect = true;
		return 0;
	case 7:
		if (slice_ieq(name, SLICE("upgrade")))
			f->upgrade = true;
		return 0;
	case 10:
		return slice_ieq(name, SLICE("connection")) ? connection_read(c, h->value, f) : 0;
	case 14:
		if (!slice_ieq(name, SLICE("content-length")))
			return 0;
		if (f->n_length++)
			return h1_refuse(c, 400, "more than one Content-Length");
		return length_read(c, h->value, &f->length);
	case 17:
		if (!slice_ieq(name, SLICE("transfer-encoding")))
			return 0;
		if (f->n_transfer_encoding++)
			return h1_refuse(c, 400, "more than one Transfer-Encoding");
		f->transfer_encoding = h->value;
		return 0;
	default:
		return 0;
	}
}

/* Why the byte at p, which is no colon, ends a field name. */
static int name_refuse(struct codec *c, const char *p, const char *line)
{
	if (p == line && (*p == ' ' || *p == '\t'))
		return h1_refuse(c, 400, "folded header line");
	if (*p == ' ' || *p == '\t')
		return h1_refuse(c, 400, "blank in or after a header name");
	if (*p == '\r' || *p == '\n')
		return h1_refuse(c, 400, "header line without a colon");
	return h1_refuse(c, 400, "character in a header name that is no token");
}

/* Header lines and the empty line, from *at. */
static int fields_read(struct codec *c, const char **at, const char *end, struct http_head *h,
		       struct fields *f)
{
	const char *p = *at;
	int r;

	for (;;) {
		const char *line = p, *value;
		struct header *one = &h->headers[h->n_headers];

		if (p < end && (*p == '\r' || *p == '\n')) {
			*at = p;
			return line_end(c, at, end);
		}
		p = class_end(p, end, IS_TOKEN);
		if (p == end)
			return -EAGAIN;
		if (*p != ':' || p == line)
			return *p == ':' ? h1_refuse(c, 400, "empty header name") :
					   name_refuse(c, p, line);
		if (h->n_headers == HTTP_HEADERS_MAX)
			return too_long(c, 431, "too many header lines");
		one->name = slice_of(line, (size_t)(p - line));
		value = p + 1;
		p = value_end(value, end);
		one->value = slice_trim(slice_of(value, (size_t)(p - value)));
		r = line_end(c, &p, end);
		if (r == 0)
			r = field_note(c, one, f);
		if (r < 0)
			return r;
		h->n_headers++;
	}
}

/* A port behind a colon: digits, 1 to 65535. 443 and 80 count as said by the scheme: *port 0. */
static int port_read(struct slice s, unsigned int *port)
{
	unsigned int n = 0;

	if (s.len > 5 || !all_of(s, IS_DIGIT))
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++)
		n = n * 10 + (unsigned int)(s.ptr[i] - '0');
	if (n == 0 || n > 65535 || s.ptr[0] == '0')
		return -EINVAL;
	*port = n == 443 || n == 80 ? 0 : n;
	return 0;
}

/* The host's length inside an authority, or 0 when it is none. */
static size_t host_len(struct slice s)
{
	const char *end = s.ptr + s.len, *p = s.ptr;

	if (s.len && *p == '[') {
		for (p++; p < end && *p != ']'; p++)
			if (!((class_of[(unsigned char)*p] & IS_DIGIT) || *p == ':' || *p == '.' ||
			      ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f')))
				return 0;
		return p < end && p - s.ptr > 2 ? (size_t)(p + 1 - s.ptr) : 0;
	}
	p = class_end(p, end, IS_HOST);
	for (const char *q = s.ptr; q < p; q++) /* no empty label, but for the root's at the end */
		if (*q == '.' && (q == s.ptr || q[-1] == '.'))
			return 0;
	return (size_t)(p - s.ptr);
}

/* host[:port] in its one canonical spelling: lower case, no dot at the end, no default port. */
static int authority_read(struct codec *c, struct slice s, char room[H1_AUTHORITY_MAX],
			  struct slice *out)
{
	size_t len, n;
	struct slice port;
	unsigned int number = 0;

	if (s.len && memchr(s.ptr, '@', s.len))
		return h1_refuse(c, 400, "user name in the host");
	if (s.len > H1_AUTHORITY_MAX - 1)
		return h1_refuse(c, 400, "host is too long");
	len = n = host_len(s);
	if (!len || (len < s.len && s.ptr[len] != ':'))
		return h1_refuse(c, 400, "host is not a name or an address");
	port = slice_from(s, len + 1);
	if (len < s.len && port_read(port, &number) < 0)
		return h1_refuse(c, 400, "port is not a number from 1 to 65535");
	if (s.ptr[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++) {
		char b = s.ptr[i];

		room[i] = b >= 'A' && b <= 'Z' ? (char)(b | 0x20) : b;
	}
	if (number) {
		room[n++] = ':';
		memcpy(room + n, port.ptr, port.len);
		n += port.len;
	}
	*out = slice_of(room, n);
	return 0;
}

/* Takes scheme and authority off an absolute-form target (RFC 9112 3.2.2). */
static int absolute_form(struct codec *c, struct http_head *h, struct slice *authority)
{
	static const char *const schemes[] = { "https://", "http://" };
	struct slice t = h->target;

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct slice scheme = slice_str(schemes[i]);
		size_t n = 0;

		if (!slice_ieq(slice_sub(t, 0, scheme.len), scheme))
			continue;
		t = slice_from(t, scheme.len);
		while (n < t.len && t.ptr[n] != '/' && t.ptr[n] != '?')
			n++;
		*authority = slice_sub(t, 0, n);
		t = slice_from(t, n);
		if (t.len && t.ptr[0] == '?')
			return h1_refuse(c, 400, "absolute target without a path");
		h->target = t.len ? t : slice_is(h->method, "OPTIONS") ? SLICE("*") : SLICE("/");
		return 0;
	}
	return h1_refuse(c, 400, "target is neither a path nor an absolute URL");
}

/* Whose request it is: Host, checked against the target's own authority. */
static int routing(struct codec *c, struct http_head *h, const struct fields *f,
		   struct h1_room *room)
{
	struct slice named = { NULL, 0 }, other;
	char scratch[H1_AUTHORITY_MAX];
	int r;

	if (f->n_host > 1)
		return h1_refuse(c, 400, "more than one Host");
	if (f->n_host == 0 && h->minor > 0)
		return h1_refuse(c, 400, "no Host");
	if (f->n_host) {
		r = authority_read(c, f->host, room->authority, &h->authority);
		if (r < 0)
			return r;
	}
	if (h->target.ptr[0] == '/' ||
	    (slice_is(h->target, "*") && slice_is(h->method, "OPTIONS")))
		return 0;
	r = absolute_form(c, h, &named);
	if (r < 0)
		return r;
	if (!f->n_host)
		return authority_read(c, named, room->authority, &h->authority);
	r = authority_read(c, named, scratch, &other);
	if (r == 0 && !slice_eq(other, h->authority))
		r = h1_refuse(c, 400, "target and Host name different hosts");
	return r;
}

/* Where the message ends (RFC 9112 6.3). */
static int framing(struct codec *c, struct http_head *h, const struct fields *f)
{
	if (f->n_transfer_encoding) {
		if (f->n_length)
			return h1_refuse(c, 400, "Content-Length with Transfer-Encoding");
		if (h->minor == 0)
			return h1_refuse(c, 400, "Transfer-Encoding in HTTP/1.0");
		if (!slice_ieq(f->transfer_encoding, SLICE("chunked")))
			return h1_refuse(c, 501, "Transfer-Encoding is not chunked");
		h->chunked = true;
	}
	h->content_length = f->n_length ? f->length : -1;
	h->keep_alive = !f->close && (h->minor > 0 || f->keep_alive);
	return 0;
}

/* "HTTP/1.0" or "HTTP/1.1" at *p. */
static int version_read(struct codec *c, const char **p, const char *end, uint8_t *minor)
{
	const char *v = *p;

	if (end - v < 8)
		return slice_starts(SLICE("HTTP/"), slice_of(v, MIN((size_t)(end - v), 5U))) ?
			       -EAGAIN :
			       h1_refuse(c, 400, "no HTTP version where one must stand");
	if (memcmp(v, "HTTP/", 5) != 0)
		return h1_refuse(c, 400, "no HTTP version where one must stand");
	if (v[5] != '1' || v[6] != '.' || (v[7] != '0' && v[7] != '1'))
		return h1_refuse(c, 505, "HTTP version is neither 1.0 nor 1.1");
	*minor = (uint8_t)(v[7] - '0');
	*p = v + 8;
	return 0;
}

/* method SP target SP version CRLF, from *at. */
static int request_line(struct codec *c, const char **at, const char *end, struct http_head *h)
{
	static const char preface[] = "PRI * HTTP/2"; /* RFC 9113 3.4 */
	const char *p = *at, *start = p;
	int r;

	p = class_end(p, end, IS_TOKEN);
	h->method = slice_of(start, (size_t)(p - start));
	if (h->method.len > METHOD_MAX)
		return h1_refuse(c, 501, "method is too long");
	if (p == end)
		return -EAGAIN;
	if (*p != ' ' || p == start)
		return h1_refuse(c, 400, "method is no token");
	if (slice_is(h->method, "CONNECT"))
		return h1_refuse(c, 405, "CONNECT is not served");
	start = ++p;
	p = class_end(p, end, IS_TARGET);
	h->target = slice_of(start, (size_t)(p - start));
	if (h->target.len > HTTP_TARGET_MAX)
		return too_long(c, 414, "target is too long");
	if (p == end)
		return -EAGAIN;
	if (*p == '#')
		return h1_refuse(c, 400, "fragment in the target");
	if (*p != ' ')
		return h1_refuse(c, 400, *p == '\r' || *p == '\n' ?
						 "no HTTP version where one must stand" :
						 "character in the target that is not allowed");
	if (p == start)
		return h1_refuse(c, 400, "empty target");
	p++;
	if (slice_starts(slice_of(*at, (size_t)(end - *at)), slice_str(preface)))
		return h1_refuse(c, 505, "HTTP/2 connection preface");
	if (slice_is(h->method, "PRI") &&
	    slice_starts(slice_str(preface), slice_of(*at, (size_t)(end - *at))))
		return -EAGAIN;
	r = version_read(c, &p, end, &h->minor);
	if (r < 0)
		return r;
	*at = p;
	if (p < end && (*p == ' ' || *p == '\t'))
		return h1_refuse(c, 400, "blank behind the HTTP version");
	return line_end(c, at, end);
}

ssize_t h1_request_read(struct codec *c, struct slice in, struct http_head *out,
			struct h1_room *room)
{
	const char *p = in.ptr, *end = in.ptr + MIN(in.len, (size_t)HTTP_HEAD_MAX);
	struct http_head h = { .headers = room->headers };
	struct fields f = { .length = -1 };
	int r;

	if (p < end && *p == '\r') {
		r = line_end(c, &p, end);
		if (r < 0)
			return r;
	}
	r = request_line(c, &p, end, &h);
	if (r == 0)
		r = fields_read(c, &p, end, &h, &f);
	if (r == -EAGAIN && in.len >= HTTP_HEAD_MAX)
		r = too_long(c, 431, "head is too long");
	if (r == 0)
		r = framing(c, &h, &f);
	if (r == 0)
		r = routing(c, &h, &f, room);
	if (r < 0)
		return r;
	h.expect_continue = f.expect && h.minor > 0;
	h.upgrade = f.upgrade && f.connection_upgrade && h.minor > 0;
	h.no_body = !h.chunked && h.content_length < 0;
	*out = h;
	return p - in.ptr;
}

/* version SP status [SP reason] CRLF, from *at. */
static int status_line(struct codec *c, const char **at, const char *end, struct http_head *h)
{
	const char *p = *at, *start;
	int r = version_read(c, &p, end, &h->minor);

	if (r < 0)
		return r;
	for (int i = 0; i < 4; i++, p++) {
		if (p == end)
			return -EAGAIN;
		if (i == 0 ? *p != ' ' : !(class_of[(unsigned char)*p] & IS_DIGIT))
			return h1_refuse(c, 400, "status is not three digits");
		if (i)
			h->status = h->status * 10 + (*p - '0');
	}
	if (h->status < 100 || h->status > 599)
		return h1_refuse(c, 400, "status is not from 100 to 599");
	/* Some servers leave out the blank with the reason. */
	if (p < end && *p != ' ' && *p != '\r' && *p != '\n')
		return h1_refuse(c, 400, "status is not three digits");
	start = p < end && *p == ' ' ? p + 1 : p;
	p = value_end(start, end);
	h->reason = slice_of(start, (size_t)(p - start));
	*at = p;
	return line_end(c, at, end);
}

ssize_t h1_response_read(struct codec *c, struct slice in, struct http_head *out,
			 struct h1_room *room)
{
	const char *p = in.ptr, *end = in.ptr + MIN(in.len, (size_t)HTTP_HEAD_MAX);
	struct http_head h = { .headers = room->headers }; /* cppcheck-suppress ctuuninitvar */
	struct fields f = { .length = -1 };
	int r;

	r = status_line(c, &p, end, &h);
	if (r == 0)
		r = fields_read(c, &p, end, &h, &f);
	if (r == -EAGAIN && in.len >= HTTP_HEAD_MAX)
		r = too_long(c, 431, "head is too long");
	if (r == 0)
		r = framing(c, &h, &f);
	if (r < 0)
		return r;
	h.no_body = h.status < 200 || h.status == 204 || h.status == 304;
	if (h.no_body && h.status != 304 && (h.chunked || h.content_length > 0))
		return h1_refuse(c, 400, "a body announced where none can be");
	*out = h;
	return p - in.ptr;
}
