/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Host name -> provider, in the kernel and in user space by the same table: a deterministic
 * automaton that reads the name from its last character to its first, one row a state. User space
 * compiles exact names, suffixes and wildcards into it (kern/names.c), so the kernel's part is one
 * table look-up a character, has no special cases, and leaves at once for most names.
 *
 * State 0 is dead, state 1 the start. A name belongs to `provider` of the state it ends in.
 */
#ifndef SALLYPORT_NAMES_H
#define SALLYPORT_NAMES_H

#include <linux/types.h>

#define NAMES_CLASSES 40 /* anything else, a-z, 0-9, '-', '.', '_' */
#define NAMES_OTHER 0
#define NAMES_HYPHEN 37
#define NAMES_DOT 38
#define NAMES_UNDERSCORE 39
#define NAMES_START 1
#define NAMES_STATES_MAX 65535

struct names_row {
	__u16 next[NAMES_CLASSES];
	__u32 provider;
	__u32 pad;
};
_Static_assert(sizeof(struct names_row) == 88, "names_row layout");

/* Upper case is lower case (RFC 4343). */
static const __u8 names_class[256] __attribute__((unused)) = {
	['a'] = 1, ['b'] = 2, ['c'] = 3, ['d'] = 4, ['e'] = 5, ['f'] = 6, ['g'] = 7,
	['h'] = 8, ['i'] = 9, ['j'] = 10, ['k'] = 11, ['l'] = 12, ['m'] = 13, ['n'] = 14,
	['o'] = 15, ['p'] = 16, ['q'] = 17, ['r'] = 18, ['s'] = 19, ['t'] = 20, ['u'] = 21,
	['v'] = 22, ['w'] = 23, ['x'] = 24, ['y'] = 25, ['z'] = 26,
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7,
	['H'] = 8, ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26,
	['0'] = 27, ['1'] = 28, ['2'] = 29, ['3'] = 30, ['4'] = 31, ['5'] = 32, ['6'] = 33,
	['7'] = 34, ['8'] = 35, ['9'] = 36,
	['-'] = NAMES_HYPHEN, ['.'] = NAMES_DOT, ['_'] = NAMES_UNDERSCORE,
};

/* The character a class stands for. */
static const char names_text[64] __attribute__((unused)) =
	"?abcdefghijklmnopqrstuvwxyz0123456789-._";

#endif
