/*
 * Anthropic messages: blocks, and the stream in its real order with a ping, a small first output
 * count in message_start and the cumulative one in message_delta (dialects.md section 5).
 */
#include "tests/fake/lib/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* input_tokens excludes what was cached. */
static int message_usage(const struct ask *a, long output, struct buf *b)
{
	return buf_printf(b,
			  "{\"input_tokens\":%ld,\"cache_creation_input_tokens\":0,"
			  "\"cache_read_input_tokens\":%ld,\"cache_creation\":"
			  "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},"
			  "\"output_tokens\":%ld,\"service_tier\":\"standard\"}",
			  a->in - a->cached, a->cached, output);
}

static const char *message_stop_reason(const struct ask *a)
{
	return a->k->tool ? "tool_use" : a->cut ? "max_tokens" : "end_turn";
}

static int message_plain(const struct ask *a, struct reply *out)
{
	struct buf *b = &out->body.bytes;
	int r = buf_printf(b,
			   "{\"model\":%s,\"id\":\"msg_%s\",\"type\":\"message\",\"role\":\"assistant\","
			   "\"content\":[",
			   say_json(slice_str(a->model)), a->id);

	if (r == 0 && a->k->tool)
		r = buf_printf(b,
			       "{\"type\":\"tool_use\",\"id\":\"toolu_%s\",\"name\":\"lab_tool\","
			       "\"input\":{\"text\":%s}}",
			       a->id, say_json(buf_slice(&a->text)));
	else if (r == 0)
		r = buf_printf(b, "{\"type\":\"text\",\"text\":%s}", say_json(buf_slice(&a->text)));
	if (r == 0)
		r = buf_printf(b, "],\"stop_reason\":\"%s\",\"stop_sequence\":null,\"usage\":",
			       message_stop_reason(a));
	if (r == 0)
		r = message_usage(a, a->out, b);
	return r < 0 ? r : buf_str(b, "}");
}

static int message_start(const struct ask *a, struct reply *out)
{
	struct buf usage;
	int r;

	buf_init(&usage, 4096);
	r = message_usage(a, 1, &usage);
	if (r == 0)
		r = buf_append(&usage, slice_of("", 1));
	if (r == 0)
		r = say_event(a, out, "message_start",
			      "{\"type\":\"message_start\",\"message\":{\"model\":%s,\"id\":\"msg_%s\","
			      "\"type\":\"message\",\"role\":\"assistant\",\"content\":[],"
			      "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":%s}   }",
			      say_json(slice_str(a->model)), a->id, usage.data);
	buf_done(&usage);
	if (r == 0 && a->k->tool)
		r = say_event(a, out, "content_block_start",
			      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
			      "{\"type\":\"tool_use\",\"id\":\"toolu_%s\",\"name\":\"lab_tool\","
			      "\"input\":{}}  }",
			      a->id);
	else if (r == 0)
		r = say_event(a, out, "content_block_start",
			      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
			      "{\"type\":\"text\",\"text\":\"\"}     }");
	return r < 0 ? r : say_event(a, out, "ping", "{\"type\": \"ping\"}");
}

static int message_deltas(const struct ask *a, struct reply *out)
{
	struct slice delta;
	size_t at = 0;
	int r = 0;

	if (a->k->tool) {
		char *args = NULL;
		size_t step = a->k->delta > 0 ? (size_t)a->k->delta : 8, n;
		struct slice all;

		if (asprintf(&args, "{\"text\": %s}", say_json(buf_slice(&a->text))) < 0)
			return -ENOMEM;
		all = slice_str(args);
		for (; at < all.len && r == 0; at += n) {
			n = MIN(step, all.len - at);
			while (at + n < all.len && ((unsigned char)all.ptr[at + n] & 0xc0) == 0x80)
				n++;
			r = say_event(a, out, "content_block_delta",
				      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
				      "{\"type\":\"input_json_delta\",\"partial_json\":%s}  }",
				      say_json(slice_sub(all, at, at + n)));
		}
		free(args);
		return r;
	}
	while (r == 0 && say_delta(a, &at, &delta))
		r = say_event(a, out, "content_block_delta",
			      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
			      "{\"type\":\"text_delta\",\"text\":%s}    }",
			      say_json(delta));
	return r;
}

static int message_stream(const struct ask *a, struct reply *out)
{
	int r;

	out->stream = true;
	out->type = "text/event-stream; charset=utf-8";
	r = message_start(a, out);
	if (r == 0)
		r = message_deltas(a, out);
	if (r == 0 && a->k->fault == FAULT_STREAM_ERROR)
		return say_event(a, out, "error",
				 "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
				 "\"message\":\"Overloaded\"}}");
	if (r == 0 && a->k->fault == FAULT_BAD_JSON)
		r = say_event(a, out, "content_block_delta", "{\"type\":\"content_bl");
	if (r < 0 || a->k->fault == FAULT_CUT)
		return r;
	r = say_event(a, out, "content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0    }");
	if (r == 0)
		r = say_event(a, out, "message_delta",
			      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\","
			      "\"stop_sequence\":null},\"usage\":{\"input_tokens\":%ld,"
			      "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":%ld,"
			      "\"output_tokens\":%ld}  }",
			      message_stop_reason(a), a->in - a->cached, a->cached, a->out);
	return r < 0 ? r : say_event(a, out, "message_stop", "{\"type\":\"message_stop\"   }");
}

int say_messages(const struct ask *a, struct reply *out)
{
	out->id_header = "request-id";
	return a->stream ? message_stream(a, out) : message_plain(a, out);
}

int say_count_tokens(const struct ask *a, struct reply *out)
{
	out->id_header = "request-id";
	return buf_printf(&out->body.bytes, "{\"input_tokens\":%ld}", a->in);
}
