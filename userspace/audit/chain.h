/*
 * The audit log: one JSON line a record, {"seq":N,"prev":"<hex>",...,"hash":"<hex>"}, where hash =
 * SHA-256 of the line's bytes before `,"hash"` and prev is the hash of the line before (64 zeroes
 * for the first). A line that was changed, cut out, added or moved breaks the chain from there on.
 */
#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

#include "base/buf.h"
#include "base/digest.h"

#include <stdint.h>
#include <stdio.h>

#define CHAIN_LINE_MAX (64U << 10)

struct chain {
	uint64_t seq;                     /* of the last line; 0 none */
	char hash[DIGEST_HEX_LEN];        /* of the last line; "" counts as 64 zeroes */
};

/* Appends one whole line with its '\n' to `out` from the members record_json() made; advances the
 * chain. -EMSGSIZE over CHAIN_LINE_MAX, -ENOBUFS, -ENOMEM: chain and out as before. */
int chain_line(struct chain *c, struct slice members, struct buf *out);

/* A line (without its '\n') taken apart; nothing is verified but its frame. 0 or -EBADMSG. */
struct chain_link {
	uint64_t seq;
	struct slice prev, hash; /* 64 hex digits each */
	struct slice members;    /* what chain_line() was given */
	struct slice hashed;     /* what the hash is of */
};
int chain_parse(struct slice line, struct chain_link *out);

/*
 * Verifies the next line (without its '\n') after *c and advances it. `begin`: the first line of a
 * file that may begin anywhere. NULL: good; otherwise what is wrong, a constant.
 */
const char *chain_check(struct chain *c, struct slice line, bool begin);

/*
 * The next line of a log into `line` (CHAIN_LINE_MAX + 1 bytes), without its '\n'; *len its bytes.
 * 1 a line, 0 the end, -ENODATA the file ends inside a line, -EMSGSIZE longer than a line may be (it
 * is skipped), -EIO.
 */
int chain_next_line(FILE *f, char *line, size_t *len);

struct chain_verdict {
	uint64_t lines;
	uint64_t first_bad;  /* line number in the file from 1; 0: all good */
	const char *what;    /* "changed", "lines are missing before it", "not JSON"... */
	struct chain end;
};
/* Verifies a file from its first line (any seq; a rotated file begins in the middle: *start NULL, or
 * the chain it must continue). 0 good, 1 a bad line was found, -errno. */
int chain_verify(const char *path, const struct chain *start, struct chain_verdict *out);

/*
 * Continues an existing file: reads its last line. 0, -ENOENT (no file or an empty one: a new
 * chain), -EBADMSG (the last line is cut off or does not verify), -errno.
 */
int chain_resume(const char *path, struct chain *out);

#endif
