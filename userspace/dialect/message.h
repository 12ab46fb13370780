/*
 * The neutral view of an exchange: a view for inspection, never serialised back. Parts are nodes of
 * the parsed body, so a finding in a part is a byte range of the body as sent.
 */
#ifndef DIALECT_MESSAGE_H
#define DIALECT_MESSAGE_H

#include "base/arena.h"
#include "wire/jsonspan.h"

enum part_role { ROLE_OTHER, ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };
enum part_kind {
	PART_TEXT,
	PART_TOOL_ARGS,    /* arguments of a call; often JSON inside a JSON string */
	PART_TOOL_RESULT,
	PART_TOOL_DEF,     /* description or schema of a tool on offer */
	PART_REASONING,    /* visible thinking; signed ones must not be changed (part.frozen) */
	PART_DATA,         /* base64 or a data: URL */
	PART_OTHER,        /* any other string leaf: ids, names, metadata */
};

struct part {
	uint32_t node;  /* index into doc.nodes; UINT32_MAX: the whole raw body (not JSON) */
	uint8_t role;   /* enum part_role */
	uint8_t kind;   /* enum part_kind */
	bool frozen;    /* may be scanned and blocked, never edited (signatures, thinking blocks) */
	uint32_t lane;  /* replies in a stream: which text this goes on with (choice, call...) */
};

/* Tokens; -1 where the wire does not say. input includes cached and cache_write; output includes
 * reasoning: the dialect normalises. */
struct usage {
	int64_t input, output, cached, cache_write, reasoning;
	int64_t unlisted; /* in the wire's total but in neither count (Gemini's hidden thinking
			   * behind an OpenAI face): charged as output; 0 none */
};
#define USAGE_NONE ((struct usage){ -1, -1, -1, -1, -1, 0 })

struct message {
	struct jdoc doc;        /* n 0: the body is not JSON, one raw part */
	struct slice model;     /* "" unknown; in the body or given by the path */
	uint32_t model_node;    /* 0: not in the body */
	bool stream;
	int64_t max_tokens;     /* output limit asked for, times n; -1 none */
	struct part *parts;     /* document order; every string leaf is one */
	size_t n_parts;
	struct slice *tools;    /* names of the tools on offer */
	size_t n_tools;
	size_t prompt_bytes;    /* decoded prompt text and tool definitions, without PART_DATA */
	bool asks_usage;        /* openai-chat: stream_options.include_usage is true */
};

struct reply {
	struct slice model;     /* arena of the exchange */
	struct usage usage;
	struct slice *tool_calls; /* names in order */
	size_t n_tool_calls, cap_tool_calls;
	struct slice finish;    /* "stop"...; "" unknown */
	size_t text_bytes;      /* decoded output text seen, for the estimate */
	bool ended;             /* the dialect's own end of stream was seen */
	bool usage_chunk;       /* the last event carries usage and nothing else (openai-chat) */
	/* of the last body or event read */
	struct part *parts;
	size_t n_parts, cap_parts;
};

/* Appends; 0 or -ENOMEM. reply_tool_call() copies the name into `a`. */
int message_part(struct message *m, struct arena *a, struct part p);
int reply_part(struct reply *r, struct arena *a, struct part p);
int reply_tool_call(struct reply *r, struct arena *a, struct slice name);

#endif
