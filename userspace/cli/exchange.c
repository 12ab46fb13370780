/*
 * Reads a recorded exchange with the functions that the relay uses: endpoint_find(),
 * dialect_read_request(), the reader, dlp_scan(), price_cost() and policy_decide().
 */
#include "cli/exchange.h"

#include "base/text.h"
#include "wire/encoding.h"

#include <errno.h>
#include <stdlib.h>

#define EXCHANGE_ARENA_MAX (1U << 30)

static struct slice text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) :
				   slice_of("", 0);
}

/* ---- bodies ---- */

static int decode(struct slice coding, struct slice in, struct buf *out)
{
	struct decoder *d = NULL;
	int r = decoder_new(encoding_of(coding), &d);

	if (r == 0)
		r = decoder_feed(d, in, out);
	if (r == 0)
		r = decoder_end(d);
	decoder_free(d);
	return r;
}

/* A body as the recording has it: text or base64, and still under its content coding or not. */
static int body_of(struct exchange *x, const char *body, const char *encoding, const char *headers,
		   struct slice *out)
{
	struct slice text = text_of(x->json, body);
	struct slice coding = text_of(json_object_get(x->json, headers), "content-encoding");
	struct buf raw, plain;
	int r = 0;

	buf_init(&raw, EXCHANGE_BODY_MAX);
	buf_init(&plain, EXCHANGE_BODY_MAX);
	if (slice_is(text_of(x->json, encoding), "base64")) {
		r = text_base64_decode(text, &raw);
		text = buf_slice(&raw);
	}
	if (r == 0 && coding.len && encoding_of(coding) != CODING_IDENTITY) {
		r = decode(coding, text, &plain);
		text = buf_slice(&plain);
	}
	if (r == 0) {
		*out = arena_dup(&x->arena, text.ptr ? text : slice_of("", 0));
		r = out->ptr ? 0 : -ENOMEM;
	}
	buf_done(&raw);
	buf_done(&plain);
	return r == -EINVAL ? -EBADMSG : r;
}

/* ---- request ---- */

/* "https://host:port/path?query#fragment" -> host, port, path. */
static void url_read(struct exchange *x, uint16_t *port)
{
	struct slice url = text_of(x->json, "url");
	long scheme = slice_find(url, SLICE("://"));
	size_t at = 0, len = 0;

	if (scheme >= 0)
		url = slice_from(url, (size_t)scheme + 3);
	while (at < url.len && !strchr("/:?#", url.ptr[at]))
		at++;
	slice_copy(x->host, sizeof(x->host), slice_sub(url, 0, at));
	*port = 443;
	if (at < url.len && url.ptr[at] == ':') {
		*port = (uint16_t)strtoul(url.ptr + at + 1, NULL, 10);
		while (at < url.len && !strchr("/?#", url.ptr[at]))
			at++;
	}
	x->path = slice_from(url, at);
	while (len < x->path.len && x->path.ptr[len] != '#')
		len++;
	x->path.len = len;
}

static void where_to(struct exchange *x, const struct catalog *c)
{
	struct slice method = text_of(x->json, "method"), said = text_of(x->json, "dialect");
	uint16_t port;

	url_read(x, &port);
	x->method = method.len ? method : SLICE("POST");
	x->known_host = catalog_find_path(c, slice_str(x->host), x->path, &x->match) ||
			(port != 443 && catalog_find_port(c, slice_str(x->host), port, &x->match));
	endpoint_find(x->known_host ? &x->match : NULL, x->method, x->path, &x->endpoint);
	x->dialect = dialect_find(x->endpoint.dialect);
	/* Captures of replies alone have no address: what they say of themselves must do. */
	if (!text_of(x->json, "url").len && said.len) {
		char name[64];

		slice_copy(name, sizeof(name), said);
		x->dialect = dialect_find(name);
	}
}

static int scan(const struct exchange_rules *rules, struct slice text, struct slice key,
		uint32_t part, struct findings *out)
{
	return text.len ? dlp_scan(rules->dlp, rules->scratch, text, key, part, out) : 0;
}

static int scan_parts(const struct exchange_rules *rules, const struct jdoc *d, struct slice raw,
		      const struct part *parts, size_t n, struct findings *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct jnode *node = parts[i].node == UINT32_MAX ? NULL :
									 &d->nodes[parts[i].node];
		struct slice text = node ? jspan_text(d, node, out->arena) : raw;

		if (!text.ptr)
			return -ENOMEM;
		r = scan(rules, text, node ? jspan_key(d, node) : slice_of("", 0), (uint32_t)i,
			 out);
	}
	return r;
}

static int request_read(struct exchange *x, const struct exchange_rules *rules)
{
	int r = body_of(x, "request_body", "request_encoding", "request_headers", &x->request_body);

	if (r == 0)
		r = dialect_read_request(x->dialect, x->request_body,
					 endpoint_model(&x->endpoint, &x->arena), &x->arena,
					 &x->message);
	if (r == 0)
		r = scan_parts(rules, &x->message.doc, x->request_body, x->message.parts,
			       x->message.n_parts, &x->request_findings);
	return r;
}

/* ---- reply ---- */

/* What a stream says lane by lane; a text in many events is scanned as one. */
struct lane {
	uint32_t lane;
	struct buf text;
};

struct reply_scan {
	struct exchange *x;
	const struct exchange_rules *rules;
	struct lane *lanes;
	size_t n, cap;
	struct findings beside; /* in texts without a lane: repeats, and what came whole */
};

static struct lane *lane_get(struct reply_scan *s, uint32_t number)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->lanes[i].lane == number)
			return &s->lanes[i];
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 8;
		struct lane *more = realloc(s->lanes, cap * sizeof(*more));

		if (!more)
			return NULL;
		s->lanes = more;
		s->cap = cap;
	}
	s->lanes[s->n].lane = number;
	buf_init(&s->lanes[s->n].text, EXCHANGE_BODY_MAX);
	return &s->lanes[s->n++];
}

static int on_piece(void *ctx, struct reader *rd, const struct sse_event *e, const struct jdoc *d)
{
	struct reply_scan *s = ctx;
	int r = 0;

	if (!e)
		return scan_parts(s->rules, d, d->text, rd->reply.parts, rd->reply.n_parts,
				  &s->x->reply_findings);
	for (size_t i = 0; i < rd->reply.n_parts && r == 0; i++) {
		const struct part *p = &rd->reply.parts[i];
		struct lane *l = p->lane == UINT32_MAX ? NULL : lane_get(s, p->lane);

		if (p->lane != UINT32_MAX)
			r = l ? buf_append(&l->text, jspan_text(d, &d->nodes[p->node], &rd->piece))
			      : -ENOMEM;
		else
			r = scan_parts(s->rules, d, d->text, p, 1, &s->beside);
	}
	return r;
}

static bool has_type(const struct findings *f, uint16_t type)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->items[i].type == type)
			return true;
	return false;
}

/* The lanes, then what stood beside them and is not just the same again. */
static int lanes_scan(struct reply_scan *s)
{
	struct findings *out = &s->x->reply_findings;
	int r = 0;

	for (size_t i = 0; i < s->n && r == 0; i++)
		r = scan(s->rules, buf_slice(&s->lanes[i].text), slice_of("", 0), (uint32_t)i, out);
	for (size_t i = 0; i < s->beside.n && r == 0; i++) {
		if (has_type(out, s->beside.items[i].type))
			continue;
		if (out->n == out->cap) {
			struct finding *more =
				arena_array(out->arena, struct finding, out->cap * 2 + 8);

			if (!more)
				return -ENOMEM;
			if (out->n)
				memcpy(more, out->items, out->n * sizeof(*more));
			out->items = more;
			out->cap = out->cap * 2 + 8;
		}
		out->items[out->n++] = s->beside.items[i];
	}
	return r;
}

static bool is_stream(const struct exchange *x, struct slice body)
{
	struct slice type = text_of(json_object_get(x->json, "response_headers"), "content-type");

	if (type.len)
		return reader_is_stream(type);
	return json_is_true(json_object_get(x->json, "stream")) && x->status < 400 && body.len &&
	       !strchr("{[", body.ptr[0]);
}

static int reply_read(struct exchange *x, const struct exchange_rules *rules)
{
	struct reply_scan s = { .x = x, .rules = rules, .beside = { .arena = &x->arena } };
	struct slice body;
	int r = body_of(x, "response_body", "response_encoding", "response_headers", &body);

	x->status = (int)json_integer_value(json_object_get(x->json, "response_status"));
	reader_init(&x->reader, x->dialect, r == 0 && is_stream(x, body), &x->arena,
		    EXCHANGE_BODY_MAX);
	x->reader.fn = on_piece;
	x->reader.ctx = &s;
	if (r == 0 && body.len) {
		r = reader_feed(&x->reader, body);
		if (r == 0)
			r = reader_end(&x->reader);
		if (r == 0)
			r = lanes_scan(&s);
	}
	for (size_t i = 0; i < s.n; i++)
		buf_done(&s.lanes[i].text);
	free(s.lanes);
	return r;
}

/* ---- money and policy ---- */

static void settle(struct exchange *x, const struct prices *prices)
{
	const char *provider = x->known_host ? x->match.provider->id : "";
	const struct reply *reply = &x->reader.reply;
	const struct price *price;

	x->model = reply->model.len ? reply->model : x->message.model;
	x->usage = reply->usage;
	if (x->endpoint.inference && x->status < 400 && reply->text_bytes) {
		if (x->usage.input < 0)
			x->usage.input = usage_estimate_input(
				x->dialect->name, x->message.prompt_bytes, x->message.n_tools > 0);
		if (x->usage.output < 0)
			x->usage.output =
				usage_estimate_output(x->dialect->name, reply->text_bytes);
		x->estimated = reply->usage.input < 0 || reply->usage.output < 0;
	}
	price = price_find(prices, provider, x->model);
	if (!price)
		price = price_find(prices, provider, x->message.model);
	x->cost_microusd = price ? price_cost(price, &x->usage) : -1;
	if (x->usage.input < 0 && x->usage.output < 0)
		x->cost_microusd = 0;
}

static enum dlp_action strictest(const struct findings *f, const uint8_t *actions)
{
	enum dlp_action worst = DLP_OFF;

	for (size_t i = 0; actions && i < f->n; i++)
		worst = MAX(worst, (enum dlp_action)actions[f->items[i].type]);
	return worst;
}

/* Nobody in particular called: only rules that ask for no caller can match. */
static void judge(struct exchange *x, const struct policy *policy)
{
	struct principal nobody = { .uid = UINT32_MAX, .gid = UINT32_MAX, .loginuid = UINT32_MAX };
	struct facts f = {
		.who = &nobody,
		.provider = x->known_host ? x->match.provider->id : "",
		.host = slice_str(x->host),
		.endpoint = x->endpoint.name,
		.dialect = x->dialect->name,
		.model = x->message.model,
		.method = x->method,
		.path = x->path,
	};
	enum dlp_action worst;

	x->verdict = "allow";
	if (!policy)
		return;
	policy_decide(policy, &f, &x->decision);
	worst = MAX(strictest(&x->request_findings, x->decision.dlp_request),
		    strictest(&x->reply_findings, x->decision.dlp_response));
	if (x->decision.verdict == VERDICT_BLOCK || worst == DLP_BLOCK)
		x->verdict = "block";
	else if (worst == DLP_REDACT)
		x->verdict = "redact";
}

int exchange_read(const json_t *json, const struct exchange_rules *rules, struct exchange *out)
{
	int r;

	*out = (struct exchange){ .json = json,
				  .cost_microusd = -1,
				  .dialect = dialect_find(NULL) };
	arena_init(&out->arena, EXCHANGE_ARENA_MAX);
	out->request_findings.arena = out->reply_findings.arena = &out->arena;
	reader_init(&out->reader, out->dialect, false, &out->arena, EXCHANGE_BODY_MAX);
	if (!json_is_object(json))
		return -EINVAL;
	where_to(out, rules->catalog);
	r = request_read(out, rules);
	if (r == 0)
		r = reply_read(out, rules);
	if (r < 0)
		return r;
	settle(out, rules->prices);
	judge(out, rules->policy);
	return 0;
}

void exchange_done(struct exchange *x)
{
	reader_done(&x->reader);
	arena_done(&x->arena);
}
