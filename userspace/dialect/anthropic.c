/*
 * anthropic-messages: POST /v1/messages (Anthropic "Messages", "Streaming messages"), also behind
 * Vertex and many others. Usage: input_tokens leaves the cached ones out; a stream's message_start
 * has the input and a placeholder for the output, message_delta the truth so far.
 */
#include "dialect/shared.h"

#include "base/json.h"

#include <errno.h>

enum { ROOT = 1, SYSTEM, MESSAGES, CONTENT, TEXT, THINKING, SIGNED, ARGS, RESULT, SOURCE, BASE64,
       TOOLS, TOOL_NAME, TOOL_DEF };
enum { MARK_TOOL_NAME = 1, MARK_BLOCK };
enum { CHANNEL_TEXT = 1, CHANNEL_ARGS, CHANNEL_THINKING };

static const struct member root_members[] = {
	MEMBER("messages", MESSAGES), MEMBER("system", SYSTEM), MEMBER("tools", TOOLS), MEMBER_END
};
static const struct member text_members[] = { MEMBER("text", TEXT), MEMBER_END };
static const struct member message_members[] = { MEMBER("content", CONTENT), MEMBER_END };
static const struct member block_members[] = {
	MEMBER("text", TEXT), MEMBER("input", ARGS), MEMBER("content", RESULT),
	MEMBER("source", SOURCE), MEMBER("thinking", THINKING), MEMBER("signature", SIGNED),
	MEMBER("data", SIGNED), MEMBER("title", TEXT), MEMBER("context", TEXT), MEMBER_END
};
static const struct member result_members[] = {
	MEMBER("type", STATE_OTHER), MEMBER("source", SOURCE), MEMBER("encrypted_content", SIGNED),
	MEMBER_END
};
static const struct member source_members[] = {
	MEMBER("data", BASE64), MEMBER("content", CONTENT), MEMBER_END
};
static const struct member tool_members[] = {
	MEMBER("name", TOOL_NAME), MEMBER("input_schema", TOOL_DEF), MEMBER_END
};

static const struct state request_states[] = {
	[STATE_OTHER] = { .kind = PART_OTHER, .role = ROLE_INHERIT },
	[ROOT] = { .members = root_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[SYSTEM] = { .members = text_members, .kind = PART_TEXT, .role = ROLE_SYSTEM },
	[MESSAGES] = { .members = message_members, .kind = PART_OTHER, .role = ROLE_INHERIT,
		       .flags = STATE_ROLED },
	[CONTENT] = { .members = block_members, .kind = PART_TEXT, .role = ROLE_INHERIT },
	[TEXT] = { .kind = PART_TEXT, .role = ROLE_INHERIT },
	/* A thinking block goes back as it came: its signature is checked. */
	[THINKING] = { .kind = PART_REASONING, .role = ROLE_ASSISTANT, .flags = STATE_FROZEN },
	[SIGNED] = { .kind = PART_OTHER, .role = ROLE_ASSISTANT, .flags = STATE_FROZEN },
	[ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_ASSISTANT, .flags = STATE_DEEP },
	[RESULT] = { .members = result_members, .kind = PART_TOOL_RESULT, .role = ROLE_TOOL,
		     .flags = STATE_DEEP },
	[SOURCE] = { .members = source_members, .kind = PART_OTHER, .role = ROLE_INHERIT },
	[BASE64] = { .kind = PART_DATA, .role = ROLE_INHERIT, .flags = STATE_BASE64 },
	[TOOLS] = { .members = tool_members, .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM,
		    .flags = STATE_DEEP | STATE_TOOLS },
	[TOOL_NAME] = { .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM, .flags = STATE_TOOLS,
			.mark = MARK_TOOL_NAME },
	[TOOL_DEF] = { .kind = PART_TOOL_DEF, .role = ROLE_SYSTEM,
		       .flags = STATE_DEEP | STATE_TOOLS },
};

static int messages_read_request(struct message *m, struct arena *a)
{
	static const char *const limits[] = { "max_tokens", NULL };
	int r = request_basics(m, a, limits);

	return r ? r : walk_request(m, request_states, ROOT, request_tool_hook, a);
}

/* ---- replies: a whole message, or one event around a piece of it ---- */

enum { R_ROOT = 1, R_MESSAGE, R_BLOCK, R_DELTA, R_TEXT, R_THINKING, R_SIGNED, R_ARGS, R_RESULT };

static const struct member reply_members[] = {
	MEMBER("content", R_BLOCK), MEMBER("delta", R_DELTA), MEMBER("content_block", R_BLOCK),
	MEMBER("message", R_MESSAGE), MEMBER_END
};
static const struct member started_members[] = { MEMBER("content", R_BLOCK), MEMBER_END };
static const struct member said_members[] = {
	MEMBER("text", R_TEXT), MEMBER("input", R_ARGS), MEMBER("thinking", R_THINKING),
	MEMBER("signature", R_SIGNED), MEMBER("data", R_SIGNED), MEMBER("content", R_RESULT),
	MEMBER_END
};
static const struct member delta_members[] = {
	MEMBER("text", R_TEXT), MEMBER("partial_json", R_ARGS), MEMBER("thinking", R_THINKING),
	MEMBER("signature", R_SIGNED), MEMBER_END
};
static const struct member found_members[] = {
	MEMBER("type", STATE_OTHER), MEMBER("encrypted_content", R_SIGNED), MEMBER_END
};

static const struct state reply_states[] = {
	[STATE_OTHER] = { .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_ROOT] = { .members = reply_members, .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_MESSAGE] = { .members = started_members, .kind = PART_OTHER, .role = ROLE_OTHER },
	[R_BLOCK] = { .members = said_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT,
		      .mark = MARK_BLOCK },
	[R_DELTA] = { .members = delta_members, .kind = PART_OTHER, .role = ROLE_ASSISTANT },
	[R_TEXT] = { .kind = PART_TEXT, .role = ROLE_ASSISTANT, .channel = CHANNEL_TEXT },
	[R_THINKING] = { .kind = PART_REASONING, .role = ROLE_ASSISTANT, .flags = STATE_FROZEN,
			 .channel = CHANNEL_THINKING },
	[R_SIGNED] = { .kind = PART_OTHER, .role = ROLE_ASSISTANT, .flags = STATE_FROZEN },
	[R_ARGS] = { .kind = PART_TOOL_ARGS, .role = ROLE_ASSISTANT, .flags = STATE_DEEP,
		     .channel = CHANNEL_ARGS },
	[R_RESULT] = { .members = found_members, .kind = PART_TOOL_RESULT, .role = ROLE_TOOL,
		       .flags = STATE_DEEP },
};

/* tool_use, server_tool_use, mcp_tool_use: the blocks that name a tool. */
static int reply_hook(struct walk *w, uint8_t mark UNUSED, const struct jnode *n)
{
	struct reply_walk *ctx = w->ctx;
	const struct jnode *name = n->type == JT_OBJECT ? jspan_get(w->doc, n, "name") : NULL;
	struct slice text;

	if (!name || name->type != JT_STRING || name->start == name->end)
		return 0;
	text = jspan_text(w->doc, name, w->arena);
	return text.ptr ? reply_tool_call(ctx->reply, ctx->keep, text) : -ENOMEM;
}

/* Each field that is there replaces what an earlier event said; the sum is made anew. */
static void usage_read(struct usage *u, const struct jdoc *d, const struct jnode *n)
{
	int64_t plain = u->input - MAX(u->cached, (int64_t)0) - MAX(u->cache_write, (int64_t)0);

	if (!n || n->type != JT_OBJECT)
		return;
	if (u->input < 0)
		plain = -1;
	count_read(&plain, d, n, "input_tokens");
	count_read(&u->cached, d, n, "cache_read_input_tokens");
	count_read(&u->cache_write, d, n, "cache_creation_input_tokens");
	count_read(&u->output, d, n, "output_tokens");
	count_read(&u->reasoning, d, jspan_get(d, n, "output_tokens_details"), "thinking_tokens");
	if (plain < 0)
		return;
	if (__builtin_add_overflow(plain, MAX(u->cached, (int64_t)0), &u->input) ||
	    __builtin_add_overflow(u->input, MAX(u->cache_write, (int64_t)0), &u->input))
		u->input = INT64_MAX;
}

/* `message`: the object that has model, usage and stop_reason. */
static int message_read(struct reply *r, const struct jdoc *d, const struct jnode *message,
			struct arena *keep)
{
	int ret = reply_text(&r->model, d, jspan_get(d, message, "model"), keep);

	usage_read(&r->usage, d, jspan_get(d, message, "usage"));
	return ret ? ret : reply_text(&r->finish, d, jspan_get(d, message, "stop_reason"), keep);
}

static int body_read(struct reply *r, const struct jdoc *d, struct arena *a, struct arena *keep,
		     bool stream)
{
	struct reply_walk ctx = { .reply = r, .keep = keep };
	struct walk w = { .states = reply_states, .root = R_ROOT, .hook = reply_hook,
			  .lanes = stream };
	const struct jnode *root = jspan_root(d);
	int64_t block = jspan_int(d, jspan_get(d, root, "index"), 0);
	int ret = message_read(r, d, root, keep);

	if (ret == 0 && stream)
		ret = message_read(r, d, jspan_get(d, root, "message"), keep);
	if (ret == 0 && stream)
		ret = reply_text(&r->finish, d,
				 jspan_get(d, jspan_get(d, root, "delta"), "stop_reason"), keep);
	if (ret < 0)
		return ret;
	w.outer = block < UINT16_MAX ? (uint32_t)block : UINT32_MAX;
	if (stream && jspan_is(d, jspan_get(d, root, "type"), "message_stop"))
		r->ended = true;
	return reply_walk_run(&w, &ctx, d, a);
}

static int messages_read_reply(struct reply *r, const struct jdoc *doc, struct arena *a)
{
	return doc->n ? body_read(r, doc, a, a, false) : reply_raw(r, doc, a);
}

static int messages_read_event(struct reply *r, struct slice name UNUSED, const struct jdoc *doc,
			       struct arena *a, struct arena *keep)
{
	return doc->n ? body_read(r, doc, a, keep, true) : reply_raw(r, doc, a);
}

/* ---- our own words ---- */

static int messages_write_refusal(const struct refusal *f, struct buf *out)
{
	bool money = f->code && strstr(f->code, "budget");
	int r = buf_printf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
			   money ? "billing_error" :
			   refusal_is_upstream(f) ? "api_error" : "permission_error");

	if (r == 0)
		r = jwrite_string(out, f->message);
	if (r == 0)
		r = buf_str(out, "}");
	if (r == 0 && f->request_id.len) {
		r = buf_str(out, ",\"request_id\":");
		if (r == 0)
			r = jwrite_string(out, f->request_id);
	}
	return r ? r : buf_str(out, "}");
}

/* The SDK looks at the event: line first; without it our error would be skipped. */
static int messages_write_stream_end(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "event: error\ndata: ");

	if (r == 0)
		r = messages_write_refusal(f, out);
	return r ? r : buf_str(out, "\n\n");
}

const struct dialect dialect_anthropic = {
	.name = "anthropic-messages",
	.read_request = messages_read_request,
	.read_reply = messages_read_reply,
	.read_event = messages_read_event,
	.write_refusal = messages_write_refusal,
	.write_stream_end = messages_write_stream_end,
};
