/*
 * The OpenAI family: chat completions, embeddings, models, and the error shapes of the others
 * (shapes after recorded exchanges; dialects.md sections 1 and 15).
 */
#include "tests/fake/lib/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CREATED 1764000000L

static int chat_usage(const struct ask *a, struct buf *b)
{
	return buf_printf(b,
			  "{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld,"
			  "\"prompt_tokens_details\":{\"cached_tokens\":%ld,\"audio_tokens\":0},"
			  "\"completion_tokens_details\":{\"reasoning_tokens\":%ld,\"audio_tokens\":0,"
			  "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
			  a->in, a->out, a->in + a->out, a->cached, a->reasoning);
}

static const char *chat_finish(const struct ask *a)
{
	return a->k->tool ? "tool_calls" : a->cut ? "length" : "stop";
}

/* Arguments of the scripted tool call: the answer text, so that a test can plant what it likes. */
static const char *tool_arguments(const struct ask *a)
{
	static char twice[1 << 20];

	snprintf(twice, sizeof(twice), "{\"text\":%s}", say_json(buf_slice(&a->text)));
	return twice;
}

static int chat_plain(const struct ask *a, struct reply *out)
{
	struct buf *b = &out->body.bytes;
	int r = buf_printf(b,
			   "{\"id\":\"chatcmpl-%s\",\"object\":\"chat.completion\",\"created\":%ld,"
			   "\"model\":%s,\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",",
			   a->id, CREATED, say_json(slice_str(a->model)));

	if (r == 0 && a->k->tool)
		r = buf_printf(b,
			       "\"content\":null,\"tool_calls\":[{\"id\":\"call_%s\",\"type\":\"function\","
			       "\"function\":{\"name\":\"lab_tool\",\"arguments\":%s}}],",
			       a->id, say_json(slice_str(tool_arguments(a))));
	else if (r == 0)
		r = buf_printf(b, "\"content\":%s,", say_json(buf_slice(&a->text)));
	if (r == 0)
		r = buf_printf(b,
			       "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
			       "\"finish_reason\":\"%s\"}],\"usage\":",
			       chat_finish(a));
	if (r == 0)
		r = chat_usage(a, b);
	return r < 0 ? r : buf_str(b, ",\"service_tier\":\"default\",\"system_fingerprint\":null}");
}

/* One chunk; `fingerprint` carries the stamp of the ticks. */
static int chat_chunk(const struct ask *a, struct reply *out, const char *choices, const char *usage,
		      const char *fingerprint)
{
	return say_event(a, out, NULL,
			 "{\"id\":\"chatcmpl-%s\",\"object\":\"chat.completion.chunk\",\"created\":%ld,"
			 "\"model\":%s,\"service_tier\":\"default\",\"system_fingerprint\":\"%s\","
			 "\"choices\":[%s]%s}",
			 a->id, CREATED, say_json(slice_str(a->model)), fingerprint, choices, usage);
}

static int chat_delta(const struct ask *a, struct reply *out, const char *delta, const char *finish,
		      const char *fingerprint)
{
	char *choice = NULL;
	int r;

	if (asprintf(&choice,
		     "{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s%s%s}", delta,
		     finish ? "\"" : "", finish ? finish : "null", finish ? "\"" : "") < 0)
		return -ENOMEM;
	r = chat_chunk(a, out, choice, a->include_usage ? ",\"usage\":null" : "", fingerprint);
	free(choice);
	return r;
}

static int chat_text_delta(const struct ask *a, struct reply *out, struct slice text,
			   const char *fingerprint)
{
	char *delta = NULL;
	int r;

	if (asprintf(&delta, "{\"content\":%s}", say_json(text)) < 0)
		return -ENOMEM;
	r = chat_delta(a, out, delta, NULL, fingerprint);
	free(delta);
	return r;
}

static int chat_tool_stream(const struct ask *a, struct reply *out)
{
	struct slice args = slice_str(tool_arguments(a));
	size_t step = a->k->delta > 0 ? (size_t)a->k->delta : 8;
	char *delta = NULL;
	int r;

	if (asprintf(&delta,
		     "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"call_%s\","
		     "\"type\":\"function\",\"function\":{\"name\":\"lab_tool\",\"arguments\":\"\"}}]}",
		     a->id) < 0)
		return -ENOMEM;
	r = chat_delta(a, out, delta, NULL, "fp_lab");
	free(delta);
	for (size_t at = 0, n; at < args.len && r == 0; at += n) {
		n = MIN(step, args.len - at);
		/* The writers' strings are ASCII but for the user's text: keep characters whole. */
		while (at + n < args.len && ((unsigned char)args.ptr[at + n] & 0xc0) == 0x80)
			n++;
		if (asprintf(&delta,
			     "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":%s}}]}",
			     say_json(slice_sub(args, at, at + n))) < 0)
			return -ENOMEM;
		r = chat_delta(a, out, delta, NULL, "fp_lab");
		free(delta);
	}
	return r;
}

static int chat_stream(const struct ask *a, struct reply *out)
{
	struct buf usage;
	struct slice delta;
	size_t at = 0;
	int r = 0;

	out->stream = true;
	out->type = "text/event-stream; charset=utf-8";
	if (a->k->ticks) {
		static const char words[] = "a steady stream of small plain words for the clock to tell ";
		char text[512];

		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = words[i % (sizeof(words) - 1)];
		for (int i = 0; i < a->k->ticks && r == 0; i++)
			r = chat_text_delta(a, out,
					    slice_of(text, MIN((size_t)a->k->tick_bytes, sizeof(text))),
					    "fp_" STAMP_MARK);
	} else if (a->k->tool) {
		r = chat_tool_stream(a, out);
	} else {
		r = chat_delta(a, out, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", NULL,
			       "fp_lab");
		while (r == 0 && say_delta(a, &at, &delta))
			r = chat_text_delta(a, out, delta, "fp_lab");
	}
	if (r == 0 && a->k->fault == FAULT_STREAM_ERROR)
		return say_event(a, out, NULL,
				 "{\"error\":{\"message\":\"The server had an error.\","
				 "\"type\":\"server_error\",\"param\":null,\"code\":null}}");
	if (r == 0 && a->k->fault == FAULT_BAD_JSON)
		r = say_event(a, out, NULL, "{\"choices\":[{\"delta\":{\"content\":\"oops");
	if (r < 0 || a->k->fault == FAULT_CUT)
		return r;
	r = chat_delta(a, out, "{}", chat_finish(a), "fp_lab");
	if (r == 0 && a->include_usage) {
		buf_init(&usage, 4096);
		r = buf_str(&usage, ",\"usage\":");
		if (r == 0)
			r = chat_usage(a, &usage);
		if (r == 0)
			r = buf_append(&usage, slice_of("", 1));
		if (r == 0)
			r = chat_chunk(a, out, "", usage.data + usage.off, "fp_lab");
		buf_done(&usage);
	}
	return r < 0 ? r : say_event(a, out, NULL, "[DONE]");
}

int say_chat(const struct ask *a, struct reply *out)
{
	return a->stream ? chat_stream(a, out) : chat_plain(a, out);
}

int say_embeddings(const struct ask *a, struct reply *out)
{
	const json_t *input = json_object_get(a->body, "input");
	size_t n = json_is_array(input) ? json_array_size(input) : 1;
	struct buf *b = &out->body.bytes;
	int r = buf_str(b, "{\"object\":\"list\",\"data\":[");

	for (size_t i = 0; i < n && r == 0; i++)
		r = buf_printf(b,
			       "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":"
			       "[0.125,-0.25,0.5,%s0.0625]}",
			       i ? "," : "", i, i % 2 ? "-" : "");
	return r < 0 ? r :
		       buf_printf(b,
				  "],\"model\":%s,\"usage\":{\"prompt_tokens\":%ld,"
				  "\"total_tokens\":%ld}}",
				  say_json(slice_str(a->model)), a->in, a->in);
}

int say_models(const struct ask *a, struct reply *out)
{
	(void)a;
	return buf_printf(&out->body.bytes,
			  "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\","
			  "\"created\":%ld,\"owned_by\":\"lab\"}]}",
			  CREATED);
}

int say_error(const struct ask *a, struct slice host, int status, const char *message,
	      struct reply *out)
{
	struct buf *b = &out->body.bytes;
	const char *text = say_json(slice_str(message));

	pieces_clear(&out->body);
	out->status = status;
	if (slice_ends(host, SLICE("anthropic.com")) ||
	    slice_find(a->r->path, SLICE("/v1/messages")) >= 0) {
		out->id_header = "request-id";
		return buf_printf(b,
				  "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":%s},"
				  "\"request_id\":\"%s\"}",
				  status == 404 ? "not_found_error" :
				  status == 429 ? "rate_limit_error" :
				  status >= 500 ? "api_error" : "invalid_request_error",
				  text, out->request_id);
	}
	if (slice_ends(host, SLICE("amazonaws.com")))
		return buf_printf(b, "{\"message\":%s}", text);
	if (slice_ends(host, SLICE("googleapis.com")))
		return buf_printf(b, "{\"error\":{\"code\":%d,\"message\":%s,\"status\":\"%s\"}}",
				  status, text, status == 404 ? "NOT_FOUND" : "INVALID_ARGUMENT");
	if (slice_ends(host, SLICE("azure.com")))
		return buf_printf(b, "{\"error\":{\"code\":\"%d\",\"message\":%s}}", status, text);
	return buf_printf(b,
			  "{\"error\":{\"message\":%s,\"type\":\"%s\",\"param\":null,\"code\":%s}}",
			  text, status >= 500 ? "server_error" : "invalid_request_error",
			  status == 404 ? "\"unknown_url\"" : "null");
}
