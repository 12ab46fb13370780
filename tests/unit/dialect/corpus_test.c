/*
 * Recorded exchanges of the three dialects: model, usage and tool calls are what the recording says,
 * fed whole and at random cuts, and every string of request and reply is a part.
 */
#include "tests/t.h"

#include "base/text.h"
#include "catalog/catalog.h"
#include "dialect/reader.h"
#include "spend/prices.h"

#include <errno.h>
#include <jansson.h>
#include <zlib.h>

#define CORPUS "../shared/data/wire/dev-%s.jsonl.gz"
#define LINE_MAX_BYTES (64U << 20)
#define BODY_MAX (64U << 20)
#define CUT_ROUNDS 3

static struct {
	size_t cases, streams, model, input, output, cached, reasoning, tools, dialect;
} sum;

/* How far the estimate of input tokens is from the truth, in percent, and whether the reserve held. */
static struct {
	double error[4096];
	size_t n, reserved;
} guess;

static uint64_t seed = 42;

static size_t dice(size_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (size_t)(seed >> 33) % n;
}

static struct slice text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) :
				   slice_of("", 0);
}

static struct slice body_of(const json_t *c, const char *key, const char *encoding, struct buf *room)
{
	struct slice text = text_of(c, key);

	if (!slice_is(text_of(c, encoding), "base64"))
		return text;
	buf_clear(room);
	t_ok(text_base64_decode(text, room) == 0, "base64 of %s", key);
	return buf_slice(room);
}

static int64_t want_int(const json_t *expected, const char *key)
{
	const json_t *v = json_object_get(expected, key);

	return json_is_integer(v) ? json_integer_value(v) : -1;
}

/*
 * This fixture is a chain of many messages put into one stream. Those in the middle call rollDie in
 * message_start's content; the expectation, made from the blocks alone, has the first call only.
 */
#define CHAIN "dev-vercel-anthropic-anthropic-messages-stream-016"

static bool tools_equal(const struct reply *r, const json_t *expected, const char *id)
{
	const json_t *want = json_object_get(expected, "tool_calls");

	if (strcmp(id, CHAIN) == 0)
		return r->n_tool_calls > json_array_size(want);
	if (json_array_size(want) != r->n_tool_calls)
		return false;
	for (size_t i = 0; i < r->n_tool_calls; i++)
		if (!slice_is(r->tool_calls[i], json_string_value(json_array_get(want, i))))
			return false;
	return true;
}

static size_t strings_in(const struct jdoc *d)
{
	size_t n = 0;

	for (uint32_t i = 0; i < d->n; i++)
		n += d->nodes[i].type == JT_STRING;
	return n;
}

/* No text of a reply may be missing from its parts. */
static int check_parts(void *ctx, struct reader *r, const struct sse_event *e, const struct jdoc *d)
{
	const char *id = ctx;

	if (d->n && strings_in(d) != r->reply.n_parts)
		t_ok(false, "%s: %zu of %zu strings are parts (%.*s)", id, r->reply.n_parts,
		     strings_in(d), SLICE_FMT(e ? e->name : slice_of("", 0)));
	return 0;
}

static void read_reply(const struct dialect *d, bool stream, struct slice body, bool cuts,
		       struct reader *r, struct arena *keep, char *id)
{
	int ret = 0;

	reader_init(r, d, stream, keep, BODY_MAX);
	r->fn = check_parts;
	r->ctx = id;
	while (body.len && ret == 0) {
		size_t n = cuts ? MIN(body.len, 1 + dice(dice(4) ? 40 : 2000)) : body.len;

		ret = reader_feed(r, slice_sub(body, 0, n));
		body = slice_from(body, n);
	}
	if (ret == 0)
		ret = reader_end(r);
	t_int(ret, 0, "%s can be read", id);
}

static void request_check(const json_t *c, const struct dialect *d, struct slice body, const char *id,
			  struct arena *a, struct message *m)
{
	const json_t *expected = json_object_get(c, "expected");
	struct slice model = text_of(expected, "request_model");

	t_int(dialect_read_request(d, body, slice_of(NULL, 0), a, m), 0, "%s: request", id);
	if (m->doc.n)
		t_int(m->n_parts, strings_in(&m->doc), "%s: every string of the request", id);
	if (m->model_node)
		t_ok(slice_eq(m->model, model), "%s: request model %.*s, want %.*s", id,
		     SLICE_FMT(m->model), SLICE_FMT(model));
}

/* Images, files and the provider's own tools cost tokens that no text shows. */
static bool only_text(const struct message *m)
{
	for (size_t i = 0; i < m->n_parts; i++)
		if (m->parts[i].kind == PART_DATA)
			return false;
	return true;
}

static void guess_check(const char *dialect, const struct message *m, int64_t input)
{
	int64_t likely = usage_estimate_input(dialect, m->prompt_bytes, m->n_tools > 0);

	if (input <= 0 || !m->doc.n || !only_text(m) || guess.n == ARRAY_LEN(guess.error))
		return;
	guess.error[guess.n++] = 100.0 * (double)llabs(likely - input) / (double)input;
	guess.reserved += usage_reserve_input(dialect, m->prompt_bytes, m->n_tools > 0) >= input;
}

static int double_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void guess_report(const char *dialect)
{
	if (!guess.n)
		return;
	qsort(guess.error, guess.n, sizeof(guess.error[0]), double_order);
	printf("# %s: input estimate off by %.0f%% in the median of %zu, reserve enough in %zu\n",
	       dialect, guess.error[guess.n / 2], guess.n, guess.reserved);
	t_ok(guess.error[guess.n / 2] < 40, "%s: the estimate is near", dialect);
	guess.n = guess.reserved = 0;
}

static bool is_stream(const json_t *c)
{
	struct slice type = text_of(json_object_get(c, "response_headers"), "content-type");
	struct slice body = text_of(c, "response_body");

	return type.len ? reader_is_stream(type) :
			  json_is_true(json_object_get(c, "stream")) && body.len && body.ptr[0] != '{';
}

static void case_check(const json_t *c, const char *dialect)
{
	const json_t *expected = json_object_get(c, "expected");
	const struct dialect *d = dialect_find(dialect);
	struct slice model = text_of(expected, "model"), url = text_of(c, "url"), got;
	char *id = (char *)json_string_value(json_object_get(c, "id"));
	struct buf req_room, rep_room;
	bool stream = is_stream(c);
	struct message m = { 0 };
	struct endpoint e;
	struct arena a;

	buf_init(&req_room, BODY_MAX);
	buf_init(&rep_room, BODY_MAX);
	arena_init(&a, 512U << 20);
	endpoint_find(NULL, text_of(c, "method"), url, &e);
	sum.dialect += strcmp(e.dialect, dialect) == 0;
	request_check(c, d, body_of(c, "request_body", "request_encoding", &req_room), id, &a, &m);
	if (m.n_parts)
		guess_check(dialect, &m, want_int(expected, "input_tokens"));
	for (int round = 0; round < CUT_ROUNDS; round++) {
		struct slice body = body_of(c, "response_body", "response_encoding", &rep_room);
		const struct usage *u;
		struct reader r;

		read_reply(d, stream, body, round > 0, &r, &a, id);
		u = &r.reply.usage;
		got = r.reply.model.len ? r.reply.model : e.model.len ? e.model : m.model;
		t_ok(slice_eq(got, model), "%s: model %.*s, want %.*s", id, SLICE_FMT(got),
		     SLICE_FMT(model));
		t_int(u->input, want_int(expected, "input_tokens"), "%s: input", id);
		t_int(u->output, want_int(expected, "output_tokens"), "%s: output", id);
		t_int(u->cached, want_int(expected, "cached_tokens"), "%s: cached", id);
		if (u->cache_write >= 0 && want_int(expected, "cache_write_tokens") >= 0)
			t_int(u->cache_write, want_int(expected, "cache_write_tokens"),
			      "%s: cache write", id);
		t_int(u->reasoning, want_int(expected, "reasoning_tokens"), "%s: reasoning", id);
		t_ok(tools_equal(&r.reply, expected, id), "%s: tool calls", id);
		if (round == CUT_ROUNDS - 1) {
			sum.cases++;
			sum.streams += stream;
			sum.model += slice_eq(got, model);
			sum.input += u->input == want_int(expected, "input_tokens");
			sum.output += u->output == want_int(expected, "output_tokens");
			sum.cached += u->cached == want_int(expected, "cached_tokens");
			sum.reasoning += u->reasoning == want_int(expected, "reasoning_tokens");
			sum.tools += tools_equal(&r.reply, expected, id);
		}
		reader_done(&r);
	}
	arena_done(&a);
	buf_done(&req_room);
	buf_done(&rep_room);
}

/* One line of any length; false at the end. */
static bool line_read(gzFile f, struct buf *line)
{
	buf_clear(line);
	do {
		if (buf_reserve(line, 1U << 16) < 0 ||
		    !gzgets(f, line->data + line->len, 1 << 16))
			return buf_size(line) > 0;
		line->len += strlen(line->data + line->len);
	} while (line->data[line->len - 1] != '\n');
	return true;
}

static void corpus(const char *file, const char *dialect)
{
	char path[256];
	struct buf line;
	gzFile f;

	memset(&sum, 0, sizeof(sum));
	(void)snprintf(path, sizeof(path), CORPUS, file);
	f = gzopen(path, "rb");
	if (!f) {
		t_skip("%s is not here", path);
		return;
	}
	buf_init(&line, LINE_MAX_BYTES);
	while (line_read(f, &line)) {
		json_t *c = json_loadb(line.data, line.len, JSON_ALLOW_NUL, NULL);

		t_ok(c != NULL, "a line of %s", path);
		if (slice_is(text_of(c, "dialect"), dialect))
			case_check(c, dialect);
		json_decref(c);
	}
	buf_done(&line);
	gzclose(f);
	printf("# %s in %s: %zu cases (%zu streams); equal: model %zu, input %zu, output %zu, "
	       "cached %zu, reasoning %zu, tool calls %zu; dialect by path %zu\n",
	       dialect, file, sum.cases, sum.streams, sum.model, sum.input, sum.output, sum.cached,
	       sum.reasoning, sum.tools, sum.dialect);
}

int main(void)
{
	static const char *const dialects[] = { "openai-chat", "openai-responses",
						"anthropic-messages" };

	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		corpus(dialects[i], dialects[i]);
		guess_report(dialects[i]);
		corpus("vercel-fixtures", dialects[i]);
	}
	return t_done();
}
