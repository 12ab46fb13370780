/* Pieces of a reply and the time stamps inside them. */
#include "tests/fake/lib/reply.h"

#include <errno.h>
#include <stdlib.h>

void stamp_write(char out[STAMP_LEN], uint64_t mono_ns)
{
	for (int i = STAMP_LEN - 1; i >= 0; i--, mono_ns >>= 4)
		out[i] = (char)('a' + (mono_ns & 15));
}

uint64_t stamp_read(const char in[STAMP_LEN])
{
	uint64_t v = 0;

	for (int i = 0; i < STAMP_LEN; i++) {
		if (in[i] < 'a' || in[i] > 'p')
			return 0;
		v = v << 4 | (uint64_t)(in[i] - 'a');
	}
	return v;
}

void pieces_init(struct pieces *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->bytes, 256 << 20);
}

void pieces_done(struct pieces *p)
{
	buf_done(&p->bytes);
	free(p->list);
	memset(p, 0, sizeof(*p));
}

void pieces_clear(struct pieces *p)
{
	buf_clear(&p->bytes);
	p->n = 0;
}

int pieces_end(struct pieces *p, unsigned wait_ms, size_t stamp)
{
	if (p->n == p->room) {
		size_t room = p->room ? p->room * 2 : 16;
		struct piece *list = reallocarray(p->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		p->list = list;
		p->room = room;
	}
	p->list[p->n++] = (struct piece){ .end = buf_size(&p->bytes), wait_ms, stamp };
	return 0;
}
