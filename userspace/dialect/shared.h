/* What the dialects' own files share besides the walk: a reply's strings, numbers and errors. */
#ifndef DIALECT_SHARED_H
#define DIALECT_SHARED_H

#include "dialect/dialect.h"
#include "dialect/walk.h"

extern const struct dialect dialect_openai_chat;

int message_tool(struct message *m, struct arena *a, struct slice name);

/* What a walk over a reply's body or event works on: the hook's ctx. */
struct reply_walk {
	struct reply *reply;
	struct arena *keep;
	bool count_calls; /* openai-responses: this event announces items */
};

/* Walks and puts the parts into the reply; `w` has states, root and hook set. */
int reply_walk_run(struct walk *w, struct reply_walk *ctx, const struct jdoc *doc, struct arena *a);

/* Copies a string node into `keep` when it is not empty and not what *to already says. */
int reply_text(struct slice *to, const struct jdoc *d, const struct jnode *n, struct arena *keep);
/* A body or event that is no JSON: one raw part; "[DONE]" ends the stream. */
int reply_raw(struct reply *r, const struct jdoc *doc, struct arena *a);
/* Member -> count, when it is there: *to stays what it was otherwise. */
void count_read(int64_t *to, const struct jdoc *d, const struct jnode *obj, const char *key);

/* Model, stream flag and output limit where nearly every dialect has them: members of the root.
 * 0 or -ENOMEM. */
int request_basics(struct message *m, struct arena *a, const char *const *limits);

walk_hook request_tool_hook;

/* OpenAI's error object, for chat and responses: {"message","type","param","code"}. */
int openai_error(const struct refusal *f, struct buf *out);

#endif
