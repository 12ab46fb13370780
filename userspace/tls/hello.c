/* The ClientHello peek: records are joined, the few extensions a decision needs are read. */
#include "tls/tls.h"

#include <errno.h>

enum {
	RECORD_HANDSHAKE = 22,
	RECORD_MAX = 16384, /* RFC 8446 5.1 */
	CLIENT_HELLO = 1,
	EXT_SERVER_NAME = 0,
	EXT_GROUPS = 10,
	EXT_ALPN = 16,
	EXT_VERSIONS = 43,
	EXT_ECH = 0xfe0d, /* RFC 9849 */
	GROUP_X25519MLKEM768 = 0x11ec,
	TLS13 = 0x0304,
};

/* What is left to read of one vector. */
struct cursor {
	const unsigned char *at, *end;
};

static bool cursor_uint(struct cursor *c, size_t bytes, size_t *out)
{
	if ((size_t)(c->end - c->at) < bytes)
		return false;
	*out = 0;
	while (bytes--)
		*out = *out << 8 | *c->at++;
	return true;
}

/* A vector whose length stands in front of it in `bytes` bytes. */
static bool cursor_vector(struct cursor *c, size_t bytes, struct cursor *out)
{
	size_t len;

	if (!cursor_uint(c, bytes, &len) || (size_t)(c->end - c->at) < len)
		return false;
	*out = (struct cursor){ c->at, c->at + len };
	c->at += len;
	return true;
}

/* Is `value` in a list of 16-bit numbers? */
static bool list_has(struct cursor list, size_t value)
{
	size_t v;

	while (cursor_uint(&list, 2, &v))
		if (v == value)
			return true;
	return false;
}

static bool name_is_host(struct cursor name)
{
	if (name.at == name.end || name.end - name.at > 255)
		return false;
	for (const unsigned char *p = name.at; p < name.end; p++)
		if (*p <= 0x20 || *p >= 0x7f)
			return false;
	return true;
}

static struct slice cursor_slice(struct cursor c)
{
	return slice_of(c.at, (size_t)(c.end - c.at));
}

/* RFC 6066 3: one name of type host_name; other types are unknown to everybody and skipped. */
static int read_server_name(struct cursor body, struct hello *out)
{
	struct cursor list, name;
	size_t type;

	if (!cursor_vector(&body, 2, &list) || body.at != body.end || list.at == list.end)
		return -EPROTO;
	while (list.at < list.end) {
		if (!cursor_uint(&list, 1, &type) || !cursor_vector(&list, 2, &name))
			return -EPROTO;
		if (type != 0)
			continue;
		if (out->sni.ptr)
			return -EPROTO;
		if (!name_is_host(name))
			return -EINVAL;
		out->sni = cursor_slice(name);
	}
	return 0;
}

static int read_alpn(struct cursor body, struct hello *out)
{
	struct cursor list, name;

	if (!cursor_vector(&body, 2, &list) || body.at != body.end || list.at == list.end)
		return -EPROTO;
	while (list.at < list.end) {
		if (!cursor_vector(&list, 1, &name) || name.at == name.end)
			return -EPROTO;
		if (out->n_alpn < HELLO_ALPN_MAX)
			out->alpn[out->n_alpn++] = cursor_slice(name);
	}
	return 0;
}

static int read_extension(size_t type, struct cursor body, struct hello *out)
{
	struct cursor list;

	switch (type) {
	case EXT_SERVER_NAME:
		return read_server_name(body, out);
	case EXT_ALPN:
		return read_alpn(body, out);
	case EXT_VERSIONS:
		if (!cursor_vector(&body, 1, &list))
			return -EPROTO;
		out->tls13 = list_has(list, TLS13);
		return 0;
	case EXT_GROUPS:
		if (!cursor_vector(&body, 2, &list))
			return -EPROTO;
		out->post_quantum = list_has(list, GROUP_X25519MLKEM768);
		return 0;
	case EXT_ECH:
		out->ech = true;
		return 0;
	}
	return 0;
}

/* Of the types we read, which bit of `seen` is this one? A second one is an attack on us. */
static unsigned int extension_bit(size_t type)
{
	static const unsigned short read[] = { EXT_SERVER_NAME, EXT_ALPN, EXT_VERSIONS, EXT_GROUPS,
					       EXT_ECH };

	for (unsigned int i = 0; i < ARRAY_LEN(read); i++)
		if (read[i] == type)
			return 1U << i;
	return 0;
}

static int read_hello(struct cursor c, struct hello *out)
{
	struct cursor skip, extensions, body;
	unsigned int seen = 0;
	size_t number;
	int r;

	if (!cursor_uint(&c, 2, &number) || number < 0x0301 || c.end - c.at < 32)
		return -EPROTO;
	c.at += 32;
	if (!cursor_vector(&c, 1, &skip) || skip.end - skip.at > 32 || /* session id */
	    !cursor_vector(&c, 2, &skip) || skip.at == skip.end || /* cipher suites */
	    !cursor_vector(&c, 1, &skip) || skip.at == skip.end) /* compression */
		return -EPROTO;
	if (c.at == c.end)
		return 0;
	if (!cursor_vector(&c, 2, &extensions) || c.at != c.end)
		return -EPROTO;
	while (extensions.at < extensions.end) {
		unsigned int bit;

		if (!cursor_uint(&extensions, 2, &number) || !cursor_vector(&extensions, 2, &body))
			return -EPROTO;
		bit = extension_bit(number);
		if (seen & bit)
			return -EPROTO;
		seen |= bit;
		r = read_extension(number, body, out);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Moves `s` into out->joined: the buffer it points into is about to go. */
static bool keep(struct hello *out, size_t *used, struct slice *s)
{
	if (s->len > sizeof(out->joined) - *used)
		return false;
	memcpy(out->joined + *used, s->ptr, s->len);
	s->ptr = out->joined + *used;
	*used += s->len;
	return true;
}

static void keep_names(struct hello *out)
{
	size_t used = 0, n = 0;

	if (out->sni.len)
		(void)keep(out, &used, &out->sni);
	for (size_t i = 0; i < out->n_alpn; i++)
		if (keep(out, &used, &out->alpn[i]))
			out->alpn[n++] = out->alpn[i];
	out->n_alpn = n;
}

/* One record's payload, or with -EAGAIN what there is of it. 0, -EAGAIN, -EPROTO. */
static int next_record(struct cursor *c, struct cursor *payload)
{
	static const unsigned char head[] = { RECORD_HANDSHAKE, 3 };
	size_t have = (size_t)(c->end - c->at), len;

	*payload = (struct cursor){ c->at, c->at };
	/* Garbage is told from the first byte on: plain HTTP must not wait for a timeout. */
	if (memcmp(c->at, head, MIN(have, sizeof(head))) != 0 || (have > 2 && c->at[2] > 4))
		return -EPROTO;
	if (have < 5)
		return -EAGAIN;
	len = (size_t)c->at[3] << 8 | c->at[4];
	if (len == 0 || len > RECORD_MAX)
		return -EPROTO;
	*payload = (struct cursor){ c->at + 5, c->at + 5 + MIN(len, have - 5) };
	c->at = payload->end;
	return len > have - 5 ? -EAGAIN : 0;
}

/* The length of the message that begins at p, checked as soon as its head is there. */
static int message_length(const unsigned char *p, size_t have, size_t *len)
{
	if (have >= 1 && p[0] != CLIENT_HELLO)
		return -EPROTO;
	if (have < 4)
		return -EAGAIN;
	*len = 4 + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
	return *len > HELLO_MAX ? -EMSGSIZE : have < *len ? -EAGAIN : 0;
}

static int parse_message(const unsigned char *p, size_t have, size_t len, struct hello *out)
{
	struct hello h = { 0 };
	int r;

	/* Nothing may follow a ClientHello before our answer (RFC 8446 5.1, 4.1.2). */
	if (have > len)
		return -EPROTO;
	r = read_hello((struct cursor){ p + 4, p + len }, &h);
	if (r == 0)
		*out = h;
	return r;
}

int hello_parse(struct slice in, struct hello *out)
{
	unsigned char joined[HELLO_MAX];
	struct cursor c = { (const unsigned char *)in.ptr, (const unsigned char *)in.ptr + in.len };
	struct cursor payload;
	size_t len = 0, have = 0;
	int cut = in.len ? 0 : -EAGAIN, r;

	while (cut == 0 && c.at < c.end) {
		size_t n;

		cut = next_record(&c, &payload);
		if (cut == -EPROTO)
			return cut;
		n = (size_t)(payload.end - payload.at);
		if (have == 0 && message_length(payload.at, n, &len) == 0)
			return parse_message(payload.at, n, len, out);
		if (n > sizeof(joined) - have)
			return -EMSGSIZE;
		memcpy(joined + have, payload.at, n);
		have += n;
		r = message_length(joined, have, &len);
		if (r == 0)
			r = parse_message(joined, have, len, out);
		if (r == 0)
			keep_names(out);
		if (r != -EAGAIN)
			return r;
	}
	return in.len > HELLO_MAX ? -EMSGSIZE : -EAGAIN;
}
