/*
 * The provider's log: one JSON object a line, of what really arrived. Events: "connect", "tls",
 * "tls-failed", "request", "bad-request", "aborted".
 */
#ifndef TESTS_FAKE_WITNESS_H
#define TESTS_FAKE_WITNESS_H

#include "tests/fake/lib/request.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

struct witness {
	unsigned serial, requests;
	char peer[64], local[64], sni[128];
};

/* Appends to this file; without it nothing is logged. 0 or -errno (said on stderr). */
int witness_open(const char *path);
void witness_connect(struct witness *w, int fd, const struct sockaddr_storage *from);
void witness_tls(struct witness *w, const SSL *ssl);
void witness_request(struct witness *w, const struct request *r);
void witness_bad(const struct witness *w, struct slice bytes);
void witness_event(const struct witness *w, const char *event, const char *why);

#endif
