/* PCRE2 with JIT and limits: the exact bounds of a match, or that more text is needed. */
#ifndef DLP_REGEX_H
#define DLP_REGEX_H

#include "base/slice.h"

#include <stdint.h>

struct regex;
struct regex_scratch; /* match data and stack: one thread's */

enum regex_flags {
	REGEX_ANCHORED = 1, /* match at `from` only */
	REGEX_IGNORE_CASE = 2,
};

enum regex_result {
	REGEX_NO,
	REGEX_YES,
	REGEX_PARTIAL, /* the text ended while it could still match; only with `more` */
	REGEX_LIMIT,   /* gave up: match limit, heap limit or JIT stack */
};

struct regex_mistake {
	size_t offset; /* in the pattern */
	char text[128];
};

/* 0, -EINVAL (`why` filled), -ENOMEM. */
int regex_new(const char *pattern, unsigned flags, struct regex **out, struct regex_mistake *why);
void regex_free(struct regex *r);
int regex_scratch_new(struct regex_scratch **out);
void regex_scratch_free(struct regex_scratch *s);

/* Bytes before the match that a lookbehind may read; at least 1 (\b). */
size_t regex_lookbehind(const struct regex *r);

/*
 * Searches text from `from`; text before it is context. more: text may follow, so a match that the
 * end of the text could change is REGEX_PARTIAL. start and end are set on YES (the match; the
 * whole, not a group) and PARTIAL (from where it could match, and the end of the text).
 */
enum regex_result regex_match(const struct regex *r, struct regex_scratch *s, struct slice text,
			      size_t from, bool more, size_t *start, size_t *end);

#endif
