/*
 * All the rules a transaction works by, as one immutable set: policy, catalogue, prices, detectors.
 * Refcounted; a transaction keeps the set it began with, a reload swaps the worker's pointer.
 */
#ifndef RELAY_SNAPSHOT_H
#define RELAY_SNAPSHOT_H

#include "catalog/catalog.h"
#include "dlp/dlp.h"
#include "policy/policy.h"
#include "spend/prices.h"

enum snapshot_file { SNAPSHOT_POLICY, SNAPSHOT_CATALOG, SNAPSHOT_PRICES, SNAPSHOT_DETECTORS,
		     SNAPSHOT_FILES };
extern const char *const snapshot_names[SNAPSHOT_FILES]; /* "policy.json"... */

struct snapshot {
	struct policy *policy;
	struct catalog *catalog;
	struct prices *prices;
	struct dlp *dlp;
	uint64_t generation;
	int refs;
};

/*
 * texts by enum snapshot_file; detectors may be absent (ptr NULL). Every mistake of every file is
 * noted in `why`, one line each. 0, -EINVAL, -ENOMEM.
 */
int snapshot_load(const struct slice texts[SNAPSHOT_FILES], int mode_override, uint64_t generation,
		  struct buf *why, struct snapshot **out);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

#endif
