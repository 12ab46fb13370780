/*
 * The recorder process: unprivileged, owner of the audit log and the ledger (daemon/booking.h has what
 * it keeps where). The monitor talks to it over one SOCK_SEQPACKET channel; workers only through
 * their spools and a wake-up eventfd.
 *
 * At start the monitor sends ADD_SPOOL for every worker that is alive, then START; rings that nobody
 * claimed are then drained as those of dead workers. Before the answer STARTED no new worker may run
 * when START said fresh, as the budgets are being filled.
 */
#ifndef DAEMON_RECORDER_H
#define DAEMON_RECORDER_H

#include "audit/record.h"
#include "daemon/booking.h"

enum recorder_message_kind {
	/* monitor -> recorder */
	RECORDER_ADD_SPOOL = 1, /* slot; fds: the ring, and the eventfd that wakes the recorder */
	RECORDER_WORKER_GONE,   /* slot: dead and reaped; answered by WORKER_DONE, and not before that
				 * may another worker have the slot (it is its number in the budgets) */
	RECORDER_START,         /* fresh: 1 when no worker is alive */
	RECORDER_RECORD,        /* record: SEEN, ADMIN */
	RECORDER_FLUSH,         /* everything to log and ledger, then FLUSHED */
	RECORDER_STATUS,
	/* recorder -> monitor */
	RECORDER_STARTED,       /* status 0 or -errno; fd: the budget table */
	RECORDER_WORKER_DONE,   /* slot */
	RECORDER_FLUSHED,       /* status */
	RECORDER_COUNTS,        /* counts */
	RECORDER_ALIVE,         /* once a second */
};

struct recorder_message {
	uint32_t kind; /* enum recorder_message_kind */
	uint32_t slot;
	uint32_t fresh;
	int32_t status;
	union {
		struct record record;
		struct booking_counts counts;
	};
};
/* Bytes to send of a message that carries no record. */
#define RECORDER_SHORT (offsetof(struct recorder_message, record) + sizeof(struct booking_counts))

struct recorder_options {
	const char *state_dir;
	uint64_t rotate_bytes; /* 0 never */
};

/*
 * Runs until the channel's other end is closed, then books what is left. Already unprivileged when
 * called. An exit status: 0, or 1 when its files could not be opened.
 */
int recorder_main(int control_fd, const struct recorder_options *o);

#endif
