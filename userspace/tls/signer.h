/*
 * Messages between the signer process (daemon/signer.c) and those it serves, over SOCK_SEQPACKET
 * (base/channel.h), and the worker's side of it.
 *
 * Two kinds of socket reach the signer. The control socket belongs to the monitor: SIGNER_CLIENT
 * hands over the socket of one more worker thread, SIGNER_ROOT asks for the root's PEM. Each client
 * socket carries SIGNER_SIGN only. Every request is answered by one message of the same id.
 */
#ifndef TLS_SIGNER_H
#define TLS_SIGNER_H

#include "tls/tls.h"

#include <assert.h>
#include <stdint.h>

#define SIGNER_ABI 1
#define SIGNER_HOST_MAX 256
#define SIGNER_SPKI_MAX 128
#define SIGNER_CHAIN_MAX 16384
#define SIGNER_ROOT_MAX 131072 /* the root names every permitted host */

enum signer_type {
	SIGNER_SIGN = 1,   /* client: a leaf, please */
	SIGNER_CLIENT = 2, /* control: one descriptor beside it becomes a client */
	SIGNER_ROOT =
		3, /* control: the root's PEM, please; also the proof that the signer is ready */
};

struct signer_request {
	uint32_t abi;  /* SIGNER_ABI */
	uint32_t id;   /* echoed */
	uint32_t type; /* enum signer_type */
	uint32_t spki_len;
	char host[SIGNER_HOST_MAX]; /* NUL-terminated */
	unsigned char spki[SIGNER_SPKI_MAX];
};
static_assert(sizeof(struct signer_request) == 400, "a message is as long on both sides");

/* Followed by `len` bytes of PEM. */
struct signer_response {
	uint32_t abi;
	uint32_t id;
	int32_t status; /* 0 or -errno as struct signer says */
	uint32_t len;
};
static_assert(sizeof(struct signer_response) == 16, "a message is as long on both sides");

/*
 * The worker's side: blocks for at most timeout_ms a leaf. -EPIPE when the signer is gone: the
 * monitor starts another and sends a new descriptor for signer_client_set_fd(). Owns fd. NULL
 * without memory (then fd stays the caller's).
 */
struct signer *signer_client_new(int fd, int timeout_ms);
void signer_client_set_fd(struct signer *s, int fd);
void signer_client_free(struct signer *s);

/* The monitor's side, on the control socket; each waits for the answer, at most timeout_ms. */
int signer_add_client(int control_fd, int client_fd, int timeout_ms);
int signer_root(int control_fd, int timeout_ms, struct buf *pem);

#endif
