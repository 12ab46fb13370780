/* Giving up rights: users, capabilities, system calls. */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

/*
 * Becomes `user` ("nobody" where there is none of this name) with no capability, no new privileges,
 * no core dumps; for root only, otherwise just the last two. 0 or -errno.
 */
int sandbox_user(const char *user);

/* For all threads. The worker's system calls: sockets, files already open, threads; no open for writing, no exec, no
 * ptrace; bpf() only to look up, update and delete map elements. 0 or -errno. */
int sandbox_worker_calls(void);

#endif
