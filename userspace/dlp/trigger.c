/* Triggers: the small syntax, and where a token may begin. */
#include "dlp/trigger.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

typedef uint64_t byte_set[4];

static void set_add(byte_set s, unsigned char c, bool ignore_case)
{
	s[c >> 6] |= 1ull << (c & 63);
	if (ignore_case && isalpha(c)) {
		c ^= 0x20;
		s[c >> 6] |= 1ull << (c & 63);
	}
}

static const char *class_parse(const char *p, byte_set out, bool ignore_case)
{
	for (p++; *p && *p != ']'; p++) {
		unsigned char from = (unsigned char)*p, to = from;

		if (from == '\\' && p[1] == 'd') {
			from = '0', to = '9';
			p++;
		} else if (from == '\\' && p[1]) {
			from = to = (unsigned char)*++p;
		}
		if (p[1] == '-' && p[2] && p[2] != ']') {
			to = (unsigned char)p[2];
			p += 2;
		}
		for (unsigned c = from; c <= to; c++)
			set_add(out, (unsigned char)c, ignore_case);
	}
	return *p == ']' ? p + 1 : NULL;
}

/* One element: its bytes into `out`; the text after it, NULL when it is not our syntax. */
static const char *element_parse(const char *p, byte_set out, bool ignore_case)
{
	if (*p == '[')
		return class_parse(p, out, ignore_case);
	if (*p == '\\' && p[1] == 'd') {
		for (unsigned char c = '0'; c <= '9'; c++)
			set_add(out, c, false);
		return p + 2;
	}
	if (*p == '\\') {
		if (!p[1] || isalnum((unsigned char)p[1]))
			return NULL;
		set_add(out, (unsigned char)p[1], false);
		return p + 2;
	}
	if (strchr("(){}|*+?.^$", *p))
		return NULL;
	set_add(out, (unsigned char)*p, ignore_case);
	return p + 1;
}

static int pattern_parse(const char *p, bool ignore_case, byte_set at[TRIGGER_WIDTH_MAX])
{
	int width = 0;

	while (*p) {
		byte_set one = { 0 };
		long n = 1;

		p = element_parse(p, one, ignore_case);
		if (!p)
			return -EINVAL;
		if (*p == '{') {
			char *end;

			n = strtol(p + 1, &end, 10);
			if (*end != '}' || n < 1)
				return -EINVAL;
			p = end + 1;
		}
		if (width + n > TRIGGER_WIDTH_MAX)
			return -EINVAL;
		for (; n; n--)
			memcpy(at[width++], one, sizeof(one));
	}
	return width ? width : -EINVAL;
}

int trigger_add(struct trigger_set *set, const char *pattern, bool ignore_case)
{
	byte_set at[TRIGGER_WIDTH_MAX];
	int width = pattern_parse(pattern, ignore_case, at);
	size_t w, bit;

	if (width < 0)
		return width;
	/* A trigger stays inside one word, so that a step needs no carry from word to word. */
	w = set->free_bit / 64;
	if (set->free_bit % 64 + (size_t)width > 64)
		w++;
	bit = w == set->free_bit / 64 ? set->free_bit % 64 : 0;
	if (w >= TRIGGER_WORDS)
		return -ENOSPC;
	for (int i = 0; i < width; i++) {
		for (unsigned c = 0; c < 256; c++)
			if (at[i][c >> 6] >> (c & 63) & 1)
				set->accept[c][w] |= 1ull << (bit + (size_t)i);
		set->id[w][bit + (size_t)i] = (uint16_t)set->n;
		set->at[w][bit + (size_t)i] = (uint8_t)i;
	}
	set->first[w] |= 1ull << bit;
	set->last[w] |= 1ull << (bit + (size_t)width - 1);
	set->free_bit = w * 64 + bit + (size_t)width;
	set->n_words = w + 1;
	set->n++;
	return width;
}

bool trigger_edge(struct slice text, size_t at)
{
	const char *p = text.ptr + at;

	if (at == 0 || !isalnum((unsigned char)p[-1]))
		return true;
	if (at >= 2 && p[-2] == '\\' && strchr("nrtbf", p[-1]))
		return true;
	if (at >= 3 && p[-3] == '%' && isxdigit((unsigned char)p[-2]) &&
	    isxdigit((unsigned char)p[-1]))
		return true;
	return at >= 6 && p[-6] == '\\' && p[-5] == 'u' && isxdigit((unsigned char)p[-4]) &&
	       isxdigit((unsigned char)p[-3]) && isxdigit((unsigned char)p[-2]) &&
	       isxdigit((unsigned char)p[-1]);
}
