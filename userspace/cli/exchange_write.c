/* What was seen in an exchange, as one JSON line. */
#include "cli/exchange.h"

#include <errno.h>

/* Members are appended one after the other; the first error stays. */
struct line {
	struct buf *out;
	int err;
	bool first;
};

static void put(struct line *l, const char *s)
{
	if (l->err == 0)
		l->err = buf_str(l->out, s);
}

static void put_text(struct line *l, struct slice s)
{
	if (l->err == 0)
		l->err = jwrite_string(l->out, s);
}

static void key(struct line *l, const char *name)
{
	put(l, l->first ? "" : ", ");
	l->first = false;
	put_text(l, slice_str(name));
	put(l, ": ");
}

static void member(struct line *l, const char *name, struct slice value)
{
	key(l, name);
	if (value.len)
		put_text(l, value);
	else
		put(l, "null");
}

static void count(struct line *l, const char *name, int64_t n)
{
	key(l, name);
	if (n < 0)
		put(l, "null");
	else if (l->err == 0)
		l->err = buf_printf(l->out, "%lld", (long long)n);
}

/* One element a type, in the order of the first finding. */
static void findings(struct line *l, const struct dlp *dlp, const struct findings *f,
		     const char *where, bool *first)
{
	for (size_t i = 0; i < f->n; i++) {
		size_t n = 0, before = 0;

		for (size_t k = 0; k < f->n; k++) {
			n += f->items[k].type == f->items[i].type;
			before += k < i && f->items[k].type == f->items[i].type;
		}
		if (before)
			continue;
		if (l->err == 0)
			l->err = buf_printf(
				l->out, "%s{\"type\": \"%s\", \"where\": \"%s\", \"count\": %zu}",
				*first ? "" : ", ", dlp_type_name(dlp, f->items[i].type), where, n);
		*first = false;
	}
}

static void put_usage(struct line *l, const struct exchange *x)
{
	const struct usage *u = &x->reader.reply.usage;

	count(l, "input_tokens", u->input);
	count(l, "output_tokens", u->output);
	count(l, "cached_tokens", u->cached);
	count(l, "cache_write_tokens", u->cache_write);
	count(l, "reasoning_tokens", u->reasoning);
	if (x->estimated) {
		count(l, "estimated_input_tokens", x->usage.input);
		count(l, "estimated_output_tokens", x->usage.output);
	}
}

static void put_found(struct line *l, const struct exchange *x, const struct dlp *dlp)
{
	bool first = true;

	key(l, "tool_calls");
	put(l, "[");
	for (size_t i = 0; i < x->reader.reply.n_tool_calls; i++) {
		put(l, i ? ", " : "");
		put_text(l, x->reader.reply.tool_calls[i]);
	}
	put(l, "]");
	count(l, "cost_microusd", x->cost_microusd);
	key(l, "estimated");
	put(l, x->estimated ? "true" : "false");
	key(l, "findings");
	put(l, "[");
	findings(l, dlp, &x->request_findings, "request", &first);
	findings(l, dlp, &x->reply_findings, "response", &first);
	put(l, "]");
}

int exchange_write(const struct exchange *x, const struct exchange_rules *rules, struct buf *out)
{
	const json_t *id = json_object_get(x->json, "id");
	cleanup(freep) char *id_text = id ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
	struct line l = { .out = out, .first = true };

	put(&l, "{");
	key(&l, "id");
	put(&l, id_text ? id_text : "null");
	member(&l, "provider", slice_str(x->known_host ? x->match.provider->id : ""));
	member(&l, "host", slice_str(x->host));
	member(&l, "endpoint", slice_str(x->endpoint.name));
	member(&l, "dialect", slice_str(x->dialect->name));
	member(&l, "model", x->model);
	key(&l, "stream");
	put(&l, x->reader.stream ? "true" : "false");
	put_usage(&l, x);
	put_found(&l, x, rules->dlp);
	member(&l, "decision", slice_str(x->verdict));
	if (rules->policy)
		member(&l, "rule", slice_str(x->decision.rule));
	put(&l, "}\n");
	return l.err;
}
