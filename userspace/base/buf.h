/*
 * A growing byte buffer with a compulsory cap: bytes are appended at the end and consumed from
 * the front. An empty buffer holds no memory after buf_trim(), so idle connections cost nothing.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/def.h"
#include "base/slice.h"

struct buf {
	char *data;
	size_t off;  /* bytes already consumed */
	size_t len;  /* end of the bytes there are */
	size_t cap;  /* bytes allocated */
	size_t max;  /* bytes it may hold unconsumed; growing past it is -ENOBUFS */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
/* Frees the memory of an empty buffer. */
void buf_trim(struct buf *b);

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->data ? b->data + b->off : NULL, b->len - b->off);
}

static inline size_t buf_size(const struct buf *b)
{
	return b->len - b->off;
}

/* Room for `len` more bytes at b->data + b->len. 0, -ENOBUFS (over max), -ENOMEM. */
int buf_reserve(struct buf *b, size_t len);
int buf_append(struct buf *b, struct slice s);
int buf_printf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b);

static inline int buf_str(struct buf *b, const char *s)
{
	return buf_append(b, slice_str(s));
}

#endif
