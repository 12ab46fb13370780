/*
 * The worker's hand-over to the recorder: a ring in a file mapped by both, one writer thread, one
 * reader. What is in it is handed over: it survives kill -9 of either process. A full disk cannot
 * break it (the file is allocated when made); a full ring is -ENOSPC and the rule's fail mode decides.
 *
 * The reader does not trust the writer: lengths, marks and positions are checked, and an entry must
 * be copied before it is looked at, as the writer can still scribble over it. What the mapping cannot
 * survive is a file cut short, so the worker's seccomp filter must not let ftruncate through.
 */
#ifndef AUDIT_SPOOL_H
#define AUDIT_SPOOL_H

#include "base/slice.h"

#include <stdint.h>

struct spool;

/* Or opens an old one as it is. -ENOSPC: no room for the whole ring; -EBADMSG: not a spool. */
int spool_create(const char *path, size_t size, struct spool **out);
int spool_fd(const struct spool *s);
int spool_map(int fd, struct spool **out); /* the fd is dup'd; -EBADMSG: not a spool */
void spool_close(struct spool *s);
void spool_closep(struct spool **s);
/* Random, given at creation: tells a new ring from an old one of the same name. */
uint64_t spool_id(const struct spool *s);

/* Writer: copies one entry in. 0, -ENOSPC (full), -EMSGSIZE (over a quarter of the ring). */
int spool_put(struct spool *s, const void *entry, size_t len);
/* Bytes free; the writer may count on as much, but for the odd entry's length at the ring's seam. */
size_t spool_free(const struct spool *s);
/* Bytes free, as a share of the ring in percent: the worker wakes the recorder when it gets low. */
unsigned spool_free_percent(const struct spool *s);

/*
 * Reader: the next entry, in place; -ENOENT none, -EBADMSG the ring is damaged (then spool_reset).
 * *position counts all bytes ever put up to and with this entry: what the ledger stores to book each
 * entry exactly once.
 */
int spool_peek(struct spool *s, struct slice *entry, uint64_t *position);
/* Goes on to the next entry and keeps the bytes; spool_release() gives all passed ones back. */
void spool_step(struct spool *s);
void spool_release(struct spool *s);
/* Both: done with this entry. */
void spool_drop(struct spool *s);
/* Gives up on everything that is in the ring. */
void spool_reset(struct spool *s);

#endif
