/*
 * One exchange (or one connection that was not inspected) as flat fields: what the worker hands to
 * the recorder and what a line of the audit log says. Plain data of fixed size; no prompt, no key, no
 * header value ever: findings are types and counts.
 */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include "base/buf.h"
#include "base/json.h"
#include "ident/principal.h"

#include <stdint.h>

#define RECORD_FINDINGS 16
#define RECORD_TOOLS 8
#define RECORD_BUDGETS 8
/* The reason of the second SEEN record of a connection, which was first told of when it was open. */
#define RECORD_CLOSED "closed"

enum record_kind {
	RECORD_EXCHANGE = 1,  /* a request that was inspected */
	RECORD_SPLICED = 2,   /* a connection passed through unread: mode, distrust */
	RECORD_REFUSED = 3,   /* a connection refused before any request */
	RECORD_SEEN = 4,      /* observe mode: seen by the kernel only */
	RECORD_OPEN = 5,      /* written before a request leaves: becomes "lost" if its end never comes */
	RECORD_ADMIN = 6,     /* started, stopped, reloaded, CA made, armed, disarmed... (note) */
};

enum record_action { ACTION_ALLOWED, ACTION_REDACTED, ACTION_BLOCKED, ACTION_CUT, ACTION_FAILED };

struct record {
	uint32_t kind;          /* enum record_kind */
	uint32_t action;        /* enum record_action; in monitor mode: what was really done (allowed) */
	uint32_t would;         /* enum record_action: what enforce would have done */
	uint32_t mode;          /* enum sp_mode */
	uint64_t id;            /* of the exchange; RECORD_OPEN and its end share it */
	uint64_t start_ns;      /* wall clock */
	uint64_t duration_us;
	uint64_t first_byte_us; /* request complete -> first byte of the answer; 0 none */
	uint64_t bytes_out, bytes_in; /* bodies; connection bytes for SPLICED and SEEN */
	struct principal who;
	char provider[48];
	char host[128];
	char address[48];       /* where it went: "203.0.113.4:443" */
	char endpoint[24], dialect[24], method[12];
	char path[160];         /* without query */
	char model[96], model_asked[96]; /* model_asked differs after a downgrade */
	char rule[64];
	char reason[256];       /* why refused, cut, failed; plain words */
	char request_id[40];    /* "sp-…": shown to the client too */
	char note[256];         /* ADMIN */
	char tls_client[24], tls_upstream[24]; /* "TLSv1.3 resumed" */
	uint32_t status;        /* sent to the client */
	uint32_t upstream_status;
	bool stream, sanctioned, estimated, priced;
	bool distrust;          /* SPLICED, REFUSED: the client does not trust our CA */
	int64_t input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens; /* -1 */
	int64_t cost_microusd;
	struct {
		char type[32];
		char where[10];  /* "request", "response" */
		char action[8];  /* "log", "redact", "block" */
		uint32_t count;
	} finding[RECORD_FINDINGS];
	uint32_t n_findings;
	char tool[RECORD_TOOLS][48]; /* called */
	uint32_t n_tools;
	struct {
		char id[48];
		uint64_t caller, window_s;
	} budget[RECORD_BUDGETS];   /* accounts to book under */
	uint32_t n_budgets;
	int64_t reserved_microusd, reserved_tokens; /* OPEN: booked if the end never comes */
};

/*
 * The JSON members of a record without braces, sequence and hashes; one line, valid UTF-8 without
 * control, C1 or direction-changing characters whatever the fields hold; empty fields are left out.
 * 0, -ENOBUFS, -ENOMEM.
 */
int record_json(const struct record *r, struct buf *out);
#define RECORD_JSON_MAX (6 * sizeof(struct record) + 4096)

/* The way back, from a line of the log (jansson). Unknown members are left alone. 0 or -EBADMSG. */
int record_read(const json_t *line, struct record *out);

/*
 * The form for the spool: only the words that are not zero, as most of a record is; the worker writes
 * 1 KB instead of 6. So clear a record before filling it.
 * record_put: 0, or spool_put()'s errors. record_unpack: -EBADMSG (damaged, or another version's).
 */
struct spool;
int record_put(struct spool *s, const struct record *r);
int record_unpack(struct slice in, struct record *out);

/* Mends what came from a process that is not trusted: texts end, counts and choices are in range. */
void record_sane(struct record *r);

const char *record_kind_name(uint32_t kind);     /* "exchange"; "unknown" out of range */
const char *record_action_name(uint32_t action); /* "allowed" */
const char *record_mode_name(uint32_t mode);     /* "observe" */

/*
 * The readable story for people ("sallyport tail"): a line, and lines below it for what was found and
 * why it was refused, each ended by '\n'. Local time.
 */
struct record_style {
	bool color; /* escape sequences */
	bool date;  /* the day before the time */
};
int record_text(const struct record *r, struct record_style style, struct buf *out);

#endif
