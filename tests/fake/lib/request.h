/*
 * HTTP/1.1 as the scripted provider reads it: enough to answer, and exact enough to log what arrived.
 * It is a witness, not a gate: it accepts what a lenient provider would and keeps the raw head.
 */
#ifndef TESTS_FAKE_REQUEST_H
#define TESTS_FAKE_REQUEST_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>

#define REQUEST_HEAD_MAX (64 * 1024)
#define REQUEST_BODY_MAX (64 * 1024 * 1024)

struct request {
	struct slice head;              /* as received, the empty line included; into the input */
	struct slice method, path, host; /* path with its query; host without a port */
	struct slice body;              /* de-chunked; into the input or into `chunks` */
	size_t total;                   /* bytes of the input this request took */
	bool keep_alive, expect_continue;
};

/*
 * Reads one request off the front of `in` without consuming it. A chunked body is put together in
 * `chunks` (cleared first). 0, -EAGAIN (more bytes needed; head and expect_continue are filled once
 * the head is complete, else head.len is 0), -EBADMSG (not HTTP), -EMSGSIZE.
 */
int request_parse(const struct buf *in, struct buf *chunks, struct request *r);

/* The value of a header by its lower-case name, the first one; {NULL, 0} when absent. */
struct slice request_header(const struct request *r, const char *name);

/* Steps over the header lines: start with at = 0; false at the end. */
bool request_next_header(const struct request *r, size_t *at, struct slice *name,
			 struct slice *value);

#endif
