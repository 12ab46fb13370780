/*
 * generic: any body on an AI host that no other dialect reads. Nothing is skipped: every string
 * leaf is a part, a body that is no JSON is one raw part. Model, limits and usage are taken where
 * they stand in the shapes most providers use.
 */
#include "dialect/shared.h"

#include "base/json.h"

#include <errno.h>

enum { ROOT = 1 };

static const struct state states[] = {
	[STATE_OTHER] = { .kind = PART_OTHER, .role = ROLE_OTHER },
	[ROOT] = { .kind = PART_OTHER, .role = ROLE_OTHER },
};

static int generic_read_request(struct message *m, struct arena *a)
{
	static const char *const limits[] = { "max_tokens", "max_completion_tokens",
					      "max_output_tokens", "max_tokens_to_sample",
					      "maxTokens", "maxOutputTokens", "num_predict", NULL };
	static const char *const holders[] = { "generationConfig", "inferenceConfig", "options",
					       "parameters", NULL };
	const struct jdoc *d = &m->doc;
	const struct jnode *root = jspan_root(d);
	int r = request_basics(m, a, limits);

	for (size_t i = 0; holders[i] && m->max_tokens < 0; i++)
		m->max_tokens = walk_max_tokens(d, jspan_get(d, root, holders[i]), limits, 1);
	return r ? r : walk_request(m, states, ROOT, NULL, a);
}

/* The names under which providers count; cached and reasoning are inside unless a row says else. */
static void usage_read(struct usage *u, const struct jdoc *d, const struct jnode *root)
{
	static const struct { const char *object, *input, *output, *cached, *extra_in, *extra_out; }
	shapes[] = {
		{ "usage", "prompt_tokens", "completion_tokens", "cached_tokens", NULL, NULL },
		{ "usage", "input_tokens", "output_tokens", "cache_read_input_tokens",
		  "cache_read_input_tokens", NULL },
		{ "usage", "inputTokens", "outputTokens", "cacheReadInputTokens",
		  "cacheReadInputTokens", NULL },
		{ "usageMetadata", "promptTokenCount", "candidatesTokenCount",
		  "cachedContentTokenCount", "toolUsePromptTokenCount", "thoughtsTokenCount" },
		{ NULL, "prompt_eval_count", "eval_count", NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		const char *object = shapes[i].object;
		const struct jnode *n = object ? jspan_get(d, root, object) : root;
		int64_t in = -1, out = -1, more_in = 0, more_out = 0;

		count_read(&in, d, n, shapes[i].input);
		count_read(&out, d, n, shapes[i].output);
		if (in < 0 && out < 0)
			continue;
		if (shapes[i].cached)
			count_read(&u->cached, d, n, shapes[i].cached);
		if (shapes[i].extra_in)
			count_read(&more_in, d, n, shapes[i].extra_in);
		if (shapes[i].extra_out)
			count_read(&more_out, d, n, shapes[i].extra_out);
		if (in >= 0 && __builtin_add_overflow(in, more_in, &u->input))
			u->input = INT64_MAX;
		if (out >= 0 && __builtin_add_overflow(out, more_out, &u->output))
			u->output = INT64_MAX;
		if (more_out)
			u->reasoning = more_out;
		return;
	}
}

/* Under these keys stands what a model said; ids, names and the like are no output. */
static bool said(const struct jdoc *d, const struct jnode *n)
{
	static const char *const keys[] = { "text", "content", "response", "completion", "output",
					    "generated_text", "outputText", "generation", "delta",
					    "token", "answer" };
	struct slice key = jspan_key(d, n);

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (slice_is(key, keys[i]))
			return true;
	return false;
}

/* Texts under the same keys go on from event to event, so that a match over two events is found. */
static uint32_t lane_of(const struct jdoc *d, const struct jnode *n)
{
	uint32_t h = 2166136261U;

	for (; n != d->nodes; n = &d->nodes[n->parent]) {
		struct slice key = jspan_key(d, n);

		for (size_t i = 0; i < key.len; i++)
			h = (h ^ (unsigned char)key.ptr[i]) * 16777619U;
		h = (h ^ '/') * 16777619U;
	}
	return h == LANE_NONE ? 0 : h;
}

static int body_read(struct reply *r, const struct jdoc *d, struct arena *a, struct arena *keep,
		     bool stream)
{
	struct reply_walk ctx = { .reply = r, .keep = keep };
	struct walk w = { .states = states, .root = ROOT };
	const struct jnode *root = jspan_root(d), *model = jspan_get(d, root, "model");
	int ret;

	if (!model)
		model = jspan_get(d, root, "modelVersion");
	ret = reply_text(&r->model, d, model, keep);

	if (ret == 0)
		ret = reply_walk_run(&w, &ctx, d, a);
	if (ret < 0)
		return ret;
	usage_read(&r->usage, d, root);
	for (struct part *p = r->parts; p < r->parts + r->n_parts; p++) {
		const struct jnode *n = &d->nodes[p->node];

		if (p->kind == PART_DATA || !said(d, n))
			continue;
		p->kind = PART_TEXT;
		r->text_bytes += walk_text_len(d, n);
		if (stream)
			p->lane = lane_of(d, n);
	}
	return 0;
}

static int generic_read_reply(struct reply *r, const struct jdoc *doc, struct arena *a)
{
	return doc->n ? body_read(r, doc, a, a, false) : reply_raw(r, doc, a);
}

static int generic_read_event(struct reply *r, struct slice name UNUSED, const struct jdoc *doc,
			      struct arena *a, struct arena *keep)
{
	return doc->n ? body_read(r, doc, a, keep, true) : reply_raw(r, doc, a);
}

/* One body that eight of nine SDKs show: OpenAI's, Anthropic's and Google's members at once. */
static int generic_write_refusal(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\","
			     "\"message\":");

	if (r == 0)
		r = jwrite_string(out, f->message);
	if (r == 0)
		r = buf_str(out, ",\"code\":");
	if (r == 0)
		r = jwrite_string(out, slice_str(f->code));
	if (r == 0)
		r = buf_str(out, ",\"param\":null,\"status\":\"PERMISSION_DENIED\"},\"message\":");
	if (r == 0)
		r = jwrite_string(out, f->message);
	if (r == 0)
		r = buf_str(out, ",\"request_id\":");
	if (r == 0)
		r = jwrite_string(out, f->request_id);
	return r ? r : buf_str(out, "}");
}

static int generic_write_stream_end(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "event: error\ndata: ");

	if (r == 0)
		r = generic_write_refusal(f, out);
	return r ? r : buf_str(out, "\n\n");
}

const struct dialect dialect_generic = {
	.name = "generic",
	.read_request = generic_read_request,
	.read_reply = generic_read_reply,
	.read_event = generic_read_event,
	.write_refusal = generic_write_refusal,
	.write_stream_end = generic_write_stream_end,
};
