/* Stage "inspect": every part of a message through DLP. */
#include "relay/txn.h"

#include <errno.h>

int inspect_parts(struct txn *t, const uint8_t *actions, const struct jdoc *doc, struct slice raw,
		  const struct part *parts, size_t n, struct findings *out)
{
	struct worker *w = t->c->w;

	for (size_t i = 0; i < n; i++) {
		struct slice text = raw, key = { "", 0 };
		int r;

		if (parts[i].node != UINT32_MAX) {
			const struct jnode *node = &doc->nodes[parts[i].node];

			text = jspan_text(doc, node, out->arena);
			if (!text.ptr)
				return -ENOMEM;
			key = jspan_key(doc, node);
		}
		r = dlp_scan_for(t->rules->dlp, w->dlp_scratch, actions, text, key, (uint32_t)i, out);
		if (r < 0)
			return r;
	}
	return 0;
}

enum dlp_action inspect_strictest(const struct findings *f, const uint8_t *actions)
{
	enum dlp_action worst = DLP_OFF;

	for (size_t i = 0; i < f->n; i++)
		worst = MAX(worst, (enum dlp_action)actions[f->items[i].type]);
	return worst;
}

/* ---- what can be found and not masked ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Percent-decoded (RFC 3986 2.1), in a query '+' as a space. ptr NULL: no memory. */
static struct slice url_text(struct arena *a, struct slice in, bool query)
{
	char *out = arena_bytes(a, in.len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < in.len; i++) {
		int hi = i + 2 < in.len && in.ptr[i] == '%' ? hex_digit(in.ptr[i + 1]) : -1;
		int lo = hi >= 0 ? hex_digit(in.ptr[i + 2]) : -1;

		if (lo >= 0) {
			out[n++] = (char)(hi << 4 | lo);
			i += 2;
		} else {
			out[n++] = query && in.ptr[i] == '+' ? ' ' : in.ptr[i];
		}
	}
	return slice_of(out, n);
}

/* The provider's own key may stand in the query; that is where some APIs want it. */
static bool is_credential(struct slice name)
{
	static const char *const names[] = { "key", "api_key", "api-key", "apikey", "access_token", "token" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_ieq(name, slice_str(names[i])))
			return true;
	return false;
}

static int scan_fixed(struct txn *t, struct slice text, struct slice key)
{
	return text.ptr ? dlp_scan_for(t->rules->dlp, t->c->w->dlp_scratch, t->decision.dlp_request, text, key, 0,
				       &t->fixed) :
			  -ENOMEM;
}

static int scan_query(struct txn *t, struct slice query)
{
	int r = 0;

	while (r == 0 && query.len) {
		long end = slice_find(query, SLICE("&")), eq;
		struct slice pair = slice_sub(query, 0, end < 0 ? query.len : (size_t)end), name;

		eq = slice_find(pair, SLICE("="));
		name = slice_sub(pair, 0, eq < 0 ? 0 : (size_t)eq);
		if (!is_credential(name))
			r = scan_fixed(t, url_text(&t->arena, slice_from(pair, (size_t)(eq + 1)), true), name);
		query = slice_from(query, pair.len + 1);
	}
	return r;
}

static int scan_target(struct txn *t)
{
	struct slice target = t->head.target;
	long mark = slice_find(target, SLICE("?"));
	size_t path = mark < 0 ? target.len : (size_t)mark;
	int r = scan_fixed(t, url_text(&t->arena, slice_sub(target, 0, path), false), (struct slice){ "", 0 });

	t->path_found = t->fixed.n > 0;
	return r == 0 && mark >= 0 ? scan_query(t, slice_from(target, path + 1)) : r;
}

#define FIXED_MIN 8 /* bytes: no detector takes less of a name or a number */

/* Numbers and the names of members reach the model as well as strings do. */
static int scan_names_and_numbers(struct txn *t)
{
	const struct jdoc *d = &t->message.doc;
	int r = 0;

	for (uint32_t i = 0; i < d->n && r == 0; i++) {
		const struct jnode *n = &d->nodes[i];
		const struct jnode name = { .start = n->key, .end = n->key + n->key_len, .type = JT_STRING,
					    .escaped = n->key_escaped };

		if (n->type == JT_NUMBER && n->end - n->start >= FIXED_MIN)
			r = scan_fixed(t, jspan_raw(d, n), jspan_key(d, n));
		if (r == 0 && n->key_len >= FIXED_MIN)
			r = scan_fixed(t, jspan_text(d, &name, &t->arena), (struct slice){ "", 0 });
	}
	return r;
}

int request_inspect(struct txn *t)
{
	int r;

	if (t->not_ai)
		return 0;
	r = inspect_parts(t, t->decision.dlp_request, &t->message.doc, t->text, t->message.parts,
			  t->message.n_parts, &t->findings);
	if (r == 0)
		r = scan_target(t);
	if (r == 0)
		r = scan_names_and_numbers(t);
	return r < 0 ? r : t->unread;
}
