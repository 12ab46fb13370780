/*
 * A reply on its way: answer.c fills what the dialect says (a body in pieces), frame.c makes the bytes
 * and their timing of it, provider.c sends them.
 */
#ifndef TESTS_FAKE_REPLY_H
#define TESTS_FAKE_REPLY_H

#include "base/buf.h"
#include "tests/fake/lib/knobs.h"
#include "tests/fake/lib/request.h"

#include <stdint.h>

/* Letters that stand for a CLOCK_MONOTONIC time in ns; letters, so that no detector sees a number. */
#define STAMP_LEN 16
#define STAMP_MARK "tttttttttttttttt"
void stamp_write(char out[STAMP_LEN], uint64_t mono_ns);
/* 0 when these are not STAMP_LEN letters of a time. */
uint64_t stamp_read(const char in[STAMP_LEN]);

struct piece {
	size_t end;    /* offset in the bytes where this piece ends */
	unsigned wait_ms; /* to wait before it is sent */
	size_t stamp;  /* offset of a stamp to be written when it is sent; 0: none */
};

struct pieces {
	struct buf bytes;
	struct piece *list;
	size_t n, room;
};

void pieces_init(struct pieces *p);
void pieces_done(struct pieces *p);
void pieces_clear(struct pieces *p);
/* Ends a piece at what has been written so far. 0 or -ENOMEM. */
int pieces_end(struct pieces *p, unsigned wait_ms, size_t stamp);

/* What the dialect says. */
struct reply {
	int status;
	const char *type; /* Content-Type */
	bool stream;
	const char *id_header; /* what the provider calls the request's id */
	char request_id[48];
	struct pieces body;
};

enum after { AFTER_KEEP, AFTER_CLOSE, AFTER_DROP /* FIN, no close_notify */, AFTER_RESET, AFTER_STALL };

/* What is sent. */
struct script {
	struct pieces wire;
	enum after after;
};

/* answer.c: 0 or -ENOMEM; `answers` is a folder for the knob "file" or NULL. Adds the knobs of the
 * model name to *k. */
int answer_make(const struct request *r, struct knobs *k, const char *answers, struct reply *out);

/* frame.c: gzip, length or chunks, faults. 0 or -ENOMEM. */
int frame_reply(struct reply *r, const struct knobs *k, bool keep_alive, struct script *out);

#endif
