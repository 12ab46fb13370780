/*
 * Inside of budget.c: the file, its slots, and the lock under which a new account gets one.
 */
#ifndef SPEND_TABLE_H
#define SPEND_TABLE_H

#include "base/def.h"
#include "spend/budget.h"

#include <stdatomic.h>

#define TABLE_SLOTS 4096U
#define TAG_EMPTY 0ULL
#define TAG_FILLING 1ULL
#define AMOUNT_BITS 40
#define AMOUNT_MAX ((1LL << AMOUNT_BITS) - 1) /* reserved at once: 1.1 million dollars */

enum currency { MICROUSD, TOKENS, CURRENCIES };

struct slot {
	_Atomic uint64_t tag;
	struct budget_account account;
	_Atomic int64_t settled[CURRENCIES];
	_Atomic uint64_t reserved[CURRENCIES]; /* version << AMOUNT_BITS | amount */
	_Atomic int64_t lane[BUDGET_WORKERS][CURRENCIES];
	_Atomic uint32_t warned;
	uint32_t pad[5];
};
_Static_assert(sizeof(struct slot) == 256, "four cache lines a slot");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "lock-free across processes");

struct header {
	uint64_t magic;
	uint32_t version, slots, slot_size;
	uint32_t ready; /* written last */
	char boot[40];             /* boot_id: what another boot left may be torn */
	uint64_t key[2];
	_Atomic uint64_t newest_s; /* start of the newest window seen: our clock for expiry */
};

struct table {
	union {
		struct header h;
		char page[4096];
	};
	struct slot slots[TABLE_SLOTS];
};

struct budget_table {
	struct table *map;
	int fd;
	unsigned worker;
	bool readonly;
};

/* What an account is found by. */
uint64_t slot_tag(const struct budget_table *t, const struct budget_account *a);
struct slot *slot_find(struct table *m, uint64_t tag);
/* Finds the account's slot or enters it. 0, -ENOSPC (full), -EBUSY. */
int slot_get(struct budget_table *t, const struct budget_account *a, struct slot **out);

#endif
