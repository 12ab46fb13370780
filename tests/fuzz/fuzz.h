/* What the fuzz targets share. A rule that does not hold is a crash. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "base/slice.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The input is the file as it is; its cuts come from a seed made of it. */
static inline uint32_t fuzz_seed(const uint8_t *data, size_t len)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 16777619U;
	return h;
}

/* Lengths of pieces: mostly short, at times long. */
static inline size_t fuzz_next_len(void *seed)
{
	uint32_t *s = seed;

	*s = *s * 1664525U + 1013904223U;
	return (*s >> 12) % (*s >> 28 ? 12 : 3000);
}

#define fuzz_must(cond, ...)                                                                       \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
