/*
 * The shared table of budget accounts.
 *
 * A slot is found by the fingerprint of its account (SipHash with the table's own key, so nobody
 * outside can aim at another's slot). Finding is lock-free; entering a new account happens under a
 * lock that dies with its holder, so that an account never gets two slots. A slot that is being filled has the tag
 * TAG_FILLING; left behind by a killed process it is garbage, and whoever holds the lock may take it.
 *
 * Per currency a slot has `settled`, which only grows, and `reserved`, 40 bits of amount under 24 bits
 * of version. Admission reads reserved, then settled, then swaps reserved: when the swap succeeds no
 * reservation changed in between, and a settlement that did (it adds to settled first and gives back
 * its reservation last) is counted twice for that moment, never not at all. `lane` says how much of
 * reserved belongs to which worker: raised after reserved and lowered before it, so that a kill in
 * between leaves something over instead of giving it back twice.
 */
#include "spend/budget.h"

#include "base/clock.h"
#include "base/def.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TABLE_MAGIC 0x74656764756270ULL
#define TABLE_VERSION 1
#define TABLE_SLOTS 4096U
#define TAG_EMPTY 0ULL
#define TAG_FILLING 1ULL
#define AMOUNT_BITS 40
#define AMOUNT_MAX ((1LL << AMOUNT_BITS) - 1) /* reserved at once: 1.1 million dollars */
#define SETTLED_MAX (1LL << 60)
#define LOCK_US 100000
#define LOCK_STEP_US 200
#define DAY_S 86400ULL

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
	uint32_t ready;          /* written last */
	char boot[40];           /* /proc/sys/kernel/random/boot_id: what another boot left may be torn */
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

/* A day after it ended at the latest: until then an exchange may still settle. The account does not say
 * whether it counts a day or a month; what began on a first is kept for the month. */
static bool window_expired(uint64_t window_s, uint64_t now_s)
{
	bool monthly = budget_window_s(true, window_s) == window_s;

	return budget_window_end_s(monthly, window_s) + DAY_S <= now_s;
}

static void clock_raise(struct table *m, uint64_t now_s)
{
	uint64_t seen = atomic_load(&m->h.newest_s);

	while (seen < now_s && !atomic_compare_exchange_weak(&m->h.newest_s, &seen, now_s))
		;
}

/* ---- fingerprints: SipHash-2-4 (Aumasson, Bernstein 2012) of the account's 64 bytes ---- */

static uint64_t rotl(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static uint64_t fingerprint(const uint64_t key[2], const struct budget_account *a)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
			  key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL };
	uint64_t word[9];
	struct budget_account clean = { .caller = a->caller, .window_s = a->window_s };

	_Static_assert(sizeof(clean) == 64, "no padding in an account");
	/* What stands after the id's NUL is nobody's business. */
	memcpy(clean.id, a->id, strnlen(a->id, sizeof(clean.id) - 1));
	memcpy(word, &clean, sizeof(clean));
	word[8] = (uint64_t)sizeof(clean) << 56;
	for (size_t i = 0; i < ARRAY_LEN(word); i++) {
		v[3] ^= word[i];
		sip_round(v);
		sip_round(v);
		v[0] ^= word[i];
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	word[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
	return word[0] > TAG_FILLING ? word[0] : word[0] + 2;
}

/*
 * ---- the lock ----
 *
 * A POSIX record lock on the file, with a mutex of this process for its threads. The kernel frees it
 * when its holder dies, it works on a descriptor that came over a channel, and nothing in the shared
 * memory is trusted for it: a robust mutex keeps list pointers there, through which a taken-over worker
 * could write into the recorder.
 */
static pthread_mutex_t threads = PTHREAD_MUTEX_INITIALIZER;

static int file_lock(int fd, short type)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &whole) < 0 ? -errno : 0;
}

static int table_lock(const struct budget_table *t)
{
	const struct timespec pause = { .tv_nsec = LOCK_STEP_US * 1000L };
	int r;

	(void)pthread_mutex_lock(&threads);
	for (int waited_us = 0; waited_us < LOCK_US; waited_us += LOCK_STEP_US) {
		r = file_lock(t->fd, F_WRLCK);
		if (r != -EAGAIN && r != -EACCES && r != -EINTR)
			break;
		r = -EBUSY;
		(void)nanosleep(&pause, NULL);
	}
	if (r < 0)
		(void)pthread_mutex_unlock(&threads);
	return r;
}

static void table_unlock(const struct budget_table *t)
{
	(void)file_lock(t->fd, F_UNLCK);
	(void)pthread_mutex_unlock(&threads);
}

/* ---- slots ---- */

static struct slot *slot_find(struct table *m, uint64_t tag)
{
	for (uint32_t i = 0, at = (uint32_t)tag; i < TABLE_SLOTS; i++, at++) {
		struct slot *s = &m->slots[at % TABLE_SLOTS];
		uint64_t have = atomic_load_explicit(&s->tag, memory_order_acquire);

		if (have == tag)
			return s;
		if (have == TAG_EMPTY)
			return NULL;
	}
	return NULL;
}

static void slot_clear(struct slot *s)
{
	for (int c = 0; c < CURRENCIES; c++) {
		uint64_t old = atomic_load(&s->reserved[c]);

		atomic_store(&s->settled[c], 0);
		/* A new version, so that no swap prepared for the old account fits. */
		atomic_store(&s->reserved[c], ((old >> AMOUNT_BITS) + 1) << AMOUNT_BITS);
		for (int w = 0; w < BUDGET_WORKERS; w++)
			atomic_store(&s->lane[w][c], 0);
	}
	atomic_store(&s->warned, 0);
}

/* Under the lock: the first slot on the tag's way that is free, expired or was left half filled. */
static struct slot *slot_free(struct table *m, uint64_t tag)
{
	uint64_t now_s = atomic_load(&m->h.newest_s);

	for (uint32_t i = 0, at = (uint32_t)tag; i < TABLE_SLOTS; i++, at++) {
		struct slot *s = &m->slots[at % TABLE_SLOTS];
		uint64_t have = atomic_load(&s->tag);

		if (have <= TAG_FILLING || window_expired(s->account.window_s, now_s))
			return s;
	}
	return NULL;
}

static int slot_get(struct budget_table *t, const struct budget_account *a, struct slot **out)
{
	struct table *m = t->map;
	uint64_t tag = fingerprint(m->h.key, a);
	struct slot *s = slot_find(m, tag);
	int r;

	if (s) {
		*out = s;
		return 0;
	}
	clock_raise(m, a->window_s);
	r = table_lock(t);
	if (r < 0)
		return r;
	s = slot_find(m, tag);
	if (!s) {
		s = slot_free(m, tag);
		if (s) {
			atomic_store(&s->tag, TAG_FILLING);
			slot_clear(s);
			s->account = *a;
			s->account.id[BUDGET_ID_LEN - 1] = '\0';
			atomic_store_explicit(&s->tag, tag, memory_order_release);
		}
	}
	table_unlock(t);
	if (!s)
		return -ENOSPC;
	*out = s;
	return 0;
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
		if (atomic_load(&s->tag) != fingerprint(t->map->h.key, &r->held[i].account))
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
	struct slot *s = slot_find(t->map, fingerprint(t->map->h.key, a));

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

int budget_table_reset(struct budget_table *t)
{
	int r = t->readonly ? -EINVAL : table_lock(t);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < TABLE_SLOTS; i++) {
		atomic_store(&t->map->slots[i].tag, TAG_EMPTY);
		slot_clear(&t->map->slots[i]);
	}
	table_unlock(t);
	return 0;
}

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

/* ---- the file ---- */

static void boot_id(char out[40])
{
	struct buf b;

	memset(out, 0, 40);
	buf_init(&b, 64);
	if (file_read("/proc/sys/kernel/random/boot_id", &b) == 0)
		slice_copy(out, 40, buf_slice(&b));
	buf_done(&b);
}

static bool header_good(const struct header *h)
{
	return h->magic == TABLE_MAGIC && h->version == TABLE_VERSION && h->slots == TABLE_SLOTS &&
	       h->slot_size == sizeof(struct slot) && h->ready == 1;
}

static int header_init(struct table *m, const char boot[40])
{
	memset(m, 0, sizeof(*m));
	if (getrandom(m->h.key, sizeof(m->h.key), 0) != (ssize_t)sizeof(m->h.key))
		return -EIO;
	memcpy(m->h.boot, boot, sizeof(m->h.boot));
	m->h.magic = TABLE_MAGIC;
	m->h.version = TABLE_VERSION;
	m->h.slots = TABLE_SLOTS;
	m->h.slot_size = sizeof(struct slot);
	__atomic_store_n(&m->h.ready, 1, __ATOMIC_RELEASE);
	return 0;
}

int budget_table_map(int fd, struct budget_table **out)
{
	struct budget_table *t = calloc(1, sizeof(*t));
	int flags = fcntl(fd, F_GETFL), r = -EBADMSG;
	struct stat st;

	if (!t)
		return -ENOMEM;
	t->readonly = flags >= 0 && (flags & O_ACCMODE) == O_RDONLY;
	t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	t->map = MAP_FAILED;
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		r = -errno;
	else if (st.st_size == (off_t)sizeof(struct table))
		t->map = mmap(NULL, sizeof(struct table), PROT_READ | (t->readonly ? 0 : PROT_WRITE),
			      MAP_SHARED, t->fd, 0);
	if (t->map == MAP_FAILED || !header_good(&t->map->h)) {
		budget_table_close(t);
		return r;
	}
	*out = t;
	return 0;
}

/* Allocated to its end before anybody maps it: a full disk is an error here, not a SIGBUS there. */
static int file_prepare(int fd)
{
	char boot[40];
	struct table *m;
	struct stat st;
	int r = -posix_fallocate(fd, 0, (off_t)sizeof(struct table));

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)sizeof(struct table) && ftruncate(fd, sizeof(struct table)) < 0)
		return -errno;
	m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	boot_id(boot);
	if (!header_good(&m->h) || memcmp(m->h.boot, boot, sizeof(boot)) != 0)
		r = header_init(m, boot);
	(void)munmap(m, sizeof(*m));
	return r;
}

int budget_table_open(const char *path, struct budget_table **out)
{
	cleanup(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	int r;

	if (fd < 0)
		return -errno;
	r = file_prepare(fd);
	return r < 0 ? r : budget_table_map(fd, out);
}

int budget_table_fd(const struct budget_table *t)
{
	return t->fd;
}

void budget_table_close(struct budget_table *t)
{
	if (!t)
		return;
	if (t->map != MAP_FAILED)
		(void)munmap(t->map, sizeof(*t->map));
	if (t->fd >= 0)
		(void)close(t->fd);
	free(t);
}
