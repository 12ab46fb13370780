/* Between answer.c, which decides what to say, and the writers that say it in a dialect. */
#ifndef TESTS_FAKE_SAY_H
#define TESTS_FAKE_SAY_H

#include "tests/fake/lib/reply.h"

#include <jansson.h>

struct ask {
	const struct request *r;
	const struct knobs *k;
	json_t *body;
	const char *model;
	bool stream, include_usage, cut; /* cut: max tokens reached */
	long in, out, cached, reasoning; /* tokens; `in` counts everything, cached included */
	struct buf text;                 /* what is said */
	char id[32];
};

/* The next delta of a->text from *at: words, or knobs.delta bytes up to a character's end. */
bool say_delta(const struct ask *a, size_t *at, struct slice *delta);
/* An event of the stream: "event: name" (NULL: none) and "data: ...", and its time. */
int say_event(const struct ask *a, struct reply *out, const char *name, const char *fmt, ...)
	printf_like(4, 5);
/* A JSON string literal of s, valid until the ring of 4 comes round. */
const char *say_json(struct slice s);

int say_chat(const struct ask *a, struct reply *out);
int say_responses(const struct ask *a, struct reply *out);
int say_embeddings(const struct ask *a, struct reply *out);
int say_models(const struct ask *a, struct reply *out);
int say_messages(const struct ask *a, struct reply *out);
int say_count_tokens(const struct ask *a, struct reply *out);
/* An error in the shape of the provider of this host. */
int say_error(const struct ask *a, struct slice host, int status, const char *message,
	      struct reply *out);

#endif
