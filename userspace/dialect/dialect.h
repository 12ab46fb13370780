/*
 * One API's wire shape. A dialect is one file and one line in dialects.def; it reads, it never
 * rewrites: edits are splices that the relay applies.
 */
#ifndef DIALECT_DIALECT_H
#define DIALECT_DIALECT_H

#include "base/buf.h"
#include "dialect/message.h"

struct refusal {
	struct slice message;     /* for the person: what, why, whom to ask; plain text */
	const char *code;         /* "content_policy_violation", "budget_exceeded"... */
	struct slice request_id;  /* ours; in the body where the dialect has a place */
};

/* The provider's trouble (refused, stalled, broken off), not a word of the policy. */
static inline bool refusal_is_upstream(const struct refusal *f)
{
	return f->code && strncmp(f->code, "upstream", 8) == 0;
}

struct dialect {
	const char *name;         /* "openai-chat" */
	bool signs_body;          /* an edit would break the caller's signature */

	/* Body -> message; m->doc is already parsed (n 0: not JSON). Every string leaf becomes a
	 * part. 0, -ENOMEM; a shape that is not the dialect's is still 0, with all leaves as
	 * PART_OTHER. */
	int (*read_request)(struct message *m, struct arena *a);
	/* Whole (not streamed) answer, good or an error. Fills r's parts, model, usage... */
	int (*read_reply)(struct reply *r, const struct jdoc *doc, struct arena *a);
	/* One SSE event's data, parsed; `name` its event: field. Data that is no JSON ("[DONE]")
	 * comes as a doc with n 0 and its text. r->parts: the deltas of this event and their lanes;
	 * other text leaves (repeats of the text, ids) as parts with lane UINT32_MAX. What a lane
	 * number says is the dialect's; equal numbers are one text. Strings that must outlive the
	 * event are copied into `keep`; parts live in `a`. 0 or -ENOMEM. */
	int (*read_event)(struct reply *r, struct slice name, const struct jdoc *doc,
			  struct arena *a, struct arena *keep);
	/* The error body its SDKs show without retrying, for status 400. */
	int (*write_refusal)(const struct refusal *f, struct buf *out);
	/* Bytes that end a stream in mid-flight so that the SDK raises with our text. */
	int (*write_stream_end)(const struct refusal *f, struct buf *out);
	/* An edit that asks for usage in the stream; 1 made, 0 not needed or not possible, -ENOMEM.
	 * NULL: never. */
	int (*ask_usage)(const struct message *m, struct arena *a, struct splice *out);
};

/* By name; unknown names and NULL give the generic dialect. Never NULL. */
const struct dialect *dialect_find(const char *name);
/* Parses the body (JSON or not) and calls read_request. path_model: named in the path or {NULL}. */
int dialect_read_request(const struct dialect *d, struct slice body, struct slice path_model,
			 struct arena *a, struct message *out);

#endif
