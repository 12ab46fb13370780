/* The ledger's SQL. An account is a row; a booking adds to it. */
#include "spend/ledger.h"

#include "base/def.h"

#include <errno.h>
#include <stdlib.h>

#define LEDGER_VERSION 1

/* Kept apart from SQLite's user_version, which belongs to the whole file. */
static int ledger_version(struct db *d, int64_t *out)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(d, &q, "SELECT version FROM ledger_version", NULL);

	if (r == 0)
		r = db_next(q);
	if (r > 0)
		*out = db_int(q, 0);
	return r < 0 ? r : 0;
}

int ledger_init(struct db *d)
{
	int64_t version = 0;
	int r = db_exec(d, "CREATE TABLE IF NOT EXISTS ledger_version("
			   " one INTEGER PRIMARY KEY CHECK(one = 1), version INTEGER NOT NULL);"
			   "CREATE TABLE IF NOT EXISTS ledger_accounts("
			   " id TEXT NOT NULL, caller INTEGER NOT NULL, window_s INTEGER NOT NULL,"
			   " microusd INTEGER NOT NULL, tokens INTEGER NOT NULL,"
			   " requests INTEGER NOT NULL,"
			   " PRIMARY KEY(window_s, id, caller)) WITHOUT ROWID;");

	if (r == 0)
		r = ledger_version(d, &version);
	if (r < 0)
		return r;
	if (version > LEDGER_VERSION)
		return -EPROTO;
	return db_run(d,
		      "INSERT INTO ledger_version VALUES(1, ?1)"
		      " ON CONFLICT(one) DO UPDATE SET version = ?1",
		      "i", (int64_t)LEDGER_VERSION);
}

int ledger_add(struct db *d, const struct budget_account *a, int64_t microusd, int64_t tokens,
	       int64_t requests)
{
	struct slice id = slice_of(a->id, strnlen(a->id, sizeof(a->id)));

	return db_run(d,
		      "INSERT INTO ledger_accounts VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
		      " ON CONFLICT DO UPDATE SET microusd = microusd + ?4,"
		      " tokens = tokens + ?5, requests = requests + ?6",
		      "tiiiii", id, (int64_t)a->caller, (int64_t)a->window_s,
		      MAX(microusd, (int64_t)0), MAX(tokens, (int64_t)0), requests);
}

int ledger_book(struct db *d, const struct budget_account *accounts, size_t n, int64_t microusd,
		int64_t tokens)
{
	for (size_t i = 0; i < n; i++) {
		int r = ledger_add(d, &accounts[i], microusd, tokens, 1);

		if (r < 0)
			return r;
	}
	return 0;
}

static void account_set(struct budget_account *a, struct slice id, int64_t caller, int64_t window_s)
{
	memset(a, 0, sizeof(*a));
	slice_copy(a->id, sizeof(a->id), id);
	a->caller = (uint64_t)caller;
	a->window_s = (uint64_t)window_s;
}

int ledger_restore(struct db *d, struct budget_table *t, uint64_t now_s)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	/* An account does not say its length: what began today is a day, what began on the first of
	 * this month may be a month. */
	int r = db_query(d, &q,
			 "SELECT id, caller, window_s, microusd, tokens FROM ledger_accounts"
			 " WHERE window_s = ?1 OR window_s = ?2",
			 "ii", (int64_t)budget_window_s(false, now_s),
			 (int64_t)budget_window_s(true, now_s));

	while (r == 0 && (r = db_next(q)) > 0) {
		struct budget_account a;

		account_set(&a, slice_str(db_text(q, 0)), db_int(q, 1), db_int(q, 2));
		r = budget_put(t, &a, db_int(q, 3), db_int(q, 4));
	}
	return r;
}

int ledger_read(struct db *d, const struct budget_account *a, int64_t *microusd, int64_t *tokens,
		int64_t *requests)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(d, &q,
			 "SELECT microusd, tokens, requests FROM ledger_accounts"
			 " WHERE window_s = ?1 AND id = ?2 AND caller = ?3",
			 "iti", (int64_t)a->window_s,
			 slice_of(a->id, strnlen(a->id, sizeof(a->id))), (int64_t)a->caller);

	if (r == 0)
		r = db_next(q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*microusd = db_int(q, 0);
	*tokens = db_int(q, 1);
	*requests = db_int(q, 2);
	return 0;
}

int ledger_each(struct db *d, const char *id, uint64_t window_s, ledger_each_fn *each, void *ctx)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(d, &q,
			 "SELECT caller, microusd, tokens, requests FROM ledger_accounts"
			 " WHERE window_s = ?1 AND id = ?2"
			 " ORDER BY microusd DESC, tokens DESC, caller",
			 "is", (int64_t)window_s, id);

	while (r == 0 && (r = db_next(q)) > 0) {
		struct budget_account a;

		account_set(&a, slice_str(id), db_int(q, 0), (int64_t)window_s);
		r = each(ctx, &a, db_int(q, 1), db_int(q, 2), db_int(q, 3));
	}
	return r;
}
