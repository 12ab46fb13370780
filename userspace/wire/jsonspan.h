/*
 * Raw JSON as a flat list of nodes with byte ranges (RFC 8259): strings can be read, masked and
 * spliced in place, and every byte that is not touched stays as it was.
 *
 * One pass, no copies: nodes point into the text. Strict: what this parser accepts, jansson accepts
 * (no trailing commas, no bare control characters, valid UTF-8, paired surrogates), and both see
 * the same strings. Two things alone jansson refuses and providers do not: numbers beyond a double
 * or 64 bits, and U+0000 in a key. Duplicate keys are kept (all are inspected); jspan_get() takes the last one, as the
 * providers' parsers do, and jdoc.duplicates tells.
 */
#ifndef WIRE_JSONSPAN_H
#define WIRE_JSONSPAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

#include <stdint.h>

#define JSPAN_DEPTH_MAX 128
#define JSPAN_NODES_MAX (1U << 20)

enum jtype { JT_NULL, JT_FALSE, JT_TRUE, JT_NUMBER, JT_STRING, JT_ARRAY, JT_OBJECT };

struct jnode {
	uint32_t start, end;  /* range in the text; a string's without its quotes */
	uint32_t key, key_len;/* range of the member's key without quotes; key_len 0 and key 0 in arrays */
	uint32_t parent;      /* index; the root's is itself (0) */
	uint32_t next;        /* index of the next sibling; 0 none */
	uint32_t child;       /* first child of an array or object; 0 none */
	uint8_t type;         /* enum jtype */
	bool escaped;         /* the string holds a backslash */
	bool key_escaped;
};

struct jdoc {
	struct slice text;
	struct jnode *nodes;  /* nodes[0] is the root; document order */
	uint32_t n;
	bool duplicates;      /* some object holds a key twice */
};

/* 0, -EBADMSG (not JSON), -E2BIG (too deep, too many nodes, over 4 GiB), -ENOMEM. */
int jspan_parse(struct slice text, struct arena *a, struct jdoc *out);

/* Member of an object (NULL obj or not an object: NULL); the last of duplicates. */
const struct jnode *jspan_get(const struct jdoc *d, const struct jnode *obj, const char *key);
/* First child and next sibling, NULL at the end. */
const struct jnode *jspan_first(const struct jdoc *d, const struct jnode *parent);
const struct jnode *jspan_next(const struct jdoc *d, const struct jnode *n);
static inline const struct jnode *jspan_root(const struct jdoc *d)
{
	return d->n ? &d->nodes[0] : NULL;
}

/* The raw bytes of a node (a string's without quotes), and of its key. */
struct slice jspan_raw(const struct jdoc *d, const struct jnode *n);
struct slice jspan_key(const struct jdoc *d, const struct jnode *n);
/* Decoded text of a string: borrowed from the text when it has no escapes, else made in `a`.
 * ptr NULL when n is NULL, no string, or memory is out. */
struct slice jspan_text(const struct jdoc *d, const struct jnode *n, struct arena *a);
bool jspan_is(const struct jdoc *d, const struct jnode *n, const char *text); /* string equals */
bool jspan_true(const struct jnode *n);
/* Whole numbers ("12", "12.0", "1.2e1"); `absent` when n is NULL, no number, negative or too large. */
int64_t jspan_int(const struct jdoc *d, const struct jnode *n, int64_t absent);

/*
 * Decoded offset -> raw offset inside a string node (0 <= decoded <= its decoded length), so that a
 * finding in the decoded text becomes a range of the body. A position inside an escape moves to the
 * escape's start. Both offsets count from the string's first byte (add n->start for the body).
 * O(raw length) from *hint (a struct jcursor zeroed by the caller and reused for growing offsets).
 */
struct jcursor {
	uint32_t raw, decoded;
};
uint32_t jspan_raw_offset(const struct jdoc *d, const struct jnode *n, uint32_t decoded,
			  struct jcursor *hint);

/* Appends text as the inside of a JSON string (escaped, no quotes). 0, -ENOBUFS, -ENOMEM. */
int jspan_escape(struct slice text, struct buf *out);

/* ---- splicing: replace ranges, keep every other byte ---- */
struct splice {
	size_t start, end;  /* range in the original */
	struct slice with;  /* replacement, already escaped where it stands in a string */
};
/* edits sorted by start, not overlapping. 0, -EINVAL (they are not), -ENOBUFS, -ENOMEM. */
int splice_apply(struct slice in, const struct splice *edits, size_t n, struct buf *out);

#endif
