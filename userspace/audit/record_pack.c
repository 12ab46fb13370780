/* Records without their zeroes: size, count, a bit a word, the words that are not zero. */
#include "audit/record.h"

#include "audit/spool.h"

#include <errno.h>

#define WORDS (sizeof(struct record) / sizeof(uint64_t))
#define BLOCK 8U /* words: a byte of the map */
#define MAP ((WORDS + BLOCK - 1) / BLOCK)

_Static_assert(sizeof(struct record) % sizeof(uint64_t) == 0, "a record is whole words");

struct packed_head {
	uint32_t size; /* of the struct it was: tells another version's */
	uint32_t n;    /* words behind the map */
	unsigned char map[(MAP + 7) & ~(size_t)7];
};

struct packed {
	struct packed_head head;
	uint64_t word[WORDS + BLOCK];
};

static inline uint64_t word_at(const char *p, size_t i)
{
	uint64_t w;

	memcpy(&w, p + i * sizeof(w), sizeof(w));
	return w;
}

/* A block of which some word is not zero; returns its byte of the map. */
static inline unsigned char block_put(const char *p, size_t words, uint64_t *to, uint32_t *n)
{
	unsigned map = 0;

	for (size_t i = 0; i < words; i++) {
		uint64_t w = word_at(p, i);
		unsigned set = w != 0;

		to[*n] = w;
		*n += set;
		map |= set << i;
	}
	return (unsigned char)map;
}

int record_put(struct spool *s, const struct record *r)
{
	const char *from = (const char *)r;
	struct packed p;
	uint32_t n = 0;
	size_t block;

	memset(&p.head, 0, sizeof(p.head));
	/* Most blocks are zero, and eight loads tell: no copy before that. */
	for (block = 0; block < WORDS / BLOCK; block++, from += BLOCK * sizeof(uint64_t))
		if (word_at(from, 0) | word_at(from, 1) | word_at(from, 2) | word_at(from, 3) |
		    word_at(from, 4) | word_at(from, 5) | word_at(from, 6) | word_at(from, 7))
			p.head.map[block] = block_put(from, BLOCK, p.word, &n);
	if (WORDS % BLOCK)
		p.head.map[block] = block_put(from, WORDS % BLOCK, p.word, &n);
	p.head.size = sizeof(*r);
	p.head.n = n;
	return spool_put(s, &p, sizeof(p.head) + n * sizeof(uint64_t));
}

int record_unpack(struct slice in, struct record *out)
{
	const char *word = in.ptr + sizeof(struct packed_head);
	char *to = (char *)out;
	struct packed_head head;
	uint32_t n = 0;

	/* Copied first: its writer can change it while we look. */
	if (in.len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, in.ptr, sizeof(head));
	if (head.size != sizeof(*out) || in.len - sizeof(head) != head.n * sizeof(uint64_t))
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	for (size_t at = 0; at < WORDS; at++) {
		if (!head.map[at / BLOCK])
			at += BLOCK - 1;
		else if (head.map[at / BLOCK] & 1U << at % BLOCK && n < head.n)
			memcpy(to + at * sizeof(uint64_t), word + n++ * sizeof(uint64_t),
			       sizeof(uint64_t));
	}
	return n == head.n ? 0 : -EBADMSG;
}
