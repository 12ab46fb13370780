/* What the parsers of wire/ cost: nanoseconds a call, the best of several rounds. */
#include "base/clock.h"
#include "wire/codec.h"
#include "wire/jsonspan.h"
#include "wire/sse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 15
#define CALLS 20000

static volatile uint64_t sink;

static const char head[] =
	"POST /v1/chat/completions HTTP/1.1\r\n"
	"Host: api.openai.com\r\n"
	"Accept: application/json\r\n"
	"Accept-Encoding: gzip, deflate\r\n"
	"Connection: keep-alive\r\n"
	"User-Agent: OpenAI/Python 1.54.0\r\n"
	"X-Stainless-Lang: python\r\n"
	"X-Stainless-Package-Version: 1.54.0\r\n"
	"X-Stainless-OS: Linux\r\n"
	"X-Stainless-Arch: x64\r\n"
	"X-Stainless-Runtime: CPython\r\n"
	"X-Stainless-Runtime-Version: 3.11.2\r\n"
	"X-Stainless-Async: false\r\n"
	"X-Stainless-Retry-Count: 0\r\n"
	"Authorization: Bearer sk-proj-0000000000000000000000000000000000000000000000000000000000\r\n"
	"Content-Type: application/json\r\n"
	"Content-Length: 2\r\n\r\n{}";

static int on_head(void *ctx, uint32_t stream, struct http_head *h)
{
	(void)ctx, (void)stream;
	sink += h->n_headers;
	return 0;
}

static int on_head_copy(void *ctx, uint32_t stream, struct http_head *h)
{
	struct http_head copy;

	(void)stream;
	arena_reset(ctx);
	sink += (uint64_t)http_head_copy(h, ctx, &copy);
	return 0;
}

static int on_data(void *ctx, uint32_t stream, struct slice d)
{
	(void)ctx, (void)stream;
	sink += d.len;
	return 0;
}

static int on_end(void *ctx, uint32_t stream)
{
	(void)ctx;
	sink += stream;
	return 0;
}

static int on_event(void *ctx, const struct sse_event *e)
{
	(void)ctx;
	sink += e->data.len;
	return 0;
}

struct bench {
	struct codec *codec;
	struct arena arena;
	struct buf out;
	struct slice body;
	struct sse sse;
};

static void head_parse(struct bench *b)
{
	sink += (uint64_t)b->codec->ops->feed(b->codec, slice_of(head, sizeof(head) - 1));
	b->codec->ops->next(b->codec);
}

static void json_parse(struct bench *b)
{
	struct jdoc d;

	arena_reset(&b->arena);
	if (jspan_parse(b->body, &b->arena, &d) < 0)
		abort();
	sink += d.n;
}

static void sse_event(struct bench *b)
{
	if (sse_feed(&b->sse, b->body, on_event, NULL) < 0)
		abort();
}

static void sse_event_cut(struct bench *b)
{
	if (sse_feed(&b->sse, slice_sub(b->body, 0, 100), on_event, NULL) < 0 ||
	    sse_feed(&b->sse, slice_from(b->body, 100), on_event, NULL) < 0)
		abort();
}

static void measure(const char *what, void (*fn)(struct bench *b), struct bench *b)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_mono_ns(), took;

		for (int i = 0; i < CALLS; i++)
			fn(b);
		took = clock_mono_ns() - start;
		best = MIN(best, took);
	}
	printf("%-44s %8.0f ns\n", what, (double)best / CALLS);
}

/* A chat request of about 2 KB with `unit` as its words. */
static void chat_body(struct buf *b, const char *unit, size_t max)
{
	buf_clear(b);
	(void)buf_str(b, "{\"model\":\"gpt-4o-mini\",\"stream\":true,\"temperature\":0.7,"
			 "\"max_tokens\":1024,\"messages\":[{\"role\":\"system\",\"content\":"
			 "\"You are a helpful assistant.\"}");
	for (int i = 0; buf_size(b) + 150 < max; i++) {
		(void)buf_printf(b, ",{\"role\":\"%s\",\"content\":\"", i % 2 ? "assistant" : "user");
		for (int j = 0; j < 200 && buf_size(b) + 60 < max; j += (int)strlen(unit))
			(void)buf_str(b, unit);
		(void)buf_str(b, "\"}");
	}
	(void)buf_str(b, "]}");
}

int main(void)
{
	static const struct codec_events plain = { on_head, on_data, on_end };
	static const struct codec_events copying = { on_head_copy, on_data, on_end };
	struct bench b;
	struct buf body;

	arena_init(&b.arena, 16 << 20);
	buf_init(&body, 1 << 20);
	(void)h1_requests(&plain, NULL, &b.codec);
	measure("h1 request, 16 headers", head_parse, &b);
	b.codec->ops->free(b.codec);
	(void)h1_requests(&copying, &b.arena, &b.codec);
	measure("h1 request, 16 headers, head copied", head_parse, &b);
	b.codec->ops->free(b.codec);

	chat_body(&body, "The quick brown fox jumps over the lazy dog. ", 2048);
	b.body = buf_slice(&body);
	measure("jspan_parse, 2 KB chat, ASCII", json_parse, &b);
	chat_body(&body, "The quick\\nbrown \\\"fox\\\" jumps over. ", 2048);
	b.body = buf_slice(&body);
	measure("jspan_parse, 2 KB chat, escapes", json_parse, &b);
	chat_body(&body, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae", 2048);
	b.body = buf_slice(&body);
	measure("jspan_parse, 2 KB chat, Japanese", json_parse, &b);
	chat_body(&body, "The quick brown fox jumps over the lazy dog. ", 200000);
	b.body = buf_slice(&body);
	measure("jspan_parse, 200 KB chat", json_parse, &b);

	buf_clear(&body);
	(void)buf_str(&body, "data: {\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012\",\"object\":"
			     "\"chat.completion.chunk\",\"created\":1730000000,\"model\":"
			     "\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0ba0d124f1\","
			     "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},"
			     "\"logprobs\":null,\"finish_reason\":null}]}\n\n");
	b.body = buf_slice(&body);
	sse_init(&b.sse);
	measure("sse_feed, one event", sse_event, &b);
	measure("sse_feed, one event in two cuts", sse_event_cut, &b);
	sse_done(&b.sse);
	b.body = slice_sub(buf_slice(&body), 6, body.len - 2);
	measure("jspan_parse, data of one event", json_parse, &b);
	buf_done(&body);
	arena_done(&b.arena);
	return 0;
}
