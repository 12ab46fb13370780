/*
 * What the recorder keeps in ledger.db: accounts, inventory, how far each spool and the log are, and
 * the exchanges in flight. Notes are added up in memory; everything else happens between books_begin()
 * and books_end() and is one transaction.
 */
#ifndef DAEMON_BOOKS_H
#define DAEMON_BOOKS_H

#include "audit/record.h"
#include "base/db.h"

#include <stdbool.h>

struct books;

int books_open(const char *path, struct books **out);
void books_close(struct books *b);
struct db *books_db(struct books *b);
const char *books_error(const struct books *b);

/* Adds a record to the sums. The amounts come from its own usage and cost. */
int books_note(struct books *b, const struct record *r);
/* Room for one more record of any kind? Otherwise commit first. */
bool books_room(const struct books *b);
bool books_empty(const struct books *b);

int books_begin(struct books *b);
/* Stores the sums and commits; `good` false, or any failure: rolls back and keeps the sums. */
int books_end(struct books *b, bool good);

int books_position(struct books *b, uint64_t spool, uint64_t *out); /* 0: unknown spool */
int books_put_position(struct books *b, uint64_t spool, uint64_t position);
int books_forget(struct books *b, uint64_t spool);             /* its row and its open exchanges */
/* Spools that are known, for forgetting those whose file is gone. */
int books_spools(struct books *b, int (*each)(void *arg, uint64_t spool), void *arg);

int books_put_open(struct books *b, uint64_t spool, uint64_t position, const struct record *r);
int books_delete_open(struct books *b, uint64_t spool, uint64_t position);
int books_opens(struct books *b, uint64_t spool,
		int (*each)(void *arg, uint64_t position, uint64_t id), void *arg);
/* -ENOENT: none such; -EBADMSG: not readable. */
int books_open_read(struct books *b, uint64_t spool, uint64_t position, struct record *out);

#endif
