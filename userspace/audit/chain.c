/* Hash chain over lines. */
#include "audit/chain.h"

#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"
#define HEX_LEN (DIGEST_HEX_LEN - 1)
#define HEAD_SEQ "{\"seq\":"
#define HEAD_PREV ",\"prev\":\""
#define TAIL_HASH ",\"hash\":\""
/* ,"hash":"<64>"} */
#define TAIL_LEN (sizeof(TAIL_HASH) - 1 + HEX_LEN + 2)

static const char *hash_or_zeroes(const struct chain *c)
{
	return c->hash[0] ? c->hash : ZEROES;
}

int chain_line(struct chain *c, struct slice members, struct buf *out)
{
	unsigned char digest[DIGEST_LEN];
	char head[128];
	int n = snprintf(head, sizeof(head), HEAD_SEQ "%llu" HEAD_PREV "%s\"%s",
			 (unsigned long long)c->seq + 1, hash_or_zeroes(c), members.len ? "," : "");
	size_t hashed = (size_t)n + members.len, whole = hashed + TAIL_LEN + 1;
	char *line, *p;
	int r;

	if (whole > CHAIN_LINE_MAX)
		return -EMSGSIZE;
	r = buf_reserve(out, whole);
	if (r < 0)
		return r;
	line = out->data + out->len;
	memcpy(line, head, (size_t)n);
	if (members.len)
		memcpy(line + n, members.ptr, members.len);
	r = digest_of(slice_of(line, hashed), digest);
	if (r < 0)
		return r;
	p = line + hashed;
	memcpy(p, TAIL_HASH, sizeof(TAIL_HASH) - 1);
	p += sizeof(TAIL_HASH) - 1;
	text_hex(digest, DIGEST_LEN, c->hash);
	memcpy(p, c->hash, HEX_LEN);
	memcpy(p + HEX_LEN, "\"}\n", 3);
	out->len += whole;
	c->seq++;
	return 0;
}

static bool is_hex(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
			return false;
	return s.len == HEX_LEN;
}

int chain_parse(struct slice line, struct chain_link *out)
{
	struct chain_link l = { 0 };
	struct slice rest, tail;
	size_t digits = 0;

	if (line.len < TAIL_LEN || line.len > CHAIN_LINE_MAX || !slice_starts(line, SLICE(HEAD_SEQ)))
		return -EBADMSG;
	tail = slice_from(line, line.len - TAIL_LEN);
	l.hashed = slice_sub(line, 0, line.len - TAIL_LEN);
	l.hash = slice_sub(tail, sizeof(TAIL_HASH) - 1, TAIL_LEN - 2);
	if (!slice_starts(tail, SLICE(TAIL_HASH)) || !slice_ends(tail, SLICE("\"}")) ||
	    !is_hex(l.hash))
		return -EBADMSG;
	rest = slice_from(l.hashed, sizeof(HEAD_SEQ) - 1);
	while (digits < rest.len && digits < 19 && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9')
		l.seq = l.seq * 10 + (uint64_t)(rest.ptr[digits++] - '0');
	if (!digits || rest.ptr[0] == '0')
		return -EBADMSG;
	rest = slice_from(rest, digits);
	if (!slice_starts(rest, SLICE(HEAD_PREV)))
		return -EBADMSG;
	rest = slice_from(rest, sizeof(HEAD_PREV) - 1);
	l.prev = slice_sub(rest, 0, HEX_LEN);
	rest = slice_from(rest, HEX_LEN);
	if (!is_hex(l.prev) || !slice_starts(rest, SLICE("\"")))
		return -EBADMSG;
	l.members = slice_from(rest, 1);
	if (l.members.len) {
		if (l.members.ptr[0] != ',')
			return -EBADMSG;
		l.members = slice_from(l.members, 1);
	}
	*out = l;
	return 0;
}

static bool is_json(struct slice line)
{
	json_error_t e;
	json_t *j = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, &e);
	bool good = json_is_object(j);

	json_decref(j);
	return good;
}

const char *chain_check(struct chain *c, struct slice line, bool begin)
{
	unsigned char digest[DIGEST_LEN];
	char hash[DIGEST_HEX_LEN];
	struct chain_link l;

	if (line.len > CHAIN_LINE_MAX)
		return "longer than a line may be";
	if (memchr(line.ptr, '\0', line.len) || !is_json(line))
		return "not JSON";
	if (chain_parse(line, &l) < 0)
		return "not a line of this log: seq, prev and hash do not stand where they must";
	if (digest_of(l.hashed, digest) < 0)
		return "not verified: out of memory";
	text_hex(digest, DIGEST_LEN, hash);
	if (!slice_is(l.hash, hash))
		return "changed: its hash does not match its content";
	if (!begin) {
		if (l.seq > c->seq + 1)
			return "lines are missing before it";
		if (l.seq <= c->seq)
			return "repeated, or moved from an earlier place";
		if (!slice_is(l.prev, hash_or_zeroes(c)))
			return "does not continue the line before it";
	} else if (l.seq == 1 && !slice_is(l.prev, ZEROES)) {
		return "numbered 1 but continues another line";
	}
	c->seq = l.seq;
	memcpy(c->hash, hash, sizeof(c->hash));
	return NULL;
}

int chain_next_line(FILE *f, char *line, size_t *len)
{
	size_t n = 0;
	int c;

	while ((c = getc_unlocked(f)) != EOF && c != '\n') {
		if (n <= CHAIN_LINE_MAX)
			line[n] = (char)c;
		n++;
	}
	*len = MIN(n, (size_t)CHAIN_LINE_MAX);
	if (c == EOF)
		return ferror(f) ? -EIO : n ? -ENODATA : 0;
	return n > CHAIN_LINE_MAX ? -EMSGSIZE : 1;
}

int chain_verify(const char *path, const struct chain *start, struct chain_verdict *out)
{
	cleanup(freep) char *line = malloc(CHAIN_LINE_MAX + 1);
	struct chain_verdict v = { 0 };
	FILE *f = fopen(path, "re");
	size_t len;
	int r;

	if (!f)
		return -errno;
	if (start)
		v.end = *start;
	while ((r = line ? chain_next_line(f, line, &len) : -ENOMEM) != 0) {
		if (r == -EIO || r == -ENOMEM)
			break;
		v.lines++;
		if (r == 1)
			v.what = chain_check(&v.end, slice_of(line, len), !start && v.lines == 1);
		else
			v.what = r == -ENODATA ? "cut off: the file ends inside it" :
						 "longer than a line may be";
		if (v.what) {
			v.first_bad = v.lines;
			break;
		}
	}
	(void)fclose(f);
	if (r == -EIO || r == -ENOMEM)
		return r;
	*out = v;
	return v.first_bad ? 1 : 0;
}

int chain_resume(const char *path, struct chain *out)
{
	cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup(freep) char *tail = NULL;
	struct chain c = { 0 };
	struct stat st;
	const char *begin;
	size_t len;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return -ENOENT;
	len = (size_t)MIN((off_t)CHAIN_LINE_MAX + 1, st.st_size);
	tail = malloc(len);
	if (!tail)
		return -ENOMEM;
	if (pread(fd, tail, len, st.st_size - (off_t)len) != (ssize_t)len)
		return -EIO;
	if (tail[len - 1] != '\n')
		return -EBADMSG;
	begin = memrchr(tail, '\n', len - 1);
	begin = begin ? begin + 1 : tail;
	if (chain_check(&c, slice_of(begin, (size_t)(tail + len - 1 - begin)), true))
		return -EBADMSG;
	*out = c;
	return 0;
}
