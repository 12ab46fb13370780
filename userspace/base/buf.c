/* Growing buffer; consumed bytes are moved away only when room is needed. */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 2048U

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

void buf_trim(struct buf *b)
{
	if (b->off == b->len)
		buf_done(b);
}

int buf_reserve(struct buf *b, size_t len)
{
	size_t have = b->len - b->off, cap = b->cap ? b->cap : BUF_FIRST;
	char *p;

	if (len > b->max || have > b->max - len)
		return -ENOBUFS;
	if (b->cap - b->len >= len)
		return 0;
	if (b->off && b->cap >= have + len && b->off >= have) {
		memcpy(b->data, b->data + b->off, have);
		b->off = 0;
		b->len = have;
		return 0;
	}
	while (cap < have + len)
		cap *= 2;
	p = malloc(cap);
	if (!p)
		return -ENOMEM;
	if (have)
		memcpy(p, b->data + b->off, have);
	free(b->data);
	b->data = p;
	b->off = 0;
	b->len = have;
	b->cap = cap;
	return 0;
}

int buf_append(struct buf *b, struct slice s)
{
	int r;

	if (!s.len)
		return 0;
	r = buf_reserve(b, s.len);
	if (r < 0)
		return r;
	memcpy(b->data + b->len, s.ptr, s.len);
	b->len += s.len;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	r = buf_reserve(b, (size_t)n + 1);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t len)
{
	b->off += MIN(len, b->len - b->off);
	if (b->off == b->len)
		b->off = b->len = 0;
}

void buf_clear(struct buf *b)
{
	b->off = b->len = 0;
}
