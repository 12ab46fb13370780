/*
 * One arena a transaction: what it allocates dies together.
 *
 * Memory comes in chunks; the first small chunk stays with arena_reset(), so that a keep-alive
 * connection does not go back to malloc for every request. Not for use by two threads at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/def.h"
#include "base/slice.h"

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *head;
	size_t used;  /* bytes handed out since init or reset */
	size_t max;   /* bytes this arena may hand out */
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);
/* Forgets all allocations; keeps one small chunk for the next round. */
void arena_reset(struct arena *a);

/* Zeroed, aligned for any type; NULL when malloc fails or `max` is reached. */
void *arena_alloc(struct arena *a, size_t len);
/* As arena_alloc() without the zeroes, for byte buffers. */
void *arena_bytes(struct arena *a, size_t len);
/* A NUL-terminated copy; ptr NULL on failure. */
struct slice arena_dup(struct arena *a, struct slice s);
struct slice arena_printf(struct arena *a, const char *fmt, ...) printf_like(2, 3);

#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))

#endif
