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

struct chain {
	uint64_t seq;                     /* of the last line; 0 none */
	char hash[DIGEST_HEX_LEN];        /* of the last line */
};

/* Appends one whole line to `out` from the members record_json() made; advances the chain. */
int chain_line(struct chain *c, struct slice members, struct buf *out);

struct chain_verdict {
	uint64_t lines;
	uint64_t first_bad;  /* line number in the file from 1; 0: all good */
	const char *what;    /* "changed", "missing lines before it", "not JSON"... */
	struct chain end;
};
/* Verifies a file from its first line (any seq; a rotated file begins in the middle: *start NULL, or
 * the chain it must continue). 0 good, 1 a bad line was found, -errno. */
int chain_verify(const char *path, const struct chain *start, struct chain_verdict *out);
/* Continues an existing file: reads its last line. 0, -ENOENT (no file: a new chain), -EBADMSG. */
int chain_resume(const char *path, struct chain *out);

#endif
