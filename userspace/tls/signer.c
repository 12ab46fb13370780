/* Asking the signer process: one request, one answer, a time limit. */
#include "tls/signer.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/def.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct client {
	struct signer signer;
	int fd;
	int timeout_ms;
	uint32_t id;
};

/* The answer of this id; answers to requests given up before are passed over. */
static int wait_answer(int fd, uint32_t id, int timeout_ms, size_t max, struct buf *out)
{
	uint64_t end_ns = clock_mono_ns() + (uint64_t)timeout_ms * 1000000;
	cleanup(freep) char *message = malloc(sizeof(struct signer_response) + max);
	struct signer_response head;

	if (!message)
		return -ENOMEM;
	for (;;) {
		ssize_t n = channel_recv(fd, message, sizeof(head) + max, NULL, NULL);
		uint64_t now_ns = clock_mono_ns();

		if (n == 0)
			return -EPIPE;
		if (n == -EAGAIN) {
			int r = now_ns >= end_ns ? -ETIMEDOUT :
				channel_wait(fd, (int)((end_ns - now_ns) / 1000000) + 1);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return (int)n;
		if ((size_t)n < sizeof(head))
			return -EPROTO;
		memcpy(&head, message, sizeof(head));
		if (head.abi != SIGNER_ABI || head.len != (size_t)n - sizeof(head) ||
		    head.status > 0)
			return -EPROTO;
		if (head.id != id)
			continue;
		return head.status < 0
			       ? head.status
			       : buf_append(out, slice_of(message + sizeof(head), head.len));
	}
}

static int client_sign(struct signer *s, struct slice host, struct slice spki,
		       struct buf *chain_pem)
{
	struct client *c = container_of(s, struct client, signer);
	struct signer_request q = { .abi = SIGNER_ABI, .type = SIGNER_SIGN };
	int r;

	if (host.len >= sizeof(q.host) || spki.len > sizeof(q.spki))
		return -EINVAL;
	if (c->fd < 0)
		return -EPIPE;
	q.id = ++c->id;
	slice_copy(q.host, sizeof(q.host), host);
	memcpy(q.spki, spki.ptr, spki.len);
	q.spki_len = (uint32_t)spki.len;
	r = channel_send(c->fd, &q, sizeof(q), NULL, 0);
	if (r == -EAGAIN)
		r = -ETIMEDOUT; /* it has not read what we asked before */
	return r < 0 ? r : wait_answer(c->fd, q.id, c->timeout_ms, SIGNER_CHAIN_MAX, chain_pem);
}

struct signer *signer_client_new(int fd, int timeout_ms)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct client){ { client_sign }, fd, timeout_ms, 0 };
	return &c->signer;
}

void signer_client_set_fd(struct signer *s, int fd)
{
	struct client *c = container_of(s, struct client, signer);

	closep(&c->fd);
	c->fd = fd;
}

void signer_client_free(struct signer *s)
{
	if (!s)
		return;
	signer_client_set_fd(s, -1);
	free(container_of(s, struct client, signer));
}

/* The clock tells requests apart, as this side keeps no state. */
static struct signer_request control_request(enum signer_type type)
{
	return (struct signer_request){ .abi = SIGNER_ABI,
					.id = (uint32_t)clock_mono_ns(),
					.type = type };
}

int signer_add_client(int control_fd, int client_fd, int timeout_ms)
{
	struct signer_request q = control_request(SIGNER_CLIENT);
	struct buf none;
	int r = channel_send(control_fd, &q, sizeof(q), &client_fd, 1);

	buf_init(&none, 1);
	if (r == 0)
		r = wait_answer(control_fd, q.id, timeout_ms, 1, &none);
	buf_done(&none);
	return r;
}

int signer_root(int control_fd, int timeout_ms, struct buf *pem)
{
	struct signer_request q = control_request(SIGNER_ROOT);
	int r = channel_send(control_fd, &q, sizeof(q), NULL, 0);

	return r < 0 ? r : wait_answer(control_fd, q.id, timeout_ms, SIGNER_ROOT_MAX, pem);
}
