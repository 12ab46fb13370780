/*
 * The audit log on disk: audit.jsonl and, beside it, audit-<first seq>.jsonl of what was rotated away.
 * One writer. A batch is one write(2); a line counts as written when a file that has a name holds all
 * of it. Whatever becomes of the file, the chain goes on and an "admin" line says what happened.
 */
#ifndef AUDIT_WRITER_H
#define AUDIT_WRITER_H

#include "audit/chain.h"

#include <limits.h>

struct writer;

/*
 * Continues the log at `path` (created 0640). `known`: how far the ledger knows it; when the file
 * ends before that, does not verify or is not there, the chain goes on from `known` in it. A last line
 * that a crash cut off is removed: its record still is in the spool. rotate_bytes 0: never.
 */
int writer_open(const char *path, uint64_t rotate_bytes, const struct chain *known,
		struct writer **out);
void writer_free(struct writer *w);

/* Chains a line into the batch. -ENOBUFS: flush first. */
int writer_add(struct writer *w, struct slice members);
/*
 * Writes the batch; an empty one is fine. On an error (-ENOSPC, -EIO...) nothing of it is in the file
 * and all of it stays for the next try, which is then due; the first failure and the recovery are
 * logged, with place and remedy.
 */
int writer_flush(struct writer *w);
/* fdatasync, when something was written since the last. */
void writer_sync(struct writer *w);
size_t writer_pending(const struct writer *w); /* bytes in the batch */
/* After the last line that was chained; what is known to be in the file after a good flush. */
struct chain writer_chain(const struct writer *w);

/* The log's files, oldest first: those rotated away, then `path` itself if it is there. */
struct log_files {
	char (*path)[PATH_MAX];
	size_t n;
};
int log_files_list(const char *path, struct log_files *out);
void log_files_done(struct log_files *f);

/* Calls `each` for the lines numbered above seq, oldest first, over as many files as they fill. */
int log_since(const char *path, uint64_t seq,
	      void (*each)(void *arg, const struct chain_link *line), void *arg);

#endif
