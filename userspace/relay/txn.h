/*
 * One exchange: a request, what we found and decided, its response. A story of six stages run by one
 * table (txn.c); the reply side is driven by the upstream's bytes (reply.c, stream.c).
 */
#ifndef RELAY_TXN_H
#define RELAY_TXN_H

#include "dialect/dialect.h"
#include "relay/conn.h"
#include "wire/encoding.h"
#include "wire/sse.h"

#define TXN_ARENA_MAX (512U << 20)
#define TXN_ANSWERED 1 /* a stage answered the client itself: the story ends here */

enum reply_mode {
	REPLY_NONE,       /* no head yet */
	REPLY_PASS,       /* bytes go on as they come, a copy is read at the end */
	REPLY_HOLD,       /* whole body held, edited, sent */
	REPLY_STREAM,     /* SSE, event by event; windows only where an answer may be edited */
};

struct lane;

struct txn {
	struct conn *c;
	struct txn *next_spare;                /* among the worker's spare ones */
	struct arena arena;
	struct snapshot *rules;
	uint64_t id;
	char request_id[40];
	unsigned stage;
	uint64_t start_ns, start_mono_ns;      /* wall, monotonic */
	uint64_t sent_ns, first_byte_ns;       /* monotonic */

	/* request */
	struct http_head head;
	struct buf body;
	bool complete;                         /* the whole request has arrived */
	bool too_big;                          /* streams on unread past the cap */
	struct buf plain;                      /* decoded when it came with a content coding */
	struct slice text;                     /* what was read: body or plain */
	struct endpoint endpoint;
	bool not_ai;                           /* a path of a shared host that is no AI: forwarded unread */
	bool signs_body;                       /* an edit would break the caller's signature */
	const struct dialect *dialect;
	struct message message;
	int unread;                            /* -errno: its dialect could not read it; raw text was scanned */
	struct slice model_asked;
	struct findings findings;
	struct findings fixed;                 /* where nothing can be masked: address, names, numbers */
	bool path_found;                       /* some in the path: it is not recorded */
	struct facts facts;
	struct decision decision;
	const struct budget_rule *budget[BUDGETS_MAX];
	size_t n_budgets;
	struct reservation reservation;
	bool reserved;
	int over;                              /* budget that is used up, or -1 */
	int warned;                            /* budget that passed its warning line, or -1 */
	int64_t reserve_microusd, reserve_tokens;
	const struct price *price;
	struct slice downgrade;                /* model to use instead; ptr NULL: none */
	bool asked_usage;
	struct buf edited;                     /* the body as sent when it was edited */
	bool forwarded;
	bool was_idle;                         /* it went out on a connection that had lain idle */
	bool again;                            /* ... which turned out to be closed: sent a second time */
	bool opened;                           /* RECORD_OPEN is in the spool */

	/* response */
	enum reply_mode mode;
	struct http_head reply_head;
	struct reply reply;
	struct buf reply_body;                 /* copy (PASS) or held body (HOLD), as it came */
	bool reply_copy_full;                  /* over the cap: no longer read */
	enum coding reply_coding;
	struct findings reply_findings;
	struct findings whole_findings;        /* of whole texts in a stream: mostly repeats of lanes */
	bool edit_reply;                       /* the policy may change or block answers */
	struct sse sse;
	bool sse_ready;
	struct arena event_arena;
	struct lane **lanes;
	size_t n_lanes;
	struct held *held, *held_last;         /* events kept back, oldest first */
	size_t held_bytes;
	struct buf edited_reply;
	bool reply_done;
	bool truncated;                        /* the client must not take it for a whole answer */

	/* outcome */
	uint32_t action, would;                /* enum record_action */
	char reason[256];
	int status;                            /* sent to the client */
	uint64_t bytes_out, bytes_in;
	bool refused;
	bool finished;
};

int txn_new(struct conn *c, struct txn **out);
void txn_free(struct txn *t);      /* its memory may wait for the next one */
void txn_spare_done(struct worker *w);

/* Body bytes as they come: collected up to the inspection limit, then by the fail mode. */
int txn_body(struct txn *t, struct slice d);

/* Runs stages until the request is out or a stage waits. 0, -EAGAIN, or what txn_fail() made of it. */
int txn_step(struct txn *t);

/* The one place where a failed inspection becomes pass or block, by the rule's fail mode. Returns 0
 * when the transaction goes on. */
int txn_fail(struct txn *t, const char *stage, int error);

/* stages */
int request_read(struct txn *t);     /* request.c */
/* What the head alone tells: endpoint, dialect, not_ai. TXN_ANSWERED: it may not go on. */
int request_target(struct txn *t);   /* request.c */
int request_inspect(struct txn *t);  /* inspect.c */
int request_reserve(struct txn *t);  /* reserve.c */
int request_decide(struct txn *t);   /* act.c */
int request_act(struct txn *t);      /* act.c */
int request_forward(struct txn *t);  /* forward.c */

/* act.c: answers in the dialect's own error shape; status 400 for policy, 502 for upstream trouble. */
int txn_refuse(struct txn *t, int status, const char *code, const char *fmt, ...) printf_like(4, 5);
const char *txn_status_words(int status); /* RFC 9110 15 */
/* inspect.c: scans all parts of a document; what is over the scan limit is -EMSGSIZE. */
int inspect_parts(struct txn *t, const uint8_t *actions, const struct jdoc *doc, struct slice raw,
		  const struct part *parts, size_t n, struct findings *out);
enum dlp_action inspect_strictest(const struct findings *f, const uint8_t *actions);
/* act.c: splices for every finding whose action is DLP_REDACT. -EACCES: one lies in a frozen part. */
int act_splices(struct txn *t, const struct jdoc *doc, const struct part *parts,
		const struct findings *f, const uint8_t *actions, struct splice **out, size_t *n);

/* forward.c: head and what there is of the body to the provider; 0, -EAGAIN (not connected yet). */
int forward_start(struct txn *t);
/* The connection it went out on had been closed by then: once more, on a new one. False: that cannot be. */
bool forward_again(struct txn *t);
/* Begins to send a body over the cap, as soon as there is an upstream and room for its record. */
void forward_big(struct conn *c);
/* The end of a body that streamed on unread. */
int forward_end(struct txn *t);

/* reply.c */
int reply_on_head(struct txn *t, struct http_head *h);
int reply_on_data(struct txn *t, struct slice d);
int reply_on_end(struct txn *t);
/* The upstream broke off before the end: what the client gets. */
void reply_broken(struct txn *t, const char *why);
int reply_send_head(struct txn *t);
int reply_send_data(struct txn *t, struct slice d);

/* stream.c */
int stream_start(struct txn *t);
int stream_feed(struct txn *t, struct slice d);
int stream_end(struct txn *t);
/* Ends a stream that has begun with the dialect's own error event and the framing's proper end. */
void stream_break(struct txn *t, const char *code, const char *why);
void stream_free(struct txn *t);

/* finish.c */
int txn_open(struct txn *t);    /* the RECORD_OPEN before it leaves; -ENOSPC: the spool is full */
void txn_finish(struct txn *t); /* settle, record, count; frees t and lets the connection go on */
void txn_abandon(struct txn *t); /* the connection ends under it: settle and record what there is */

#endif
