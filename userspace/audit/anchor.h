/*
 * How far the log is, kept in the ledger's database: what a cut at the log's end or a log that was
 * written anew is noticed by, as the chain alone cannot.
 */
#ifndef AUDIT_ANCHOR_H
#define AUDIT_ANCHOR_H

#include "audit/chain.h"
#include "base/db.h"

int anchor_init(struct db *d);
/* Within the caller's transaction. */
int anchor_put(struct db *d, const struct chain *c);
/* seq 0: nothing yet. */
int anchor_get(struct db *d, struct chain *out);

#endif
