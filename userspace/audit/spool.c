/*
 * The ring file: a page of header, then the ring, mapped twice in a row so that an entry is contiguous
 * wherever it begins. Positions are 64-bit counts of all bytes ever put; the file offset is position
 * modulo size. An entry is published by a release store of `head` after its bytes; a process killed in
 * between leaves bytes that nobody reads.
 */
#include "audit/spool.h"

#include "base/def.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOOL_MAGIC 0x314c4f4f50535053ULL /* "SPSPOOL1" */
#define SPOOL_VERSION 1U
#define SPOOL_PAGE 4096U
#define SPOOL_MIN (16U * SPOOL_PAGE)
#define SPOOL_MAX (1U << 30)
#define ENTRY_MARK 0x5e9aU

struct spool_header {
	uint64_t magic; /* stored last: a file that was not finished is none */
	uint32_t version;
	uint32_t pad;
	uint64_t id;
	uint64_t size; /* bytes of the ring */
	_Alignas(64) _Atomic uint64_t head; /* put so far; the writer's */
	_Alignas(64) _Atomic uint64_t tail; /* given back so far; the reader's */
};

struct entry_header {
	uint32_t len;
	uint32_t mark; /* of position and length: tells an entry from stray bytes */
};

struct spool {
	int fd;
	size_t size;
	struct spool_header *header;
	char *ring;      /* 2 * size: the second half mirrors the first */
	uint64_t head;   /* writer: what it has put, whatever stands in the file now */
	uint64_t cursor; /* reader: the next entry */
};

static uint32_t entry_mark(uint64_t position, uint32_t len)
{
	uint64_t x = (position ^ ((uint64_t)len << 32)) * 0x9e3779b97f4a7c15ULL;

	return (uint32_t)(x >> 32) ^ ENTRY_MARK;
}

static uint64_t entry_size(size_t len)
{
	return sizeof(struct entry_header) + ((len + 7U) & ~(size_t)7U);
}

static int ring_map(int fd, size_t size, char **out)
{
	char *p = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	for (int i = 0; i < 2; i++) {
		if (mmap(p + (size_t)i * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 fd, SPOOL_PAGE) == MAP_FAILED) {
			int r = -errno;

			(void)munmap(p, 2 * size);
			return r;
		}
	}
	*out = p;
	return 0;
}

/* The header is checked once, in a private copy: its writer may change it under us. */
static int header_check(int fd, struct spool_header *h)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || pread(fd, h, sizeof(*h), 0) != (ssize_t)sizeof(*h) ||
	    h->magic != SPOOL_MAGIC || h->version != SPOOL_VERSION || h->size < SPOOL_MIN ||
	    h->size > SPOOL_MAX || h->size % SPOOL_PAGE ||
	    (uint64_t)st.st_size < h->size + SPOOL_PAGE)
		return -EBADMSG;
	return 0;
}

int spool_map(int fd, struct spool **out)
{
	struct spool_header h;
	struct spool *s;
	int r = header_check(fd, &h);

	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->size = h.size;
	s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = s->fd < 0 ? -errno : ring_map(s->fd, s->size, &s->ring);
	if (r == 0) {
		s->header = mmap(NULL, SPOOL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
		if (s->header == MAP_FAILED) {
			r = -errno;
			s->header = NULL;
		}
	}
	if (r < 0) {
		spool_close(s);
		return r;
	}
	s->head = atomic_load_explicit(&s->header->head, memory_order_acquire) & ~7ULL;
	s->cursor = atomic_load_explicit(&s->header->tail, memory_order_acquire) & ~7ULL;
	*out = s;
	return 0;
}

static int file_make(int fd, size_t size)
{
	struct spool_header h = { .version = SPOOL_VERSION, .size = size };
	int r = posix_fallocate(fd, 0, (off_t)(size + SPOOL_PAGE));

	if (r)
		return -r;
	if (getrandom(&h.id, sizeof(h.id), 0) != (ssize_t)sizeof(h.id))
		return -EIO;
	if (pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		return -EIO;
	h.magic = SPOOL_MAGIC;
	return pwrite(fd, &h.magic, sizeof(h.magic), 0) == (ssize_t)sizeof(h.magic) ? 0 : -EIO;
}

int spool_create(const char *path, size_t size, struct spool **out)
{
	cleanup(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct spool_header h;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	size = (MIN(MAX(size, (size_t)SPOOL_MIN), (size_t)SPOOL_MAX) + SPOOL_PAGE - 1) &
	       ~(size_t)(SPOOL_PAGE - 1);
	/* All zero at the front: its maker was killed half-way, and nobody has put anything in. */
	if (st.st_size == 0 ||
	    (pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && h.magic == 0 && h.head == 0)) {
		r = file_make(fd, size);
		if (r < 0) {
			(void)unlink(path);
			return r;
		}
	}
	return spool_map(fd, out);
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	if (s->ring)
		(void)munmap(s->ring, 2 * s->size);
	if (s->header)
		(void)munmap(s->header, SPOOL_PAGE);
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s);
}

void spool_closep(struct spool **s)
{
	spool_close(*s);
}

int spool_fd(const struct spool *s)
{
	return s->fd;
}

uint64_t spool_id(const struct spool *s)
{
	return s->header->id;
}

static uint64_t used(const struct spool *s)
{
	uint64_t n = s->head - atomic_load_explicit(&s->header->tail, memory_order_acquire);

	return MIN(n, (uint64_t)s->size);
}

int spool_put(struct spool *s, const void *entry, size_t len)
{
	uint64_t need = entry_size(len);
	char *at = s->ring + s->head % s->size;
	struct entry_header h;

	if (len > s->size / 4)
		return -EMSGSIZE;
	if (need > s->size - used(s))
		return -ENOSPC;
	h.len = (uint32_t)len;
	h.mark = entry_mark(s->head, h.len);
	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), entry, len);
	s->head += need;
	atomic_store_explicit(&s->header->head, s->head, memory_order_release);
	return 0;
}

size_t spool_free(const struct spool *s)
{
	uint64_t n = atomic_load_explicit(&s->header->head, memory_order_relaxed) -
		     atomic_load_explicit(&s->header->tail, memory_order_relaxed);

	return s->size - (size_t)MIN(n, (uint64_t)s->size);
}

unsigned spool_free_percent(const struct spool *s)
{
	return (unsigned)(spool_free(s) * 100 / s->size);
}

/* Length of the entry at the cursor, or -ENOENT, -EBADMSG. */
static int64_t entry_at(const struct spool *s)
{
	uint64_t head = atomic_load_explicit(&s->header->head, memory_order_acquire);
	uint64_t have = head - s->cursor;
	struct entry_header h;

	if (have == 0)
		return -ENOENT;
	if (have > s->size || have < sizeof(h))
		return -EBADMSG;
	memcpy(&h, s->ring + s->cursor % s->size, sizeof(h));
	if (h.len > s->size / 4 || h.mark != entry_mark(s->cursor, h.len) ||
	    entry_size(h.len) > have)
		return -EBADMSG;
	return h.len;
}

int spool_peek(struct spool *s, struct slice *entry, uint64_t *position)
{
	int64_t len = entry_at(s);

	if (len < 0)
		return (int)len;
	*entry = slice_of(s->ring + s->cursor % s->size + sizeof(struct entry_header), (size_t)len);
	*position = s->cursor + entry_size((size_t)len);
	return 0;
}

void spool_step(struct spool *s)
{
	int64_t len = entry_at(s);

	if (len >= 0)
		s->cursor += entry_size((size_t)len);
}

void spool_release(struct spool *s)
{
	atomic_store_explicit(&s->header->tail, s->cursor, memory_order_release);
}

void spool_drop(struct spool *s)
{
	spool_step(s);
	spool_release(s);
}

void spool_reset(struct spool *s)
{
	s->cursor = atomic_load_explicit(&s->header->head, memory_order_acquire) & ~7ULL;
	spool_release(s);
}
