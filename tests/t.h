/*
 * The test harness: one binary a file, TAP on stdout, a failing row named.
 *
 *   int main(void) { t_ok(luhn_valid(..), "one digit off"); return t_done(); }
 */
#ifndef TESTS_T_H
#define TESTS_T_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int t_count, t_bad;

/* One assertion; the text says which rule of the product or which row of a table. */
#define t_ok(cond, ...)                                                                            \
	do {                                                                                       \
		int t_good = !!(cond);                                                             \
		t_count++;                                                                         \
		if (!t_good) {                                                                     \
			t_bad++;                                                                   \
			printf("not ok %d - ", t_count);                                           \
			printf(__VA_ARGS__);                                                       \
			printf(" # %s:%d: %s\n", __FILE__, __LINE__, #cond);                       \
			fflush(stdout);                                                            \
		}                                                                                  \
	} while (0)

#define t_int(got, want, ...)                                                                      \
	do {                                                                                       \
		long long t_g = (long long)(got), t_w = (long long)(want);                         \
		if (t_g != t_w)                                                                    \
			printf("# got %lld, want %lld\n", t_g, t_w);                               \
		t_ok(t_g == t_w, __VA_ARGS__);                                                     \
	} while (0)

#define t_str(got, want, ...)                                                                      \
	do {                                                                                       \
		const char *t_g = (got), *t_w = (want);                                            \
		int t_same = t_g && t_w && strcmp(t_g, t_w) == 0;                                  \
		if (!t_same)                                                                       \
			printf("# got  %s\n# want %s\n", t_g ? t_g : "(null)",                     \
			       t_w ? t_w : "(null)");                                              \
		t_ok(t_same, __VA_ARGS__);                                                         \
	} while (0)

/* Says aloud that a test could not run here, and why. */
#define t_skip(...)                                                                                \
	do {                                                                                       \
		printf("ok # skipped: ");                                                          \
		printf(__VA_ARGS__);                                                               \
		printf("\n");                                                                      \
	} while (0)

static inline int t_done(void)
{
	printf("1..%d\n# %d passed, %d failed\n", t_count, t_count - t_bad, t_bad);
	return t_bad ? 1 : 0;
}

#endif
