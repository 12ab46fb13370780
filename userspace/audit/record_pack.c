/*
 * Records without their zeroes: a record is mostly empty text, so only the blocks of 64 bytes that
 * hold something go into the spool, behind a bit a block. By blocks, not by words: this runs twice a
 * request, and a word at a time cost 2 us of it.
 */
#include "audit/record.h"

#include "audit/spool.h"

#include <errno.h>

#define BLOCK 64U
#define BLOCKS ((sizeof(struct record) + BLOCK - 1) / BLOCK)

struct packed_head {
	uint32_t size; /* of the struct it was: tells another version's */
	uint32_t n;    /* blocks behind the head */
	uint64_t map[(BLOCKS + 63) / 64];
};

struct packed {
	struct packed_head head;
	unsigned char block[BLOCKS][BLOCK];
};

/* The last block may be a short one. */
static size_t block_len(size_t at)
{
	size_t left = sizeof(struct record) - at * BLOCK;

	return left < BLOCK ? left : BLOCK;
}

static uint64_t any(const unsigned char block[BLOCK])
{
	uint64_t w[BLOCK / sizeof(uint64_t)], sum = 0;

	memcpy(w, block, sizeof(w));
	for (size_t i = 0; i < BLOCK / sizeof(uint64_t); i++)
		sum |= w[i];
	return sum;
}

int record_put(struct spool *s, const struct record *r)
{
	const unsigned char *from = (const unsigned char *)r;
	struct packed p;
	uint32_t n = 0;

	memset(&p.head, 0, sizeof(p.head));
	for (size_t at = 0; at < BLOCKS; at++) {
		size_t len = block_len(at);

		/* Written where it would go, kept only if there is something in it. */
		memcpy(p.block[n], from + at * BLOCK, len);
		if (len < BLOCK)
			memset(p.block[n] + len, 0, BLOCK - len);
		if (!any(p.block[n]))
			continue;
		p.head.map[at / 64] |= 1ULL << at % 64;
		n++;
	}
	p.head.size = sizeof(*r);
	p.head.n = n;
	return spool_put(s, &p, sizeof(p.head) + n * BLOCK);
}

int record_unpack(struct slice in, struct record *out)
{
	const char *block = in.ptr + sizeof(struct packed_head);
	unsigned char *to = (unsigned char *)out;
	struct packed_head head;
	uint32_t n = 0;

	/* Copied first: its writer can change it while we look. */
	if (in.len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, in.ptr, sizeof(head));
	if (head.size != sizeof(*out) || in.len - sizeof(head) != (size_t)head.n * BLOCK)
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	for (size_t at = 0; at < BLOCKS; at++)
		if (head.map[at / 64] & 1ULL << at % 64 && n < head.n)
			memcpy(to + at * BLOCK, block + (size_t)n++ * BLOCK, block_len(at));
	return n == head.n ? 0 : -EBADMSG;
}
