/*
 * The recorder's work without its process: entries out of the workers' spools, each into the audit log
 * and the ledger exactly once, whatever is killed when.
 *
 *	drain   new entries become lines of the log (one write); nothing is given back to the spools
 *	commit  one SQLite transaction: ledger, inventory, open exchanges, how far each spool and the
 *	        log are; then the spools get their room back
 *
 * A line says which entry it is of ("from":"<spool>:<position>"), so that after a crash between the
 * two, lines that are in the log already are not written again, only booked.
 *
 * The folder `state_dir` belongs to the recorder's user (0750) and holds audit.jsonl, ledger.db with
 * -wal and -shm, budgets.shm and spool/ (the rings, 0600, made by the monitor, mapped by the workers).
 */
#ifndef DAEMON_BOOKING_H
#define DAEMON_BOOKING_H

#include "audit/record.h"
#include "audit/spool.h"

struct booking;
struct budget_table;

struct booking_counts {
	uint64_t entries;    /* taken out of spools */
	uint64_t lines;      /* written to the log */
	uint64_t lost;       /* exchanges whose worker died in mid-flight */
	uint64_t damaged;    /* entries that could not be read, rings that had to be reset */
	uint64_t commits, commit_failures, write_failures;
	uint64_t open;       /* exchanges in flight */
	uint64_t spools;
	uint64_t seq;        /* of the last line */
};

/* Opens or makes everything in state_dir. rotate_bytes 0: the log is never rotated. */
int booking_open(const char *state_dir, uint64_t rotate_bytes, struct booking **out);
/* Does not commit. */
void booking_close(struct booking *b);

/*
 * For the monitor: makes a fresh ring in state_dir/spool for a worker; a worker that is replaced gets
 * another one. Made by root it is given to the state folder's owner. 0, -ENOSPC, -errno.
 */
int booking_spool_new(const char *state_dir, unsigned slot, size_t size, struct spool **out);
/* Removes the file of a ring that is done. */
void booking_spool_remove(const struct spool *s);

/* A worker's ring; the fd is dup'd. One that is known already is left alone. */
int booking_add(struct booking *b, uint32_t slot, int fd);
/* The slot's worker is dead: drains its ring, closes what it left open as lost; the file goes away
 * with the next commit. */
int booking_gone(struct booking *b, uint32_t slot);
/* Rings in state_dir/spool that no worker has: as gone. */
int booking_orphans(struct booking *b);
/*
 * budgets.shm from the ledger; lent. fresh: no worker is alive, begin from the ledger's sums (drain and
 * commit first). From then on the reservations of a dead worker are given back when its ring is done.
 */
int booking_budgets(struct booking *b, bool fresh, struct budget_table **out);
/* A slot whose ring is finished since the last call, in the ledger and in the budgets; false: none. */
bool booking_done(struct booking *b, uint32_t *slot);

/* Up to a batch of new entries into the log. How many (0: nothing new), or -errno of the log. */
int booking_drain(struct booking *b);
/* One that came by message: in the log, but lost if the recorder is killed before the next drain. */
int booking_record(struct booking *b, const struct record *r);
/* Anything that a commit would make permanent? */
bool booking_dirty(const struct booking *b);
/* A ring is half full or the sums are: commit now. */
bool booking_pressed(const struct booking *b);
int booking_commit(struct booking *b);
void booking_sync(struct booking *b); /* the log to the disk */
void booking_counts(const struct booking *b, struct booking_counts *out);

#endif
