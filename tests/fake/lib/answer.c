/*
 * What the scripted provider answers: reads the request as its dialect's API would, decides text,
 * usage and errors, and lets say_*.c write it down. Everything is a function of the request, so a
 * test can compute what to expect (tests/fake/README.md).
 */
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "tests/fake/lib/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX (64 << 20)
/* Test values that their owners published for this: the schemes' test card, AWS' documentation. */
#define LEAK_TEXT                                                                                  \
	"The card on file is 4111 1111 1111 1111 and the key is AKIAIOSFODNN7EXAMPLE, "             \
	"write to jane.doe@example.com. That is all."

/* Bytes of the first character; a byte that is not UTF-8 counts as one. */
static size_t char_len(struct slice s)
{
	uint32_t codepoint;
	size_t n = text_utf8_next(s, &codepoint);

	return n ? n : 1;
}

bool say_delta(const struct ask *a, size_t *at, struct slice *delta)
{
	struct slice rest = slice_from(buf_slice(&a->text), *at);
	size_t n = 0;

	if (!rest.len)
		return false;
	if (a->k->delta > 0) {
		while (n < rest.len && n < (size_t)a->k->delta)
			n += char_len(slice_from(rest, n));
	} else {
		n = 1;
		while (n < rest.len && rest.ptr[n] != ' ')
			n++;
	}
	*delta = slice_sub(rest, 0, n);
	*at += delta->len;
	return true;
}

const char *say_json(struct slice s)
{
	static struct buf ring[4];
	static unsigned turn;
	struct buf *b = &ring[turn++ % ARRAY_LEN(ring)];

	if (!b->max)
		buf_init(b, 256 << 20);
	buf_clear(b);
	if (jwrite_string(b, s) < 0 || buf_append(b, slice_of("", 1)) < 0)
		return "\"\"";
	return b->data + b->off;
}

int say_event(const struct ask *a, struct reply *out, const char *name, const char *fmt, ...)
{
	struct buf *b = &out->body.bytes;
	const char *eol = a->k->cr_events ? "\r\n" : "\n";
	size_t stamp = 0, start = buf_size(b);
	char *data = NULL;
	long mark;
	va_list ap;
	int r, n;

	va_start(ap, fmt);
	n = vasprintf(&data, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	r = name ? buf_printf(b, "event: %s%s", name, eol) : 0;
	if (r == 0)
		r = buf_str(b, "data: ");
	if (r == 0)
		r = buf_append(b, slice_of(data, (size_t)n));
	free(data);
	if (r == 0)
		r = buf_printf(b, "%s%s", eol, eol);
	if (r < 0)
		return r;
	mark = slice_find(slice_from(buf_slice(b), start), SLICE(STAMP_MARK));
	if (mark >= 0)
		stamp = start + (size_t)mark;
	return pieces_end(&out->body, out->body.n ? (unsigned)a->k->every_ms : 0, stamp);
}

/* Sum of the bytes of all strings a prompt is made of. */
static size_t prompt_bytes(const json_t *v, const char *key)
{
	const char *k;
	json_t *child;
	size_t i, sum = 0;

	if (key && (strcmp(key, "role") == 0 || strcmp(key, "type") == 0 || strcmp(key, "id") == 0))
		return 0;
	if (json_is_string(v))
		return json_string_length(v);
	if (json_is_array(v))
		json_array_foreach((json_t *)(uintptr_t)v, i, child)
			sum += prompt_bytes(child, NULL);
	if (json_is_object(v))
		json_object_foreach((json_t *)(uintptr_t)v, k, child)
			sum += prompt_bytes(child, k);
	return sum;
}

/* The text of a message's content: a string, or its text parts one after the other. */
static void content_text(const json_t *content, struct buf *out)
{
	json_t *part;
	size_t i;

	if (json_is_string(content)) {
		(void)buf_append(out, slice_of(json_string_value(content), json_string_length(content)));
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)content, i, part) {
		const json_t *text = json_object_get(part, "text");

		if (json_is_string(text))
			(void)buf_append(out, slice_of(json_string_value(text), json_string_length(text)));
	}
}

static void last_user_text(const json_t *body, struct buf *out)
{
	const json_t *list = json_object_get(body, "messages");

	if (!list)
		list = json_object_get(body, "input");
	if (json_is_string(list)) {
		content_text(list, out);
		return;
	}
	for (size_t i = json_array_size(list); i > 0; i--) {
		const json_t *m = json_array_get(list, i - 1);
		const char *role = json_string_value(json_object_get(m, "role"));

		if (role && strcmp(role, "user") == 0) {
			content_text(json_object_get(m, "content"), out);
			return;
		}
	}
}

static void answer_file(const char *answers, const char *name, struct buf *out)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", answers ? answers : ".", name);
	if (strchr(name, '/') || file_read(path, out) < 0)
		(void)buf_printf(out, "no answer file %s", name);
}

static void answer_text(struct ask *a, const char *answers)
{
	static const char lorem[] = "The quick brown fox jumps over the lazy dog and goes home again. ";
	struct buf user;

	buf_init(&user, TEXT_MAX);
	last_user_text(a->body, &user);
	if (a->k->file[0]) {
		answer_file(answers, a->k->file, &a->text);
	} else if (a->k->leak) {
		(void)buf_str(&a->text, LEAK_TEXT);
	} else if (a->k->big) {
		for (long left = a->k->big; left > 0; left -= (long)sizeof(lorem) - 1)
			(void)buf_append(&a->text, slice_of(lorem, MIN((size_t)left, sizeof(lorem) - 1)));
	} else if (a->k->echo) {
		(void)buf_append(&a->text, buf_slice(&user));
	} else {
		struct slice said = buf_slice(&user);
		size_t n = 0;

		while (n < said.len && n < 400)
			n += char_len(slice_from(said, n));
		(void)buf_printf(&a->text, "Scripted answer. You said: %.*s",
				 SLICE_FMT(slice_sub(said, 0, n)));
	}
	buf_done(&user);
}

/* Tokens: 4 bytes each, 3 more a message; cut at the request's limit. */
static void answer_usage(struct ask *a)
{
	static const char *const limits[] = { "max_tokens", "max_completion_tokens",
					      "max_output_tokens" };
	static const char *const prompt[] = { "messages", "input", "system", "instructions",
					      "prompt", "tools" };
	size_t bytes = 0, list = json_array_size(json_object_get(a->body, "messages"));

	for (size_t i = 0; i < ARRAY_LEN(prompt); i++)
		bytes += prompt_bytes(json_object_get(a->body, prompt[i]), NULL);
	a->in = a->k->usage_in >= 0 ? a->k->usage_in : (long)((bytes + 3) / 4 + 3 * list);
	a->out = (long)((buf_size(&a->text) + 3) / 4);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		const json_t *v = json_object_get(a->body, limits[i]);

		if (json_is_integer(v) && json_integer_value(v) > 0 && json_integer_value(v) < a->out) {
			a->out = (long)json_integer_value(v);
			a->text.len = a->text.off + (size_t)a->out * 4;
			while (buf_size(&a->text) && !text_is_utf8(buf_slice(&a->text)))
				a->text.len--;
			a->cut = true;
		}
	}
	if (a->k->usage_out >= 0)
		a->out = a->k->usage_out;
	a->cached = MAX(a->k->usage_cached, 0);
	a->reasoning = MAX(a->k->usage_reasoning, 0);
}

static const struct {
	const char *method, *ending;
	bool needs_model;
	int (*say)(const struct ask *a, struct reply *out);
} routes[] = {
	{ "POST", "/chat/completions", true, say_chat },
	{ "POST", "/responses", true, say_responses },
	{ "POST", "/embeddings", true, say_embeddings },
	{ "GET", "/models", false, say_models },
	{ "POST", "/v1/messages", true, say_messages },
	{ "POST", "/messages/count_tokens", true, say_count_tokens },
};

static int answer_route(struct ask *a, struct knobs *k, const char *answers, struct reply *out)
{
	struct slice path = a->r->path, host = a->r->host;
	long query = slice_find(path, SLICE("?"));
	json_error_t error;

	if (query >= 0)
		path = slice_sub(path, 0, (size_t)query);
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!slice_ends(path, slice_str(routes[i].ending)) ||
		    !slice_is(a->r->method, routes[i].method))
			continue;
		a->body = routes[i].needs_model ?
				  json_loadb(a->r->body.ptr ? a->r->body.ptr : "", a->r->body.len, 0, &error) :
				  json_object();
		if (!json_is_object(a->body))
			return say_error(a, host, 400, "The JSON body of your request cannot be parsed.",
					 out);
		a->model = json_string_value(json_object_get(a->body, "model"));
		if (routes[i].needs_model && !a->model)
			a->model = slice_find(path, SLICE("/deployments/")) >= 0 ? "deployment" : NULL;
		if (routes[i].needs_model && !a->model)
			return say_error(a, host, 400, "You must provide a model parameter.", out);
		if (a->model && strncmp(a->model, "lab-", 4) == 0)
			knobs_add(k, slice_str(a->model));
		if (k->status)
			return say_error(a, host, k->status, "The lab was told to fail this request.", out);
		a->stream = json_is_true(json_object_get(a->body, "stream"));
		a->include_usage = json_is_true(json_object_get(
			json_object_get(a->body, "stream_options"), "include_usage"));
		answer_text(a, answers);
		answer_usage(a);
		return routes[i].say(a, out);
	}
	if (k->status)
		return say_error(a, host, k->status, "The lab was told to fail this request.", out);
	if (slice_starts(host, SLICE("not-ai"))) {
		out->type = "text/plain";
		return buf_printf(&out->body.bytes, "hello from %.*s\n", SLICE_FMT(host));
	}
	return say_error(a, host, 404, "No such route at this provider.", out);
}

int answer_make(const struct request *r, struct knobs *k, const char *answers, struct reply *out)
{
	static unsigned serial;
	struct ask a = { .r = r, .k = k };
	int e;

	serial++;
	snprintf(a.id, sizeof(a.id), "lab%06u", serial);
	snprintf(out->request_id, sizeof(out->request_id), "req_lab_%06u", serial);
	out->status = 200;
	out->type = "application/json";
	out->id_header = "x-request-id";
	out->stream = false;
	buf_init(&a.text, TEXT_MAX);
	e = answer_route(&a, k, answers, out);
	if (e == 0 && k->fault == FAULT_BAD_JSON && !out->stream) {
		pieces_clear(&out->body);
		e = buf_str(&out->body.bytes, "{\"id\":\"lab\",\"choices\":[{\"oops\" ");
	}
	/* An answer that is no stream is one piece. */
	if (e == 0 && !out->body.n)
		e = pieces_end(&out->body, 0, 0);
	json_decref(a.body);
	buf_done(&a.text);
	return e;
}
