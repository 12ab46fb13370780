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
/* Each argument is evaluated once; the counter keeps nested uses from shadowing each other. */
#define MIN(a, b) BASE_PICK(a, b, <, __COUNTER__)
#define MAX(a, b) BASE_PICK(a, b, >, __COUNTER__)
#define BASE_PICK(a, b, op, n) BASE_PICK_(a, b, op, n)
#define BASE_PICK_(a, b, op, n)                                                                    \
	({                                                                                         \
		__typeof__(a) pick_a##n = (a);                                                     \
		__typeof__(b) pick_b##n = (b);                                                     \
		pick_a##n op pick_b##n ? pick_a##n : pick_b##n;                                    \
	})
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))

/* free() and close() by scope. */
void freep(void *pointer_to_pointer);
void closep(const int *fd);

#endif
