/* Open exchanges: a hash table, and lists of what the next commit has to store and to delete. */
#include "daemon/opens.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS 1024U

int opens_init(struct opens *o)
{
	*o = (struct opens){ .n_buckets = BUCKETS };
	o->bucket = calloc(BUCKETS, sizeof(*o->bucket));
	return o->bucket ? 0 : -ENOMEM;
}

static void list_free(struct open_one *e)
{
	for (struct open_one *next; e; e = next) {
		next = e->fresh_next;
		free(e);
	}
}

void opens_done(struct opens *o)
{
	for (size_t i = 0; o->bucket && i < o->n_buckets; i++)
		for (struct open_one *e = o->bucket[i], *next; e; e = next) {
			next = e->next;
			if (!e->entry.ptr)
				free(e);
		}
	list_free(o->fresh);
	list_free(o->gone);
	free(o->bucket);
	*o = (struct opens){ 0 };
}

static struct open_one **bucket_of(const struct opens *o, uint64_t id)
{
	return &o->bucket[(id * 0x9e3779b97f4a7c15ULL >> 40) % o->n_buckets];
}

int opens_add(struct opens *o, uint64_t id, uint64_t position, struct slice entry)
{
	struct open_one *e, **at = bucket_of(o, id);

	if (o->n >= OPENS_MAX)
		return -ENOBUFS;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->id = id;
	e->position = position;
	e->entry = entry;
	e->next = *at;
	*at = e;
	o->n++;
	if (entry.ptr) {
		e->fresh_next = o->fresh;
		o->fresh = e;
	}
	return 0;
}

bool opens_end(struct opens *o, uint64_t id)
{
	for (struct open_one **at = bucket_of(o, id), *e; (e = *at); at = &e->next) {
		if (e->id != id)
			continue;
		*at = e->next;
		o->n--;
		e->ended = true;
		if (!e->entry.ptr) { /* stored: to be deleted; a fresh one is just not stored */
			e->fresh_next = o->gone;
			o->gone = e;
		}
		return true;
	}
	return false;
}

struct open_one *opens_each(const struct opens *o, size_t *at, struct open_one *last)
{
	if (last && last->next)
		return last->next;
	for (size_t i = last ? *at + 1 : *at; i < o->n_buckets; i++) {
		if (o->bucket[i]) {
			*at = i;
			return o->bucket[i];
		}
	}
	return NULL;
}

void opens_committed(struct opens *o)
{
	for (struct open_one *e = o->fresh, *next; e; e = next) {
		next = e->fresh_next;
		e->fresh_next = NULL;
		e->entry = slice_of(NULL, 0);
		if (e->ended)
			free(e);
	}
	list_free(o->gone);
	o->fresh = o->gone = NULL;
}
