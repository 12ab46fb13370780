/*
 * From accept() to a known caller: the origin out of the kernel's map, the principal from the cache
 * or the monitor.
 */
#include "relay/conn.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "kern/kern.h"
#include "relay/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPT_BATCH 16
#define CONNS_MAX 20000U  /* a worker's share of descriptors */
#define PEEK_MS 10000     /* for a ClientHello to arrive */

static void client_event(struct watch *watch, uint32_t events);

void conn_timer(struct conn *c, uint64_t in_ms)
{
	uint64_t at = loop_now_ns(c->w->loop) + in_ms * 1000000U;

	/* The armed timer is left alone when it is earlier: it will look at the deadline again. */
	c->deadline_ns = at;
	if (!c->timer.slot || c->timer.at_ns > at)
		(void)timer_arm(c->w->loop, &c->timer, in_ms);
}

static void conn_late(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);
	uint64_t now = loop_now_ns(c->w->loop);

	if (c->deadline_ns > now) {
		(void)timer_arm(c->w->loop, t, (c->deadline_ns - now) / 1000000U + 1);
		return;
	}
	switch (c->state) {
	case CONN_PEEK:
		/* Nothing came: perhaps the server speaks first here. */
		conn_decide(c);
		break;
	case CONN_UPSTREAM:
		conn_upstream_failed(c, "the provider did not answer in time");
		break;
	case CONN_HTTP:
		http_timeout(c);
		break;
	default:
		conn_refuse(c, c->state == CONN_ASK ? "the caller could not be identified in time" :
						      "the client did not finish its handshake");
	}
}

static int origin_find(struct conn *c)
{
	struct sp_origin_key key = { 0 };
	struct sock_addr peer;
	uint64_t netns = 0;
	int r = sock_netns_cookie(c->client.watch.fd, &netns);

	if (r == 0)
		r = sock_peer(c->client.watch.fd, &peer);
	if (r < 0)
		return r;
	key.netns = netns;
	memcpy(key.addr, peer.ip, sizeof(key.addr));
	key.port = peer.port;
	return origin_take(c->w->origins_fd, &key, &c->origin);
}

static void conn_start(struct worker *w, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		(void)close(fd);
		return;
	}
	metric_add(w->metrics, accepted, 1);
	c->w = w;
	c->client.watch = (struct watch){ .fd = fd, .fn = client_event };
	c->upstream.watch = (struct watch){ .fd = -1, .fn = conn_upstream_event };
	buf_init(&c->client.in, HTTP_HEAD_MAX * 2 + WORKER_SCRATCH);
	buf_init(&c->client.out, OUT_MAX + 2 * w->setup.max_body);
	buf_init(&c->upstream.in, HTTP_HEAD_MAX * 2 + WORKER_SCRATCH);
	buf_init(&c->upstream.out, OUT_MAX + 2 * w->setup.max_body);
	c->timer.fn = conn_late;
	c->started_ns = clock_wall_ns();
	c->started_mono_ns = loop_now_ns(w->loop);
	c->rules = snapshot_ref(w->rules);
	c->next = w->conns;
	if (w->conns)
		w->conns->prev = c;
	w->conns = c;
	w->n_conns++;
	r = origin_find(c);
	if (r < 0) {
		/* Nobody was redirected here: somebody dialled the listener, or the entry is gone. */
		metric_add(w->metrics, dialled, 1);
		log_warn("closed a connection without an origin: the listener was dialled directly");
		conn_free(c);
		return;
	}
	memcpy(c->to.ip, c->origin.addr, sizeof(c->to.ip));
	c->to.port = (uint16_t)c->origin.port;
	sock_addr_text(&c->to, c->address);
	c->caller = caller_find(w, &c->origin.task);
	sock_no_delay(fd);
	conn_timer(c, PEEK_MS);
	if (loop_watch(w->loop, &c->client.watch, EPOLLIN | EPOLLRDHUP) < 0)
		conn_refuse(c, "out of memory");
	else
		conn_peek(c);
}

void conn_accept(struct watch *watch, uint32_t events)
{
	struct listener *l = container_of(watch, struct listener, watch);

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				log_error("cannot accept: %s; raise LimitNOFILE if this goes on",
					  strerror(errno));
			return;
		}
		if (l->w->n_conns >= CONNS_MAX) {
			log_error("refused a connection: %u are open; start more workers", CONNS_MAX);
			(void)close(fd);
			continue;
		}
		conn_start(l->w, fd);
	}
}

static void client_event(struct watch *watch, uint32_t events)
{
	struct conn *c = container_of(watch, struct conn, client.watch);

	switch (c->state) {
	case CONN_PEEK:
		conn_peek(c);
		/* The hello is cut and no more will come; what was only peeked at would wake us for ever. */
		if (c->state == CONN_PEEK && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
			c->not_tls = true;
			conn_decide(c);
		}
		break;
	case CONN_CLIENT_TLS:
		conn_client_shake(c);
		break;
	case CONN_HTTP:
		http_client_event(c, events);
		break;
	case CONN_ASK:
	case CONN_UPSTREAM:
		if (events & (EPOLLERR | EPOLLHUP))
			conn_free(c);
		else
			(void)loop_watch(c->w->loop, watch, 0);
		break;
	default:
		break;
	}
}

/* ---- who calls ---- */

static void ask_forget(struct conn *c)
{
	for (struct conn **at = &c->w->asking; *at; at = &(*at)->next_asking) {
		if (*at == c) {
			*at = c->next_asking;
			return;
		}
	}
}

static bool same_task(const struct sp_task *a, const struct sp_task *b)
{
	return a->tgid == b->tgid && a->start_boot_ns == b->start_boot_ns && a->uid == b->uid &&
	       a->gid == b->gid && a->cgroup == b->cgroup;
}

/* A program that opens a hundred connections at once is asked about once. */
static uint32_t asked_already(const struct conn *c)
{
	for (const struct conn *o = c->w->asking; o; o = o->next_asking)
		if (o != c && o->ask && same_task(&o->origin.task, &c->origin.task))
			return o->ask;
	return 0;
}

static int ask_send(struct conn *c)
{
	struct ipc m = { .type = MESSAGE_WHOIS, .id = c->w->next_ask + 1 };
	int r;

	m.task = c->origin.task;
	r = channel_send(c->w->channel, &m, sizeof(m), NULL, 0);
	if (r == 0)
		c->ask = ++c->w->next_ask;
	return r;
}

int conn_ask(struct conn *c)
{
	int r;

	c->state = CONN_ASK;
	c->next_asking = c->w->asking;
	c->w->asking = c;
	(void)loop_watch(c->w->loop, &c->client.watch, 0);
	c->ask = asked_already(c);
	if (c->ask)
		return 0;
	r = ask_send(c);
	/* The monitor is busy: conn_ask_again() comes round before the connection's time is up. */
	return r == -EAGAIN ? 0 : r;
}

void conn_ask_again(struct worker *w)
{
	for (struct conn *c = w->asking; c; c = c->next_asking) {
		if (c->ask)
			continue;
		c->ask = asked_already(c);
		if (!c->ask && ask_send(c) < 0)
			return;
	}
}

void conn_principal(struct worker *w, const struct ipc *m)
{
	struct conn *c = w->asking;

	while (c) {
		struct conn *next = c->next_asking;

		if (c->ask == m->id) {
			ask_forget(c);
			c->caller = caller_find(w, &c->origin.task);
			if (!c->caller)
				c->caller = caller_put(w, &m->principal);
			if (!c->caller)
				conn_refuse(c, "out of memory");
			else
				conn_decide(c);
		}
		/* What runs here may end other connections, but only by itself: `next` still waits. */
		c = next;
	}
	conn_ask_again(w);
}

/* ---- the end ---- */

void side_release(struct side *s)
{
	s->closed = false;
	if (s->codec)
		s->codec->ops->free(s->codec);
	s->codec = NULL;
	buf_done(&s->in);
	buf_done(&s->out);
}

void side_close(struct conn *c, struct side *s)
{
	loop_unwatch(c->w->loop, &s->watch);
	tls_free(s->tls);
	s->tls = NULL;
	if (s->watch.fd >= 0)
		(void)close(s->watch.fd);
	s->watch.fd = -1;
	s->blocked = s->paused = false;
	if (s->feeding)
		s->closed = true;
	else
		side_release(s);
}

void conn_free(struct conn *c)
{
	struct worker *w = c->w;

	if (c->state == CONN_DEAD)
		return;
	if (c->txn)
		txn_abandon(c->txn);
	if (c->state == CONN_ASK)
		ask_forget(c);
	c->state = CONN_DEAD;
	pass_free(c);
	timer_disarm(w->loop, &c->timer);
	starved_forget(c);
	w->freed++;
	side_close(c, &c->client);
	side_close(c, &c->upstream);
	caller_unref(c->caller);
	c->caller = NULL;
	snapshot_unref(c->rules);
	c->rules = NULL;
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		w->conns = c->next;
	c->next = w->dead;
	w->dead = c;
	w->n_conns--;
}
