/* Sockets of this network namespace by sock_diag(7). */
#ifndef NET_DIAG_H
#define NET_DIAG_H

#include "net/sock.h"

/*
 * Ends an application's TCP connection: it sees ECONNABORTED, its peer a reset. The socket is found by
 * its cookie among those connected to `remote`. 0, -ENOENT (gone already, or in another namespace),
 * -EPERM (no CAP_NET_ADMIN), -EOPNOTSUPP (kernel without CONFIG_INET_DIAG_DESTROY), -errno.
 */
int diag_destroy(uint64_t cookie, const struct sock_addr *remote);

#endif
