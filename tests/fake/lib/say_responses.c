/* OpenAI's responses API: the item list, and the stream in its real order (dialects.md section 3). */
#include "tests/fake/lib/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CREATED 1764000000L

/* The response object as it stands: in progress with no output, or complete. */
static int response_object(const struct ask *a, bool complete, const char *output, struct buf *b)
{
	int r = buf_printf(b,
			   "{\"id\":\"resp_%s\",\"object\":\"response\",\"created_at\":%ld,"
			   "\"status\":\"%s\",\"background\":false,\"error\":null,"
			   "\"incomplete_details\":%s,\"instructions\":null,\"max_output_tokens\":null,"
			   "\"model\":%s,\"output\":[%s],\"parallel_tool_calls\":true,"
			   "\"previous_response_id\":null,"
			   "\"reasoning\":{\"effort\":null,\"summary\":null},"
			   "\"service_tier\":\"default\",\"store\":true,\"temperature\":1.0,"
			   "\"text\":{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"},"
			   "\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,"
			   "\"truncation\":\"disabled\",\"usage\":",
			   a->id, CREATED,
			   !complete ? "in_progress" : a->cut ? "incomplete" : "completed",
			   complete && a->cut ? "{\"reason\":\"max_output_tokens\"}" : "null",
			   say_json(slice_str(a->model)), output);

	if (r == 0 && complete)
		r = buf_printf(b,
			       "{\"input_tokens\":%ld,\"input_tokens_details\":{\"cached_tokens\":%ld},"
			       "\"output_tokens\":%ld,\"output_tokens_details\":"
			       "{\"reasoning_tokens\":%ld},\"total_tokens\":%ld}",
			       a->in, a->cached, a->out, a->reasoning, a->in + a->out);
	else if (r == 0)
		r = buf_str(b, "null");
	return r < 0 ? r : buf_str(b, ",\"user\":null,\"metadata\":{}}");
}

static int item_write(const struct ask *a, bool done, struct buf *b)
{
	const char *text = say_json(buf_slice(&a->text));
	int r;

	if (a->k->tool) {
		char *args = NULL;

		if (asprintf(&args, "{\"text\":%s}", text) < 0)
			return -ENOMEM;
		r = buf_printf(b,
			       "{\"id\":\"fc_%s\",\"type\":\"function_call\",\"status\":\"%s\","
			       "\"arguments\":%s,\"call_id\":\"call_%s\",\"name\":\"lab_tool\"}",
			       a->id, done ? "completed" : "in_progress",
			       done ? say_json(slice_str(args)) : "\"\"", a->id);
		free(args);
		return r;
	}
	r = buf_printf(b, "{\"id\":\"msg_%s\",\"type\":\"message\",\"status\":\"%s\",\"content\":[",
		       a->id, done ? "completed" : "in_progress");
	if (r == 0 && done)
		r = buf_printf(b,
			       "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],"
			       "\"text\":%s}",
			       text);
	return r < 0 ? r : buf_str(b, "],\"role\":\"assistant\"}");
}

/* A writer's output as a C string. */
static int in_string(struct buf *b, int r)
{
	return r < 0 ? r : buf_append(b, slice_of("", 1));
}

static int text_events(const struct ask *a, struct reply *out, int *seq)
{
	struct slice delta;
	size_t at = 0;
	int r = say_event(a, out, "response.content_part.added",
			  "{\"type\":\"response.content_part.added\",\"content_index\":0,"
			  "\"item_id\":\"msg_%s\",\"output_index\":0,\"part\":{\"type\":\"output_text\","
			  "\"annotations\":[],\"logprobs\":[],\"text\":\"\"},\"sequence_number\":%d}",
			  a->id, (*seq)++);

	while (r == 0 && say_delta(a, &at, &delta))
		r = say_event(a, out, "response.output_text.delta",
			      "{\"type\":\"response.output_text.delta\",\"content_index\":0,\"delta\":%s,"
			      "\"item_id\":\"msg_%s\",\"logprobs\":[],\"obfuscation\":\"%.*s\","
			      "\"output_index\":0,\"sequence_number\":%d}",
			      say_json(delta), a->id, (int)(16 - delta.len % 16), "QxWvTzRpLkMnBcHd",
			      (*seq)++);
	if (r < 0 || a->k->fault == FAULT_CUT || a->k->fault == FAULT_STREAM_ERROR)
		return r;
	r = say_event(a, out, "response.output_text.done",
		      "{\"type\":\"response.output_text.done\",\"content_index\":0,"
		      "\"item_id\":\"msg_%s\",\"logprobs\":[],\"output_index\":0,"
		      "\"sequence_number\":%d,\"text\":%s}",
		      a->id, (*seq)++, say_json(buf_slice(&a->text)));
	return r < 0 ? r :
		       say_event(a, out, "response.content_part.done",
				 "{\"type\":\"response.content_part.done\",\"content_index\":0,"
				 "\"item_id\":\"msg_%s\",\"output_index\":0,"
				 "\"part\":{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],"
				 "\"text\":%s},\"sequence_number\":%d}",
				 a->id, say_json(buf_slice(&a->text)), (*seq)++);
}

static int tool_events(const struct ask *a, struct reply *out, int *seq)
{
	char *args = NULL;
	size_t step = a->k->delta > 0 ? (size_t)a->k->delta : 8, n;
	struct slice all;
	int r = 0;

	if (asprintf(&args, "{\"text\":%s}", say_json(buf_slice(&a->text))) < 0)
		return -ENOMEM;
	all = slice_str(args);
	for (size_t at = 0; at < all.len && r == 0; at += n) {
		n = MIN(step, all.len - at);
		while (at + n < all.len && ((unsigned char)all.ptr[at + n] & 0xc0) == 0x80)
			n++;
		r = say_event(a, out, "response.function_call_arguments.delta",
			      "{\"type\":\"response.function_call_arguments.delta\",\"delta\":%s,"
			      "\"item_id\":\"fc_%s\",\"output_index\":0,\"sequence_number\":%d}",
			      say_json(slice_sub(all, at, at + n)), a->id, (*seq)++);
	}
	if (r == 0)
		r = say_event(a, out, "response.function_call_arguments.done",
			      "{\"type\":\"response.function_call_arguments.done\",\"arguments\":%s,"
			      "\"item_id\":\"fc_%s\",\"output_index\":0,\"sequence_number\":%d}",
			      say_json(all), a->id, (*seq)++);
	free(args);
	return r;
}

static int responses_stream(const struct ask *a, struct reply *out, const char *begun,
			    const char *done, const char *item_begun, const char *item_done)
{
	const char *last = a->cut ? "response.incomplete" : "response.completed";
	int seq = 0, r;

	out->stream = true;
	out->type = "text/event-stream; charset=utf-8";
	r = say_event(a, out, "response.created",
		      "{\"type\":\"response.created\",\"response\":%s,\"sequence_number\":%d}", begun,
		      seq++);
	if (r == 0)
		r = say_event(a, out, "response.in_progress",
			      "{\"type\":\"response.in_progress\",\"response\":%s,"
			      "\"sequence_number\":%d}",
			      begun, seq++);
	if (r == 0)
		r = say_event(a, out, "response.output_item.added",
			      "{\"type\":\"response.output_item.added\",\"item\":%s,\"output_index\":0,"
			      "\"sequence_number\":%d}",
			      item_begun, seq++);
	if (r == 0)
		r = a->k->tool ? tool_events(a, out, &seq) : text_events(a, out, &seq);
	if (r == 0 && a->k->fault == FAULT_STREAM_ERROR)
		return say_event(a, out, "error",
				 "{\"type\":\"error\",\"error\":{\"type\":\"server_error\","
				 "\"code\":\"server_error\",\"message\":\"The server had an error.\","
				 "\"param\":null},\"sequence_number\":%d}",
				 seq);
	if (r == 0 && a->k->fault == FAULT_BAD_JSON)
		r = say_event(a, out, "response.output_text.delta", "{\"type\":\"response.outp");
	if (r < 0 || a->k->fault == FAULT_CUT)
		return r;
	r = say_event(a, out, "response.output_item.done",
		      "{\"type\":\"response.output_item.done\",\"item\":%s,\"output_index\":0,"
		      "\"sequence_number\":%d}",
		      item_done, seq);
	seq++;
	return r < 0 ? r :
		       say_event(a, out, last,
				 "{\"type\":\"%s\",\"response\":%s,\"sequence_number\":%d}", last, done,
				 seq);
}

int say_responses(const struct ask *a, struct reply *out)
{
	struct buf item_begun, item_done, begun, done;
	int r;

	buf_init(&item_begun, 64 << 20);
	buf_init(&item_done, 64 << 20);
	buf_init(&begun, 64 << 20);
	buf_init(&done, 64 << 20);
	r = in_string(&item_begun, item_write(a, false, &item_begun));
	if (r == 0)
		r = in_string(&item_done, item_write(a, true, &item_done));
	if (r == 0)
		r = in_string(&begun, response_object(a, false, "", &begun));
	if (r == 0)
		r = in_string(&done, response_object(a, true, item_done.data, &done));
	if (r == 0 && a->stream)
		r = responses_stream(a, out, begun.data, done.data, item_begun.data, item_done.data);
	else if (r == 0)
		r = buf_str(&out->body.bytes, done.data);
	buf_done(&item_begun);
	buf_done(&item_done);
	buf_done(&begun);
	buf_done(&done);
	return r;
}
