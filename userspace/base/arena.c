/* Arena: chunks in a list, newest first. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_SMALL 4000U /* bytes of payload: with malloc's header one page */

struct arena_chunk {
	struct arena_chunk *next;
	size_t len;  /* payload bytes used */
	size_t cap;  /* payload bytes there are */
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){ .max = max };
}

static void chunks_free(struct arena_chunk *c)
{
	while (c) {
		struct arena_chunk *next = c->next;

		free(c);
		c = next;
	}
}

void arena_done(struct arena *a)
{
	chunks_free(a->head);
	a->head = NULL;
	a->used = 0;
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = NULL;

	while (a->head) {
		struct arena_chunk *next = a->head->next;

		if (!keep && a->head->cap == CHUNK_SMALL)
			keep = a->head;
		else
			free(a->head);
		a->head = next;
	}
	if (keep) {
		keep->next = NULL;
		keep->len = 0;
	}
	a->head = keep;
	a->used = 0;
}

static struct arena_chunk *chunk_new(struct arena *a, size_t len)
{
	size_t cap = len > CHUNK_SMALL ? len : CHUNK_SMALL;
	struct arena_chunk *c = malloc(sizeof(*c) + cap);

	if (!c)
		return NULL;
	c->len = 0;
	c->cap = cap;
	c->next = a->head;
	a->head = c;
	return c;
}

void *arena_bytes(struct arena *a, size_t len)
{
	const size_t align = alignof(max_align_t);
	struct arena_chunk *c = a->head;
	char *p;

	if (len > a->max - MIN(a->used, a->max) || len > SIZE_MAX / 2)
		return NULL;
	len = (len + align - 1) & ~(align - 1);
	if (!c || c->cap - c->len < len) {
		c = chunk_new(a, len);
		if (!c)
			return NULL;
	}
	p = c->data + c->len;
	c->len += len;
	a->used += len;
	return p;
}

void *arena_alloc(struct arena *a, size_t len)
{
	void *p = arena_bytes(a, len);

	return p ? memset(p, 0, len) : NULL;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	char *p = arena_bytes(a, s.len + 1);

	if (!p)
		return (struct slice){ NULL, 0 };
	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return slice_of(p, s.len);
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = n < 0 ? NULL : arena_bytes(a, (size_t)n + 1);
	if (p)
		(void)vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return slice_of(p, p ? (size_t)n : 0);
}
