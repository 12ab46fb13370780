/* The one pass over a parsed body that all dialects share. */
#include "dialect/walk.h"

#include <errno.h>

#define DATA_HEAD 64 /* a data: URL says ";base64," this early */

size_t walk_text_len(const struct jdoc *d, const struct jnode *n)
{
	const char *p = d->text.ptr + n->start, *end = d->text.ptr + n->end;
	size_t len = 0;

	if (!n->escaped)
		return n->end - n->start;
	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));

		len += (size_t)((slash ? slash : end) - p);
		if (!slash)
			break;
		p = slash + 2;
		if (slash[1] != 'u') {
			len++;
			continue;
		}
		/* \uXXXX: one to three bytes; a surrogate pair is two of them and four bytes. */
		p = slash + 6;
		if ((slash[2] | 32) == 'd' && slash[3] >= '8')
			len += 2;
		else if (slash[2] == '0' && slash[3] == '0')
			len += slash[4] < '8' ? 1 : 2;
		else
			len += slash[2] == '0' && slash[3] < '8' ? 2 : 3;
	}
	return len;
}

static const struct member *member_find(const struct walk *w, const struct state *s,
					const struct jnode *n)
{
	const char *key = w->doc->text.ptr + n->key;
	const struct jnode as_text = { .start = n->key, .end = n->key + n->key_len,
				       .type = JT_STRING, .escaped = true };

	for (const struct member *m = s->members; m && m->key; m++) {
		if (n->key_escaped ? jspan_is(w->doc, &as_text, m->key) :
				     m->len == n->key_len && memcmp(m->key, key, m->len) == 0)
			return m;
	}
	return NULL;
}

static uint8_t role_read(const struct jdoc *d, const struct jnode *obj, uint8_t otherwise)
{
	static const struct { const char *name; uint8_t role; } roles[] = {
		{ "user", ROLE_USER }, { "assistant", ROLE_ASSISTANT }, { "system", ROLE_SYSTEM },
		{ "developer", ROLE_SYSTEM }, { "tool", ROLE_TOOL }, { "function", ROLE_TOOL },
		{ "model", ROLE_ASSISTANT },
	};
	const struct jnode *n = jspan_get(d, obj, "role");

	for (size_t i = 0; n && i < ARRAY_LEN(roles); i++)
		if (jspan_is(d, n, roles[i].name))
			return roles[i].role;
	return otherwise;
}

/* "data:image/png;base64,..." */
static bool is_data_url(const struct jdoc *d, const struct jnode *n)
{
	struct slice head = slice_sub(jspan_raw(d, n), 0, DATA_HEAD);

	return slice_starts(head, SLICE("data:")) && slice_find(head, SLICE("base64,")) > 0;
}

/* A source whose "type" is "text" holds plain text. Asked once an object: a hostile one may repeat
 * its key a million times. */
static bool source_is_text(struct walk *w, const struct jnode *n)
{
	if (w->source != n->parent) {
		const struct jnode *type = jspan_get(w->doc, &w->doc->nodes[n->parent], "type");

		w->source = n->parent;
		w->source_text = jspan_is(w->doc, type, "text");
	}
	return w->source_text;
}

/* What the table says is refined by what stands there. */
static uint8_t leaf_kind(struct walk *w, const struct state *s, const struct jnode *n, uint8_t role)
{
	if (s->kind == PART_TEXT)
		return role == ROLE_TOOL ? PART_TOOL_RESULT : PART_TEXT;
	if (s->kind == PART_DATA) {
		if (is_data_url(w->doc, n))
			return PART_DATA;
		if (!(s->flags & STATE_BASE64))
			return PART_OTHER;
		return source_is_text(w, n) ? PART_TEXT : PART_DATA;
	}
	return s->kind == PART_OTHER && is_data_url(w->doc, n) ? PART_DATA : s->kind;
}

static uint32_t lane_of(const struct walk *w, const struct state *s)
{
	uint32_t group = s->channel >= CHANNEL_INNER ? w->inner : w->outer;

	if (s->channel == CHANNEL_NONE || !w->lanes || w->repeat || group > UINT32_MAX >> 5)
		return LANE_NONE;
	return group << 4 | s->channel;
}

static bool counts_as_text(uint8_t kind)
{
	return kind == PART_TEXT || kind == PART_TOOL_ARGS || kind == PART_TOOL_RESULT ||
	       kind == PART_REASONING;
}

static void leaf(struct walk *w, uint32_t i, const struct state *s, uint8_t role)
{
	const struct jnode *n = &w->doc->nodes[i];
	struct part *p = &w->parts[w->n_parts++];

	*p = (struct part){ .node = i, .role = role, .kind = leaf_kind(w, s, n, role),
			    .frozen = s->flags & STATE_FROZEN, .lane = lane_of(w, s) };
	if (counts_as_text(p->kind) && !w->repeat)
		w->text_bytes += walk_text_len(w->doc, n);
}

/* Bytes this node adds to its parent's compact JSON: key, colon, comma, and itself. */
static size_t compact_len(const struct jnode *n)
{
	size_t own = n->type == JT_ARRAY || n->type == JT_OBJECT ? 2 : n->end - n->start;

	return own + (n->type == JT_STRING ? 2 : 0) + (n->key_len ? n->key_len + 3U : 0) + 1;
}

static int node(struct walk *w, uint32_t i, uint8_t *states, uint8_t *roles)
{
	const struct jnode *n = &w->doc->nodes[i];
	const struct state *s;
	uint8_t role = i ? roles[n->parent] : ROLE_OTHER;
	int r;

	if (i == 0) {
		states[0] = w->root;
	} else {
		const struct jnode *parent = &w->doc->nodes[n->parent];
		const struct state *ps = &w->states[states[n->parent]];
		const struct member *m = NULL;

		states[i] = states[n->parent];
		if (parent->type == JT_OBJECT) {
			m = member_find(w, ps, n);
			if (m)
				states[i] = m->state;
			else if (!(ps->flags & STATE_DEEP))
				states[i] = STATE_OTHER;
		}
	}
	s = &w->states[states[i]];
	if (s->role != ROLE_INHERIT)
		role = s->role;
	if ((s->flags & STATE_ROLED) && n->type == JT_OBJECT)
		role = role_read(w->doc, n, role);
	roles[i] = role;
	if (s->flags & STATE_TOOLS)
		w->tools_bytes += compact_len(n);
	if (s->mark && w->hook) {
		r = w->hook(w, s->mark, n);
		if (r < 0)
			return r;
	}
	if (n->type == JT_STRING)
		leaf(w, i, s, role);
	return 0;
}

int walk_run(struct walk *w)
{
	const struct jdoc *d = w->doc;
	uint8_t *states = arena_bytes(w->arena, (size_t)d->n * 2 + 1);
	size_t strings = 0, cap = 8;

	if (!states)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n; i++)
		strings += d->nodes[i].type == JT_STRING;
	while (cap < strings)
		cap *= 2; /* message_part() counts on a power of two */
	w->parts = arena_bytes(w->arena, cap * sizeof(*w->parts));
	if (!w->parts)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n; i++) {
		int r = node(w, i, states, states + d->n);

		if (r < 0)
			return r;
	}
	return 0;
}

int walk_request(struct message *m, const struct state *states, uint8_t root, walk_hook *hook,
		 struct arena *a)
{
	struct walk w = { .doc = &m->doc, .states = states, .root = root, .hook = hook, .ctx = m,
			  .arena = a };
	int r = walk_run(&w);

	if (r < 0)
		return r;
	m->parts = w.parts;
	m->n_parts = w.n_parts;
	m->prompt_bytes = w.text_bytes + w.tools_bytes;
	/* Not the shape this table knows: all text may be prompt. */
	for (size_t i = 0; m->prompt_bytes == 0 && i < m->n_parts; i++)
		if (m->parts[i].kind != PART_DATA)
			w.text_bytes += walk_text_len(&m->doc, &m->doc.nodes[m->parts[i].node]);
	if (m->prompt_bytes == 0)
		m->prompt_bytes = w.text_bytes;
	return 0;
}

int64_t walk_max_tokens(const struct jdoc *d, const struct jnode *obj, const char *const *keys,
			int64_t n)
{
	int64_t most = -1, product;

	for (; *keys; keys++)
		most = MAX(most, jspan_int(d, jspan_get(d, obj, *keys), -1));
	if (most < 0)
		return -1;
	return __builtin_mul_overflow(most, MAX(n, (int64_t)1), &product) ? INT64_MAX : product;
}
