/*
 * An event stream (SSE) on its way to the client. Events leave in the order they came, byte for byte
 * unless a finding lies in them. Where the policy may change answers, each text ("lane": a choice, a
 * content block, the arguments of a call) runs through a DLP window, and an event is held until no
 * byte of it can be part of a match any more. Elsewhere events leave at once, and the lanes' texts
 * are scanned when the stream is over.
 */
#include "relay/txn.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LANES_MAX 256
#define HOLD_MAX 16384        /* bytes of a lane a match may hold back; from here up windows are exact */
#define HELD_MAX (4U << 20)   /* bytes of events held in all */

struct lane {
	uint32_t id;
	struct window *window;    /* editing only */
	struct buf text;          /* otherwise: what was said, for the scan at the end */
	uint64_t len;             /* decoded bytes so far */
	uint64_t safe;            /* settled */
	struct findings found;    /* settled findings, absolute offsets */
	size_t first;             /* of found: those before it lie in events that are out */
};

struct held_part {
	struct lane *lane;        /* NULL: a whole text of its own; `mask` says what to do */
	uint64_t from, to;        /* lane offsets */
	uint32_t raw;             /* where its string starts in the data */
};

struct held {
	struct held *next;
	struct slice raw;         /* as it came */
	size_t data_start, data_end; /* of the data inside raw; 0, 0: several data lines */
	struct slice name, data;
	struct held_part *parts;
	size_t n_parts;
	struct splice *own;       /* edits of parts that belong to no lane */
	size_t n_own;
	bool drop;                /* the usage chunk that only we asked for */
};

int stream_start(struct txn *t)
{
	sse_init(&t->sse);
	t->sse_ready = true;
	t->lanes = calloc(LANES_MAX, sizeof(*t->lanes)); /* pointers: held events point at lanes */
	return t->lanes ? 0 : -ENOMEM;
}

static void held_free(struct held *h)
{
	free((void *)h->raw.ptr);
	free((void *)h->data.ptr);
	free((void *)h->name.ptr);
	for (size_t i = 0; i < h->n_own; i++)
		free((void *)h->own[i].with.ptr);
	free(h->own);
	free(h->parts);
	free(h);
}

static void held_drop(struct txn *t)
{
	while (t->held) {
		struct held *h = t->held;

		t->held = h->next;
		held_free(h);
	}
	t->held_last = NULL;
	t->held_bytes = 0;
}

void stream_free(struct txn *t)
{
	held_drop(t);
	for (size_t i = 0; t->lanes && i < t->n_lanes; i++) {
		window_free(t->lanes[i]->window);
		buf_done(&t->lanes[i]->text);
		free(t->lanes[i]);
	}
	free(t->lanes);
	t->lanes = NULL;
	t->n_lanes = 0;
	if (t->sse_ready)
		sse_done(&t->sse);
	t->sse_ready = false;
}

static struct lane *lane_find(struct txn *t, uint32_t id)
{
	struct lane *l;

	for (size_t i = 0; i < t->n_lanes; i++)
		if (t->lanes[i]->id == id)
			return t->lanes[i];
	if (t->n_lanes == LANES_MAX)
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->id = id;
	l->found.arena = &t->arena;
	buf_init(&l->text, t->reply_body.max);
	t->lanes[t->n_lanes++] = l;
	if (t->edit_reply && window_new(t->rules->dlp, t->c->w->dlp_scratch, t->decision.dlp_response,
					HOLD_MAX, &l->window) < 0)
		return NULL;
	return l;
}

/* Copies findings of a lane that settled just now to the record, and says if one blocks. */
static bool settled(struct txn *t, struct lane *l, size_t before)
{
	bool block = false;

	for (size_t i = before; i < l->found.n; i++) {
		block = block || t->decision.dlp_response[l->found.items[i].type] == DLP_BLOCK;
		(void)findings_keep(&t->reply_findings, &l->found.items[i]);
	}
	return block;
}

/* 0, 1 a finding blocks, -errno. */
static int lane_push(struct txn *t, struct lane *l, struct slice text, bool final)
{
	size_t before = l->found.n;
	int r;

	if (!l->window)
		return text.len ? buf_append(&l->text, text) : 0;
	r = window_push(l->window, text, final, &l->found, &l->safe);
	l->len += text.len;
	return r < 0 ? r : settled(t, l, before);
}

/* ---- sending what is settled ---- */

static const struct jnode *node_at(const struct jdoc *doc, uint32_t start)
{
	for (uint32_t i = 0; i < doc->n; i++)
		if (doc->nodes[i].type == JT_STRING && doc->nodes[i].start == start)
			return &doc->nodes[i];
	return NULL;
}

/* Edits of one delta: the mask goes where a match begins, the rest of the match disappears. */
static size_t part_edits(struct txn *t, const struct jdoc *doc, const struct held_part *p,
			 struct splice *out, size_t max)
{
	const struct jnode *n = node_at(doc, p->raw);
	struct jcursor at = { 0 };
	size_t count = 0;

	for (size_t i = p->lane->first; n && i < p->lane->found.n && count < max; i++) {
		const struct finding *f = &p->lane->found.items[i];
		uint32_t from, to;

		if (f->end <= p->from || f->start >= p->to ||
		    t->decision.dlp_response[f->type] != DLP_REDACT)
			continue;
		from = (uint32_t)(f->start > p->from ? f->start - p->from : 0);
		to = (uint32_t)((f->end < p->to ? f->end : p->to) - p->from);
		from = n->start + jspan_raw_offset(doc, n, from, &at);
		to = n->start + jspan_raw_offset(doc, n, to, &at);
		out[count++] = (struct splice){ from, to,
						f->start >= p->from ? dlp_mask(t->rules->dlp, f->type) :
								      (struct slice){ "", 0 } };
	}
	return count;
}

static bool part_touched(struct txn *t, const struct held_part *p)
{
	for (size_t i = p->lane->first; i < p->lane->found.n; i++) {
		const struct finding *f = &p->lane->found.items[i];

		if (f->end > p->from && f->start < p->to &&
		    t->decision.dlp_response[f->type] == DLP_REDACT)
			return true;
	}
	return false;
}

static int by_start(const void *a, const void *b)
{
	const struct splice *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* An event that came with several data lines: made anew, a "data:" for each. */
static int send_lines(struct txn *t, struct slice name, struct slice data)
{
	int r = 0;

	if (name.len) {
		struct slice line = arena_printf(&t->event_arena, "event: %.*s\n", SLICE_FMT(name));

		r = line.ptr ? reply_send_data(t, line) : -ENOMEM;
	}
	do {
		long end = slice_find(data, SLICE("\n"));
		struct slice line = slice_sub(data, 0, end < 0 ? data.len : (size_t)end);

		if (r == 0)
			r = reply_send_data(t, SLICE("data: "));
		if (r == 0)
			r = reply_send_data(t, line);
		if (r == 0)
			r = reply_send_data(t, SLICE("\n"));
		data = slice_from(data, line.len + 1);
	} while (data.len);
	return r == 0 ? reply_send_data(t, SLICE("\n")) : r;
}

static int send_edited(struct txn *t, const struct held *h)
{
	struct splice s[128];
	struct jdoc doc;
	struct buf out;
	size_t n = 0;
	int r;

	arena_reset(&t->event_arena);
	if (jspan_parse(h->data, &t->event_arena, &doc) < 0)
		doc = (struct jdoc){ .text = h->data };
	for (size_t i = 0; i < h->n_own && n < ARRAY_LEN(s); i++)
		s[n++] = h->own[i];
	for (size_t i = 0; i < h->n_parts; i++)
		n += part_edits(t, &doc, &h->parts[i], s + n, ARRAY_LEN(s) - n);
	if (n == ARRAY_LEN(s))
		return -E2BIG;
	qsort(s, n, sizeof(*s), by_start);
	buf_init(&out, SSE_EVENT_MAX * 2);
	r = splice_apply(h->data, s, n, &out);
	if (r == 0 && h->data_end) {
		r = reply_send_data(t, slice_sub(h->raw, 0, h->data_start));
		if (r == 0)
			r = reply_send_data(t, buf_slice(&out));
		if (r == 0)
			r = reply_send_data(t, slice_from(h->raw, h->data_end));
	} else if (r == 0) {
		r = send_lines(t, h->name, buf_slice(&out));
	}
	buf_done(&out);
	t->action = ACTION_REDACTED;
	return r;
}

static int held_send(struct txn *t, const struct held *h)
{
	bool touched = h->n_own > 0;

	if (h->drop)
		return 0;
	for (size_t i = 0; i < h->n_parts && !touched; i++)
		touched = part_touched(t, &h->parts[i]);
	return touched ? send_edited(t, h) : reply_send_data(t, h->raw);
}

static bool held_is_safe(const struct held *h)
{
	for (size_t i = 0; i < h->n_parts; i++)
		if (h->parts[i].to > h->parts[i].lane->safe)
			return false;
	return true;
}

static int release(struct txn *t)
{
	while (t->held && held_is_safe(t->held)) {
		struct held *h = t->held;
		int r = held_send(t, h);

		if (r < 0)
			return r;
		for (size_t i = 0; i < h->n_parts; i++) {
			struct lane *l = h->parts[i].lane;

			while (l->first < l->found.n && l->found.items[l->first].end <= h->parts[i].to)
				l->first++;
		}
		t->held = h->next;
		t->held_bytes -= h->raw.len;
		if (!t->held)
			t->held_last = NULL;
		held_free(h);
	}
	return t->held_bytes > HELD_MAX ? -ENOBUFS : 0;
}

/* ---- reading events ---- */

static struct slice heap_copy(struct slice s)
{
	char *p = malloc(s.len + 1);

	if (p && s.len)
		memcpy(p, s.ptr, s.len);
	return slice_of(p, p ? s.len : 0);
}

static int held_new(struct txn *t, const struct sse_event *e, struct held **out)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->raw = heap_copy(e->raw);
	h->data = heap_copy(e->data);
	h->name = heap_copy(e->name);
	h->parts = calloc(t->reply.n_parts + 1, sizeof(*h->parts));
	h->data_start = e->data_start;
	h->data_end = e->data_end;
	if (!h->raw.ptr || !h->data.ptr || !h->name.ptr || !h->parts) {
		held_free(h);
		return -ENOMEM;
	}
	*out = h;
	return 0;
}

/*
 * Findings in whole texts. Most repeat what was streamed before, so each type is counted apart and the
 * record takes these only where the lanes found none.
 */
static void whole_found(struct txn *t, const struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		(void)findings_keep(&t->whole_findings, &f->items[i]);
}

/* Whole texts inside an event (repeats of what was streamed): scanned and masked on the spot. */
static int own_text(struct txn *t, const struct jdoc *doc, const struct part *p, struct held *h)
{
	struct findings f = { .arena = &t->event_arena };
	struct splice *s, *grown;
	size_t n;
	int r = inspect_parts(t, t->decision.dlp_response, doc, doc->text, p, 1, &f);

	if (r < 0 || !f.n)
		return r;
	whole_found(t, &f);
	if (inspect_strictest(&f, t->decision.dlp_response) == DLP_BLOCK)
		return 1;
	r = act_splices(t, doc, p, &f, t->decision.dlp_response, &s, &n);
	if (r < 0 || !n)
		return r == -EACCES ? 1 : r;
	grown = realloc(h->own, (h->n_own + n) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	h->own = grown;
	for (size_t i = 0; i < n; i++) {
		grown[h->n_own] = s[i];
		grown[h->n_own++].with = heap_copy(s[i].with);
	}
	return 0;
}

/* 0, 1 a finding blocks, -errno. */
static int event_hold(struct txn *t, const struct sse_event *e, const struct jdoc *doc)
{
	struct held *h = NULL;
	int r = held_new(t, e, &h), block = 0;

	if (r < 0)
		return r;
	h->drop = t->asked_usage && t->reply.usage_chunk;
	for (size_t i = 0; i < t->reply.n_parts && r >= 0; i++) {
		const struct part *p = &t->reply.parts[i];
		struct held_part *hp = &h->parts[h->n_parts];
		struct slice text;

		if (p->lane == UINT32_MAX || p->node == UINT32_MAX) {
			r = own_text(t, doc, p, h);
			block |= r == 1;
			continue;
		}
		hp->lane = lane_find(t, p->lane);
		text = jspan_text(doc, &doc->nodes[p->node], &t->event_arena);
		if (!hp->lane || !text.ptr) {
			r = -ENOMEM;
			break;
		}
		hp->raw = doc->nodes[p->node].start;
		hp->from = hp->lane->len;
		r = lane_push(t, hp->lane, text, false);
		block |= r == 1;
		hp->to = hp->lane->len;
		h->n_parts++;
	}
	if (t->held_last)
		t->held_last->next = h;
	else
		t->held = h;
	t->held_last = h;
	t->held_bytes += h->raw.len;
	return r < 0 ? r : block;
}

/* No edits possible here: the event leaves now, its text is kept for the scan at the end. */
static int event_pass(struct txn *t, const struct sse_event *e, const struct jdoc *doc)
{
	for (size_t i = 0; i < t->reply.n_parts; i++) {
		const struct part *p = &t->reply.parts[i];
		struct lane *l = p->lane == UINT32_MAX || p->node == UINT32_MAX ? NULL :
										  lane_find(t, p->lane);

		if (l && lane_push(t, l, jspan_text(doc, &doc->nodes[p->node], &t->event_arena), false) < 0)
			t->reply_copy_full = true;
		if (!l) {
			struct findings whole = { .arena = &t->event_arena };

			if (inspect_parts(t, t->decision.dlp_response, doc, doc->text, p, 1, &whole) == 0)
				whole_found(t, &whole);
		}
	}
	return t->asked_usage && t->reply.usage_chunk ? 0 : reply_send_data(t, e->raw);
}

static int lanes_final(struct txn *t)
{
	int block = 0;

	for (size_t i = 0; i < t->n_lanes; i++) {
		int r = lane_push(t, t->lanes[i], (struct slice){ "", 0 }, true);

		if (r < 0)
			return r;
		block |= r;
	}
	return block;
}

static int cut(struct txn *t)
{
	held_drop(t);
	t->action = ACTION_CUT;
	metric_add(t->c->w->metrics, cut, 1);
	(void)snprintf(t->reason, sizeof(t->reason), "the answer held data that the policy blocks");
	stream_break(t, "content_policy_violation", t->reason);
	conn_upstream_close(t->c);
	return -ECANCELED;
}

static int on_event(void *ctx, const struct sse_event *e)
{
	struct txn *t = ctx;
	struct jdoc doc = { 0 };
	int r;

	arena_reset(&t->event_arena);
	t->reply.n_parts = 0;
	t->reply.cap_parts = 0;
	t->reply.parts = NULL;
	t->reply.usage_chunk = false;
	if (e->data.ptr && e->data.len) {
		/* What is no JSON ("[DONE]") the dialect still wants to see. */
		if (jspan_parse(e->data, &t->event_arena, &doc) < 0)
			doc = (struct jdoc){ .text = e->data };
		r = t->dialect->read_event(&t->reply, e->name, &doc, &t->event_arena, &t->arena);
		if (r < 0)
			return r;
	}
	if (!t->edit_reply)
		return event_pass(t, e, &doc);
	r = event_hold(t, e, &doc);
	if (r == 0 && t->reply.ended)
		r = lanes_final(t);
	if (r == 1)
		return cut(t);
	return r < 0 ? r : release(t);
}

int stream_feed(struct txn *t, struct slice d)
{
	int r = sse_feed(&t->sse, d, on_event, t);

	return r == -ECANCELED ? 0 : r;
}

/* Without edits: the findings of all that was said, for the record. */
static int scan_lanes(struct txn *t)
{
	for (size_t i = 0; i < t->n_lanes; i++) {
		int r = dlp_scan_for(t->rules->dlp, t->c->w->dlp_scratch, t->decision.dlp_response,
				     buf_slice(&t->lanes[i]->text), (struct slice){ "", 0 }, (uint32_t)i, &t->reply_findings);

		if (r < 0)
			return r;
	}
	return 0;
}

int stream_end(struct txn *t)
{
	int r = sse_end(&t->sse, on_event, t);

	if (r == -ECANCELED)
		return 0;
	if (r == 0 && !t->edit_reply)
		return scan_lanes(t);
	if (r == 0)
		r = lanes_final(t);
	if (r == 1) {
		(void)cut(t);
		return 0;
	}
	return r < 0 ? r : release(t);
}

void stream_break(struct txn *t, const char *code, const char *why)
{
	struct conn *c = t->c;
	struct refusal f = { .code = code, .request_id = slice_str(t->request_id) };
	struct buf out;

	f.message = arena_printf(&t->arena, "sallyport: %s. Reference: %s.", why, t->request_id);
	buf_init(&out, 64U << 10);
	if (f.message.ptr && t->dialect->write_stream_end(&f, &out) == 0 &&
	    reply_send_data(t, buf_slice(&out)) == 0)
		(void)c->client.codec->ops->send_end(c->client.codec, 0, &c->client.out);
	buf_done(&out);
	t->head.keep_alive = false;
	t->reply_done = true;
}
