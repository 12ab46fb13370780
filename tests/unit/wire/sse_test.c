/* Event streams: line ends, fields, ends, and the same events in every cut. */
#include "base/clock.h"
#include "tests/t.h"
#include "tests/unit/wire/recorded.h"
#include "tests/unit/wire/sse_same.h"
#include "wire/jsonspan.h"

static uint32_t seed = 3;

static size_t random_len(void *max)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % *(const size_t *)max;
}

/* events: "name|data|start,end|length of the raw" a line. */
static const struct { const char *why, *in, *events; } rows[] = {
	{ "LF", "data: a\n\ndata: b\n\n", "|a|6,7|9\n|b|6,7|9\n" },
	{ "CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "|a|6,7|11\n|b|6,7|11\n" },
	{ "CR", "data: a\r\rdata: b\r\r", "|a|6,7|9\n|b|6,7|9\n" },
	{ "mixed ends", "data: a\r\ndata: b\n\r\ndata: c\r\ndata: d\r\n\n",
	  "|a\nb|0,0|19\n|c\nd|0,0|19\n" },
	{ "LF behind a blank line of CR", "data: a\r\r\ndata: b\n\n", "|a|6,7|9\n|(none)|0,0|1\n|b|6,7|9\n" },
	{ "byte order mark", "\xef\xbb\xbf" "data: a\n\n", "|a|9,10|12\n" },
	{ "mark in mid-stream is a name", "data: a\n\n\xef\xbb\xbf" "data: b\n\n",
	  "|a|6,7|9\n|(none)|0,0|12\n" },
	{ "mark and a blank line", "\xef\xbb\xbf\n\n", "|(none)|0,0|4\n|(none)|0,0|1\n" },
	{ "half a mark", "\xef\xbb" "data: a\n\n", "|(none)|0,0|11\n" },
	{ "name before data", "event: x\ndata: a\n\n", "x|a|15,16|18\n" },
	{ "name after data", "data: a\nevent: x\n\n", "x|a|6,7|18\n" },
	{ "last name counts", "event: x\nevent: y\ndata:a\n\n", "y|a|23,24|26\n" },
	{ "no blank behind the colon", "data:a\n\n", "|a|5,6|8\n" },
	{ "two blanks: one is data", "data:  a\n\n", "| a|6,8|10\n" },
	{ "tab is data", "data:\ta\n\n", "|\ta|5,7|9\n" },
	{ "colon in data", "data: a: b\n\n", "|a: b|6,10|12\n" },
	{ "several data lines", "data: a\ndata:\ndata: b\n\n", "|a\n\nb|0,0|23\n" },
	{ "data without colon", "data\n\n", "||0,0|6\n" },
	{ "empty data", "data:\n\n", "||5,5|7\n" },
	{ "two empty data lines", "data\ndata\n\n", "|\n|0,0|11\n" },
	{ "comment", ": ping\n\n", "|(none)|0,0|8\n" },
	{ "comment inside", "data: a\n: x\ndata: b\n\n", "|a\nb|0,0|21\n" },
	{ "other fields", "id: 1\nretry: 5\nx: y\ndata: a\n\n", "|a|26,27|29\n" },
	{ "fields that only begin so", "database: 1\nevents: 2\ndata : 3\nDATA: 4\n\n",
	  "|(none)|0,0|40\n" },
	{ "name only", "event: ping\n\n", "ping|(none)|0,0|13\n" },
	{ "blank lines between", "\n\ndata: a\n\n\ndata: b\n\n",
	  "|(none)|0,0|1\n|(none)|0,0|1\n|a|6,7|9\n|(none)|0,0|1\n|b|6,7|9\n" },
	{ "no blank line at the end", "data: a\n\ndata: b\n", "|a|6,7|9\n|b|6,7|8\n" },
	{ "no line end at the end", "data: a\n\ndata: b", "|a|6,7|9\n|b|6,7|7\n" },
	{ "CR at the end", "data: a\r\n\r", "|a|6,7|10\n" },
	{ "nothing", "", "" },
	{ "[DONE]", "data: {}\n\ndata: [DONE]\n\n", "|{}|6,8|10\n|[DONE]|6,12|14\n" },
	{ "line separators of Unicode are data", "data: a\xe2\x80\xa8" "b\xc2\x85" "c\x0b\x0c" "d\n\n",
	  "|a\xe2\x80\xa8" "b\xc2\x85" "c\x0b\x0c" "d|6,17|19\n" },
};

static void table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice in = slice_str(rows[i].in);
		struct sse_heard h;

		t_int(sse_run(in, NULL, NULL, &h), 0, "%s", rows[i].why);
		(void)buf_append(&h.events, slice_of("", 1));
		t_str(h.events.data, rows[i].events, "%s", rows[i].why);
		t_ok(!h.wrong, "%s: raws make up the stream", rows[i].why);
		sse_heard_done(&h);
		for (size_t max = 1; max < 8; max++) {
			const char *how = sse_differs(in, random_len, &max);

			t_ok(!how, "%s: %s", rows[i].why, how);
		}
	}
}

/* Any mixture of what matters to the parser. */
static void mixtures(void)
{
	static const char *const tokens[] = { "\n", "\r", "\r\n", "data", ": ", ":", "event", "x",
					      "\xef\xbb\xbf", " ", "data: {}\n\n", "\n\n", "\r\r" };
	size_t of = ARRAY_LEN(tokens), words = 24, pieces = 6;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (int i = 0; i < 20000; i++) {
		const char *how;

		buf_clear(&b);
		for (size_t n = random_len(&words); n; n--)
			(void)buf_str(&b, tokens[random_len(&of)]);
		how = sse_differs(buf_slice(&b), random_len, &pieces);
		if (how)
			t_ok(false, "%s: %.*s", how, SLICE_FMT(buf_slice(&b)));
	}
	t_ok(true, "mixtures");
	buf_done(&b);
}

static int count(void *ctx, const struct sse_event *e)
{
	*(size_t *)ctx += e->data.len;
	return 0;
}

static int stop(void *ctx, const struct sse_event *e)
{
	(void)ctx, (void)e;
	return 5;
}

static void limits(void)
{
	static char big[SSE_EVENT_MAX + 64];
	uint64_t start = clock_mono_ns();
	size_t len = 0;
	struct sse s;
	int r;

	memset(big, 'x', sizeof(big));
	memcpy(big, "data: ", 6);
	memcpy(big + SSE_EVENT_MAX - 2, "\n\n", 2);
	sse_init(&s);
	t_int(sse_feed(&s, slice_of(big, SSE_EVENT_MAX), count, &len), 0, "as long as may be");
	t_int(len, SSE_EVENT_MAX - 8, "all of it");
	for (size_t at = 0; at < SSE_EVENT_MAX; at += 1000)
		t_int(sse_feed(&s, slice_of(big + at, MIN((size_t)1000, SSE_EVENT_MAX - at)), count,
			       &len), 0, "in pieces");
	t_int(len, 2 * (SSE_EVENT_MAX - 8), "all of it");
	t_ok(!s.pending.data && !s.joined.data, "nothing is held between events");
	memset(big + SSE_EVENT_MAX - 2, 'x', 66);
	t_int(sse_feed(&s, slice_of(big, sizeof(big)), count, &len), -EMSGSIZE, "too long, whole");
	sse_done(&s);
	sse_init(&s);
	for (size_t at = r = 0; at < sizeof(big) && r == 0; at += 1000)
		r = sse_feed(&s, slice_of(big + at, MIN((size_t)1000, sizeof(big) - at)), count,
			     &len);
	t_int(r, -EMSGSIZE, "too long, in pieces");
	sse_done(&s);
	sse_init(&s);
	for (size_t at = 0; at + 6 <= sizeof(big); at += 6)
		memcpy(big + at, "data:\n", 6);
	memcpy(big + 6000, "\n\n", 2);
	t_int(sse_feed(&s, slice_of(big, 6002), count, &len), 0, "many lines");
	t_int(sse_feed(&s, SLICE("data: 1\n\n"), stop, NULL), 5, "the callback's word comes back");
	sse_done(&s);
	t_ok(clock_mono_ns() - start < 5000000000U, "in time");
}

static size_t n_streams;

static void recording(const json_t *one)
{
	struct slice body = recorded_body(one, "response_body");
	size_t pieces = 60;
	const char *how;

	if (slice_find(slice_sub(body, 0, 4096), SLICE("data:")) < 0 || body.ptr[0] == '{')
		return;
	how = sse_differs(body, random_len, &pieces);
	n_streams++;
	t_ok(!how, "%s: %s", json_string_value(json_object_get(one, "id")), how);
}

int main(void)
{
	table();
	mixtures();
	limits();
	if (recorded_each(recording))
		t_ok(n_streams > 300, "recorded streams: %zu", n_streams);
	return t_done();
}
