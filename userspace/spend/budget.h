/*
 * Budgets in shared memory: reserve before a request leaves, settle after. One file, mapped shared
 * by all workers and the recorder; the page cache keeps it through kill -9, the ledger (SQLite) is
 * the truth it is rebuilt from.
 *
 * Admission is lock-free: one compare-and-swap per account and currency. Only the first use of a
 * new account takes a lock, one the kernel frees when its holder is killed (a sandbox must allow
 * fcntl).
 *
 * What holds at every instruction, whoever is killed: settled + reserved never exceeds a limit by
 * an admission (it may by a settlement above its reservation); whatever is lost with a killed
 * process is counted too high, never too low, until budget_table_reset().
 *
 *   start of the daemon   no worker lives: budget_table_reset(), then ledger_restore()
 *   recorder restarted    workers live and hold reservations: no reset. The table is ahead of the
 *                         ledger by what still lies in the spool; ledger_restore() only ever raises
 *   worker died           once it is reaped: budget_release_worker(its number). What became of its
 *                         exchanges the recorder knows (RECORD_OPEN without an end) and books
 */
#ifndef SPEND_BUDGET_H
#define SPEND_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGETS_MAX 8 /* that may apply to one request */
#define BUDGET_ID_LEN 48
#define BUDGET_WORKERS 8 /* processes that may hold reservations at once */

struct budget_table;

/* An account: one budget, one caller (or shared), one window. */
struct budget_account {
	char id[BUDGET_ID_LEN]; /* the rule's id */
	uint64_t caller;	/* principal_key; 0 shared */
	uint64_t window_s;	/* start of the day or month, UTC, seconds since 1970 */
};
uint64_t budget_window_s(bool monthly, uint64_t now_s);
/* The start of the day or month after the one that began at window_s. */
uint64_t budget_window_end_s(bool monthly, uint64_t window_s);

/* Creates or opens the file (fully allocated, so that a full disk cannot kill a writer). A file of
 * another layout or another boot is started afresh, with nothing in it. 0 or -errno. */
int budget_table_open(const char *path, struct budget_table **out);
int budget_table_fd(const struct budget_table *t);
/* Maps a table whose descriptor came over a channel. The fd is dup'd. A descriptor open for reading
 * gives a table to read. -EBADMSG: not such a table. */
int budget_table_map(int fd, struct budget_table **out);
void budget_table_close(struct budget_table *t);
/* Which worker process this mapping reserves for: 0 (the default) to BUDGET_WORKERS - 1. -EINVAL.
 */
int budget_table_worker(struct budget_table *t, unsigned worker);

struct budget_claim {
	struct budget_account account;
	int64_t limit_microusd, limit_tokens; /* -1 none */
	unsigned warn_percent;
};

struct reservation {
	int64_t microusd, tokens;
	struct {
		uint32_t slot;
		struct budget_account account;
	} held[BUDGETS_MAX];
	size_t n;
};

struct budget_state {
	int64_t spent_microusd, spent_tokens;	    /* settled */
	int64_t reserved_microusd, reserved_tokens; /* in flight */
};

/*
 * All or nothing. 0, or -EDQUOT: *which = index of the claim that is used up. A claim is used up
 * when its limit is spent, or when what is spent, reserved and asked for together would exceed it.
 * *warn = index of the first claim that this request takes (spent and reserved) to its warn_percent
 * or over for the first time in its window, or -1. *which and *warn are written in every case but
 * the last two. -ENOSPC: the table is full. -EINVAL: more than BUDGETS_MAX claims. -EBUSY: a new
 * account could not be entered, its lock is held for 100 ms.
 */
int budget_reserve(struct budget_table *t, const struct budget_claim *claims, size_t n,
		   int64_t microusd, int64_t tokens, struct reservation *out, int *which,
		   int *warn);
/* Releases what was reserved and books what it really was (may be more). Once a reservation. */
void budget_settle(struct budget_table *t, const struct reservation *r, int64_t microusd,
		   int64_t tokens);
/* -ENOENT when the account was never used. */
int budget_read(const struct budget_table *t, const struct budget_account *a,
		struct budget_state *out);
/* Walks the accounts: *position from 0. True while there is one. */
bool budget_next(const struct budget_table *t, uint32_t *position, struct budget_account *a,
		 struct budget_state *out);

/* Forgets everything, reservations too: only while no worker lives. 0, -EBUSY. */
int budget_table_reset(struct budget_table *t);
/* Raises what is settled to at least this much: what the ledger says. 0, -ENOSPC, -EBUSY. */
int budget_put(struct budget_table *t, const struct budget_account *a, int64_t microusd,
	       int64_t tokens);
/* Gives back all that a worker held. It must be dead and reaped. */
void budget_release_worker(struct budget_table *t, unsigned worker);

#endif
