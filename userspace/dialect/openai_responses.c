/*
 * openai-responses: POST .../responses (OpenAI "Create a model response" and its streaming events).
 * A stream says every text again after its deltas, up to three times and once more in the last
 * event: deltas have lanes, the repeats are parts without one. Usage is in the last event only;
 * cached is inside input, reasoning inside output.
 */
#include "dialect/shared.h"

#include <errno.h>

enum { ROOT = 1, INPUT, SYSTEM, CONTENT, TEXT, REASONING, SIGNED, ARGS, RESULT, URL, AUDIO, BASE64,
       PROMPT, VARIABLES, TOOLS, TOOL_NAME, TOOL_DEF };
enum { MARK_TOOL_NAME = 1, MARK_ITEM };

static const struct member root_members[] = {
	MEMBER("input", INPUT), MEMBER("instructions", SYSTEM), MEMBER("tools", TOOLS),
	MEMBER("prompt", PROMPT), MEMBER("text", TOOL_DEF), MEMBER_END
};
static const struct member item_members[] = {
	MEMBER("content", CONTENT), MEMBER("output", RESULT), MEMBER("arguments", ARGS),
	MEMBER("input", ARGS), MEMBER("summary", REASONING), MEMBER("encrypted_content", SIGNED),
	MEMBER("action", ARGS), MEMBER("operation", ARGS), MEMBER("code", ARGS),
	MEMBER("queries", ARGS), MEMBER("results", RESULT), MEMBER("outputs", RESULT),
	MEMBER("error", RESULT), MEMBER("result", BASE64), MEMBER("tools", TOOL_DEF),
	/* content parts may stand in the list themselves */
	MEMBER("text", TEXT), MEMBER("image_url", URL), MEMBER("file_data", BASE64), MEMBER_END
};
static const struct member content_members[] = {
	MEMBER("text", TEXT), MEMBER("refusal", TEXT), MEMBER("image_url", URL),
	MEMBER("file_data", BASE64), MEMBER("input_audio", AUDIO), MEMBER_END
};
static const struct member result_members[] = {
	MEMBER("type", STATE_OTHER), MEMBER("image_url", URL), MEMBER("file_data", BASE64),
	MEMBER("file_id", STATE_OTHER), MEMBER_END
};
static const struct member audio_members[] = { MEMBER("data", BASE64), MEMBER_END };
static const struct member thought_members[] = { MEMBER("type", STATE_OTHER), MEMBER_END };
static const struct member prompt_members[] = { MEMBER("variables", VARIABLES), MEMBER_END };
static const struct member tool_members[] = {
	MEMBER("name", TOOL_NAME), MEMBER("parameters", TOOL_DEF), MEMBER_END
};

static const struct state request_states[] = {
	[STATE_OTHER] = { .kind = PART_OTHER, .role = ROLE_INHERIT },
	[ROOT] = { .members = root_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[INPUT] = { .members = item_members, .kind = PART_TEXT, .role = ROLE_USER,
		    .flags = STATE_ROLED },
	[SYSTEM] = { .members = content_members, .kind = PART_TEXT, .role = ROLE_SYSTEM },
	[CONTENT] = { .members = content_members, .kind = PART_TEXT, .role = ROLE_INHERIT },
	[TEXT] = { .kind = PART_TEXT, .role = ROLE_INHERIT },
	[REASONING] = { .members = thought_members, .kind = PART_REASONING, .role = ROLE_ASSISTANT,
			.flags = STATE_DEEP },
	[SIGNED] = { .kind = PART_OTHER, .role = ROLE_ASSISTANT, .flags = STATE_FROZEN },
	[ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_ASSISTANT, .flags = STATE_DEEP },
	[RESULT] = { .members = result_members, .kind = PART_TOOL_RESULT, .role = ROLE_TOOL,
		     .flags = STATE_DEEP },
	[URL] = { .kind = PART_DATA, .role = ROLE_INHERIT },
	[AUDIO] = { .members = audio_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[BASE64] = { .kind = PART_DATA, .role = ROLE_INHERIT, .flags = STATE_BASE64 },
	[PROMPT] = { .members = prompt_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[VARIABLES] = { .members = content_members, .kind = PART_TEXT, .role = ROLE_USER,
			.flags = STATE_DEEP },
	[TOOLS] = { .members = tool_members, .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM,
		    .flags = STATE_DEEP | STATE_TOOLS },
	[TOOL_NAME] = { .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM, .flags = STATE_TOOLS,
			.mark = MARK_TOOL_NAME },
	[TOOL_DEF] = { .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM,
		       .flags = STATE_DEEP | STATE_TOOLS },
};

static int responses_read_request(struct message *m, struct arena *a)
{
	static const char *const limits[] = { "max_output_tokens", "max_tokens", NULL };
	int r = request_basics(m, a, limits);

	return r ? r : walk_request(m, request_states, ROOT, request_tool_hook, a);
}

/* ---- replies: a whole response, or one event about a piece of it ---- */

enum { R_ROOT = 1, R_EVENT, R_ITEMS, R_CONTENT, R_TEXT, R_REASONING, R_SIGNED, R_ARGS, R_RESULT,
       R_BASE64, E_TEXT, E_REFUSAL, E_ARGS, E_THOUGHT, E_SUMMARY, E_AUDIO, D_TEXT, D_REFUSAL,
       D_ARGS, D_THOUGHT, D_SUMMARY };
enum { CHANNEL_TEXT = 1, CHANNEL_REFUSAL, CHANNEL_ARGS, CHANNEL_THOUGHT, CHANNEL_SUMMARY };

static const struct member reply_members[] = { MEMBER("output", R_ITEMS), MEMBER_END };
/* An event that is no delta: the piece it opens or closes, or the response so far. */
static const struct member event_members[] = {
	MEMBER("response", R_ROOT), MEMBER("item", R_ITEMS), MEMBER("part", R_CONTENT),
	MEMBER("text", R_TEXT), MEMBER("refusal", R_TEXT), MEMBER("transcript", R_TEXT),
	MEMBER("arguments", R_ARGS), MEMBER("input", R_ARGS), MEMBER("code", R_ARGS), MEMBER_END
};
static const struct member said_members[] = {
	MEMBER("content", R_CONTENT), MEMBER("arguments", R_ARGS), MEMBER("input", R_ARGS),
	MEMBER("output", R_RESULT), MEMBER("summary", R_REASONING),
	MEMBER("encrypted_content", R_SIGNED), MEMBER("action", R_ARGS),
	MEMBER("operation", R_ARGS), MEMBER("code", R_ARGS), MEMBER("queries", R_ARGS),
	MEMBER("results", R_RESULT), MEMBER("outputs", R_RESULT), MEMBER("error", R_RESULT),
	MEMBER("result", R_BASE64), MEMBER_END
};
static const struct member text_members[] = {
	MEMBER("text", R_TEXT), MEMBER("refusal", R_TEXT), MEMBER("transcript", R_TEXT), MEMBER_END
};
/* Events whose "delta" goes on with a text. */
static const struct member e_text[] = { MEMBER("delta", D_TEXT), MEMBER_END };
static const struct member e_refusal[] = { MEMBER("delta", D_REFUSAL), MEMBER_END };
static const struct member e_args[] = { MEMBER("delta", D_ARGS), MEMBER_END };
static const struct member e_thought[] = { MEMBER("delta", D_THOUGHT), MEMBER_END };
static const struct member e_summary[] = { MEMBER("delta", D_SUMMARY), MEMBER_END };
static const struct member e_audio[] = { MEMBER("delta", R_BASE64), MEMBER_END };

static const struct state reply_states[] = {
	[STATE_OTHER] = { .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_ROOT] = { .members = reply_members, .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_EVENT] = { .members = event_members, .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_ITEMS] = { .members = said_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT,
		      .mark = MARK_ITEM },
	[R_CONTENT] = { .members = text_members, .kind = PART_TEXT, .role = ROLE_ASSISTANT },
	[R_TEXT] = { .kind = PART_TEXT, .role = ROLE_ASSISTANT },
	[R_REASONING] = { .members = thought_members, .kind = PART_REASONING,
			  .role = ROLE_ASSISTANT, .flags = STATE_DEEP },
	[R_SIGNED] = { .kind = PART_OTHER, .role = ROLE_ASSISTANT, .flags = STATE_FROZEN },
	[R_ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_ASSISTANT, .flags = STATE_DEEP },
	[R_RESULT] = { .members = result_members, .kind = PART_TOOL_RESULT, .role = ROLE_TOOL,
		       .flags = STATE_DEEP },
	[R_BASE64] = { .kind = PART_DATA, .role = ROLE_ASSISTANT, .flags = STATE_BASE64 },
	[E_TEXT] = { .members = e_text, .kind = PART_OTHER, .role = ROLE_OTHER },
	[E_REFUSAL] = { .members = e_refusal, .kind = PART_OTHER, .role = ROLE_OTHER },
	[E_ARGS] = { .members = e_args, .kind = PART_OTHER, .role = ROLE_OTHER },
	[E_THOUGHT] = { .members = e_thought, .kind = PART_OTHER, .role = ROLE_OTHER },
	[E_SUMMARY] = { .members = e_summary, .kind = PART_OTHER, .role = ROLE_OTHER },
	[E_AUDIO] = { .members = e_audio, .kind = PART_OTHER, .role = ROLE_OTHER },
	[D_TEXT] = { .kind = PART_TEXT, .role = ROLE_ASSISTANT, .flags = STATE_DEEP,
		     .channel = CHANNEL_TEXT },
	[D_REFUSAL] = { .kind = PART_TEXT, .role = ROLE_ASSISTANT, .channel = CHANNEL_REFUSAL },
	[D_ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_ASSISTANT, .channel = CHANNEL_ARGS },
	[D_THOUGHT] = { .kind = PART_REASONING, .role = ROLE_ASSISTANT,
			.channel = CHANNEL_THOUGHT },
	[D_SUMMARY] = { .kind = PART_REASONING, .role = ROLE_ASSISTANT,
			.channel = CHANNEL_SUMMARY },
};

/* "response.<middle>.delta" -> the state of the event's root; an unknown delta is taken as text. */
static uint8_t delta_state(struct slice type)
{
	static const struct { const char *type; uint8_t state; } kinds[] = {
		{ "response.output_text.delta", E_TEXT },
		{ "response.refusal.delta", E_REFUSAL },
		{ "response.function_call_arguments.delta", E_ARGS },
		{ "response.mcp_call_arguments.delta", E_ARGS },
		{ "response.custom_tool_call_input.delta", E_ARGS },
		{ "response.code_interpreter_call_code.delta", E_ARGS },
		{ "response.reasoning_text.delta", E_THOUGHT },
		{ "response.reasoning_summary_text.delta", E_SUMMARY },
		{ "response.audio.delta", E_AUDIO },
		{ "response.output_audio.delta", E_AUDIO },
	};

	if (!slice_ends(type, SLICE(".delta")))
		return R_EVENT;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (slice_is(type, kinds[i].type))
			return kinds[i].state;
	return E_TEXT;
}

#define PIECES_MAX 256       /* content or summary parts of one item that get lanes of their own */
#define ITEMS_MAX (1U << 18)

static uint32_t lane_outer(const struct jdoc *d, const struct jnode *root)
{
	int64_t item = jspan_int(d, jspan_get(d, root, "output_index"), 0);
	int64_t piece = jspan_int(d, jspan_get(d, root, "content_index"), 0);

	piece = jspan_int(d, jspan_get(d, root, "summary_index"), piece);
	return item < ITEMS_MAX && piece < PIECES_MAX ? (uint32_t)(item * PIECES_MAX + piece) :
							UINT32_MAX;
}

/* The items that call a tool by name; an approval request or a list of tools names some, too. */
static int reply_hook(struct walk *w, uint8_t mark UNUSED, const struct jnode *n)
{
	static const char *const calls[] = { "function_call", "custom_tool_call", "mcp_call" };
	struct reply_walk *ctx = w->ctx;
	const struct jnode *type, *name;
	struct slice text;

	if (n->type != JT_OBJECT || !ctx->count_calls)
		return 0;
	type = jspan_get(w->doc, n, "type");
	name = jspan_get(w->doc, n, "name");
	if (!name || name->type != JT_STRING || name->start == name->end)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (!jspan_is(w->doc, type, calls[i]))
			continue;
		text = jspan_text(w->doc, name, w->arena);
		return text.ptr ? reply_tool_call(ctx->reply, ctx->keep, text) : -ENOMEM;
	}
	return 0;
}

/* `response`: the object that has model, usage and status. */
static int response_read(struct reply *r, const struct jdoc *d, const struct jnode *response,
			 struct arena *keep)
{
	const struct jnode *usage = jspan_get(d, response, "usage");
	const struct jnode *in = jspan_get(d, usage, "input_tokens_details");
	const struct jnode *out = jspan_get(d, usage, "output_tokens_details");
	int ret = reply_text(&r->model, d, jspan_get(d, response, "model"), keep);

	count_read(&r->usage.input, d, usage, "input_tokens");
	count_read(&r->usage.output, d, usage, "output_tokens");
	count_read(&r->usage.cached, d, in, "cached_tokens");
	count_read(&r->usage.cache_write, d, in, "cache_write_tokens");
	count_read(&r->usage.reasoning, d, out, "reasoning_tokens");
	return ret ? ret : reply_text(&r->finish, d, jspan_get(d, response, "status"), keep);
}

static int responses_read_reply(struct reply *r, const struct jdoc *doc, struct arena *a)
{
	struct reply_walk ctx = { .reply = r, .keep = a, .count_calls = true };
	struct walk w = { .states = reply_states, .root = R_ROOT, .hook = reply_hook };
	int ret;

	if (!doc->n)
		return reply_raw(r, doc, a);
	if (jspan_get(doc, jspan_root(doc), "choices")) /* Azure's other models answer so */
		return dialect_openai_chat.read_reply(r, doc, a);
	ret = response_read(r, doc, jspan_root(doc), a);
	return ret ? ret : reply_walk_run(&w, &ctx, doc, a);
}

static bool ends_stream(struct slice type)
{
	return slice_is(type, "response.completed") || slice_is(type, "response.incomplete") ||
	       slice_is(type, "response.failed") || slice_is(type, "response.cancelled");
}

/* By the data's own "type": some providers leave the event: line out. */
static int responses_read_event(struct reply *r, struct slice name, const struct jdoc *doc,
				struct arena *a, struct arena *keep)
{
	struct reply_walk ctx = { .reply = r, .keep = keep };
	struct walk w = { .states = reply_states, .hook = reply_hook, .lanes = true };
	const struct jnode *root = jspan_root(doc);
	struct slice type = jspan_text(doc, jspan_get(doc, root, "type"), a);
	int ret;

	if (!doc->n)
		return reply_raw(r, doc, a);
	if (jspan_get(doc, root, "choices"))
		return dialect_openai_chat.read_event(r, name, doc, a, keep);
	w.root = delta_state(type);
	w.outer = lane_outer(doc, root);
	w.repeat = w.root == R_EVENT;
	ctx.count_calls = slice_is(type, "response.output_item.added");
	if (ends_stream(type)) {
		/* It lists every item again, also those that were never announced. */
		const struct jnode *response = jspan_get(doc, root, "response");
		const struct jnode *all = jspan_get(doc, response, "output");

		r->ended = true;
		ctx.count_calls = all && all->child;
		if (ctx.count_calls)
			r->n_tool_calls = 0;
	}
	ret = response_read(r, doc, jspan_get(doc, root, "response"), keep);
	return ret ? ret : reply_walk_run(&w, &ctx, doc, a);
}

/* ---- our own words ---- */

static int responses_write_refusal(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "{\"error\":");

	if (r == 0)
		r = openai_error(f, out);
	return r ? r : buf_str(out, "}");
}

/* Only the nested form raises; the flat one of the documentation is passed on as an event. */
static int responses_write_stream_end(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "event: error\ndata: {\"type\":\"error\",\"error\":");

	if (r == 0)
		r = openai_error(f, out);
	return r ? r : buf_str(out, "}\n\n");
}

const struct dialect dialect_openai_responses = {
	.name = "openai-responses",
	.read_request = responses_read_request,
	.read_reply = responses_read_reply,
	.read_event = responses_read_event,
	.write_refusal = responses_write_refusal,
	.write_stream_end = responses_write_stream_end,
};
