/*
 * Who uses which AI provider, in SQLite beside the ledger; the recorder is its only writer. Notes are
 * added up in memory and stored once a batch.
 *
 *	inventory           a row a caller, provider, endpoint and model: since it was first seen
 *	inventory_days      a row a UTC day, caller and provider: the sums of that day
 *	inventory_findings  a row a UTC day, caller, provider, type, place and action
 *
 * Days are kept for INVENTORY_DAYS_KEPT.
 */
#ifndef DISCOVER_INVENTORY_H
#define DISCOVER_INVENTORY_H

#include "base/db.h"

#include <stdint.h>

struct principal;

#define INVENTORY_DAYS_KEPT 400
#define INVENTORY_FINDINGS 16 /* of one note */
#define INVENTORY_DAY_NS (86400ULL * 1000000000)

/* Never the text that was found. */
struct inventory_finding {
	const char *type, *place, *action; /* "AWS_KEY", "request", "block" */
	uint32_t count;
};

/* What happened, as the caller of this room (who knows records) reads it. Borrowed. */
struct inventory_note {
	uint64_t caller;             /* principal_key() */
	const struct principal *who;
	const char *provider, *endpoint, *model; /* "" unknown */
	const char *host;
	uint64_t time_ns;            /* wall clock */
	bool exchange, blocked, redacted, spliced, seen; /* counted where true */
	bool sanctioned, distrust;
	const char *reason;          /* of a refusal or failure; "" none */
	uint64_t bytes_out, bytes_in;
	int64_t tokens_in, tokens_out, cost_microusd; /* negative: unknown, counts as 0 */
	struct inventory_finding finding[INVENTORY_FINDINGS];
	size_t n_findings;
};

/* Creates or upgrades the tables. */
int inventory_init(struct db *d);

struct inventory;
struct inventory *inventory_new(void); /* NULL: out of memory */
void inventory_free(struct inventory *i);
/* -ENOBUFS: the batch is full, store it first; -ENOMEM. */
int inventory_note(struct inventory *i, const struct inventory_note *n);
bool inventory_full(const struct inventory *i);
/* Within the caller's transaction. The batch stays until inventory_clear(), so that a transaction
 * that failed can be tried again. */
int inventory_store(const struct inventory *i, struct db *d);
void inventory_clear(struct inventory *i);

/* Models a caller may have a row for; further ones are added up under "(other)". */
#define INVENTORY_ROWS_PER_CALLER 1000

struct inventory_row {
	uint64_t caller;
	const char *provider, *endpoint, *model;
	uint32_t uid, pid;        /* pid: of the last one seen; 0 unknown */
	const char *user, *exe, *digest, *unit, *slice, *container;
	uint64_t first_ns, last_ns;
	int64_t exchanges, blocked, redacted, spliced, seen;
	int64_t bytes_out, bytes_in, tokens_in, tokens_out, cost_microusd;
	bool sanctioned;          /* the last use was */
	bool distrust;            /* the client did not trust our CA at its last attempt */
	const char *hosts;        /* comma-separated */
	const char *reason;       /* the last one */
};
/* Rows seen at or after since_ns, latest first; a non-zero return of `each` ends it and is returned. */
int inventory_rows(struct db *d, uint64_t since_ns,
		   int (*each)(void *arg, const struct inventory_row *row), void *arg);

#endif
