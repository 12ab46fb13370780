/*
 * Messages and file descriptors between our own processes: SOCK_SEQPACKET socket pairs, one
 * fixed-size struct a message, at most CHANNEL_FDS descriptors beside it.
 */
#ifndef BASE_CHANNEL_H
#define BASE_CHANNEL_H

#include <stddef.h>
#include <sys/types.h>

#define CHANNEL_FDS 8

/* Non-blocking, close-on-exec. 0 or -errno. */
int channel_pair(int fds[2]);
/* 0, -EAGAIN (the peer does not read), -EPIPE (the peer is gone), -errno. fds stay the caller's. */
int channel_send(int fd, const void *message, size_t len, const int *fds, size_t n_fds);
/*
 * One message. Its length; 0 when the peer is gone; -EAGAIN; -EMSGSIZE when it was longer than
 * `size`; -errno. Received descriptors are the caller's and close-on-exec; *n_fds says how many.
 * With fds NULL any that come are closed.
 */
ssize_t channel_recv(int fd, void *message, size_t size, int fds[CHANNEL_FDS], size_t *n_fds);
/* Waits until fd is readable. 0, -ETIMEDOUT, -errno. */
int channel_wait(int fd, int timeout_ms);

#endif
