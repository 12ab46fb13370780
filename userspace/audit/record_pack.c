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

int record_put(struct spool *s, const struct record *r)
{
	struct packed p;
	const char *from = (const char *)r;
	uint32_t n = 0;

	memset(&p.head, 0, sizeof(p.head));
	for (size_t at = 0; at < WORDS; at += BLOCK) {
		size_t words = MIN((size_t)BLOCK, WORDS - at);
		uint64_t w[BLOCK] = { 0 }, any = 0;

		memcpy(w, from + at * sizeof(uint64_t), words * sizeof(uint64_t));
		for (size_t i = 0; i < BLOCK; i++)
			any |= w[i];
		if (!any)
			continue;
		for (size_t i = 0; i < BLOCK; i++) {
			p.word[n] = w[i];
			n += w[i] != 0;
			p.head.map[at / BLOCK] |= (unsigned char)((w[i] != 0) << i);
		}
	}
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
