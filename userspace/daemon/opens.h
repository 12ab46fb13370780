/* Exchanges that were begun and have not ended, of one spool, by the exchange's id. */
#ifndef DAEMON_OPENS_H
#define DAEMON_OPENS_H

#include "base/slice.h"

#include <stdint.h>

struct open_one {
	struct open_one *next;       /* in the bucket */
	struct open_one *fresh_next; /* not in the ledger yet */
	uint64_t id, position;
	struct slice entry; /* in the ring until the commit that stores it; absent then */
	bool ended;         /* waits for the commit only */
};

struct opens {
	struct open_one **bucket;
	size_t n_buckets, n;
	struct open_one *fresh, *gone; /* gone: stored ones that have ended */
};

#define OPENS_MAX 65536U /* of one worker; more are a fault of its */

int opens_init(struct opens *o);
void opens_done(struct opens *o);
/* -ENOBUFS over OPENS_MAX, -ENOMEM. An absent entry: it is in the ledger. */
int opens_add(struct opens *o, uint64_t id, uint64_t position, struct slice entry);
/* False when it is not known. */
bool opens_end(struct opens *o, uint64_t id);
/* The next unended one that is not before *at (start with 0), or NULL. */
struct open_one *opens_each(const struct opens *o, size_t *at, struct open_one *last);
/* The commit is through: nothing is fresh, the gone ones are forgotten. */
void opens_committed(struct opens *o);

#endif
