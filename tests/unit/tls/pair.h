/* Two TLS ends on a socket pair, and a scratch directory; shared by the tests of this room. */
#ifndef TESTS_TLS_PAIR_H
#define TESTS_TLS_PAIR_H

#include "base/def.h"
#include "tls/tls.h"

#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <ftw.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int scratch_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void scratch_drop(const char *dir)
{
	(void)nftw(dir, scratch_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline const char *scratch_new(char out[64])
{
	strcpy(out, "/tmp/sallyport-tls-XXXXXX");
	if (!mkdtemp(out)) {
		perror(out);
		exit(1);
	}
	return out;
}

struct pair {
	int fds[2]; /* client, server */
	struct tls *client, *server;
	int client_result, server_result;
};

static inline void pair_sockets(struct pair *p)
{
	*p = (struct pair){ { -1, -1 }, NULL, NULL, 1, 1 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fds) < 0)
		exit(1);
}

static inline bool waits(int r)
{
	return r == TLS_WANT_READ || r == TLS_WANT_WRITE;
}

/* Both ends until both are over; a result stays 1 when that end does not exist. */
static inline void pair_shake(struct pair *p)
{
	p->client_result = p->server_result = TLS_WANT_READ;
	for (int i = 0; i < 50 && (waits(p->client_result) || waits(p->server_result)); i++) {
		if (waits(p->client_result))
			p->client_result = tls_handshake(p->client);
		if (waits(p->server_result))
			p->server_result = tls_handshake(p->server);
	}
}

static inline void pair_done(struct pair *p)
{
	tls_free(p->client);
	tls_free(p->server);
	for (int i = 0; i < 2; i++)
		if (p->fds[i] >= 0)
			close(p->fds[i]);
	*p = (struct pair){ { -1, -1 }, NULL, NULL, 1, 1 };
}

#endif
