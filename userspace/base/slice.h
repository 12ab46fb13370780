/*
 * Borrowed bytes: a pointer and a length, never owned, not NUL-terminated.
 * A slice is passed by value; {NULL, 0} is "absent", {"", 0} is "empty".
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *ptr;
	size_t len; /* bytes */
};

#define SLICE(literal) ((struct slice){ (literal), sizeof(literal) - 1 })
/* For printf("%.*s"). */
#define SLICE_FMT(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct slice slice_of(const void *ptr, size_t len)
{
	return (struct slice){ ptr, len };
}

static inline struct slice slice_str(const char *s)
{
	return (struct slice){ s, s ? strlen(s) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

/* Equal but for ASCII case. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice a, struct slice prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_ends(struct slice a, struct slice suffix)
{
	return a.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(a.ptr + a.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The part [from, to), clamped to what there is. */
static inline struct slice slice_sub(struct slice a, size_t from, size_t to)
{
	if (to > a.len)
		to = a.len;
	if (from > to)
		from = to;
	return (struct slice){ a.ptr ? a.ptr + from : NULL, to - from };
}

static inline struct slice slice_from(struct slice a, size_t from)
{
	return slice_sub(a, from, a.len);
}

/* Without blanks and tabs at both ends. */
static inline struct slice slice_trim(struct slice a)
{
	while (a.len && (a.ptr[0] == ' ' || a.ptr[0] == '\t'))
		a.ptr++, a.len--;
	while (a.len && (a.ptr[a.len - 1] == ' ' || a.ptr[a.len - 1] == '\t'))
		a.len--;
	return a;
}

/* Offset of the first `needle`, or -1. */
static inline long slice_find(struct slice a, struct slice needle)
{
	const char *p = !needle.len ? a.ptr :
			!a.len	    ? NULL :
				      memmem(a.ptr, a.len, needle.ptr, needle.len);

	return p ? (long)(p - a.ptr) : -1;
}

/* Copies into a NUL-terminated array of `size` bytes, cutting what does not fit. */
static inline void slice_copy(char *to, size_t size, struct slice a)
{
	size_t n = a.len < size - 1 ? a.len : size - 1;

	if (n)
		memcpy(to, a.ptr, n);
	to[n] = '\0';
}

#endif
