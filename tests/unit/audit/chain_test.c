/* The chain names the line that was touched. */
#include "audit/chain.h"
#include "base/file.h"
#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LINES 6

static char dir[] = "/tmp/chain_test.XXXXXX";
static char path[64];
static char lines[LINES][1024];

static void write_lines(const int *order, size_t n)
{
	FILE *f = fopen(path, "w");

	for (size_t i = 0; i < n; i++)
		fputs(lines[order[i]], f);
	fclose(f);
}

static void make_lines(void)
{
	struct chain c = { 0 };
	struct buf out;

	buf_init(&out, 1 << 20);
	for (int i = 0; i < LINES; i++) {
		char members[64];

		snprintf(members, sizeof(members), "\"kind\":\"exchange\",\"n\":%d", i);
		t_int(chain_line(&c, slice_str(members), &out), 0, "a line is made");
		slice_copy(lines[i], sizeof(lines[i]), buf_slice(&out));
		buf_clear(&out);
	}
	t_int(c.seq, LINES, "the chain counts its lines");
	buf_done(&out);
}

static void orders(void)
{
	static const struct {
		const char *why;
		int order[LINES + 1];
		size_t n;
		uint64_t bad;
	} rows[] = {
		{ "whole", { 0, 1, 2, 3, 4, 5 }, 6, 0 },
		{ "second cut out", { 0, 2, 3, 4, 5 }, 5, 2 },
		{ "two changed places", { 0, 1, 3, 2, 4, 5 }, 6, 3 },
		{ "one twice", { 0, 1, 2, 2, 3, 4, 5 }, 7, 4 },
		{ "an old one put in", { 0, 1, 2, 0, 3, 4, 5 }, 7, 4 },
		{ "begins in the middle, as a rotated file", { 3, 4, 5 }, 3, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct chain_verdict v;
		int r;

		write_lines(rows[i].order, rows[i].n);
		r = chain_verify(path, NULL, &v);
		t_ok(r == (rows[i].bad ? 1 : 0) && v.first_bad == rows[i].bad,
		     "%s: line %llu is named (%s)", rows[i].why, (unsigned long long)rows[i].bad,
		     v.what ? v.what : "good");
	}
}

static void flips(void)
{
	static const int all[] = { 0, 1, 2, 3, 4, 5 };
	char was[1024];

	/* Every byte of the third line, one bit each. */
	memcpy(was, lines[2], sizeof(was));
	for (size_t at = 0; at < strlen(was); at++) {
		struct chain_verdict v = { 0 };
		int r;

		lines[2][at] ^= 1;
		if (!lines[2][at])
			continue;
		write_lines(all, LINES);
		r = chain_verify(path, NULL, &v);
		t_ok(r == 1 && v.first_bad == 3, "byte %zu of line 3 flipped: line 3 is named", at);
		memcpy(lines[2], was, sizeof(was));
	}
}

/* Who rewrites a line with a right hash of its own breaks the line after it. */
static void forged(void)
{
	struct chain c = { 0 };
	struct chain_verdict v;
	struct chain_link l;
	struct buf out;
	FILE *f = fopen(path, "w");

	buf_init(&out, 1 << 20);
	(void)chain_parse(slice_sub(slice_str(lines[2]), 0, strlen(lines[2]) - 1), &l);
	c.seq = 2;
	slice_copy(c.hash, sizeof(c.hash), l.prev);
	(void)chain_line(&c, SLICE("\"kind\":\"exchange\",\"n\":99"), &out);
	fprintf(f, "%s%s%.*s%s%s", lines[0], lines[1], SLICE_FMT(buf_slice(&out)), lines[3], lines[4]);
	fclose(f);
	t_ok(chain_verify(path, NULL, &v) == 1 && v.first_bad == 4,
	     "a line forged with its own hash: the next one is named");
	buf_done(&out);
}

static void resume(void)
{
	static const int all[] = { 0, 1, 2, 3, 4, 5 };
	struct chain c;
	struct chain_verdict v;
	struct buf out;

	write_lines(all, LINES);
	t_int(chain_resume(path, &c), 0, "an existing file is continued");
	t_int(c.seq, LINES, "from its last line");
	buf_init(&out, 1 << 20);
	(void)chain_line(&c, SLICE("\"kind\":\"admin\""), &out);
	FILE *f = fopen(path, "a");
	fprintf(f, "%.*s", SLICE_FMT(buf_slice(&out)));
	fclose(f);
	t_int(chain_verify(path, NULL, &v), 0, "and verifies as one");
	t_int(v.end.seq, LINES + 1, "with one line more");
	t_int(truncate(path, 700), 0, "cut off in a line");
	t_int(chain_resume(path, &c), -EBADMSG, "a cut line is not continued");
	t_ok(chain_verify(path, NULL, &v) == 1 && strstr(v.what, "cut off"), "and named as cut off");
	t_int(chain_resume("/tmp/chain_test.none", &c), -ENOENT, "no file: a new chain");
	t_int(truncate(path, 0), 0, "emptied");
	t_int(chain_resume(path, &c), -ENOENT, "an empty file: a new chain");
	buf_done(&out);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	make_lines();
	orders();
	flips();
	forged();
	resume();
	unlink(path);
	rmdir(dir);
	return t_done();
}
