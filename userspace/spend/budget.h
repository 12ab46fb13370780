/*
 * Budgets in shared memory: reserve before a request leaves, settle after. One file, mapped shared by
 * all workers and the recorder; the page cache keeps it through kill -9, the ledger (SQLite) is the
 * truth it is rebuilt from. Lock-free: admission is one compare-and-swap per account.
 */
#ifndef SPEND_BUDGET_H
#define SPEND_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGETS_MAX 8     /* that may apply to one request */
#define BUDGET_ID_LEN 48

struct budget_table;

/* An account: one budget, one caller (or shared), one window. */
struct budget_account {
	char id[BUDGET_ID_LEN];   /* the rule's id */
	uint64_t caller;          /* principal_key; 0 shared */
	uint64_t window_s;        /* start of the day or month, UTC, seconds since 1970 */
};
uint64_t budget_window_s(bool monthly, uint64_t now_s);

/* Creates or opens the file (fully allocated, so that a full disk cannot kill a writer). */
int budget_table_open(const char *path, struct budget_table **out);
int budget_table_fd(const struct budget_table *t);
/* Maps a table whose descriptor came over a channel. The fd is dup'd. */
int budget_table_map(int fd, struct budget_table **out);
void budget_table_close(struct budget_table *t);

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
	int64_t spent_microusd, spent_tokens;       /* settled */
	int64_t reserved_microusd, reserved_tokens; /* in flight */
};

/*
 * All or nothing. 0, or -EDQUOT: *which = index of the claim that is used up. *warn = index of the
 * first claim that this request takes over its warn_percent for the first time, or -1.
 * -ENOSPC: the table is full.
 */
int budget_reserve(struct budget_table *t, const struct budget_claim *claims, size_t n,
		   int64_t microusd, int64_t tokens, struct reservation *out, int *which, int *warn);
/* Releases what was reserved and books what it really was (may be more). */
void budget_settle(struct budget_table *t, const struct reservation *r, int64_t microusd,
		   int64_t tokens);
/* -ENOENT when the account was never used. */
int budget_read(const struct budget_table *t, const struct budget_account *a,
		struct budget_state *out);
/* Recorder at start: forget everything, then put what the ledger says. */
void budget_table_reset(struct budget_table *t);
int budget_put(struct budget_table *t, const struct budget_account *a, int64_t microusd,
	       int64_t tokens);

#endif
