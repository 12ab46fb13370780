/* The table of dialects, and what all of them share when a body arrives. */
#include "dialect/shared.h"

#include <errno.h>

#define DIALECT(symbol) extern const struct dialect dialect_##symbol;
#include "dialect/dialects.def"
#undef DIALECT

static const struct dialect *const table[] = {
#define DIALECT(symbol) &dialect_##symbol,
#include "dialect/dialects.def"
#undef DIALECT
};

const struct dialect *dialect_find(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(table); i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return &dialect_generic;
}

int dialect_read_request(const struct dialect *d, struct slice body, struct slice path_model,
			 struct arena *a, struct message *out)
{
	struct message m = { .max_tokens = -1, .model = path_model };
	int r = jspan_parse(body, a, &m.doc);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		/* Not JSON, or too deep or large to take apart: one raw part, still inspected. */
		m.doc = (struct jdoc){ .text = body };
		m.prompt_bytes = body.len;
		r = message_part(&m, a, (struct part){ .node = UINT32_MAX, .kind = PART_OTHER,
						       .lane = UINT32_MAX });
	} else {
		r = d->read_request(&m, a);
	}
	if (r < 0)
		return r;
	if (!m.model.ptr)
		m.model = SLICE("");
	*out = m;
	return 0;
}

/* A list grows when its length is a power of two, from 8 on. */
static bool full(size_t n)
{
	return n == 0 || (n >= 8 && (n & (n - 1)) == 0);
}

int message_part(struct message *m, struct arena *a, struct part p)
{
	if (full(m->n_parts)) {
		struct part *more = arena_array(a, struct part, MAX(m->n_parts * 2, (size_t)8));

		if (!more)
			return -ENOMEM;
		if (m->n_parts)
			memcpy(more, m->parts, m->n_parts * sizeof(*more));
		m->parts = more;
	}
	m->parts[m->n_parts++] = p;
	return 0;
}

int message_tool(struct message *m, struct arena *a, struct slice name)
{
	if (full(m->n_tools)) {
		struct slice *more = arena_array(a, struct slice, MAX(m->n_tools * 2, (size_t)8));

		if (!more)
			return -ENOMEM;
		if (m->n_tools)
			memcpy(more, m->tools, m->n_tools * sizeof(*more));
		m->tools = more;
	}
	m->tools[m->n_tools++] = name;
	return 0;
}

int reply_part(struct reply *r, struct arena *a, struct part p)
{
	if (r->n_parts == r->cap_parts) {
		size_t cap = MAX(r->cap_parts * 2, (size_t)8);
		struct part *more = arena_array(a, struct part, cap);

		if (!more)
			return -ENOMEM;
		if (r->n_parts)
			memcpy(more, r->parts, r->n_parts * sizeof(*more));
		r->parts = more;
		r->cap_parts = cap;
	}
	r->parts[r->n_parts++] = p;
	return 0;
}

int reply_tool_call(struct reply *r, struct arena *a, struct slice name)
{
	struct slice copy = arena_dup(a, name);

	if (!copy.ptr)
		return -ENOMEM;
	if (r->n_tool_calls == r->cap_tool_calls) {
		size_t cap = MAX(r->cap_tool_calls * 2, (size_t)8);
		struct slice *more = arena_array(a, struct slice, cap);

		if (!more)
			return -ENOMEM;
		if (r->n_tool_calls)
			memcpy(more, r->tool_calls, r->n_tool_calls * sizeof(*more));
		r->tool_calls = more;
		r->cap_tool_calls = cap;
	}
	r->tool_calls[r->n_tool_calls++] = copy;
	return 0;
}
