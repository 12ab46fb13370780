/* Pieces that more than one dialect needs. */
#include "dialect/shared.h"

#include "base/json.h"

#include <errno.h>

int reply_walk_run(struct walk *w, struct reply_walk *ctx, const struct jdoc *doc, struct arena *a)
{
	int r;

	w->doc = doc;
	w->arena = a;
	w->ctx = ctx;
	r = walk_run(w);
	if (r < 0)
		return r;
	ctx->reply->parts = w->parts;
	ctx->reply->n_parts = ctx->reply->cap_parts = w->n_parts;
	ctx->reply->text_bytes += w->text_bytes;
	return 0;
}

int reply_text(struct slice *to, const struct jdoc *d, const struct jnode *n, struct arena *keep)
{
	struct slice text;

	if (!n || n->type != JT_STRING || n->start == n->end)
		return 0;
	if (!n->escaped && slice_eq(*to, jspan_raw(d, n)))
		return 0;
	text = jspan_text(d, n, keep);
	if (text.ptr)
		text = arena_dup(keep, text);
	if (!text.ptr)
		return -ENOMEM;
	*to = text;
	return 0;
}

int reply_raw(struct reply *r, const struct jdoc *doc, struct arena *a)
{
	if (slice_is(doc->text, "[DONE]")) {
		r->ended = true;
		return 0;
	}
	r->text_bytes += doc->text.len;
	return reply_part(r, a, (struct part){ .node = UINT32_MAX, .kind = PART_OTHER,
					       .lane = LANE_NONE });
}

void count_read(int64_t *to, const struct jdoc *d, const struct jnode *obj, const char *key)
{
	*to = jspan_int(d, jspan_get(d, obj, key), *to);
}

int request_basics(struct message *m, struct arena *a, const char *const *limits)
{
	const struct jdoc *d = &m->doc;
	const struct jnode *root = jspan_root(d), *model = jspan_get(d, root, "model");

	if (model && model->type == JT_STRING) {
		m->model = jspan_text(d, model, a);
		if (!m->model.ptr)
			return -ENOMEM;
		m->model_node = (uint32_t)(model - d->nodes);
	}
	m->stream = jspan_true(jspan_get(d, root, "stream"));
	m->max_tokens = walk_max_tokens(d, root, limits, jspan_int(d, jspan_get(d, root, "n"), 1));
	return 0;
}

/* A tool's name on offer; the hook of every dialect's request table. */
int request_tool_hook(struct walk *w, uint8_t mark UNUSED, const struct jnode *n)
{
	struct slice name;

	if (n->type != JT_STRING)
		return 0;
	name = jspan_text(w->doc, n, w->arena);
	return name.ptr ? message_tool(w->ctx, w->arena, name) : -ENOMEM;
}

int openai_error(const struct refusal *f, struct buf *out)
{
	int r = buf_str(out, "{\"message\":");

	if (r == 0)
		r = jwrite_string(out, f->message);
	if (r == 0)
		r = buf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":",
			       refusal_is_upstream(f) ? "server_error" : "policy_violation");
	if (r == 0)
		r = jwrite_string(out, slice_str(f->code));
	if (r == 0)
		r = buf_str(out, "}");
	return r;
}
