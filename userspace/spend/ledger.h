/* What was spent, in SQLite; the recorder is its only writer. */
#ifndef SPEND_LEDGER_H
#define SPEND_LEDGER_H

#include "base/db.h"
#include "spend/budget.h"

/* Creates or upgrades the tables, whose names begin with "ledger_": other rooms may keep theirs in
 * the same file. -EPROTO: written by a newer sallyport. */
int ledger_init(struct db *d);
/* Within the caller's transaction: books one exchange under every account it was reserved for. The
 * caller stores how far it has read the spool in the same transaction: then each exchange is booked
 * exactly once, whenever the recorder is killed. */
int ledger_book(struct db *d, const struct budget_account *accounts, size_t n, int64_t microusd,
		int64_t tokens);
/* The same for the sum of several exchanges of one account: what the recorder adds up in a batch.
 */
int ledger_add(struct db *d, const struct budget_account *a, int64_t microusd, int64_t tokens,
	       int64_t requests);
/* Raises the shared table to what the windows that are still open at now_s say. Drain the spool
 * first: what lies in it is not in the ledger yet. */
int ledger_restore(struct db *d, struct budget_table *t, uint64_t now_s);
/* For `sallyport budget`. -ENOENT none. */
int ledger_read(struct db *d, const struct budget_account *a, int64_t *microusd, int64_t *tokens,
		int64_t *requests);
/* Calls each() for every account of that budget and window, biggest spender first. */
typedef int ledger_each_fn(void *ctx, const struct budget_account *a, int64_t microusd,
			   int64_t tokens, int64_t requests);
int ledger_each(struct db *d, const char *id, uint64_t window_s, ledger_each_fn *each, void *ctx);

#endif
