/* Hand-written exchanges (tests/data/dialect): what each dialect makes of them, in any cuts. */
#include "tests/t.h"

#include "base/file.h"
#include "base/json.h"
#include "dialect/reader.h"

#include <errno.h>
#include <time.h>

#define ARENA_MAX (64U << 20)

static const char *const role_names[] = { "other", "system", "user", "assistant", "tool" };
static const char *const kind_names[] = { "text", "args", "result", "def", "reasoning", "data",
					  "other" };

static struct slice text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return slice_of(json_string_value(v), json_string_length(v));
}

/* A member of "want" that is not there asks nothing. */
static void want_count(const json_t *want, const char *key, int64_t got, const char *why)
{
	const json_t *v = json_object_get(want, key);

	if (v)
		t_int(got, json_is_boolean(v) ? json_is_true(v) : json_integer_value(v), "%s: %s", why,
		      key);
}

static void want_text(const json_t *want, const char *key, struct slice got, const char *why)
{
	if (json_object_get(want, key))
		t_ok(slice_eq(got, text_of(want, key)), "%s: %s is %.*s", why, key, SLICE_FMT(got));
}

static void want_names(const json_t *want, const struct slice *got, size_t n, const char *why)
{
	const json_t *list = json_object_get(want, "tools");

	t_int(n, json_array_size(list), "%s: number of tools", why);
	for (size_t i = 0; i < MIN(n, json_array_size(list)); i++)
		t_ok(slice_is(got[i], json_string_value(json_array_get(list, i))), "%s: tool %.*s", why,
		     SLICE_FMT(got[i]));
}

static void want_parts(const json_t *want, const struct message *m, struct arena *a, const char *why)
{
	const json_t *list = json_object_get(want, "parts");
	size_t seen = 0, others = 0, frozen = 0;

	for (size_t i = 0; i < m->n_parts; i++) {
		const struct part *p = &m->parts[i];
		const json_t *w = json_array_get(list, seen);
		struct slice text;

		if (p->node == UINT32_MAX)
			continue;
		frozen += p->frozen;
		others += p->kind == PART_OTHER;
		if (p->kind == PART_OTHER)
			continue;
		text = jspan_text(&m->doc, &m->doc.nodes[p->node], a);
		t_ok(w && strcmp(json_string_value(json_array_get(w, 0)), role_names[p->role]) == 0 &&
			     strcmp(json_string_value(json_array_get(w, 1)), kind_names[p->kind]) == 0 &&
			     slice_is(text, json_string_value(json_array_get(w, 2))),
		     "%s: part %zu is %s %s %.*s", why, seen, role_names[p->role], kind_names[p->kind],
		     SLICE_FMT(text));
		seen++;
	}
	if (list)
		t_int(seen, json_array_size(list), "%s: number of parts", why);
	want_count(want, "others", (int64_t)others, why);
	want_count(want, "frozen", (int64_t)frozen, why);
}

static void test_request(const struct dialect *d, const json_t *c)
{
	const char *why = json_string_value(json_object_get(c, "why"));
	const json_t *want = json_object_get(c, "want");
	struct message m;
	struct arena a;

	arena_init(&a, ARENA_MAX);
	t_int(dialect_read_request(d, text_of(c, "request"), slice_of(NULL, 0), &a, &m), 0, "%s", why);
	want_text(want, "model", m.model, why);
	want_count(want, "stream", m.stream, why);
	want_count(want, "max_tokens", m.max_tokens, why);
	want_count(want, "asks_usage", m.asks_usage, why);
	want_count(want, "prompt_bytes", (int64_t)m.prompt_bytes, why);
	want_count(want, "raw", m.n_parts == 1 && m.parts[0].node == UINT32_MAX, why);
	want_names(want, m.tools, m.n_tools, why);
	want_parts(want, &m, &a, why);
	arena_done(&a);
}

struct seen {
	uint32_t lane[16];
	struct buf text[16];
	size_t n, usage_chunks, frozen, others, raw;
};

static int on_piece(void *ctx, struct reader *r, const struct sse_event *e UNUSED,
		    const struct jdoc *d)
{
	struct seen *s = ctx;

	s->usage_chunks += r->reply.usage_chunk;
	for (size_t i = 0; i < r->reply.n_parts; i++) {
		const struct part *p = &r->reply.parts[i];
		size_t k = 0;

		s->frozen += p->frozen;
		s->raw += p->node == UINT32_MAX;
		s->others += p->kind == PART_OTHER;
		if (p->lane == UINT32_MAX)
			continue;
		while (k < s->n && s->lane[k] != p->lane)
			k++;
		if (k == ARRAY_LEN(s->lane))
			return -E2BIG;
		if (k == s->n) {
			s->lane[s->n++] = p->lane;
			buf_init(&s->text[k], 1U << 16);
		}
		if (buf_append(&s->text[k], jspan_text(d, &d->nodes[p->node], &r->piece)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Lanes that never said anything (an opened block) do not count. */
static void want_lanes(const json_t *want, struct seen *s, const char *why)
{
	const json_t *list = json_object_get(want, "lanes");
	size_t at = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct slice got = buf_slice(&s->text[i]);
		const char *w;

		while (at < json_array_size(list) && !*json_string_value(json_array_get(list, at)))
			at++;
		w = json_string_value(json_array_get(list, at));
		if (list && got.len) {
			t_ok(w && slice_is(got, w), "%s: lane %.*s", why, SLICE_FMT(got));
			at++;
		}
		buf_done(&s->text[i]);
	}
	while (at < json_array_size(list) && !*json_string_value(json_array_get(list, at)))
		at++;
	t_int(at, json_array_size(list), "%s: number of lanes", why);
}

static void want_usage(const json_t *want, const struct usage *u, const char *why)
{
	const json_t *w = json_object_get(want, "usage");
	const int64_t got[] = { u->input, u->output, u->cached, u->cache_write, u->reasoning,
				u->unlisted };
	static const char *const names[] = { "input", "output", "cached", "cache_write", "reasoning",
					     "unlisted" };

	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		t_int(got[i], json_integer_value(json_array_get(w, i)), "%s: %s", why, names[i]);
}

/* step: bytes a feed; 0 all at once. */
static void test_reply(const struct dialect *d, const json_t *c, size_t step)
{
	const char *why = json_string_value(json_object_get(c, "why"));
	const json_t *want = json_object_get(c, "want");
	struct slice body = text_of(c, "reply");
	struct seen s = { .n = 0 };
	struct arena keep;
	struct reader r;
	int ret = 0;

	arena_init(&keep, ARENA_MAX);
	reader_init(&r, d, json_is_true(json_object_get(c, "stream")), &keep, 1U << 20);
	r.fn = on_piece;
	r.ctx = &s;
	while (body.len && ret == 0) {
		size_t n = step ? MIN(step, body.len) : body.len;

		ret = reader_feed(&r, slice_sub(body, 0, n));
		body = slice_from(body, n);
	}
	t_int(ret == 0 ? reader_end(&r) : ret, 0, "%s: read in steps of %zu", why, step);
	want_text(want, "model", r.reply.model, why);
	want_text(want, "finish", r.reply.finish, why);
	want_usage(want, &r.reply.usage, why);
	want_names(want, r.reply.tool_calls, r.reply.n_tool_calls, why);
	want_count(want, "ended", r.reply.ended, why);
	want_count(want, "text_bytes", (int64_t)r.reply.text_bytes, why);
	want_count(want, "usage_chunks", (int64_t)s.usage_chunks, why);
	want_count(want, "frozen", (int64_t)s.frozen, why);
	want_count(want, "others", (int64_t)s.others, why);
	want_count(want, "raw", s.raw == 1, why);
	want_lanes(want, &s, why);
	reader_done(&r);
	arena_done(&keep);
}

static void test_file(const char *dialect)
{
	char path[128];
	json_t *cases;

	(void)snprintf(path, sizeof(path), "tests/data/dialect/%s.json", dialect);
	cases = json_load_file(path, JSON_ALLOW_NUL, NULL);
	t_ok(json_array_size(cases) > 0, "%s can be read", path);
	for (size_t i = 0; i < json_array_size(cases); i++) {
		const json_t *c = json_array_get(cases, i);

		if (json_object_get(c, "request"))
			test_request(dialect_find(dialect), c);
		for (size_t step = 0; json_object_get(c, "reply") && step < 8; step++)
			test_reply(dialect_find(dialect), c, step);
	}
	json_decref(cases);
}

/* The forms that SDKs raise with our text (measured on nine of them). */
static void test_refusals(void)
{
	static const struct { const char *dialect, *refusal, *end; } rows[] = {
		{ "openai-chat",
		  "{\"error\":{\"message\":\"no \\\"cards\\\"\",\"type\":\"policy_violation\","
		  "\"param\":null,\"code\":\"c\"}}",
		  "data: {\"error\":{\"message\":\"no \\\"cards\\\"\",\"type\":\"policy_violation\","
		  "\"param\":null,\"code\":\"c\"}}\n\n" },
		{ "openai-responses",
		  "{\"error\":{\"message\":\"no \\\"cards\\\"\",\"type\":\"policy_violation\","
		  "\"param\":null,\"code\":\"c\"}}",
		  "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"no \\\"cards\\\"\","
		  "\"type\":\"policy_violation\",\"param\":null,\"code\":\"c\"}}\n\n" },
		{ "anthropic-messages",
		  "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":"
		  "\"no \\\"cards\\\"\"},\"request_id\":\"sp-1\"}",
		  "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"permission_error\","
		  "\"message\":\"no \\\"cards\\\"\"},\"request_id\":\"sp-1\"}\n\n" },
		{ "generic",
		  "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":"
		  "\"no \\\"cards\\\"\",\"code\":\"c\",\"param\":null,\"status\":\"PERMISSION_DENIED\"},"
		  "\"message\":\"no \\\"cards\\\"\",\"request_id\":\"sp-1\"}", NULL },
	};
	const struct refusal f = { SLICE("no \"cards\""), "c", SLICE("sp-1") };
	struct buf out;

	buf_init(&out, 4096);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct dialect *d = dialect_find(rows[i].dialect);

		buf_clear(&out);
		t_int(d->write_refusal(&f, &out), 0, "refusal of %s", d->name);
		t_ok(slice_is(buf_slice(&out), rows[i].refusal), "refusal of %s: %.*s", d->name,
		     SLICE_FMT(buf_slice(&out)));
		buf_clear(&out);
		t_int(d->write_stream_end(&f, &out), 0, "stream end of %s", d->name);
		t_ok(!rows[i].end || slice_is(buf_slice(&out), rows[i].end), "stream end of %s: %.*s",
		     d->name, SLICE_FMT(buf_slice(&out)));
	}
	buf_done(&out);
	t_str(dialect_find("no-such")->name, "generic", "unknown names");
	t_str(dialect_find(NULL)->name, "generic", "no name");
}

static void test_ask_usage(void)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "{\"stream\":true}", "{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
		{ " { \"stream\" : true , \"stream_options\": { } }",
		  " { \"stream\" : true , \"stream_options\": {\"include_usage\":true } }" },
		{ "{\"stream\":true,\"stream_options\":{\"x\":1}}",
		  "{\"stream\":true,\"stream_options\":{\"include_usage\":true,\"x\":1}}" },
		{ "{\"stream\":true,\"stream_options\":{\"include_usage\":false}}",
		  "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}" },
		{ "{\"stream\":true,\"stream_options\":{\"include_usage\":\"no\"}}",
		  "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}" },
		{ "{\"stream\":true,\"stream_options\":null}",
		  "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}" },
		{ "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", NULL },
		{ "{\"stream\":true,\"stream_options\":7}", NULL },
		{ "{\"stream\":false}", NULL },
		{ "{}", NULL },
		{ "[true]", NULL },
		{ "nope", NULL },
	};
	const struct dialect *d = dialect_find("openai-chat");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice in = slice_str(rows[i].in);
		struct splice edit;
		struct message m;
		struct arena a;
		struct buf out;

		arena_init(&a, ARENA_MAX);
		buf_init(&out, 4096);
		t_int(dialect_read_request(d, in, slice_of(NULL, 0), &a, &m), 0, "%s", rows[i].in);
		t_int(d->ask_usage(&m, &a, &edit), rows[i].out ? 1 : 0, "ask in %s", rows[i].in);
		if (rows[i].out) {
			t_int(splice_apply(in, &edit, 1, &out), 0, "splice");
			t_ok(slice_is(buf_slice(&out), rows[i].out), "%s -> %.*s", rows[i].in,
			     SLICE_FMT(buf_slice(&out)));
		}
		buf_done(&out);
		arena_done(&a);
	}
}

/* ---- speed, and hostile sizes ---- */

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void test_speed(void)
{
	enum { ROUNDS = 20000 };
	struct slice event = SLICE("{\"id\":\"chatcmpl-B9\",\"object\":\"chat.completion.chunk\","
				   "\"created\":1741569952,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,"
				   "\"delta\":{\"content\":\" word\"},\"logprobs\":null,"
				   "\"finish_reason\":null}],\"usage\":null}");
	const struct dialect *d = dialect_find("openai-chat");
	struct reply reply = { .usage = USAGE_NONE };
	struct buf body;
	struct arena a, keep;
	double t0, parse, both;

	buf_init(&body, 1U << 16);
	(void)buf_str(&body, "{\"model\":\"gpt-4o\",\"stream\":true,\"messages\":[");
	for (int i = 0; i < 10; i++)
		(void)buf_printf(&body, "%s{\"role\":\"user\",\"content\":\"%0160d some text of a turn\"}",
				 i ? "," : "", i);
	(void)buf_str(&body, "]}");
	arena_init(&a, ARENA_MAX);
	arena_init(&keep, ARENA_MAX);
	t0 = now_ns();
	for (int i = 0; i < ROUNDS; i++) {
		struct jdoc doc;

		(void)jspan_parse(buf_slice(&body), &a, &doc);
		arena_reset(&a);
	}
	parse = (now_ns() - t0) / ROUNDS;
	t0 = now_ns();
	for (int i = 0; i < ROUNDS; i++) {
		struct message m;

		(void)dialect_read_request(d, buf_slice(&body), slice_of(NULL, 0), &a, &m);
		arena_reset(&a);
	}
	both = (now_ns() - t0) / ROUNDS;
	printf("# request of %zu bytes: parse %.0f ns, with read_request %.0f ns (+%.0f)\n",
	       buf_size(&body), parse, both, both - parse);
	t0 = now_ns();
	for (int i = 0; i < ROUNDS; i++) {
		struct jdoc doc;

		(void)jspan_parse(event, &a, &doc);
		(void)d->read_event(&reply, slice_of(NULL, 0), &doc, &a, &keep);
		arena_reset(&a);
	}
	printf("# event of %zu bytes: parse and read_event %.0f ns\n", event.len,
	       (now_ns() - t0) / ROUNDS);
	arena_done(&a);
	arena_done(&keep);
	buf_done(&body);
}

/* No body may cost more than its length: a million equal keys, escaped ones, one deep in the other. */
static void test_hostile(void)
{
	static const struct { const char *why, *head, *repeat, *tail; } rows[] = {
		{ "equal keys", "{", "\"data\":\"\",", "\"x\":1}" },
		{ "a source of equal keys", "{\"messages\":[{\"content\":[{\"source\":{",
		  "\"data\":\"\",", "\"x\":1}}]}]}" },
		{ "escaped keys", "{\"messages\":[{", "\"\\u0061\":1,", "\"x\":1}]}" },
		{ "roles", "{\"messages\":[{", "\"role\":\"user\",", "\"x\":1}]}" },
		{ "tools", "{\"tools\":[", "{\"name\":\"n\"},", "1]}" },
		{ "messages", "{\"messages\":[", "{\"content\":\"c\"},", "1]}" },
	};
	enum { REPEAT = 200000 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int k = 0; k < 3; k++) {
			static const char *const names[] = { "openai-chat", "openai-responses",
							     "anthropic-messages" };
			double t0 = now_ns();
			struct message m;
			struct arena a;
			struct buf b;

			buf_init(&b, 64U << 20);
			arena_init(&a, 512U << 20);
			(void)buf_str(&b, rows[i].head);
			for (int n = 0; n < REPEAT; n++)
				(void)buf_str(&b, rows[i].repeat);
			(void)buf_str(&b, rows[i].tail);
			t_int(dialect_read_request(dialect_find(names[k]), buf_slice(&b),
						   slice_of(NULL, 0), &a, &m), 0, "%s", rows[i].why);
			t_ok(m.doc.n > REPEAT, "%s: parsed", rows[i].why);
			t_ok(now_ns() - t0 < 5e9, "%s: %.0f ms", rows[i].why, (now_ns() - t0) / 1e6);
			arena_done(&a);
			buf_done(&b);
		}
	}
}

int main(void)
{
	test_file("openai-chat");
	test_file("openai-responses");
	test_file("anthropic-messages");
	test_file("generic");
	test_refusals();
	test_ask_usage();
	test_hostile();
	test_speed();
	return t_done();
}
