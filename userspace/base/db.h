/*
 * SQLite in a few typed calls; the rooms that keep tables (ledger, inventory) bring their own SQL.
 * Every call returns 0 or -errno (-EIO for what SQLite says; db_error() has its words, -ENOSPC when
 * the disk is full, -EBUSY after five seconds of waiting).
 */
#ifndef BASE_DB_H
#define BASE_DB_H

#include "base/slice.h"

#include <stdint.h>

struct db;
struct db_query;

/* WAL, synchronous=NORMAL: a commit survives kill -9 of every process of ours. */
int db_open(const char *path, bool readonly, struct db **out);
void db_close(struct db *d);
void db_closep(struct db **d);
const char *db_error(const struct db *d);

/* One or more statements without parameters. */
int db_exec(struct db *d, const char *sql);

/*
 * One statement with parameters. types: a letter a parameter: 'i' int64_t, 's' const char * (NULL is
 * SQL NULL), 't' struct slice as text, 'b' struct slice blob, 'd' double. `sql` must be a literal: the
 * prepared statement is kept by its address.
 */
int db_run(struct db *d, const char *sql, const char *types, ...);

/* Rows. db_next(): 1 a row, 0 no more, -errno. Texts live until the next db_next(). */
int db_query(struct db *d, struct db_query **out, const char *sql, const char *types, ...);
int db_next(struct db_query *q);
int64_t db_int(struct db_query *q, int column);
double db_double(struct db_query *q, int column);
const char *db_text(struct db_query *q, int column); /* "" for NULL */
struct slice db_blob(struct db_query *q, int column);
void db_query_free(struct db_query *q);
void db_query_freep(struct db_query **q);

#endif
