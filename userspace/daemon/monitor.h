/*
 * The monitor process: root, loads the kernel side, owns the other processes, answers "who is this"
 * and the control socket. It parses nothing that came off a network.
 */
#ifndef DAEMON_MONITOR_H
#define DAEMON_MONITOR_H

#include "audit/record.h"
#include "audit/spool.h"
#include "daemon/child.h"
#include "ident/whois.h"
#include "kern/kern.h"
#include "net/loop.h"
#include "relay/messages.h"
#include "relay/metrics.h"
#include "relay/snapshot.h"
#include "spend/budget.h"

#define SLOTS_MAX 8        /* worker threads */
#define LISTENERS_MAX 2    /* 127.0.0.1 and ::1; one pair a network namespace */
#define CONTROL_CLIENTS 16

struct monitor;

/* One worker thread as the monitor sees it. */
struct slot {
	struct monitor *m;
	int channel;
	struct watch watch;
	struct spool *spool;      /* outlives the worker: what was handed over is safe */
	struct metrics *metrics;
	int metrics_fd;
	uint64_t alive_ns;        /* CLOCK_MONOTONIC of its last sign of life */
	uint64_t generation;      /* of the rules it confirmed */
	bool draining;            /* its last worker died and the recorder is not through with it */
};

struct seen_table;
struct prefetch;
struct control;

struct monitor {
	struct options o;
	struct loop *loop;
	struct kern *kern;
	struct whois *whois;
	struct catalog *catalog;
	struct budget_table *budgets;

	struct child signer, worker, recorder, resolver;
	struct slot slots[SLOTS_MAX];
	struct timer restart, heartbeat, scopes_timer, prefetch_timer;
	struct watch events, signals, recorder_watch, resolver_watch;
	int lock_fd;              /* held as long as the process lives */
	int wake_fd;              /* eventfd: workers -> recorder */
	int listeners[LISTENERS_MAX];
	size_t n_listeners;
	uint16_t port;
	int rules_fd[SNAPSHOT_FILES];
	int ca_fd;                /* memfd: PEM of the root */
	uint64_t generation;
	enum sp_mode strictest;   /* of all rules; above observe the data path runs */
	bool any_closed;          /* some rule fails closed */
	struct policy_scope *scopes; /* copied out of the policy */
	size_t n_scopes;
	bool data_path;           /* signer and workers are wanted */
	bool stopping;
	bool ready_said;
	uint64_t started_ns;      /* wall clock */

	struct seen_table *seen;
	struct control *control;
	uint64_t seen_records, lost_records;
};

int monitor_main(const struct options *o);

/* rules.c */
/* Reads, checks and takes the four files; on -EINVAL the old rules stay and `why` lists the mistakes. */
int monitor_rules_load(struct monitor *m, struct buf *why);
/* Tells the kernel: names and modes. */
int monitor_rules_apply(struct monitor *m);
/* The kernel's mode table; again whenever units may have come or gone. */
int monitor_scopes_apply(struct monitor *m);
/* The same where the policy names units: they come and go. */
int monitor_units_follow(struct monitor *m);
void monitor_rules_free(struct monitor *m);

/* processes.c */
int processes_init(struct monitor *m);
int recorder_start(struct monitor *m);
int data_path_start(struct monitor *m);     /* CA, signer, listeners, workers */
void processes_reaped(struct monitor *m);   /* SIGCHLD */
void processes_stop(struct monitor *m);
int workers_rules(struct monitor *m);       /* sends the current rules to all */
bool workers_alive(const struct monitor *m);
/* To the recorder; what it cannot take is counted and said. */
/* In the middle of work that takes long: the monitor still lives, and so does the data path. */
void monitor_beat(struct monitor *m);
void monitor_record(struct monitor *m, const struct record *r);
void monitor_note(struct monitor *m, const char *fmt, ...) printf_like(2, 3); /* RECORD_ADMIN */

/* seen.c: what the kernel reports of connections that nobody proxies */
int seen_init(struct monitor *m);
void seen_free(struct monitor *m);
void seen_event(void *ctx, const struct sp_event *e);

/* control.c */
int control_init(struct monitor *m);
/* Reads the rules again; the answer for whoever asked. */
struct json_t *control_reload(struct monitor *m);
void control_free(struct monitor *m);

/* prefetch.c */
int prefetch_start(struct monitor *m);
void prefetch_ended(struct monitor *m); /* its round is over */
void prefetch_hosts_file(struct monitor *m);
int prefetch_main(int channel, const struct options *o); /* the resolver process */

#endif
