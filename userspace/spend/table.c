/*
 * The file behind the budgets, mapped by every process that spends, and the slots in it.
 *
 * A slot is found by the fingerprint of its account (SipHash with the table's own key, so nobody
 * outside can aim at another's slot). Finding is lock-free; entering a new account happens under a
 * lock that dies with its holder, so that an account never gets two slots. A slot that is being
 * filled has the tag TAG_FILLING; left behind by a killed process it is garbage, and whoever holds
 * the lock may take it.
 */
#include "spend/table.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TABLE_MAGIC 0x74656764756270ULL
#define TABLE_VERSION 1
#define LOCK_US 100000
#define LOCK_STEP_US 200
#define DAY_S 86400ULL

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

uint64_t slot_tag(const struct budget_table *t, const struct budget_account *a)
{
	return fingerprint(t->map->h.key, a);
}

/*
 * ---- the lock ----
 *
 * A POSIX record lock on the file, with a mutex of this process for its threads. The kernel frees
 * it when its holder dies, it works on a descriptor that came over a channel, and nothing in the
 * shared memory is trusted for it: a robust mutex keeps list pointers there, through which a
 * taken-over worker could write into the recorder.
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

/* A day after it ended at the latest: until then an exchange may still settle. The account does not
 * say whether it counts a day or a month; what began on a first is kept for the month. */
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

struct slot *slot_find(struct table *m, uint64_t tag)
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

int slot_get(struct budget_table *t, const struct budget_account *a, struct slot **out)
{
	struct table *m = t->map;
	uint64_t tag = slot_tag(t, a);
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
		t->map = mmap(NULL, sizeof(struct table),
			      PROT_READ | (t->readonly ? 0 : PROT_WRITE), MAP_SHARED, t->fd, 0);
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
