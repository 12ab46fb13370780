/* Tags of lines, and the lines a crash left unbooked. */
#include "daemon/replay.h"

#include "audit/writer.h"

#include <errno.h>
#include <stdlib.h>

#define FROM ",\"from\":\""
#define FROM_LEN (sizeof(FROM) - 1)
#define FROM_MAX 80 /* bytes from the end of the members within which it begins */

struct replay_line {
	uint64_t spool, position;
	bool lost;
};

int replay_tag(struct buf *members, uint64_t spool, uint64_t position, bool lost)
{
	return buf_printf(members, FROM "%016llx:%llu%s\"", (unsigned long long)spool,
			  (unsigned long long)position, lost ? ":lost" : "");
}

static bool number(struct slice s, int base, uint64_t *out)
{
	char text[24], *end;

	if (!s.len || s.len >= sizeof(text))
		return false;
	slice_copy(text, sizeof(text), s);
	*out = strtoull(text, &end, base);
	return *end == '\0';
}

/* At the very end, where no text of a record can stand: quotes inside a text are escaped. */
static bool tag_read(struct slice members, struct replay_line *out)
{
	struct slice s = members.len > FROM_MAX ? slice_from(members, members.len - FROM_MAX) : members;
	long at = slice_find(s, SLICE(FROM));

	if (at < 0 || !slice_ends(s, SLICE("\"")))
		return false;
	s = slice_sub(s, (size_t)at + FROM_LEN, s.len - 1);
	out->lost = slice_ends(s, SLICE(":lost"));
	if (out->lost)
		s = slice_sub(s, 0, s.len - 5);
	return s.len >= 18 && s.ptr[16] == ':' && number(slice_sub(s, 0, 16), 16, &out->spool) &&
	       number(slice_from(s, 17), 10, &out->position);
}

static void line_take(void *arg, const struct chain_link *line)
{
	struct replay *r = arg;
	struct replay_line l;

	if (r->error || !tag_read(line->members, &l))
		return;
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;
		struct replay_line *p = realloc(r->lines, cap * sizeof(*p));

		if (!p) {
			r->error = -ENOMEM;
			return;
		}
		r->lines = p;
		r->cap = cap;
	}
	r->lines[r->n++] = l;
}

int replay_read(const char *path, uint64_t seq, struct replay *out)
{
	int r;

	*out = (struct replay){ 0 };
	r = log_since(path, seq, line_take, out);
	return r < 0 ? r : out->error;
}

void replay_done(struct replay *r)
{
	free(r->lines);
	*r = (struct replay){ 0 };
}

uint64_t replay_last(const struct replay *r, uint64_t spool)
{
	uint64_t last = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->lines[i].spool == spool && !r->lines[i].lost)
			last = MAX(last, r->lines[i].position);
	return last;
}

bool replay_has_lost(const struct replay *r, uint64_t spool, uint64_t position)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->lines[i].spool == spool && r->lines[i].position == position && r->lines[i].lost)
			return true;
	return false;
}
