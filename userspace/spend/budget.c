/*
 * Reserving and settling in the shared table (table.c keeps the file and its slots).
 *
 * Per currency a slot has `settled`, which only grows, and `reserved`, 40 bits of amount under 24
 * bits of version. Admission reads reserved, then settled, then swaps reserved: when the swap
 * succeeds no reservation changed in between, and a settlement that did (it adds to settled first
 * and gives back its reservation last) is counted twice for that moment, never not at all. `lane`
 * says how much of reserved belongs to which worker: raised after reserved and lowered before it,
 * so that a kill in between leaves something over instead of giving it back twice.
 */
#include "spend/table.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SETTLED_MAX (1LL << 60)
#define DAY_S 86400ULL

/* ---- windows ---- */

uint64_t budget_window_s(bool monthly, uint64_t now_s)
{
	time_t now = (time_t)now_s;
	struct tm tm;

	if (!monthly)
		return now_s - now_s % DAY_S;
	if (!gmtime_r(&now, &tm))
		return 0;
	return now_s - now_s % DAY_S - (uint64_t)(tm.tm_mday - 1) * DAY_S;
}

uint64_t budget_window_end_s(bool monthly, uint64_t window_s)
{
	/* 31 days after the first of a month lies in the next one. */
	return monthly ? budget_window_s(true, window_s + 31 * DAY_S) : window_s + DAY_S;
}

/* ---- amounts ---- */

static int64_t amount(uint64_t reserved)
{
	return (int64_t)(reserved & (uint64_t)AMOUNT_MAX);
}

static uint64_t amount_set(uint64_t reserved, int64_t to)
{
	return ((reserved >> AMOUNT_BITS) + 1) << AMOUNT_BITS | (uint64_t)to;
}

static bool fits(int64_t settled, int64_t reserved, int64_t more, int64_t limit)
{
	if (reserved + more > AMOUNT_MAX)
		return false;
	return limit < 0 || (settled < limit && settled + reserved + more <= limit);
}

static bool slot_reserve(struct slot *s, enum currency c, int64_t more, int64_t limit,
			 unsigned worker)
{
	uint64_t reserved = atomic_load(&s->reserved[c]);

	do {
		if (!fits(atomic_load(&s->settled[c]), amount(reserved), more, limit))
			return false;
	} while (!atomic_compare_exchange_weak(&s->reserved[c], &reserved,
					       amount_set(reserved, amount(reserved) + more)));
	atomic_fetch_add(&s->lane[worker][c], more);
	return true;
}

static void amount_lower(struct slot *s, enum currency c, int64_t by)
{
	uint64_t reserved = atomic_load(&s->reserved[c]);
	int64_t left;

	do {
		left = amount(reserved) - by;
	} while (!atomic_compare_exchange_weak(&s->reserved[c], &reserved,
					       amount_set(reserved, left > 0 ? left : 0)));
}

static void slot_release(struct slot *s, enum currency c, int64_t by, unsigned worker)
{
	atomic_fetch_sub(&s->lane[worker][c], by);
	amount_lower(s, c, by);
}

static void settled_add(struct slot *s, enum currency c, int64_t by)
{
	if (by > 0 && atomic_load(&s->settled[c]) < SETTLED_MAX)
		atomic_fetch_add(&s->settled[c], MIN(by, SETTLED_MAX));
}

static bool over_percent(const struct slot *s, enum currency c, int64_t limit, unsigned percent)
{
	int64_t used = atomic_load(&s->settled[c]) + amount(atomic_load(&s->reserved[c]));

	return limit >= 0 && (__int128)used * 100 >= (__int128)limit * percent;
}

static int first_warning(struct slot *const *slots, const struct budget_claim *claims, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned percent = claims[i].warn_percent;

		if (percent && atomic_load(&slots[i]->warned) == 0 &&
		    (over_percent(slots[i], MICROUSD, claims[i].limit_microusd, percent) ||
		     over_percent(slots[i], TOKENS, claims[i].limit_tokens, percent)) &&
		    atomic_exchange(&slots[i]->warned, 1) == 0)
			return (int)i;
	}
	return -1;
}

/* ---- reserve and settle ---- */

static bool claim_fits(struct slot *s, const struct budget_claim *c, const int64_t want[CURRENCIES])
{
	return fits(atomic_load(&s->settled[MICROUSD]), amount(atomic_load(&s->reserved[MICROUSD])),
		    want[MICROUSD], c->limit_microusd) &&
	       fits(atomic_load(&s->settled[TOKENS]), amount(atomic_load(&s->reserved[TOKENS])),
		    want[TOKENS], c->limit_tokens);
}

static bool claim_take(struct slot *s, const struct budget_claim *c, const int64_t want[CURRENCIES],
		       unsigned worker)
{
	if (!slot_reserve(s, MICROUSD, want[MICROUSD], c->limit_microusd, worker))
		return false;
	if (slot_reserve(s, TOKENS, want[TOKENS], c->limit_tokens, worker))
		return true;
	slot_release(s, MICROUSD, want[MICROUSD], worker);
	return false;
}

int budget_reserve(struct budget_table *t, const struct budget_claim *claims, size_t n,
		   int64_t microusd, int64_t tokens, struct reservation *out, int *which, int *warn)
{
	const int64_t want[CURRENCIES] = { MIN(MAX(microusd, (int64_t)0), AMOUNT_MAX),
					   MIN(MAX(tokens, (int64_t)0), AMOUNT_MAX) };
	struct slot *slots[BUDGETS_MAX];
	size_t taken = 0;

	if (n > BUDGETS_MAX || t->readonly)
		return -EINVAL;
	*which = *warn = -1;
	/* Look before taking: a request that one account refuses then holds nothing of another. */
	for (size_t i = 0; i < n; i++) {
		int r = slot_get(t, &claims[i].account, &slots[i]);

		if (r < 0)
			return r;
		if (!claim_fits(slots[i], &claims[i], want)) {
			*which = (int)i;
			return -EDQUOT;
		}
	}
	while (taken < n && claim_take(slots[taken], &claims[taken], want, t->worker))
		taken++;
	if (taken < n) {
		*which = (int)taken;
		while (taken--) {
			slot_release(slots[taken], MICROUSD, want[MICROUSD], t->worker);
			slot_release(slots[taken], TOKENS, want[TOKENS], t->worker);
		}
		return -EDQUOT;
	}
	*warn = first_warning(slots, claims, n);
	out->microusd = want[MICROUSD];
	out->tokens = want[TOKENS];
	out->n = n;
	for (size_t i = 0; i < n; i++) {
		out->held[i].slot = (uint32_t)(slots[i] - t->map->slots);
		out->held[i].account = claims[i].account;
	}
	return 0;
}

void budget_settle(struct budget_table *t, const struct reservation *r, int64_t microusd,
		   int64_t tokens)
{
	for (size_t i = 0; i < MIN(r->n, (size_t)BUDGETS_MAX) && !t->readonly; i++) {
		struct slot *s = &t->map->slots[r->held[i].slot % TABLE_SLOTS];

		/* Another account's by now: the window ended more than a day ago. */
		if (atomic_load(&s->tag) != slot_tag(t, &r->held[i].account))
			continue;
		settled_add(s, MICROUSD, microusd);
		settled_add(s, TOKENS, tokens);
		slot_release(s, MICROUSD, r->microusd, t->worker);
		slot_release(s, TOKENS, r->tokens, t->worker);
	}
}

/* ---- reading ---- */

static void slot_state(struct slot *s, struct budget_state *out)
{
	out->spent_microusd = atomic_load(&s->settled[MICROUSD]);
	out->spent_tokens = atomic_load(&s->settled[TOKENS]);
	out->reserved_microusd = amount(atomic_load(&s->reserved[MICROUSD]));
	out->reserved_tokens = amount(atomic_load(&s->reserved[TOKENS]));
}

int budget_read(const struct budget_table *t, const struct budget_account *a,
		struct budget_state *out)
{
	struct slot *s = slot_find(t->map, slot_tag(t, a));

	if (!s)
		return -ENOENT;
	slot_state(s, out);
	return 0;
}

bool budget_next(const struct budget_table *t, uint32_t *position, struct budget_account *a,
		 struct budget_state *out)
{
	while (*position < TABLE_SLOTS) {
		struct slot *s = &t->map->slots[(*position)++];
		uint64_t tag = atomic_load_explicit(&s->tag, memory_order_acquire);

		if (tag <= TAG_FILLING)
			continue;
		*a = s->account;
		a->id[BUDGET_ID_LEN - 1] = '\0';
		slot_state(s, out);
		if (atomic_load(&s->tag) == tag)
			return true;
	}
	return false;
}

/* ---- repair ---- */

static void settled_raise(struct slot *s, enum currency c, int64_t to)
{
	int64_t have = atomic_load(&s->settled[c]);

	to = MIN(to, SETTLED_MAX);
	while (have < to && !atomic_compare_exchange_weak(&s->settled[c], &have, to))
		;
}

int budget_put(struct budget_table *t, const struct budget_account *a, int64_t microusd,
	       int64_t tokens)
{
	struct slot *s;
	int r = t->readonly ? -EINVAL : slot_get(t, a, &s);

	if (r < 0)
		return r;
	settled_raise(s, MICROUSD, microusd);
	settled_raise(s, TOKENS, tokens);
	return 0;
}

void budget_release_worker(struct budget_table *t, unsigned worker)
{
	if (worker >= BUDGET_WORKERS || t->readonly)
		return;
	for (uint32_t i = 0; i < TABLE_SLOTS; i++) {
		struct slot *s = &t->map->slots[i];

		for (int c = 0; c < CURRENCIES; c++) {
			int64_t held = atomic_exchange(&s->lane[worker][c], 0);

			if (held > 0)
				amount_lower(s, (enum currency)c, held);
		}
	}
}

int budget_table_worker(struct budget_table *t, unsigned worker)
{
	if (worker >= BUDGET_WORKERS)
		return -EINVAL;
	t->worker = worker;
	return 0;
}
