/*
 * Reading a body by a table: each node of the JSON gets a state from its parent's state and its
 * key, and the state says what a text there is. One pass in document order, every string leaf
 * becomes a part; what no table names is PART_OTHER, never left out.
 *
 * A list hands its own state to its elements, so "content" may be a string, an object or a list.
 */
#ifndef DIALECT_WALK_H
#define DIALECT_WALK_H

#include "dialect/message.h"

#define STATE_OTHER 0       /* of every table: text nobody knows, all the way down */
#define ROLE_INHERIT 0xff
#define CHANNEL_NONE 0
#define CHANNEL_INNER 8     /* channels from here on belong to walk.inner, others to .outer */
#define LANE_NONE UINT32_MAX

struct member {
	const char *key;
	uint8_t len, state;
};
#define MEMBER(key, state) { key, sizeof(key) - 1, state }
#define MEMBER_END { NULL, 0, 0 }

enum state_flags {
	STATE_DEEP = 1,      /* members without a rule keep this state instead of STATE_OTHER */
	STATE_ROLED = 2,     /* an object here may name its role: "role" */
	STATE_FROZEN = 4,    /* never to be changed */
	STATE_TOOLS = 8,     /* counts as tool definition, with its JSON */
	STATE_BASE64 = 16,   /* PART_DATA without a data: URL's head */
};

struct state {
	const struct member *members; /* ends with MEMBER_END; NULL none */
	uint8_t kind;                 /* of a string here: enum part_kind */
	uint8_t role;                 /* enum part_role or ROLE_INHERIT */
	uint8_t flags;
	uint8_t mark;                 /* not 0: the hook is called with it for each node here */
	uint8_t channel;              /* of a stream's delta; CHANNEL_NONE: no delta */
};

struct walk;
/* Called before the node's own part is made and before its members. 0 or -ENOMEM. */
typedef int walk_hook(struct walk *w, uint8_t mark, const struct jnode *n);

struct walk {
	/* given */
	const struct jdoc *doc;
	const struct state *states;
	uint8_t root;          /* the root's state */
	walk_hook *hook;       /* may be NULL */
	void *ctx;             /* the hook's */
	struct arena *arena;
	bool lanes;            /* an event of a stream: deltas get lanes */
	/* the hook's to set: where deltas belong; UINT32_MAX is "too far", then no lane */
	uint32_t outer, inner;
	bool repeat;           /* what follows is there a second time: no lane, not counted */
	/* out */
	struct part *parts;
	size_t n_parts;
	size_t text_bytes;     /* decoded: text, arguments, results, reasoning */
	size_t tools_bytes;    /* compact JSON of tool definitions */
	/* its own */
	uint32_t source;       /* the object last asked for its "type"; 0 none */
	bool source_text;
};

/* 0 or -ENOMEM. A document without nodes gives no parts. */
int walk_run(struct walk *w);

/* A request: fills parts and prompt_bytes of m. */
int walk_request(struct message *m, const struct state *states, uint8_t root, walk_hook *hook,
		 struct arena *a);
/* Bytes of a string node once decoded. */
size_t walk_text_len(const struct jdoc *d, const struct jnode *n);
/* The tokens asked for: the largest of the named members of `obj`, times n; -1 none. Saturates. */
int64_t walk_max_tokens(const struct jdoc *d, const struct jnode *obj, const char *const *keys,
			int64_t n);

#endif
