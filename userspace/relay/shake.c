/*
 * Upstream first, then our leaf, then the client: a provider that cannot be reached or verified is
 * known before the client sees a certificate of ours, and its requests are answered with the reason.
 */
#include "relay/conn.h"

#include "base/log.h"
#include "kern/kern.h"
#include "relay/pool.h"
#include "relay/txn.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define CONNECT_MS 10000U
#define CLIENT_TLS_MS 15000

void conn_upstream_close(struct conn *c)
{
	side_close(c, &c->upstream);
	c->up = UPSTREAM_NONE;
}

void conn_upstream_failed(struct conn *c, const char *why)
{
	slice_copy(c->upstream_error, sizeof(c->upstream_error), slice_str(why));
	conn_upstream_close(c);
	http_upstream_ready(c);
}

static void upstream_shake(struct conn *c)
{
	struct side *s = &c->upstream;
	int r = tls_handshake(s->tls);

	if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
		(void)loop_watch(c->w->loop, &s->watch, r == TLS_WANT_READ ? EPOLLIN : EPOLLOUT);
		return;
	}
	if (r == 0)
		r = h1_responses(&http_reply_events, c, &s->codec);
	if (r < 0) {
		char why[512];

		metric_add(c->w->metrics, upstream_tls_failed, 1);
		c->upstream_untrusted = r == -EPROTO;
		(void)snprintf(why, sizeof(why), "TLS with %s failed: %s", c->host, tls_reason(s->tls));
		log_warn("upstream refused host=%s reason=\"%s\"", c->host, tls_reason(s->tls));
		conn_upstream_failed(c, why);
		return;
	}
	c->up = UPSTREAM_READY;
	c->upstream_since_ns = loop_now_ns(c->w->loop);
	c->upstream_error[0] = '\0';
	(void)loop_watch(c->w->loop, &s->watch, EPOLLIN);
	http_upstream_ready(c);
}

static void upstream_connected(struct conn *c)
{
	int r = sock_error(c->upstream.watch.fd);

	if (r == 0)
		r = tls_connect(c->w->upstream, c->upstream.watch.fd, slice_str(c->host),
				&c->upstream.tls);
	if (r < 0) {
		char why[160], at[SOCK_TEXT_LEN];

		sock_addr_text(&c->to, at);
		(void)snprintf(why, sizeof(why), "cannot connect to %s: %s", at, strerror(-r));
		conn_upstream_failed(c, why);
		return;
	}
	c->up = UPSTREAM_TLS;
	upstream_shake(c);
}

/* A socket of ours to where the application wanted to go: marked, so that no hook touches it. */
int conn_upstream_socket(struct conn *c)
{
	int fd = sock_new(&c->to), r;

	if (fd < 0)
		return fd;
	r = mark_socket(c->w->marks_fd, fd);
	if (r == 0)
		r = sock_connect(fd, &c->to);
	if (r < 0 && r != -EINPROGRESS) {
		(void)close(fd);
		return r;
	}
	c->upstream.watch.fd = fd;
	return 0;
}

void conn_upstream_open(struct conn *c)
{
	int r;

	if (c->state != CONN_HTTP) {
		c->state = CONN_UPSTREAM;
		(void)loop_watch(c->w->loop, &c->client.watch, 0);
	}
	if (!(c->txn && c->txn->again) && pool_take(c)) {
		http_upstream_ready(c);
		return;
	}
	conn_timer(c, MIN(CONNECT_MS, (uint64_t)c->w->setup.upstream_timeout_s * 1000U));
	c->up = UPSTREAM_CONNECT;
	c->upstream_untrusted = false;
	r = conn_upstream_socket(c);
	if (r == 0)
		r = loop_watch(c->w->loop, &c->upstream.watch, EPOLLOUT);
	if (r < 0) {
		char why[160], at[SOCK_TEXT_LEN];

		sock_addr_text(&c->to, at);
		(void)snprintf(why, sizeof(why), "cannot connect to %s: %s", at, strerror(-r));
		conn_upstream_failed(c, why);
	}
}

void conn_upstream_event(struct watch *watch, uint32_t events)
{
	struct conn *c = container_of(watch, struct conn, upstream.watch);

	switch (c->up) {
	case UPSTREAM_CONNECT:
		upstream_connected(c);
		break;
	case UPSTREAM_TLS:
		upstream_shake(c);
		break;
	case UPSTREAM_READY:
		http_upstream_event(c, events);
		break;
	case UPSTREAM_NONE:
		break;
	}
}

/* ---- the client's side ---- */

static void client_refused(struct conn *c, int r)
{
	const struct principal *who = &c->caller->who;
	char why[512];

	if (!c->client.tls) {
		(void)snprintf(why, sizeof(why), "no certificate could be made for %s: %s", c->host,
			       r == -EACCES ? "the signer may not name this host" : strerror(-r));
		log_error("%s", why);
		conn_refuse(c, why);
		return;
	}
	if (tls_client_distrusts(c->client.tls, false)) {
		metric_add(c->w->metrics, distrusted, 1);
		c->distrusts = true;
		distrust_learn(c->w, who, slice_str(c->host));
		log_warn("the client does not trust our CA exe=%s host=%s reason=\"%s\"; next time: %s; "
			 "remedy: sallyport trust install, then restart the client",
			 who->exe, c->host, tls_reason(c->client.tls),
			 c->decision.on_distrust == DISTRUST_SPLICE ? "spliced" : "refused");
		(void)snprintf(why, sizeof(why), "the client does not trust our CA: %s",
			       tls_reason(c->client.tls));
	} else {
		(void)snprintf(why, sizeof(why), "TLS with the client failed: %s",
			       tls_reason(c->client.tls));
	}
	conn_refuse(c, why);
}

void conn_client_shake(struct conn *c)
{
	struct side *s = &c->client;
	int r = 0;

	if (c->state != CONN_CLIENT_TLS) {
		c->state = CONN_CLIENT_TLS;
		conn_timer(c, CLIENT_TLS_MS);
		r = tls_accept(c->w->server, s->watch.fd, slice_str(c->host), &s->tls);
	}
	if (r == 0)
		r = tls_handshake(s->tls);
	if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
		(void)loop_watch(c->w->loop, &s->watch, r == TLS_WANT_READ ? EPOLLIN : EPOLLOUT);
		return;
	}
	if (r == 0)
		r = h1_requests(&http_request_events, c, &s->codec);
	if (r < 0) {
		client_refused(c, r);
		return;
	}
	metric_add(c->w->metrics, inspected, 1);
	http_start(c);
}
