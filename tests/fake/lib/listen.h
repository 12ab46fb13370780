/* Sockets for the fakes. */
#ifndef TESTS_FAKE_LISTEN_H
#define TESTS_FAKE_LISTEN_H

/* A bound, non-blocking socket of SOCK_STREAM (listening) or SOCK_DGRAM for "ADDR:PORT"; ":PORT" and
 * "[::]:PORT" mean any address of both families. fd or -errno. */
int listen_on(const char *where, int type);

#endif
