/*
 * TCP connections that are open now in this network namespace, with the process that holds each
 * (sock_diag(7), /proc): for those that were opened before anybody watched.
 */
#ifndef DISCOVER_SOCKETS_H
#define DISCOVER_SOCKETS_H

#include "kern/kern.h"

#include <stdint.h>

struct socket_seen {
	uint64_t cookie;
	uint8_t addr[16];     /* of the peer */
	uint16_t port;
	uint32_t uid;
	uint64_t inode;
	uint64_t bytes_out, bytes_in; /* since it was opened */
};

/* 0, or -errno of the first failure; what came before it was handed out. */
int sockets_each(void (*fn)(void *ctx, const struct socket_seen *s), void *ctx);

/*
 * Who holds the socket, in the words the kernel would have used at connect(): the first process that
 * has it open. cgroupfs: mount point of cgroup v2. 0, -ENOENT (nobody any more), -errno.
 */
int sockets_owner(const struct socket_seen *s, const char *cgroupfs, struct sp_task *out);

#endif
