/*
 * Typed reads of an operator's JSON file (jansson) whose mistakes name the place and the remedy:
 * `policy.json: rules[3].action: "blok" is none of allow, block`.
 *
 * Every read takes the place of the object it looks into ("rules[3]", "" for the top). A mistake is
 * noted in `struct mistakes` and the default comes back, so that one run reports them all.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdint.h>

struct mistakes {
	const char *file; /* what the operator calls it; borrowed */
	struct buf text;  /* one line a mistake, each ended by '\n' */
	size_t n;
};

void mistakes_init(struct mistakes *m, const char *file);
void mistakes_done(struct mistakes *m);
/* `place` may be "" for the file as a whole. */
void mistakes_add(struct mistakes *m, const char *place, const char *fmt, ...) printf_like(3, 4);

/* Parses text; duplicate keys and trailing text are mistakes. NULL (with a mistake noted) on error. */
json_t *jread_text(struct slice text, struct mistakes *m);

/* "rules[3]" + "action" -> "rules[3].action"; the buffer is the caller's. */
#define PLACE_MAX 192
const char *jread_place(char out[PLACE_MAX], const char *place, const char *key);
const char *jread_place_at(char out[PLACE_MAX], const char *place, size_t index);

/* Member of the right type, or the default when it is absent; a wrong type is a mistake. */
const char *jread_string(const json_t *o, const char *place, const char *key, const char *absent,
			 struct mistakes *m);
int64_t jread_int(const json_t *o, const char *place, const char *key, int64_t absent, int64_t min,
		  int64_t max, struct mistakes *m);
double jread_number(const json_t *o, const char *place, const char *key, double absent,
		    struct mistakes *m);
bool jread_bool(const json_t *o, const char *place, const char *key, bool absent,
		struct mistakes *m);
/* NULL when absent. */
const json_t *jread_object(const json_t *o, const char *place, const char *key, struct mistakes *m);
const json_t *jread_array(const json_t *o, const char *place, const char *key, struct mistakes *m);
/* Index of the member's string in `names` (ends with NULL), or `absent`. The mistake lists them. */
int jread_choice(const json_t *o, const char *place, const char *key, const char *const *names,
		 int absent, struct mistakes *m);
/* Every key of `o` must be in `known` (ends with NULL); an unknown one is a mistake with the nearest
 * known name as remedy. Keys that begin with '$' or "_" (editor hints, comments) are left alone. */
void jread_known(const json_t *o, const char *place, const char *const *known, struct mistakes *m);

/* Appends s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
int jwrite_string(struct buf *out, struct slice s);

#endif
