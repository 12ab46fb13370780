/* Bytes of a reply -> events or a whole body -> the dialect. */
#include "dialect/reader.h"

#include <errno.h>

#define PIECE_MAX (256U << 20) /* memory one piece's nodes and parts may take */

void reader_init(struct reader *r, const struct dialect *d, bool stream, struct arena *keep,
		 size_t body_max)
{
	*r = (struct reader){ .dialect = d, .keep = keep, .stream = stream };
	r->reply.usage = USAGE_NONE;
	arena_init(&r->piece, PIECE_MAX);
	sse_init(&r->sse);
	buf_init(&r->body, body_max);
}

void reader_done(struct reader *r)
{
	arena_done(&r->piece);
	sse_done(&r->sse);
	buf_done(&r->body);
}

/* Text that cannot be taken apart is a raw piece: the dialect still makes it a part. */
static int piece_parse(struct slice text, struct arena *a, struct jdoc *doc)
{
	int r = jspan_parse(text, a, doc);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		*doc = (struct jdoc){ .text = text };
	return 0;
}

static void parts_forget(struct reply *r)
{
	r->parts = NULL;
	r->n_parts = r->cap_parts = 0;
}

static int on_event(void *ctx, const struct sse_event *e)
{
	struct reader *r = ctx;
	struct jdoc doc = { 0 };
	int ret = 0;

	parts_forget(&r->reply);
	arena_reset(&r->piece);
	if (e->data.ptr) {
		ret = piece_parse(e->data, &r->piece, &doc);
		if (ret == 0)
			ret = r->dialect->read_event(&r->reply, e->name, &doc, &r->piece, r->keep);
	}
	if (ret == 0 && r->fn)
		ret = r->fn(r->ctx, r, e, &doc);
	return ret;
}

int reader_feed(struct reader *r, struct slice in)
{
	return r->stream ? sse_feed(&r->sse, in, on_event, r) : buf_append(&r->body, in);
}

int reader_end(struct reader *r)
{
	struct jdoc doc;
	int ret;

	if (r->stream)
		return sse_end(&r->sse, on_event, r);
	parts_forget(&r->reply);
	ret = piece_parse(buf_slice(&r->body), r->keep, &doc);
	if (ret == 0)
		ret = r->dialect->read_reply(&r->reply, &doc, r->keep);
	r->reply.ended = ret == 0;
	if (ret == 0 && r->fn)
		ret = r->fn(r->ctx, r, NULL, &doc);
	return ret;
}

bool reader_is_stream(struct slice content_type)
{
	struct slice want = SLICE("text/event-stream");

	content_type = slice_trim(content_type);
	return slice_ieq(slice_sub(content_type, 0, want.len), want) &&
	       (content_type.len == want.len || strchr("; \t", content_type.ptr[want.len]));
}
