/*
 * The JSON parser: one pass, nodes in document order, no recursion. What is read out of the nodes
 * afterwards stands in jsonread.c.
 */
#include "wire/jsonspan.h"

#include "wire/jsonescape.h"
#include "wire/scan.h"

#include <errno.h>
#include <stdlib.h>

#define NODES_FIRST_MIN 16U
#define NODES_FIRST_MAX 4096U
#define BYTES_PER_NODE 40U /* of recorded chat bodies, on the low side */
#define MEMBERS_SMALL 16U  /* up to here keys are compared pair by pair, above by sorted hashes */

struct level {
	uint32_t node;  /* the open array or object */
	uint32_t last;  /* its last child so far; 0 none */
	uint32_t count;
	bool object;
	uint64_t seen;  /* a bit for each key so far: no bit in common, no duplicate */
};

struct parser {
	const char *base, *p, *end;
	struct arena *arena;
	struct jnode *nodes;
	uint32_t n, cap;
	bool duplicates;
	uint32_t depth;
	struct level levels[JSPAN_DEPTH_MAX];
};

struct member {
	uint32_t key, key_len;
	bool escaped;
};

static inline void skip_blanks(struct parser *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

static inline bool is_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Over a run of characters beyond ASCII (RFC 3629); NULL when one is not valid UTF-8. */
static const char *utf8_run(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p >= 0x80) {
		unsigned char c = (unsigned char)*p, d;

		if (c < 0xc2 || c > 0xf4 || end - p < 2 || !is_tail(p[1]))
			return NULL;
		d = (unsigned char)p[1];
		if (c < 0xe0) {
			p += 2;
		} else if (c < 0xf0) {
			/* Overlong forms and surrogates hide in the second byte. */
			if (end - p < 3 || !is_tail(p[2]) || (c == 0xe0 && d < 0xa0) ||
			    (c == 0xed && d > 0x9f))
				return NULL;
			p += 3;
		} else {
			if (end - p < 4 || !is_tail(p[2]) || !is_tail(p[3]) ||
			    (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f))
				return NULL;
			p += 4;
		}
	}
	return p;
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = jescape_hex[(unsigned char)p[i]];

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* Over one escape, p at its backslash; NULL when it is none (RFC 8259 7). */
static const char *escape_end(const char *p, const char *end)
{
	int32_t c;

	if (end - p < 2)
		return NULL;
	switch (p[1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return p + 2;
	case 'u':
		break;
	default:
		return NULL;
	}
	c = hex4(p + 2, end);
	if (c < 0 || (c >= 0xdc00 && c < 0xe000))
		return NULL;
	if (c < 0xd800 || c >= 0xe000)
		return p + 6;
	if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return NULL;
	c = hex4(p + 8, end);
	return c >= 0xdc00 && c < 0xe000 ? p + 12 : NULL;
}

/* s->p behind the opening quote; leaves it behind the closing one. */
static int string_read(struct parser *s, uint32_t *start, uint32_t *end, bool *escaped)
{
	const char *p = s->p;

	*start = (uint32_t)(p - s->base);
	*escaped = false;
	for (;;) {
		p = scan_json(p, s->end);
		if (p == s->end)
			return -EBADMSG;
		if (*p == '"') {
			*end = (uint32_t)(p - s->base);
			s->p = p + 1;
			return 0;
		}
		if (*p == '\\') {
			*escaped = true;
			p = escape_end(p, s->end);
		} else if ((unsigned char)*p >= 0x80) {
			p = utf8_run(p, s->end);
		} else {
			return -EBADMSG;
		}
		if (!p)
			return -EBADMSG;
	}
}

static inline bool is_digit(const char *p, const char *end)
{
	return p < end && (unsigned char)(*p - '0') < 10;
}

/* The end of the number at p, or NULL (RFC 8259 6). */
static const char *number_end(const char *p, const char *end)
{
	if (*p == '-')
		p++;
	if (!is_digit(p, end))
		return NULL;
	if (*p == '0')
		p++;
	else
		while (is_digit(p, end))
			p++;
	if (is_digit(p, end))
		return NULL;
	if (p < end && *p == '.') {
		p++;
		if (!is_digit(p, end))
			return NULL;
		while (is_digit(p, end))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!is_digit(p, end))
			return NULL;
		while (is_digit(p, end))
			p++;
	}
	return p;
}

static int nodes_grow(struct parser *s)
{
	uint32_t cap = s->cap * 2;
	struct jnode *nodes;

	if (!s->cap) {
		size_t guess = (size_t)(s->end - s->base) / BYTES_PER_NODE;

		cap = (uint32_t)MIN(MAX(guess, (size_t)NODES_FIRST_MIN), (size_t)NODES_FIRST_MAX);
	}
	if (s->n >= JSPAN_NODES_MAX)
		return -E2BIG;
	nodes = arena_bytes(s->arena, sizeof(*nodes) * cap);
	if (!nodes)
		return -ENOMEM;
	if (s->n)
		memcpy(nodes, s->nodes, sizeof(*nodes) * s->n);
	s->nodes = nodes;
	s->cap = cap;
	return 0;
}

/* A new node under the open level, linked to its neighbours. */
static int node_add(struct parser *s, enum jtype type, const struct member *m, uint32_t *index)
{
	uint32_t i = s->n, parent = 0;

	if (i >= s->cap || i >= JSPAN_NODES_MAX) {
		int r = nodes_grow(s);

		if (r < 0)
			return r;
	}
	if (s->depth) {
		struct level *l = &s->levels[s->depth - 1];

		parent = l->node;
		if (l->last)
			s->nodes[l->last].next = i;
		else
			s->nodes[parent].child = i;
		l->last = i;
		l->count++;
	}
	s->nodes[i] = (struct jnode){ .start = (uint32_t)(s->p - s->base),
				      .key = m->key,
				      .key_len = m->key_len,
				      .parent = parent,
				      .type = (uint8_t)type,
				      .key_escaped = m->escaped };
	s->n++;
	*index = i;
	return 0;
}

static struct slice key_of(const struct parser *s, const struct jnode *n)
{
	return slice_of(s->base + n->key, n->key_len);
}

static bool keys_equal(const struct parser *s, const struct jnode *a, const struct jnode *b)
{
	struct jescape_walk wa, wb;
	int ca, cb;

	if (!a->key_escaped && !b->key_escaped)
		return slice_eq(key_of(s, a), key_of(s, b));
	wa = jescape_walk(key_of(s, a));
	wb = jescape_walk(key_of(s, b));
	do {
		ca = jescape_next(&wa);
		cb = jescape_next(&wb);
	} while (ca == cb && ca >= 0);
	return ca == cb;
}

/* Is the member just added there already? Small objects only; others wait for object_close(). */
static void member_check(struct parser *s, struct level *l, uint32_t index)
{
	const struct jnode *n = &s->nodes[index];
	uint64_t bit = 1;

	if (l->count > MEMBERS_SMALL)
		return;
	if (n->key_escaped)
		bit = UINT64_MAX; /* looks like none of its equals: compare with every one */
	else if (n->key_len)
		bit <<= ((unsigned char)s->base[n->key] + 7U * n->key_len +
			 5U * (unsigned char)s->base[n->key + n->key_len - 1]) & 63;
	if (l->seen & bit)
		for (uint32_t i = s->nodes[l->node].child; i != index; i = s->nodes[i].next)
			if (keys_equal(s, &s->nodes[i], n))
				s->duplicates = true;
	l->seen |= bit;
}

static int hash_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * A large object: sorted 64-bit hashes of the decoded keys. Two different keys of one hash, which
 * only a forger finds, count as duplicates too: the price is his.
 */
static int object_close(struct parser *s, const struct level *l)
{
	cleanup(freep) uint64_t *hashes = NULL;
	uint32_t n = 0;

	if (l->count <= MEMBERS_SMALL || s->duplicates)
		return 0;
	hashes = malloc(sizeof(*hashes) * l->count);
	if (!hashes)
		return -ENOMEM;
	for (uint32_t i = s->nodes[l->node].child; i; i = s->nodes[i].next) {
		struct jescape_walk w = jescape_walk(key_of(s, &s->nodes[i]));
		uint64_t h = 0xcbf29ce484222325U; /* FNV-1a */

		for (int c = jescape_next(&w); c >= 0; c = jescape_next(&w))
			h = (h ^ (uint64_t)c) * 0x100000001b3U;
		hashes[n++] = h;
	}
	qsort(hashes, n, sizeof(*hashes), hash_order);
	for (uint32_t i = 1; i < n; i++)
		if (hashes[i] == hashes[i - 1])
			s->duplicates = true;
	return 0;
}

static int level_open(struct parser *s, enum jtype type, const struct member *m)
{
	uint32_t index;
	int r;

	if (s->depth == JSPAN_DEPTH_MAX)
		return -E2BIG;
	r = node_add(s, type, m, &index);
	if (r < 0)
		return r;
	s->p++;
	s->levels[s->depth++] = (struct level){ .node = index, .object = type == JT_OBJECT };
	return 0;
}

static int word_read(struct parser *s, const char *word, size_t len, enum jtype type,
		     const struct member *m)
{
	uint32_t index;
	int r;

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return -EBADMSG;
	r = node_add(s, type, m, &index);
	if (r < 0)
		return r;
	s->p += len;
	s->nodes[index].end = (uint32_t)(s->p - s->base);
	return 0;
}

static int number_read(struct parser *s, const struct member *m)
{
	const char *end = number_end(s->p, s->end);
	uint32_t index;
	int r;

	if (!end)
		return -EBADMSG;
	r = node_add(s, JT_NUMBER, m, &index);
	if (r < 0)
		return r;
	s->p = end;
	s->nodes[index].end = (uint32_t)(end - s->base);
	return 0;
}

static int value_read(struct parser *s, const struct member *m)
{
	uint32_t index;
	int r;

	if (s->p == s->end)
		return -EBADMSG;
	switch (*s->p) {
	case '"':
		r = node_add(s, JT_STRING, m, &index);
		if (r < 0)
			return r;
		s->p++;
		return string_read(s, &s->nodes[index].start, &s->nodes[index].end,
				   &s->nodes[index].escaped);
	case '{':
		return level_open(s, JT_OBJECT, m);
	case '[':
		return level_open(s, JT_ARRAY, m);
	case 't':
		return word_read(s, "true", 4, JT_TRUE, m);
	case 'f':
		return word_read(s, "false", 5, JT_FALSE, m);
	case 'n':
		return word_read(s, "null", 4, JT_NULL, m);
	default:
		return number_read(s, m);
	}
}

/* "key" : value */
static int member_read(struct parser *s)
{
	uint32_t level = s->depth - 1, index = s->n, end;
	struct member m;
	int r;

	if (s->p == s->end || *s->p != '"')
		return -EBADMSG;
	s->p++;
	r = string_read(s, &m.key, &end, &m.escaped);
	if (r < 0)
		return r;
	m.key_len = end - m.key;
	skip_blanks(s);
	if (s->p == s->end || *s->p != ':')
		return -EBADMSG;
	s->p++;
	skip_blanks(s);
	r = value_read(s, &m);
	if (r == 0)
		member_check(s, &s->levels[level], index);
	return r;
}

/* One step inside the innermost open array or object: its end, or its next child. */
static int level_step(struct parser *s)
{
	static const struct member none;
	struct level *l = &s->levels[s->depth - 1];

	skip_blanks(s);
	if (s->p == s->end)
		return -EBADMSG;
	if (*s->p == (l->object ? '}' : ']')) {
		s->p++;
		s->nodes[l->node].end = (uint32_t)(s->p - s->base);
		s->depth--;
		return l->object ? object_close(s, l) : 0;
	}
	if (l->count) {
		if (*s->p != ',')
			return -EBADMSG;
		s->p++;
		skip_blanks(s);
	}
	return l->object ? member_read(s) : value_read(s, &none);
}

int jspan_parse(struct slice text, struct arena *a, struct jdoc *out)
{
	static const struct member none;
	struct parser s; /* levels are set as they open: no need to clear them all */
	int r;

	if (!text.ptr || !text.len)
		return -EBADMSG;
	if (text.len > UINT32_MAX)
		return -E2BIG;
	s.base = s.p = text.ptr;
	s.end = text.ptr + text.len;
	s.arena = a;
	s.nodes = NULL;
	s.n = s.cap = s.depth = 0;
	s.duplicates = false;
	skip_blanks(&s);
	r = value_read(&s, &none);
	while (r == 0 && s.depth)
		r = level_step(&s);
	if (r < 0)
		return r;
	skip_blanks(&s);
	if (s.p != s.end)
		return -EBADMSG;
	*out = (struct jdoc){ text, s.nodes, s.n, s.duplicates };
	return 0;
}
