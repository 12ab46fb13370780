/*
 * Which spool entry a line of the log is of, and which lines the log has that the ledger does not know:
 * after a crash those are booked but not written again.
 */
#ifndef DAEMON_REPLAY_H
#define DAEMON_REPLAY_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct replay_line;

struct replay {
	struct replay_line *lines;
	size_t n, cap;
	int error;
};

/* Appends the member that says it: ,"from":"<spool>:<position>", ":lost" for an end that never came. */
int replay_tag(struct buf *members, uint64_t spool, uint64_t position, bool lost);

/* The lines of the log at `path` numbered above seq. 0 or -errno. */
int replay_read(const char *path, uint64_t seq, struct replay *out);
void replay_done(struct replay *r);
/* Position of the last entry of that spool that has its line; 0 none. */
uint64_t replay_last(const struct replay *r, uint64_t spool);
/* Has the lost exchange that was opened at that position its line? */
bool replay_has_lost(const struct replay *r, uint64_t spool, uint64_t position);

#endif
