/* Arena and buffer: bounds, alignment, what is kept and what is given back. */
#include "base/arena.h"
#include "base/buf.h"
#include "tests/t.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>

static void arena(void)
{
	struct arena a;
	struct slice s;
	char *p, *q;

	arena_init(&a, 100000);
	p = arena_alloc(&a, 3);
	q = arena_alloc(&a, 1);
	t_ok(p && q && p != q, "two pieces");
	t_ok((uintptr_t)q % alignof(max_align_t) == 0, "aligned for any type");
	t_ok(!p[0] && !p[1] && !p[2], "zeroed");
	t_ok(arena_alloc(&a, 0) != NULL, "nothing is something");
	p = arena_alloc(&a, 50000);
	t_ok(p != NULL, "more than a chunk");
	memset(p, 'x', 50000);
	t_ok(!arena_alloc(&a, 60000), "over the cap");
	t_ok(!arena_alloc(&a, SIZE_MAX), "size that would wrap");
	t_ok(!arena_alloc(&a, SIZE_MAX - 8), "size that would wrap when aligned");
	t_ok(arena_alloc(&a, 1000) != NULL, "a refusal leaves it usable");
	s = arena_dup(&a, SLICE("a\0b"));
	t_ok(slice_eq(s, SLICE("a\0b")) && s.ptr[3] == '\0', "copy with a NUL behind");
	s = arena_printf(&a, "%d %s", 7, "x");
	t_ok(slice_is(s, "7 x"), "printf");
	arena_reset(&a);
	t_int(a.used, 0, "reset");
	t_ok(arena_alloc(&a, 99000) != NULL, "the cap is whole again");
	t_ok(!arena_dup(&a, slice_of(p, 5000)).ptr, "a copy over the cap is NULL");
	arena_done(&a);
	t_ok(!a.head, "nothing held");
	arena_done(&a);
}

static void many_pieces(void)
{
	struct arena a;
	char *all[3000];
	bool same = true;

	arena_init(&a, 10 << 20);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(all); i++) {
			all[i] = arena_bytes(&a, 1 + i % 700);
			memset(all[i], (int)(i & 255), 1 + i % 700);
		}
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			same = same && all[i][0] == (char)(i & 255) &&
			       all[i][i % 700] == (char)(i & 255);
		arena_reset(&a);
	}
	t_ok(same, "pieces do not overlap");
	arena_done(&a);
}

static void buffer(void)
{
	struct buf b;

	buf_init(&b, 10);
	t_ok(buf_size(&b) == 0 && !buf_slice(&b).len, "empty");
	t_int(buf_append(&b, SLICE("01234")), 0, "half");
	t_int(buf_append(&b, SLICE("56789")), 0, "up to the cap");
	t_int(buf_append(&b, SLICE("x")), -ENOBUFS, "over the cap");
	t_ok(slice_is(buf_slice(&b), "0123456789"), "a refusal changes nothing");
	buf_consume(&b, 4);
	t_ok(slice_is(buf_slice(&b), "456789"), "consumed from the front");
	t_int(buf_append(&b, SLICE("abcd")), 0, "the cap counts what is left");
	t_int(buf_append(&b, SLICE("e")), -ENOBUFS, "and no more");
	t_ok(slice_is(buf_slice(&b), "456789abcd"), "in order");
	t_int(buf_reserve(&b, SIZE_MAX), -ENOBUFS, "size that would wrap");
	buf_trim(&b);
	t_ok(b.data != NULL, "trim keeps what is not empty");
	buf_consume(&b, 1000);
	t_int(buf_size(&b), 0, "consume is clamped");
	buf_trim(&b);
	t_ok(!b.data && b.cap == 0 && b.max == 10, "trim frees and keeps the cap");
	t_int(buf_printf(&b, "%s-%d", "ab", 12), 0, "printf");
	t_ok(slice_is(buf_slice(&b), "ab-12"), "printf");
	t_int(buf_printf(&b, "%s", "0123456"), -ENOBUFS, "printf over the cap");
	t_ok(slice_is(buf_slice(&b), "ab-12"), "a refusal changes nothing");
	buf_clear(&b);
	t_int(buf_append(&b, slice_of(NULL, 0)), 0, "nothing");
	t_int(buf_str(&b, "x"), 0, "str");
	buf_done(&b);
	t_ok(!b.data, "done");
}

/* Any order of appending and consuming gives the bytes in order. */
static void queue(void)
{
	struct buf b;
	unsigned char in = 0, out = 0;
	uint32_t seed = 11;
	bool same = true;

	buf_init(&b, 9000);
	for (int i = 0; i < 20000; i++) {
		size_t n = (seed = seed * 1664525 + 1013904223) >> 20;
		unsigned char some[4096];

		if (i & 1) {
			n = MIN(n, buf_size(&b));
			for (size_t k = 0; k < n; k++)
				same = same && (unsigned char)buf_slice(&b).ptr[k] == out++;
			buf_consume(&b, n);
			continue;
		}
		for (size_t k = 0; k < n; k++)
			some[k] = (unsigned char)(in + k);
		if (buf_append(&b, slice_of(some, n)) == 0)
			in = (unsigned char)(in + n);
	}
	t_ok(same, "first in, first out");
	buf_done(&b);
}

int main(void)
{
	arena();
	many_pieces();
	buffer();
	queue();
	return t_done();
}
