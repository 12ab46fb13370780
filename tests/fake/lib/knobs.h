/*
 * What a test asks of the provider: words such as "echo-3+gzip" or "reset-midstream", written as the
 * model name ("lab-echo-3+gzip"), in the header x-lab-fault, or in the control file for a host. The
 * words are listed in tests/fake/README.md.
 */
#ifndef TESTS_FAKE_KNOBS_H
#define TESTS_FAKE_KNOBS_H

#include "base/slice.h"

#include <stdbool.h>

enum fault {
	FAULT_NONE,
	FAULT_STALL,           /* the request is read, nothing is ever answered */
	FAULT_STALL_MIDSTREAM, /* half of the answer, then nothing */
	FAULT_RESET,           /* TCP reset instead of an answer */
	FAULT_RESET_MIDSTREAM, /* half of the answer, then a reset */
	FAULT_CLOSE,           /* an orderly close instead of an answer */
	FAULT_GARBAGE,         /* bytes that are not HTTP */
	FAULT_BAD_JSON,        /* 200 with a body that is not JSON (stream: events that are not) */
	FAULT_LONG_LENGTH,     /* Content-Length says 64 bytes more than come, then FIN */
	FAULT_SHORT_LENGTH,    /* Content-Length says less than come */
	FAULT_TWO_LENGTHS,     /* Content-Length and Transfer-Encoding together */
	FAULT_TRUNCATED,       /* half of the answer, then FIN without close_notify */
	FAULT_CUT,             /* framing ends well, but the dialect's end ([DONE]...) is missing */
	FAULT_UNTIL_CLOSE,     /* no length and not chunked: the body ends with the connection */
	FAULT_BIG_HEAD,        /* 256 KB of response headers */
	FAULT_STREAM_ERROR,    /* half of the events, then the dialect's in-stream error */
};

struct knobs {
	enum fault fault;
	bool fast;    /* the canned answer: no parsing, no logging; for benchmarks */
	bool gzip, tool, leak, echo, early_hints, cr_events;
	int status;   /* not 0: an error in the provider's shape with this status */
	int slow_ms;  /* before the first byte */
	int every_ms; /* between events of a stream */
	int split;    /* bytes a write; 0: as they come */
	int delta;    /* bytes of text an event; 0: words */
	int ticks, tick_bytes;
	long big;     /* bytes of answer text */
	long usage_in, usage_out, usage_cached, usage_reasoning; /* -1: counted */
	char file[64]; /* answer text from this file of --answers */
};

void knobs_init(struct knobs *k);
/* Adds words; unknown ones are ignored (a model called "lab-anything" is just a model). */
void knobs_add(struct knobs *k, struct slice words);

#endif
