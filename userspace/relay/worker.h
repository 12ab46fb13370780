/*
 * A worker thread: its loop and everything its connections share. No state is shared between
 * threads but the budget table (atomic) and the rules (immutable, refcounted).
 */
#ifndef RELAY_WORKER_H
#define RELAY_WORKER_H

#include "audit/record.h"
#include "audit/spool.h"
#include "net/loop.h"
#include "relay/messages.h"
#include "relay/metrics.h"
#include "relay/snapshot.h"
#include "spend/budget.h"
#include "tls/tls.h"

#define WORKER_LISTENERS 64
#define WORKER_SCRATCH 32768 /* bytes read from a socket at a time */

struct conn;
struct caller;
struct distrust_table;
struct pool;
struct txn;

struct worker {
	struct loop *loop;
	struct snapshot *rules;
	struct dlp_scratch *dlp_scratch;
	struct dlp *dlp_scratch_of;     /* the database the scratch was made for */
	struct tls_server *server;
	struct tls_upstream *upstream;
	struct signer *signer;
	struct spool *spool;
	struct budget_table *budgets;
	struct metrics *metrics;
	int origins_fd, marks_fd, wake_fd;
	struct message_setup setup;

	int channel;                    /* to the monitor */
	struct watch channel_watch;
	struct timer alive, drain;
	struct listener {
		struct watch watch;
		struct worker *w;
	} listeners[WORKER_LISTENERS];
	size_t n_listeners;

	struct conn *conns;             /* all of them */
	struct conn *dead;              /* freed at the end of the round */
	size_t n_conns;
	struct conn *asking;            /* wait for a principal */
	uint32_t next_ask;
	struct caller **callers;        /* cache by (pid, start) */
	struct distrust_table *distrust;
	struct pool *pool;              /* idle upstream connections */
	struct txn *spare;              /* ended transactions whose memory waits for the next ones */
	size_t n_spare;
	struct conn *starved;           /* wait for room in the spool */
	struct timer starved_timer;
	unsigned freed;                 /* connections that gave memory back since the heap was trimmed */
	size_t n_opened;                /* exchanges whose end is promised room in the spool */
	uint64_t next_id;
	bool stopping;
	bool spooled;                   /* something was put since the recorder was last woken */
	uint64_t woken_ns;

	char scratch[WORKER_SCRATCH];
	struct record record;           /* where finish.c builds a record */
};

/* Takes the channel; blocks until SETUP and the first RULES came, then runs until STOP or the
 * monitor is gone. `ready` runs once after setup, before any byte of a network is read: the place
 * to drop privileges. 0 or -errno. */
int worker_run(int channel, int (*ready)(void *ctx), void *ctx);

/*
 * Hands a record over: 0, or -ENOSPC when the recorder is behind and the spool full. Every RECORD_OPEN
 * keeps room for its end (promised), so that an exchange that was let out is always recorded whole.
 */
int worker_record(struct worker *w, const struct record *r, bool promised);

/* "sp-" and 16 hex digits, and the number they stand for. */
uint64_t worker_request_id(struct worker *w, char out[40]);

/* whois.c of the relay: principals by origin; asks the monitor when it has to. */
struct caller {
	struct principal who;
	uint64_t key;       /* principal_key */
	int refs;
};
struct caller *caller_find(struct worker *w, const struct sp_task *t); /* ref'd, or NULL */
struct caller *caller_put(struct worker *w, const struct principal *p); /* ref'd, or NULL */
struct caller *caller_ref(struct caller *c);
void caller_unref(struct caller *c);
int callers_init(struct worker *w);
void callers_done(struct worker *w);

/* distrust.c: (executable, host) pairs that broke off over our certificate. */
int distrust_init(struct worker *w);
void distrust_done(struct worker *w);
void distrust_learn(struct worker *w, const struct principal *who, struct slice host);
void distrust_flush(struct worker *w, uint64_t generation); /* once for each reload */
bool distrust_known(struct worker *w, const struct principal *who, struct slice host);

#endif
