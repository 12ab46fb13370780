/* Escapes inside JSON strings that jspan_parse() has already found good. Private to wire/. */
#ifndef WIRE_JSONESCAPE_H
#define WIRE_JSONESCAPE_H

#include "base/slice.h"

#include <stdint.h>

/* Value of a hexadecimal digit, or -1. */
extern const int8_t jescape_hex[256];

/* Reads the escape at p (a backslash; a surrogate pair is one escape). Writes its 1 to 4 bytes and
 * how many; returns its raw length: 2, 6 or 12. */
size_t jescape_read(const char *p, char out[4], size_t *n);

/* Walks the decoded bytes of a raw string, escaped or not. */
struct jescape_walk {
	const char *p, *end;
	char held[4];
	size_t at, n;
};

static inline struct jescape_walk jescape_walk(struct slice raw)
{
	return (struct jescape_walk){ .p = raw.ptr, .end = raw.ptr + raw.len };
}

/* The next byte as 0..255, or -1 at the end. */
static inline int jescape_next(struct jescape_walk *w)
{
	if (w->at < w->n)
		return (unsigned char)w->held[w->at++];
	if (w->p == w->end)
		return -1;
	if (*w->p != '\\')
		return (unsigned char)*w->p++;
	w->p += jescape_read(w->p, w->held, &w->n);
	w->at = 1;
	return (unsigned char)w->held[0];
}

#endif
