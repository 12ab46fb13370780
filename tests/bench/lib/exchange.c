/* What the load generator sends, and how it reads what comes back. */
#include "tests/bench/lib/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char words[] =
	"we looked at the quarterly numbers for the northern stores and found that the new layout sells "
	"more bread in the morning while coffee stays flat so please suggest three short experiments ";

/* A JSON string's content of n bytes that no other request has: eight letters of the serial, words. */
static void text_put(struct buf *b, size_t n, unsigned long serial)
{
	char mark[10];

	for (int i = 0; i < 8; i++, serial /= 20)
		mark[i] = (char)("bcdfghjklmnpqrstvwxz"[serial % 20]);
	mark[8] = ' ';
	(void)buf_append(b, slice_of(mark, 9));
	while (n > 9) {
		size_t take = MIN(n - 9, sizeof(words) - 1);

		(void)buf_append(b, slice_of(words, take));
		n -= take;
	}
}

void exchange_request(struct buf *out, const char *host, size_t size, bool stream,
		      const char *fault)
{
	static unsigned long serial;
	struct buf body;
	size_t texts = size > 300 ? size - 250 : 50;

	serial++;
	buf_init(&body, 64 << 20);
	(void)buf_str(&body, "{\"model\":\"gpt-4o-mini\",\"temperature\":0.2,\"max_tokens\":200,");
	if (stream)
		(void)buf_str(&body, "\"stream\":true,");
	(void)buf_str(&body, "\"messages\":[{\"role\":\"system\",\"content\":\"");
	text_put(&body, texts / 4, serial);
	(void)buf_str(&body, "\"},{\"role\":\"user\",\"content\":\"");
	text_put(&body, texts / 4, serial);
	(void)buf_str(&body, "\"},{\"role\":\"assistant\",\"content\":\"");
	text_put(&body, texts / 4, serial);
	(void)buf_str(&body, "\"},{\"role\":\"user\",\"content\":\"");
	text_put(&body, texts / 4, serial);
	(void)buf_str(&body, "\"}]}");
	(void)buf_printf(out,
			 "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n"
			 "User-Agent: OpenAI/Python 1.54.0\r\nX-Stainless-Lang: python\r\n"
			 "X-Stainless-Runtime: CPython\r\nAuthorization: Bearer lab-key\r\n"
			 "Content-Type: application/json\r\n",
			 host);
	(void)buf_printf(out, "x-lab-fault: %s\r\n", fault);
	(void)buf_printf(out, "Content-Length: %zu\r\n\r\n", buf_size(&body));
	(void)buf_append(out, buf_slice(&body));
	buf_done(&body);
}

/* 2: the head is read, 0: more to come, -EBADMSG. */
static int response_head(struct response *r, struct buf *in)
{
	struct slice s = buf_slice(in);
	long end = slice_find(s, SLICE("\r\n\r\n")), at;

	if (end < 0)
		return s.len > 65536 ? -EBADMSG : 0;
	if (!slice_starts(s, SLICE("HTTP/1.1 200 "))) {
		fprintf(stderr, "load: %.*s\n", (int)MIN((size_t)400, s.len), s.ptr);
		return -EBADMSG;
	}
	r->framing = FRAME_CHUNK_SIZE;
	for (at = slice_find(s, SLICE("\r\n")) + 2; at < end;) {
		struct slice line = slice_sub(s, (size_t)at, (size_t)end);
		long eol = slice_find(line, SLICE("\r\n"));

		line = slice_sub(line, 0, eol < 0 ? line.len : (size_t)eol);
		if (line.len > 15 && strncasecmp(line.ptr, "content-length:", 15) == 0) {
			char digits[24];

			slice_copy(digits, sizeof(digits), slice_trim(slice_from(line, 15)));
			r->left = strtoul(digits, NULL, 10);
			r->framing = FRAME_LENGTH;
		}
		at += (long)line.len + 2;
	}
	buf_consume(in, (size_t)end + 4);
	return 2;
}

int exchange_feed(struct response *r, struct buf *in)
{
	for (;;) {
		struct slice s = buf_slice(in);
		long eol;
		size_t n;
		int got;

		switch (r->framing) {
		case FRAME_HEAD:
			got = response_head(r, in);
			if (got != 2)
				return got;
			break;
		case FRAME_LENGTH:
		case FRAME_CHUNK:
			n = MIN(s.len, r->left);
			if (n)
				r->body(r->ctx, slice_sub(s, 0, n));
			buf_consume(in, n);
			r->left -= n;
			if (r->left)
				return 0;
			if (r->framing == FRAME_LENGTH)
				return 1;
			if (buf_size(in) < 2)
				return 0;
			buf_consume(in, 2);
			r->framing = FRAME_CHUNK_SIZE;
			break;
		case FRAME_CHUNK_SIZE:
		case FRAME_TRAILER:
			eol = slice_find(s, SLICE("\r\n"));
			if (eol < 0)
				return 0;
			if (r->framing == FRAME_TRAILER && eol == 0) {
				buf_consume(in, 2);
				return 1;
			}
			if (r->framing == FRAME_CHUNK_SIZE) {
				r->left = strtoul(s.ptr, NULL, 16);
				r->framing = r->left ? FRAME_CHUNK : FRAME_TRAILER;
			}
			buf_consume(in, (size_t)eol + 2);
			break;
		}
	}
}
