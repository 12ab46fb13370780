/*
 * Bodies and streams as any peer may send them. The first byte chooses the dialect and what the rest
 * is. Rules: every string is a part and every part a string; a stream says the same in all cuts; the
 * edit that asks for usage leaves valid JSON that asks for it.
 */
#include "tests/fuzz/fuzz.h"

#include "catalog/catalog.h"
#include "dialect/reader.h"

#include <errno.h>

#define ARENA_MAX (256U << 20)

static void parts_check(const struct jdoc *d, const struct part *parts, size_t n)
{
	size_t strings = 0;

	for (uint32_t i = 0; i < d->n; i++)
		strings += d->nodes[i].type == JT_STRING;
	for (size_t i = 0; i < n; i++)
		fuzz_must(parts[i].node == UINT32_MAX ||
				  (parts[i].node < d->n && d->nodes[parts[i].node].type == JT_STRING),
			  "part %zu is no string", i);
	fuzz_must(d->n == 0 || strings == n, "%zu strings, %zu parts", strings, n);
}

static void usage_asked(const struct dialect *d, const struct message *m, struct slice body,
			struct arena *a)
{
	struct message after;
	struct splice edit;
	struct buf out;

	if (!d->ask_usage || d->ask_usage(m, a, &edit) != 1)
		return;
	buf_init(&out, body.len + 4096);
	fuzz_must(splice_apply(body, &edit, 1, &out) == 0, "the edit does not fit");
	if (dialect_read_request(d, buf_slice(&out), slice_of(NULL, 0), a, &after) == 0)
		fuzz_must(after.doc.n && after.asks_usage, "the edit does not ask");
	buf_done(&out);
}

static void request(const struct dialect *d, struct slice body)
{
	struct message m;
	struct arena a;

	arena_init(&a, ARENA_MAX);
	if (dialect_read_request(d, body, slice_of(NULL, 0), &a, &m) == 0) {
		parts_check(&m.doc, m.parts, m.n_parts);
		fuzz_must(m.max_tokens >= -1, "a negative limit");
		usage_asked(d, &m, body, &a);
	}
	arena_done(&a);
}

static int on_piece(void *ctx, struct reader *r, const struct sse_event *e, const struct jdoc *d)
{
	(void)ctx;
	if (!e || e->data.ptr)
		parts_check(d, r->reply.parts, r->reply.n_parts);
	return 0;
}

static int reply(const struct dialect *d, bool stream, struct slice body, uint32_t *seed,
		 struct arena *keep, struct reader *r)
{
	int ret = 0;

	arena_init(keep, ARENA_MAX);
	reader_init(r, d, stream, keep, 16U << 20);
	r->fn = on_piece;
	while (body.len && ret == 0) {
		size_t n = seed ? MIN(fuzz_next_len(seed), body.len) : body.len;

		ret = reader_feed(r, slice_sub(body, 0, n));
		body = slice_from(body, n);
	}
	return ret ? ret : reader_end(r);
}

static void replies(const struct dialect *d, bool stream, struct slice body, uint32_t seed)
{
	struct arena keep_a, keep_b;
	struct reader a, b;
	int ra = reply(d, stream, body, NULL, &keep_a, &a);
	int rb = reply(d, stream, body, &seed, &keep_b, &b);

	fuzz_must(ra == rb, "whole %d, in cuts %d", ra, rb);
	if (ra == 0) {
		fuzz_must(memcmp(&a.reply.usage, &b.reply.usage, sizeof(struct usage)) == 0, "usage");
		fuzz_must(slice_eq(a.reply.model, b.reply.model), "model");
		fuzz_must(a.reply.n_tool_calls == b.reply.n_tool_calls, "tool calls");
		fuzz_must(a.reply.text_bytes == b.reply.text_bytes, "text");
		fuzz_must(a.reply.ended == b.reply.ended, "end");
	}
	reader_done(&a);
	reader_done(&b);
	arena_done(&keep_a);
	arena_done(&keep_b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = { "openai-chat", "openai-responses", "anthropic-messages",
					     "generic" };
	const struct dialect *d;
	struct slice body;
	struct endpoint e;

	if (len < 1)
		return 0;
	d = dialect_find(names[data[0] & 3]);
	body = slice_of(data + 1, len - 1);
	switch (data[0] >> 2 & 3) {
	case 0:
		request(d, body);
		break;
	case 1:
		replies(d, false, body, fuzz_seed(data, len));
		break;
	case 2:
		replies(d, true, body, fuzz_seed(data, len));
		break;
	default:
		endpoint_find(NULL, SLICE("POST"), body, &e);
		fuzz_must(!e.model.ptr || (e.model.ptr >= body.ptr &&
					   e.model.ptr + e.model.len <= body.ptr + body.len),
			  "a model outside of its path");
	}
	return 0;
}
