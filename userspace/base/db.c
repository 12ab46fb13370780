/* SQLite wrapper. */
#include "base/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>

#define DB_CACHED 32
#define DB_BUSY_MS 5000

struct db {
	sqlite3 *sql;
	struct {
		const char *key; /* address of the literal */
		sqlite3_stmt *stmt;
	} cache[DB_CACHED];
};

struct db_query {
	struct db *db;
	sqlite3_stmt *stmt;
};

static int db_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	default:
		return -EIO;
	}
}

int db_open(const char *path, bool readonly, struct db **out)
{
	int flags = readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	struct db *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	r = db_errno(sqlite3_open_v2(path, &d->sql, flags, NULL));
	if (r == 0)
		(void)sqlite3_busy_timeout(d->sql, DB_BUSY_MS);
	if (r == 0 && !readonly)
		r = db_exec(d, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
			       "PRAGMA foreign_keys=ON;");
	if (r < 0) {
		db_close(d);
		return r;
	}
	*out = d;
	return 0;
}

void db_close(struct db *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < DB_CACHED; i++)
		(void)sqlite3_finalize(d->cache[i].stmt);
	(void)sqlite3_close(d->sql);
	free(d);
}

void db_closep(struct db **d)
{
	db_close(*d);
}

const char *db_error(const struct db *d)
{
	return d && d->sql ? sqlite3_errmsg(d->sql) : "not open";
}

int db_exec(struct db *d, const char *sql)
{
	return db_errno(sqlite3_exec(d->sql, sql, NULL, NULL, NULL));
}

static int bind(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	int rc = SQLITE_OK;

	for (int i = 1; types && *types && rc == SQLITE_OK; types++, i++) {
		struct slice s;

		switch (*types) {
		case 'i':
			rc = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
			break;
		case 'd':
			rc = sqlite3_bind_double(stmt, i, va_arg(ap, double));
			break;
		case 's':
			rc = sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1,
					       SQLITE_TRANSIENT);
			break;
		case 't':
			s = va_arg(ap, struct slice);
			rc = sqlite3_bind_text(stmt, i, s.ptr, (int)s.len, SQLITE_TRANSIENT);
			break;
		case 'b':
			s = va_arg(ap, struct slice);
			rc = sqlite3_bind_blob(stmt, i, s.ptr, (int)s.len, SQLITE_TRANSIENT);
			break;
		default:
			return -EINVAL;
		}
	}
	return db_errno(rc);
}

static int cached(struct db *d, const char *sql, sqlite3_stmt **out)
{
	size_t free_slot = DB_CACHED;
	int rc;

	for (size_t i = 0; i < DB_CACHED; i++) {
		if (d->cache[i].key == sql) {
			*out = d->cache[i].stmt;
			return 0;
		}
		if (!d->cache[i].key && free_slot == DB_CACHED)
			free_slot = i;
	}
	if (free_slot == DB_CACHED) {
		free_slot = 0;
		(void)sqlite3_finalize(d->cache[0].stmt);
		d->cache[0].key = NULL;
		d->cache[0].stmt = NULL;
	}
	rc = sqlite3_prepare_v3(d->sql, sql, -1, SQLITE_PREPARE_PERSISTENT,
				&d->cache[free_slot].stmt, NULL);
	if (rc != SQLITE_OK)
		return db_errno(rc);
	d->cache[free_slot].key = sql;
	*out = d->cache[free_slot].stmt;
	return 0;
}

int db_run(struct db *d, const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt = NULL;
	va_list ap;
	int r = cached(d, sql, &stmt), rc;

	if (r < 0)
		return r;
	va_start(ap, types);
	r = bind(stmt, types, ap);
	va_end(ap);
	if (r == 0) {
		do {
			rc = sqlite3_step(stmt);
		} while (rc == SQLITE_ROW);
		r = db_errno(rc);
	}
	(void)sqlite3_reset(stmt);
	(void)sqlite3_clear_bindings(stmt);
	return r;
}

int db_query(struct db *d, struct db_query **out, const char *sql, const char *types, ...)
{
	struct db_query *q = calloc(1, sizeof(*q));
	va_list ap;
	int r;

	if (!q)
		return -ENOMEM;
	q->db = d;
	r = db_errno(sqlite3_prepare_v2(d->sql, sql, -1, &q->stmt, NULL));
	if (r == 0) {
		va_start(ap, types);
		r = bind(q->stmt, types, ap);
		va_end(ap);
	}
	if (r < 0) {
		db_query_free(q);
		return r;
	}
	*out = q;
	return 0;
}

int db_next(struct db_query *q)
{
	int rc = sqlite3_step(q->stmt);

	return rc == SQLITE_ROW ? 1 : db_errno(rc);
}

int64_t db_int(struct db_query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

double db_double(struct db_query *q, int column)
{
	return sqlite3_column_double(q->stmt, column);
}

const char *db_text(struct db_query *q, int column)
{
	const unsigned char *t = sqlite3_column_text(q->stmt, column);

	return t ? (const char *)t : "";
}

struct slice db_blob(struct db_query *q, int column)
{
	const void *p = sqlite3_column_blob(q->stmt, column);

	return slice_of(p, (size_t)sqlite3_column_bytes(q->stmt, column));
}

void db_query_free(struct db_query *q)
{
	if (!q)
		return;
	(void)sqlite3_finalize(q->stmt);
	free(q);
}

void db_query_freep(struct db_query **q)
{
	db_query_free(*q);
}
