/*
 * Bytes that are none of our business, or that we may not read: spliced through pipes in the kernel,
 * each direction on its own, half-closes included (reference: splice(2) costs half of copying).
 */
#include "relay/conn.h"

#include "relay/txn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PASS_CHUNK 65536
#define PASS_IDLE_MS (3600U * 1000)

struct direction {
	int pipe[2];
	size_t in_pipe;
	uint64_t bytes;
	bool eof;      /* the source has ended */
	bool closed;   /* and the sink was told */
};

struct pass {
	struct direction out, in; /* application -> provider, provider -> application */
	const char *reason;
	bool connected;
};

static void direction_done(struct direction *d)
{
	for (int i = 0; i < 2; i++)
		if (d->pipe[i] >= 0)
			(void)close(d->pipe[i]);
}

void pass_free(struct conn *c)
{
	struct pass *p = c->pass;

	if (!p)
		return;
	c->pass = NULL;
	conn_record(c, RECORD_SPLICED, p->reason, p->out.bytes, p->in.bytes);
	direction_done(&p->out);
	direction_done(&p->in);
	free(p);
}

/* Moves what it can. 0, or -errno when a side broke. */
static int direction_move(struct direction *d, int from, int to)
{
	for (;;) {
		bool moved = false;
		ssize_t n;

		if (!d->eof && d->in_pipe < PASS_CHUNK) {
			n = splice(from, NULL, d->pipe[1], NULL, PASS_CHUNK - d->in_pipe,
				   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				return -errno;
			d->eof = n == 0;
			if (n > 0) {
				d->in_pipe += (size_t)n;
				moved = true;
			}
		}
		if (d->in_pipe) {
			n = splice(d->pipe[0], NULL, to, NULL, d->in_pipe,
				   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				return -errno;
			if (n > 0) {
				d->in_pipe -= (size_t)n;
				d->bytes += (uint64_t)n;
				moved = true;
			}
		}
		if (!moved)
			break;
	}
	if (d->eof && !d->in_pipe && !d->closed) {
		d->closed = true;
		(void)shutdown(to, SHUT_WR);
	}
	return 0;
}

static uint32_t wanted(const struct direction *reads, const struct direction *writes)
{
	return (!reads->eof && !reads->in_pipe ? (uint32_t)EPOLLIN : 0) |
	       (writes->in_pipe ? (uint32_t)EPOLLOUT : 0);
}

/* With nothing to wait for a side is not watched at all: a hang-up is told of whatever is asked. */
static void want(struct conn *c, struct watch *watch, uint32_t events)
{
	if (events)
		(void)loop_watch(c->w->loop, watch, events);
	else
		loop_unwatch(c->w->loop, watch);
}

static void pass_move(struct conn *c)
{
	struct pass *p = c->pass;
	int r = direction_move(&p->out, c->client.watch.fd, c->upstream.watch.fd);

	if (r == 0)
		r = direction_move(&p->in, c->upstream.watch.fd, c->client.watch.fd);
	if (r < 0)
		sock_reset(c->client.watch.fd);
	if (r < 0 || (p->out.closed && p->in.closed)) {
		conn_free(c);
		return;
	}
	conn_timer(c, PASS_IDLE_MS);
	want(c, &c->client.watch, wanted(&p->out, &p->in));
	want(c, &c->upstream.watch, wanted(&p->in, &p->out));
}

/* Both directions may wait for the other side while this one has broken: nothing else tells. */
static bool pass_broken(struct conn *c, const struct watch *watch, uint32_t events)
{
	if (!(events & EPOLLERR) || sock_error(watch->fd) == 0)
		return false;
	sock_reset(watch == &c->client.watch ? c->upstream.watch.fd : c->client.watch.fd);
	conn_free(c);
	return true;
}

static void pass_client(struct watch *watch, uint32_t events)
{
	struct conn *c = container_of(watch, struct conn, client.watch);

	if (!c->pass->connected) {
		if (events & (EPOLLERR | EPOLLHUP))
			conn_free(c);
		return;
	}
	if (!pass_broken(c, watch, events))
		pass_move(c);
}

static void pass_upstream(struct watch *watch, uint32_t events)
{
	struct conn *c = container_of(watch, struct conn, upstream.watch);

	if (!c->pass->connected && sock_error(watch->fd) < 0) {
		/* What a direct connection would have met: the application sees it end at once. */
		sock_reset(c->client.watch.fd);
		conn_free(c);
		return;
	}
	c->pass->connected = true;
	if (!pass_broken(c, watch, events))
		pass_move(c);
}

void pass_start(struct conn *c, const char *reason)
{
	struct pass *p = calloc(1, sizeof(*p));
	int r = p ? 0 : -ENOMEM;

	if (p) {
		*p = (struct pass){ .out.pipe = { -1, -1 }, .in.pipe = { -1, -1 }, .reason = reason };
		if (pipe2(p->out.pipe, O_NONBLOCK | O_CLOEXEC) < 0 ||
		    pipe2(p->in.pipe, O_NONBLOCK | O_CLOEXEC) < 0)
			r = -errno;
	}
	if (r == 0)
		r = conn_upstream_socket(c);
	if (r < 0) {
		if (p) {
			direction_done(&p->out);
			direction_done(&p->in);
			free(p);
		}
		conn_refuse(c, strerror(-r));
		return;
	}
	c->pass = p;
	c->state = CONN_PASS;
	metric_add(c->w->metrics, spliced, 1);
	c->client.watch.fn = pass_client;
	c->upstream.watch.fn = pass_upstream;
	conn_timer(c, PASS_IDLE_MS);
	(void)loop_watch(c->w->loop, &c->client.watch, 0);
	(void)loop_watch(c->w->loop, &c->upstream.watch, EPOLLOUT);
}
