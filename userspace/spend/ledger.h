/* What was spent, in SQLite; the recorder is its only writer. */
#ifndef SPEND_LEDGER_H
#define SPEND_LEDGER_H

#include "base/db.h"
#include "spend/budget.h"

/* Creates or upgrades the tables (user_version). */
int ledger_init(struct db *d);
/* Within the caller's transaction: books one exchange under every account it was reserved for. */
int ledger_book(struct db *d, const struct budget_account *accounts, size_t n, int64_t microusd,
		int64_t tokens);
/* Fills the shared table with the windows that are still open at now_s. */
int ledger_restore(struct db *d, struct budget_table *t, uint64_t now_s);
/* For `sallyport budget`. -ENOENT none. */
int ledger_read(struct db *d, const struct budget_account *a, int64_t *microusd, int64_t *tokens,
		int64_t *requests);

#endif
