/* What server.c and upstream.c share: one TLS connection on a socket. Inside tls/ only. */
#ifndef TLS_STREAM_H
#define TLS_STREAM_H

#include "tls/tls.h"

#include <openssl/ssl.h>

struct tls {
	SSL *ssl;
	struct tls_upstream
		*upstream; /* whose resumption cache it feeds; NULL on the server side */
	char *detail;                  /* tls_reason() when it is no constant; owned */
	const char *reason;            /* or a constant */
	int fd;
	int error;                     /* errno of the socket, once it failed */
	unsigned int rx_after_cert;    /* bytes that came after we had sent our certificate */
	unsigned char rx_first;        /* the first of them: its record type */
	unsigned char alert;           /* the peer's fatal alert, 0 none (close_notify is 0) */
	bool eof : 1;
	bool broken : 1;               /* no more calls into OpenSSL but SSL_free */
	bool done : 1;                 /* the handshake is over */
	bool starved : 1;              /* the last read ended for want of bytes */
	bool cert_sent : 1;
	bool cert_asked : 1;           /* upstream wants a client certificate */
	bool own_ca : 1;               /* upstream shows a certificate of our own CA */
};

/* Puts `ssl` (taken over, also on failure) on fd. 0 or -ENOMEM. */
int stream_new(SSL *ssl, int fd, struct tls **out);
/* The connection an SSL belongs to. */
struct tls *stream_of(const SSL *ssl);
/* Settings both sides share. 0 or -ENOMEM. */
int stream_settings(SSL_CTX *ctx);
/* Notes alerts and what was sent; SSL_CTX_set_info_callback(). */
void stream_info(const SSL *ssl, int where, int value);
/* Frees memory that only the handshake needed. */
void upstream_settle(struct tls *t);

#endif
