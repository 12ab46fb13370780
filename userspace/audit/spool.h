/*
 * The worker's hand-over to the recorder: a ring in a file mapped by both, one writer thread, one
 * reader. What is in it is handed over: it survives kill -9 of either process. A full disk cannot
 * break it (the file is allocated when made); a full ring is -ENOSPC and the rule's fail mode decides.
 */
#ifndef AUDIT_SPOOL_H
#define AUDIT_SPOOL_H

#include "base/slice.h"

#include <stdint.h>

struct spool;

int spool_create(const char *path, size_t size, struct spool **out); /* or opens an old one as it is */
int spool_fd(const struct spool *s);
int spool_map(int fd, struct spool **out); /* the fd is dup'd */
void spool_close(struct spool *s);

/* Writer: copies one entry in. 0, -ENOSPC (full), -EMSGSIZE (over a quarter of the ring). */
int spool_put(struct spool *s, const void *entry, size_t len);
/* Bytes free, as a share of the ring in percent: the worker wakes the recorder when it gets low. */
unsigned spool_free_percent(const struct spool *s);

/* Reader: the oldest entry, in place; -ENOENT none, -EBADMSG the ring is damaged (then spool_reset).
 * *position counts all bytes ever put: what the ledger stores to book each entry exactly once. */
int spool_peek(struct spool *s, struct slice *entry, uint64_t *position);
void spool_drop(struct spool *s);
void spool_reset(struct spool *s);

#endif
