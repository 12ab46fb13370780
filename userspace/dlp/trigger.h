/*
 * Triggers: short fixed-width byte patterns that say where a detector must look. Being of one
 * width, an end gives the start, so no engine needs start-of-match bookkeeping.
 *
 * The same strings feed two engines: Vectorscan for whole texts, and the bit-parallel automaton
 * here (Shift-And, Baeza-Yates and Gonnet 1992) for the few bytes of a stream event, where a
 * Vectorscan call would cost more than it saves and where we must know which triggers have only
 * begun.
 *
 * Syntax, a subset of both engines': characters, \d \. \+ \( \) \| \\ \$, [classes] and {n}.
 */
#ifndef DLP_TRIGGER_H
#define DLP_TRIGGER_H

#include "base/slice.h"

#include <stdint.h>

#define TRIGGER_WORDS 24
#define TRIGGER_WIDTH_MAX 24

struct trigger_set {
	uint64_t accept[256][TRIGGER_WORDS]; /* positions that take this byte */
	uint64_t first[TRIGGER_WORDS];	     /* first position of each trigger */
	uint64_t last[TRIGGER_WORDS];
	uint16_t id[TRIGGER_WORDS][64]; /* trigger of a position */
	uint8_t at[TRIGGER_WORDS][64];	/* its index inside the trigger */
	size_t n_words, free_bit, n;
};

struct trigger_state {
	uint64_t on[TRIGGER_WORDS];
};

/* Adds a trigger; its id is the number of triggers before it. Width in bytes, or -EINVAL, -ENOSPC.
 */
int trigger_add(struct trigger_set *set, const char *pattern, bool ignore_case);

static inline void trigger_step(const struct trigger_set *set, struct trigger_state *s,
				unsigned char c, uint64_t *hits)
{
	const uint64_t *accept = set->accept[c];
	uint64_t any = 0;

	for (size_t w = 0; w < set->n_words; w++) {
		s->on[w] = ((s->on[w] << 1) | set->first[w]) & accept[w];
		any |= s->on[w] & set->last[w];
	}
	*hits = any;
}

/*
 * A token may begin at text[at]: the byte before it is no letter or digit, or it is the end of an
 * escape (\n, %22, \u0022) in text that nobody decoded.
 */
bool trigger_edge(struct slice text, size_t at);

#endif
