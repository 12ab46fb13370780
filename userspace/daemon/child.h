/* The monitor's children: this very binary in another role, at the end of a channel. */
#ifndef DAEMON_CHILD_H
#define DAEMON_CHILD_H

#include "daemon/options.h"

#include <stdint.h>
#include <sys/types.h>

struct child {
	const char *role;      /* "worker"... */
	pid_t pid;             /* 0: not running */
	int channel;           /* the monitor's end; -1 */
	uint64_t started_ns;   /* CLOCK_MONOTONIC */
	unsigned failures;     /* in a row: each waits twice as long for the next start */
};

/*
 * Starts `sallyport daemon --role ROLE --fd 3` with the same options; fds[] become 4, 5... in it.
 * The child dies with the monitor. 0 or -errno.
 */
int child_start(struct child *c, const struct options *o, const int *fds, size_t n_fds);
/* It was reaped: closes our end, counts. */
void child_ended(struct child *c, int status);
/* How long to wait before starting it again. */
unsigned child_delay_ms(const struct child *c);
/* SIGTERM, then SIGKILL after timeout_ms; waits. */
void child_stop(struct child *c, int timeout_ms);

#endif
