/*
 * openai-chat: POST .../chat/completions, spoken by most of the market (OpenAI "Create chat
 * completion" and its many relatives). Usage: prompt_tokens holds the cached ones,
 * completion_tokens the reasoning; where a relative leaves reasoning out, the total tells.
 */
#include "dialect/shared.h"

#include <errno.h>

enum { ROOT = 1, MESSAGES, CONTENT, TEXT, REASONING, URL, AUDIO, FILE_PART, BASE64, CALLS, CALL,
       ARGS, TOOLS, TOOL, TOOL_NAME, TOOL_DEF, PREDICTION };
enum { MARK_TOOL_NAME = 1, MARK_CHOICE, MARK_MESSAGE, MARK_DELTA, MARK_CALL, MARK_CALL_NAME };
enum { CHANNEL_TEXT = 1, CHANNEL_REASONING, CHANNEL_REFUSAL, CHANNEL_AUDIO, CHANNEL_FUNCTION,
       CHANNEL_ARGS = CHANNEL_INNER };

static const struct member root_members[] = {
	MEMBER("messages", MESSAGES), MEMBER("tools", TOOLS), MEMBER("functions", TOOLS),
	MEMBER("response_format", TOOL_DEF), MEMBER("prediction", PREDICTION), MEMBER_END
};
static const struct member message_members[] = {
	MEMBER("content", CONTENT), MEMBER("tool_calls", CALLS), MEMBER("function_call", CALL),
	MEMBER("reasoning_content", REASONING), MEMBER("reasoning", REASONING),
	MEMBER("reasoning_details", REASONING), MEMBER("refusal", TEXT), MEMBER_END
};
static const struct member content_members[] = {
	MEMBER("text", TEXT), MEMBER("content", CONTENT), MEMBER("refusal", TEXT),
	MEMBER("thinking", REASONING), MEMBER("image_url", URL), MEMBER("video_url", URL),
	MEMBER("document_url", URL), MEMBER("input_audio", AUDIO), MEMBER("file", FILE_PART),
	MEMBER_END
};
static const struct member url_members[] = { MEMBER("url", URL), MEMBER_END };
static const struct member audio_members[] = { MEMBER("data", BASE64), MEMBER_END };
static const struct member file_members[] = { MEMBER("file_data", BASE64), MEMBER_END };
static const struct member call_list_members[] = {
	MEMBER("function", CALL), MEMBER("custom", CALL), MEMBER_END
};
static const struct member call_members[] = {
	MEMBER("arguments", ARGS), MEMBER("input", ARGS), MEMBER_END
};
static const struct member tool_list_members[] = {
	MEMBER("function", TOOL), MEMBER("custom", TOOL), MEMBER("name", TOOL_NAME),
	MEMBER("parameters", TOOL_DEF), MEMBER_END
};
static const struct member tool_members[] = {
	MEMBER("name", TOOL_NAME), MEMBER("parameters", TOOL_DEF), MEMBER_END
};
static const struct member prediction_members[] = { MEMBER("content", CONTENT), MEMBER_END };

static const struct state request_states[] = {
	[STATE_OTHER] = { .kind = PART_OTHER, .role = ROLE_INHERIT },
	[ROOT] = { .members = root_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[MESSAGES] = { .members = message_members, .kind = PART_OTHER, .role = ROLE_INHERIT,
		       .flags = STATE_ROLED },
	[CONTENT] = { .members = content_members, .kind = PART_TEXT, .role = ROLE_INHERIT },
	[TEXT] = { .kind = PART_TEXT, .role = ROLE_INHERIT },
	[REASONING] = { .kind = PART_REASONING, .role = ROLE_INHERIT, .flags = STATE_DEEP },
	[URL] = { .members = url_members, .kind = PART_DATA, .role = ROLE_INHERIT },
	[AUDIO] = { .members = audio_members, .kind = PART_DATA, .role = ROLE_INHERIT,
		    .flags = STATE_BASE64 },
	[FILE_PART] = { .members = file_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[BASE64] = { .kind = PART_DATA, .role = ROLE_INHERIT, .flags = STATE_BASE64 },
	[CALLS] = { .members = call_list_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[CALL] = { .members = call_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_INHERIT, .flags = STATE_DEEP },
	[TOOLS] = { .members = tool_list_members, .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM,
		    .flags = STATE_DEEP | STATE_TOOLS },
	[TOOL] = { .members = tool_members, .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM,
		   .flags = STATE_DEEP | STATE_TOOLS },
	[TOOL_NAME] = { .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM, .flags = STATE_TOOLS,
			.mark = MARK_TOOL_NAME },
	[TOOL_DEF] = { .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM,
		       .flags = STATE_DEEP | STATE_TOOLS },
	[PREDICTION] = { .members = prediction_members, .kind = PART_OTHER,
			 .role = ROLE_ASSISTANT },
};

static int chat_read_request(struct message *m, struct arena *a)
{
	static const char *const limits[] = { "max_tokens", "max_completion_tokens",
					      "max_output_tokens", NULL };
	const struct jnode *options = jspan_get(&m->doc, jspan_root(&m->doc), "stream_options");
	int r = request_basics(m, a, limits);

	m->asks_usage = jspan_true(jspan_get(&m->doc, options, "include_usage"));
	return r ? r : walk_request(m, request_states, ROOT, request_tool_hook, a);
}

/* ---- replies ---- */

enum { R_ROOT = 1, R_CHOICES, R_MESSAGE, R_DELTA, R_CONTENT, R_TEXT, R_REASONING, R_THOUGHTS,
       R_REFUSAL, R_AUDIO, R_TRANSCRIPT, R_BASE64, R_IMAGES, R_CALLS, R_FUNCTION, R_NAME, R_ARGS,
       R_OLD_CALL, R_OLD_NAME, R_OLD_ARGS };

static const struct member reply_members[] = { MEMBER("choices", R_CHOICES), MEMBER_END };
static const struct member choice_members[] = {
	MEMBER("delta", R_DELTA), MEMBER("message", R_MESSAGE), MEMBER("text", R_TEXT), MEMBER_END
};
static const struct member said_members[] = {
	MEMBER("content", R_CONTENT), MEMBER("reasoning_content", R_REASONING),
	MEMBER("reasoning", R_REASONING), MEMBER("reasoning_details", R_THOUGHTS),
	MEMBER("refusal", R_REFUSAL), MEMBER("audio", R_AUDIO), MEMBER("images", R_IMAGES),
	MEMBER("tool_calls", R_CALLS), MEMBER("function_call", R_OLD_CALL), MEMBER_END
};
static const struct member block_members[] = {
	MEMBER("text", R_TEXT), MEMBER("thinking", R_REASONING), MEMBER("refusal", R_REFUSAL),
	MEMBER_END
};
static const struct member spoken_members[] = {
	MEMBER("transcript", R_TRANSCRIPT), MEMBER("data", R_BASE64), MEMBER_END
};
static const struct member reply_calls_members[] = {
	MEMBER("function", R_FUNCTION), MEMBER("custom", R_FUNCTION), MEMBER_END
};
static const struct member function_members[] = {
	MEMBER("name", R_NAME), MEMBER("arguments", R_ARGS), MEMBER("input", R_ARGS), MEMBER_END
};
static const struct member old_call_members[] = {
	MEMBER("name", R_OLD_NAME), MEMBER("arguments", R_OLD_ARGS), MEMBER_END
};

static const struct state reply_states[] = {
	[STATE_OTHER] = { .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_ROOT] = { .members = reply_members, .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_CHOICES] = { .members = choice_members, .kind = PART_OTHER, .role = ROLE_OTHER,
			.mark = MARK_CHOICE },
	[R_MESSAGE] = { .members = said_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT,
			.mark = MARK_MESSAGE },
	[R_DELTA] = { .members = said_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT,
		      .mark = MARK_DELTA },
	[R_CONTENT] = { .members = block_members, .kind = PART_TEXT, .role = ROLE_ASSISTANT,
			.channel = CHANNEL_TEXT },
	[R_TEXT] = { .kind = PART_TEXT, .role = ROLE_ASSISTANT, .channel = CHANNEL_TEXT },
	[R_REASONING] = { .kind = PART_REASONING, .role = ROLE_ASSISTANT, .flags = STATE_DEEP,
			  .channel = CHANNEL_REASONING },
	/* OpenRouter's copy of the reasoning, signatures included. */
	[R_THOUGHTS] = { .kind = PART_REASONING, .role = ROLE_ASSISTANT,
			 .flags = STATE_DEEP | STATE_FROZEN },
	[R_REFUSAL] = { .kind = PART_TEXT, .role = ROLE_ASSISTANT, .channel = CHANNEL_REFUSAL },
	[R_AUDIO] = { .members = spoken_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT },
	[R_TRANSCRIPT] = { .kind = PART_TEXT, .role = ROLE_ASSISTANT, .channel = CHANNEL_AUDIO },
	[R_BASE64] = { .kind = PART_DATA, .role = ROLE_ASSISTANT, .flags = STATE_BASE64 },
	[R_IMAGES] = { .kind = PART_DATA, .role = ROLE_ASSISTANT, .flags = STATE_DEEP },
	[R_CALLS] = { .members = reply_calls_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT,
		      .mark = MARK_CALL },
	[R_FUNCTION] = { .members = function_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT },
	[R_NAME] = { .kind = PART_OTHER, .role = ROLE_ASSISTANT, .mark = MARK_CALL_NAME },
	[R_ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_ASSISTANT, .flags = STATE_DEEP,
		     .channel = CHANNEL_ARGS },
	[R_OLD_CALL] = { .members = old_call_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT },
	[R_OLD_NAME] = { .kind = PART_OTHER, .role = ROLE_ASSISTANT, .mark = MARK_CALL_NAME },
	[R_OLD_ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_ASSISTANT,
			 .channel = CHANNEL_FUNCTION },
};

#define CHOICES_MAX 1024 /* lanes are choice * CALLS_MAX + call */
#define CALLS_MAX 4096

/* Some servers leave a call's index out: then a name begins the next call. */
static uint32_t call_lane(struct walk *w, const struct reply *r, const struct jnode *n)
{
	int64_t index = jspan_int(w->doc, jspan_get(w->doc, n, "index"), -1);
	const struct jnode *named = jspan_get(w->doc, jspan_get(w->doc, n, "function"), "name");

	if (index < 0)
		index = (int64_t)r->n_tool_calls - (named && named->end > named->start ? 0 : 1);
	if (index < 0 || index >= CALLS_MAX || w->outer == UINT32_MAX)
		return UINT32_MAX;
	return w->outer * CALLS_MAX + (uint32_t)index;
}

static int reply_hook(struct walk *w, uint8_t mark, const struct jnode *n)
{
	struct reply_walk *ctx = w->ctx;
	struct slice name = { NULL, 0 };
	int64_t index;

	switch (mark) {
	case MARK_CHOICE:
		if (n->type != JT_OBJECT)
			return 0;
		index = jspan_int(w->doc, jspan_get(w->doc, n, "index"), 0);
		w->outer = index < CHOICES_MAX ? (uint32_t)index : UINT32_MAX;
		w->repeat = false;
		return reply_text(&ctx->reply->finish, w->doc,
				  jspan_get(w->doc, n, "finish_reason"), ctx->keep);
	case MARK_MESSAGE: /* in a stream it repeats what the deltas said (Perplexity) */
	case MARK_DELTA:
		w->repeat = mark == MARK_MESSAGE && w->lanes;
		return 0;
	case MARK_CALL:
		if (n->type == JT_OBJECT)
			w->inner = call_lane(w, ctx->reply, n);
		return 0;
	default:
		if (n->type != JT_STRING || n->start == n->end || w->repeat)
			return 0;
		name = jspan_text(w->doc, n, w->arena);
		return name.ptr ? reply_tool_call(ctx->reply, ctx->keep, name) : -ENOMEM;
	}
}

/* The last non-null value of each field counts. */
static void usage_read(struct usage *u, const struct jdoc *d, const struct jnode *n)
{
	const struct jnode *in, *out;
	int64_t prompt = -1, completion = -1, total = -1, outside, nowhere = -1;

	if (!n || n->type != JT_OBJECT)
		return;
	in = jspan_get(d, n, "prompt_tokens_details");
	out = jspan_get(d, n, "completion_tokens_details");
	count_read(&prompt, d, n, "prompt_tokens");
	count_read(&completion, d, n, "completion_tokens");
	count_read(&total, d, n, "total_tokens");
	count_read(&u->cached, d, n, "cached_tokens");           /* Moonshot, Perplexity */
	count_read(&u->cached, d, n, "prompt_cache_hit_tokens"); /* DeepSeek */
	count_read(&u->cached, d, in, "cached_tokens");
	count_read(&u->cache_write, d, in, "cache_write_tokens");
	count_read(&u->reasoning, d, n, "reasoning_tokens");     /* Perplexity */
	count_read(&u->reasoning, d, out, "reasoning_tokens");
	if (prompt >= 0)
		u->input = prompt;
	if (completion < 0)
		return;
	u->output = completion;
	u->unlisted = 0;
	if (prompt < 0 || total <= prompt || (outside = total - prompt - completion) <= 0)
		return;
	/* xAI and others count reasoning beside the completion. Gemini's OpenAI face names its
	 * thinking nowhere but in the total; Mistral's total also holds the seconds of audio. */
	count_read(&nowhere, d, n, "prompt_audio_seconds");
	if (outside == u->reasoning)
		u->output += outside;
	else if (nowhere < 0)
		u->unlisted = outside;
}

static int body_read(struct reply *r, const struct jdoc *d, struct arena *a, struct arena *keep,
		     bool stream)
{
	struct reply_walk ctx = { .reply = r, .keep = keep };
	struct walk w = { .states = reply_states, .root = R_ROOT, .hook = reply_hook,
			  .lanes = stream };
	const struct jnode *root = jspan_root(d), *choices = jspan_get(d, root, "choices");
	const struct jnode *usage = jspan_get(d, root, "usage");
	int ret = reply_text(&r->model, d, jspan_get(d, root, "model"), keep);

	if (ret < 0)
		return ret;
	usage_read(&r->usage, d, jspan_get(d, jspan_get(d, root, "x_groq"), "usage"));
	usage_read(&r->usage, d, usage);
	r->usage_chunk = stream && usage && usage->type == JT_OBJECT && choices &&
			 choices->type == JT_ARRAY && !choices->child;
	return reply_walk_run(&w, &ctx, d, a);
}

static int chat_read_reply(struct reply *r, const struct jdoc *doc, struct arena *a)
{
	return doc->n ? body_read(r, doc, a, a, false) : reply_raw(r, doc, a);
}

static int chat_read_event(struct reply *r, struct slice name UNUSED, const struct jdoc *doc,
			   struct arena *a, struct arena *keep)
{
	r->usage_chunk = false;
	return doc->n ? body_read(r, doc, a, keep, true) : reply_raw(r, doc, a);
}

/* ---- our own words ---- */

static int chat_write_refusal(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "{\"error\":");

	if (r == 0)
		r = openai_error(f, out);
	return r ? r : buf_str(out, "}");
}

/* An event whose data has an "error" is what the SDK raises; a cut without [DONE] is silent. */
static int chat_write_stream_end(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "data: ");

	if (r == 0)
		r = chat_write_refusal(f, out);
	return r ? r : buf_str(out, "\n\n");
}

static int chat_ask_usage(const struct message *m, struct arena *a UNUSED, struct splice *out)
{
	const struct jdoc *d = &m->doc;
	const struct jnode *root = jspan_root(d), *options = jspan_get(d, root, "stream_options");
	const struct jnode *flag = jspan_get(d, options, "include_usage");

	if (!m->stream || m->asks_usage || !root || root->type != JT_OBJECT)
		return 0;
	if (flag)
		*out = (struct splice){ flag->type == JT_STRING ? flag->start - 1U : flag->start,
					flag->type == JT_STRING ? flag->end + 1U : flag->end,
					SLICE("true") };
	else if (options && options->type == JT_OBJECT)
		*out = (struct splice){ options->start + 1U, options->start + 1U,
					options->child ? SLICE("\"include_usage\":true,") :
							 SLICE("\"include_usage\":true") };
	else if (options && options->type == JT_NULL)
		*out = (struct splice){ options->start, options->end,
					SLICE("{\"include_usage\":true}") };
	else if (options)
		return 0; /* no shape the provider takes; let it say so */
	else
		*out = (struct splice){ root->start + 1U, root->start + 1U,
					SLICE("\"stream_options\":{\"include_usage\":true},") };
	return 1;
}

const struct dialect dialect_openai_chat = {
	.name = "openai-chat",
	.read_request = chat_read_request,
	.read_reply = chat_read_reply,
	.read_event = chat_read_event,
	.write_refusal = chat_write_refusal,
	.write_stream_end = chat_write_stream_end,
	.ask_usage = chat_ask_usage,
};
