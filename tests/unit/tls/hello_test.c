/* The ClientHello peek: cut anywhere, over any records, and never fooled. */
#include "base/def.h"
#include "base/text.h"
#include "tests/t.h"
#include "tls/tls.h"

#include <errno.h>

static unsigned char message[65536], records[2 * 65536 + 65536];

/* A hello with the given extensions (raw, without the length in front). Returns its length. */
static size_t build(const void *extensions, size_t len)
{
	size_t at = 4;

	message[0] = 1;
	memcpy(message + at, "\x03\x03", 2);
	memset(message + at + 2, 7, 32);
	at += 34;
	message[at++] = 32;
	memset(message + at, 9, 32);
	at += 32;
	memcpy(message + at, "\x00\x06\x5a\x5a\x13\x01\x13\x02\x01\x00", 10); /* GREASE suite */
	at += 10;
	if (extensions) {
		message[at++] = (unsigned char)(len >> 8);
		message[at++] = (unsigned char)len;
		memcpy(message + at, extensions, len);
		at += len;
	}
	message[1] = (unsigned char)((at - 4) >> 16);
	message[2] = (unsigned char)((at - 4) >> 8);
	message[3] = (unsigned char)(at - 4);
	return at;
}

/* The message in records of at most `step` bytes. */
static struct slice pack(size_t len, size_t step)
{
	size_t out = 0;

	for (size_t at = 0; at < len; at += step) {
		size_t n = MIN(step, len - at);

		memcpy(records + out, "\x16\x03\x01", 3);
		records[out + 3] = (unsigned char)(n >> 8);
		records[out + 4] = (unsigned char)n;
		memcpy(records + out + 5, message + at, n);
		out += 5 + n;
	}
	return slice_of(records, out);
}

#define SNI "\x00\x00\x00\x13\x00\x11\x00\x00\x0e" "API.openai.com"
#define ALPN "\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"
#define VERSIONS "\x00\x2b\x00\x05\x04\x0a\x0a\x03\x04"
#define GROUPS "\x00\x0a\x00\x06\x00\x04\x11\xec\x00\x1d"
#define GREASE "\xba\xba\x00\x01\x00"
#define ECH "\xfe\x0d\x00\x02\x00\x00"
#define ALL GREASE SNI ALPN VERSIONS GROUPS ECH GREASE

static void check_all(const struct hello *h, const char *why)
{
	t_ok(slice_is(h->sni, "API.openai.com"), "%s: name", why);
	t_int(h->n_alpn, 2, "%s: two protocols", why);
	t_ok(slice_is(h->alpn[0], "h2") && slice_is(h->alpn[1], "http/1.1"), "%s: ALPN", why);
	t_ok(h->tls13 && h->ech && h->post_quantum, "%s: flags", why);
}

static void test_cuts(void)
{
	size_t len = build(ALL, sizeof(ALL) - 1);
	struct slice whole = pack(len, len);
	struct hello h;

	for (size_t i = 0; i < whole.len; i++)
		if (hello_parse(slice_sub(whole, 0, i), &h) != -EAGAIN)
			t_ok(0, "cut after %zu of %zu bytes asks for more", i, whole.len);
	t_int(hello_parse(whole, &h), 0, "whole");
	check_all(&h, "whole");
	for (size_t step = 1; step < len; step++) {
		struct slice in = pack(len, step);
		char why[32];

		snprintf(why, sizeof(why), "records of %zu", step);
		t_int(hello_parse(in, &h), 0, "%s", why);
		check_all(&h, why);
		if (hello_parse(slice_sub(in, 0, in.len - 1), &h) != -EAGAIN)
			t_ok(0, "%s: the last byte is waited for", why);
	}
}

static void test_large(void)
{
	static unsigned char extensions[20000];
	struct hello h;
	size_t len;

	memcpy(extensions, SNI, sizeof(SNI) - 1);
	memcpy(extensions + sizeof(SNI) - 1, "\x00\x15\x2e\xe0", 4); /* 12,000 bytes of padding */
	len = build(extensions, sizeof(SNI) - 1 + 4 + 12000);
	t_int(hello_parse(pack(len, 4000), &h), 0, "12 KB in four records");
	t_ok(slice_is(h.sni, "API.openai.com"), "its name");
	len = build(extensions, 16400);
	t_int(hello_parse(pack(len, 16000), &h), -EMSGSIZE, "over the limit");
	t_int(hello_parse(slice_sub(pack(len, 16000), 0, 9), &h), -EMSGSIZE,
	      "over the limit, told from its head");
}

static const struct {
	const char *why;
	const char *extensions;
	size_t len;
	int result;
} rows[] = {
#define ROW(why, text, result) { why, text, sizeof(text) - 1, result }
	{ "no extensions at all", NULL, 0, 0 },
	ROW("no name", ALPN VERSIONS, 0),
	ROW("two names", SNI SNI, -EPROTO),
	ROW("two names in one list", "\x00\x00\x00\x0a\x00\x08\x00\x00\x01" "a\x00\x00\x01" "b",
	    -EPROTO),
	ROW("an empty list", "\x00\x00\x00\x02\x00\x00", -EPROTO),
	ROW("an empty name", "\x00\x00\x00\x05\x00\x03\x00\x00\x00", -EINVAL),
	ROW("a NUL in the name", "\x00\x00\x00\x08\x00\x06\x00\x00\x03" "a\0b", -EINVAL),
	ROW("a space in the name", "\x00\x00\x00\x08\x00\x06\x00\x00\x03" "a b", -EINVAL),
	ROW("a newline in the name", "\x00\x00\x00\x08\x00\x06\x00\x00\x03" "a\nb", -EINVAL),
	ROW("a byte over 126 in the name", "\x00\x00\x00\x08\x00\x06\x00\x00\x03" "a\xc3z", -EINVAL),
	ROW("a list longer than its extension", "\x00\x00\x00\x05\x00\x09\x00\x00\x01", -EPROTO),
	ROW("an extension longer than the rest", "\x00\x00\x00\x50\x00", -EPROTO),
	ROW("half an extension head", "\x00\x00\x00", -EPROTO),
	ROW("an empty protocol", "\x00\x10\x00\x03\x00\x01\x00", -EPROTO),
	ROW("two lists of protocols", ALPN ALPN, -EPROTO),
#undef ROW
};

static void test_rows(void)
{
	struct hello h;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = build(rows[i].extensions, rows[i].len);

		memset(&h, 1, sizeof(h));
		t_int(hello_parse(pack(len, len), &h), rows[i].result, "%s", rows[i].why);
		t_int(hello_parse(pack(len, 5), &h), rows[i].result, "%s, in small records",
		      rows[i].why);
		if (rows[i].result == 0)
			t_ok(h.sni.len == 0 && h.n_alpn <= 2, "%s: nothing invented", rows[i].why);
	}
}

static const struct {
	const char *why, *bytes;
	size_t len;
} garbage[] = {
#define ROW(why, text) { why, text, sizeof(text) - 1 }
	ROW("HTTP", "GET / HTTP/1.1\r\n"),
	ROW("one byte of HTTP", "P"),
	ROW("SSH", "SSH-2.0-x\r\n"),
	ROW("SSL 2", "\x80\x2e\x01\x03\x01"),
	ROW("an alert", "\x15\x03\x01\x00\x02\x02\x28"),
	ROW("version 2", "\x16\x02"),
	ROW("an empty record", "\x16\x03\x01\x00\x00"),
	ROW("a record over 16 KB", "\x16\x03\x01\x40\x01"),
	ROW("a ServerHello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00"),
	ROW("a hello of nothing", "\x16\x03\x01\x00\x04\x01\x00\x00\x00"),
#undef ROW
};

static void test_garbage(void)
{
	struct hello h;
	size_t len = build(SNI, sizeof(SNI) - 1);
	struct slice two = pack(len + 10, len + 10); /* something follows in the same record */

	for (size_t i = 0; i < ARRAY_LEN(garbage); i++)
		t_int(hello_parse(slice_of(garbage[i].bytes, garbage[i].len), &h), -EPROTO, "%s",
		      garbage[i].why);
	t_int(hello_parse(two, &h), -EPROTO, "a second message in the record");
	t_int(hello_parse(SLICE(""), &h), -EAGAIN, "nothing yet");
}

int main(void)
{
	test_cuts();
	test_large();
	test_rows();
	test_garbage();
	return t_done();
}
