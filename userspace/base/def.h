/* The whole macro vocabulary of the tree. */
#ifndef BASE_DEF_H
#define BASE_DEF_H

#include <stddef.h>

/* Run fn(&variable) when the variable leaves its scope: cleanup(policy_freep) struct policy *p = ... */
#define cleanup(fn) __attribute__((cleanup(fn)))

/* Hand a pointer over: yields its value and leaves NULL behind, so that cleanup() finds nothing. */
#define take(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a = (a);                                                         \
		__typeof__(b) min_b = (b);                                                         \
		min_a < min_b ? min_a : min_b;                                                     \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a = (a);                                                         \
		__typeof__(b) max_b = (b);                                                         \
		max_a > max_b ? max_a : max_b;                                                     \
	})
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))

/* free() and close() by scope. */
void freep(void *pointer_to_pointer);
void closep(const int *fd);

#endif
