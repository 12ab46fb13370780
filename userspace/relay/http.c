/*
 * The pump: plain bytes between TLS and codecs on both sides, back-pressure between them, and what
 * happens between two transactions. Nothing here knows what a request means.
 *
 * Level-triggered and lazy: interest in reading stays registered while a side is paused and is taken
 * back only when the kernel reports bytes nobody wants yet, which for a well-behaved client is never.
 */
#include "relay/conn.h"

#include "base/log.h"
#include "relay/pool.h"
#include "relay/txn.h"

#include <errno.h>
#include <stdio.h>

#define SETTLE_MS 1000             /* idle so long, a connection gives back what it can */
#define IDLE_MS (600U * 1000)      /* keep-alive without a request */
#define REQUEST_MS (120U * 1000)   /* a request that has begun must go on */

static void interest(struct conn *c, struct side *s)
{
	if (s->watch.fd >= 0)
		(void)loop_watch(c->w->loop, &s->watch,
				 (s->paused ? 0 : (uint32_t)EPOLLIN) |
					 (s == &c->client ? (uint32_t)EPOLLRDHUP : 0) |
					 (s->blocked ? (uint32_t)EPOLLOUT : 0));
}

int http_flush(struct conn *c, struct side *s)
{
	bool was_blocked = s->blocked;

	s->blocked = false;
	while (s->tls && buf_size(&s->out)) {
		ssize_t n = tls_write(s->tls, buf_slice(&s->out));

		if (n == TLS_WANT_READ || n == TLS_WANT_WRITE) {
			s->blocked = true;
			break;
		}
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		buf_consume(&s->out, (size_t)n);
	}
	if (s->blocked != was_blocked)
		interest(c, s);
	return 0;
}

/*
 * Bytes into a codec; what it does not take waits in s->in. -ECANCELED: a callback closed the side
 * (refused, cut, broken), which takes effect only here, when nothing runs on it any more.
 */
static int side_feed(struct side *s, struct slice in)
{
	bool waiting = buf_size(&s->in) > 0;
	ssize_t n;
	int r = waiting ? buf_append(&s->in, in) : 0;

	if (r < 0 || (!waiting && !in.len))
		return r;
	s->feeding = true;
	n = s->codec->ops->feed(s->codec, waiting ? buf_slice(&s->in) : in);
	s->feeding = false;
	if (s->closed) {
		side_release(s);
		return -ECANCELED;
	}
	if (n < 0)
		return (int)n;
	if (!waiting)
		return buf_append(&s->in, slice_from(in, (size_t)n));
	buf_consume(&s->in, (size_t)n);
	return 0;
}

/* ---- requests ---- */

static int on_request_head(void *ctx, uint32_t stream, struct http_head *h)
{
	struct conn *c = ctx;
	int r;

	(void)stream;
	if (c->txn)
		return -EPROTO;
	r = txn_new(c, &c->txn);
	if (r == 0)
		r = http_head_copy(h, &c->txn->arena, &c->txn->head);
	if (r < 0)
		return r;
	if (h->expect_continue) {
		/* The body is read here before it is sent on, so it is we who ask for it. */
		r = buf_append(&c->client.out, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
		if (r == 0)
			r = http_flush(c, &c->client);
	}
	return r;
}

static int on_request_data(void *ctx, uint32_t stream, struct slice d)
{
	struct conn *c = ctx;

	(void)stream;
	return c->txn ? txn_body(c->txn, d) : -ECANCELED; /* its end freed the connection under the codec */
}

static int on_request_end(void *ctx, uint32_t stream)
{
	struct conn *c = ctx;

	(void)stream;
	if (!c->txn)
		return -ECANCELED;
	c->txn->complete = true;
	return 0;
}

const struct codec_events http_request_events = { on_request_head, on_request_data, on_request_end };

/* Not HTTP as we accept it: say so once and close. */
static void bad_request(struct conn *c, const char *why)
{
	int status = c->client.codec->status ? c->client.codec->status : 400;
	char body[256];

	if (c->txn && c->txn->forwarded) {
		/* It streamed on unread, so the provider has half of it, and must not take it for more. */
		(void)snprintf(c->txn->reason, sizeof(c->txn->reason), "malformed HTTP: %s", why);
		sock_reset(c->client.watch.fd);
		conn_free(c);
		return;
	}
	if (c->txn) {
		c->txn->complete = true;
		c->txn->head.keep_alive = false;
		(void)txn_refuse(c->txn, status, "malformed_request", "malformed HTTP: %s", why);
		return;
	}
	conn_record(c, RECORD_REFUSED, why, 0, 0);
	(void)snprintf(body, sizeof(body), "{\"error\":{\"message\":\"sallyport: malformed HTTP: %s\"}}", why);
	(void)buf_printf(&c->client.out,
			 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
			 "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
			 status, txn_status_words(status), strlen(body), body);
	(void)http_flush(c, &c->client);
	tls_shutdown(c->client.tls);
	conn_free(c);
}

static void client_feed(struct conn *c, struct slice in)
{
	int r = side_feed(&c->client, in);

	if (c->state == CONN_DEAD || r == -ECANCELED)
		return;
	if (r == -EPROTO || r == -EMSGSIZE || r == -ENOBUFS) {
		bad_request(c, c->client.codec->why ? c->client.codec->why : "not accepted");
		return;
	}
	if (r < 0) {
		conn_free(c);
		return;
	}
	if (c->txn && c->txn->too_big && !c->txn->forwarded && !c->txn->refused) {
		c->client.paused = true;
		forward_big(c);
		return;
	}
	if (!c->txn || !c->txn->complete)
		return;
	if (c->txn->refused)
		txn_finish(c->txn);
	else if (c->txn->too_big)
		(void)forward_end(c->txn);
	else if (!c->txn->stage)
		(void)txn_step(c->txn);
}

/* The client has left. An answer under way has no reader: going on would only spend more. */
static void client_ended(struct conn *c, ssize_t n)
{
	if (!c->any_request && tls_client_distrusts(c->client.tls, n == -ECONNRESET)) {
		metric_add(c->w->metrics, distrusted, 1);
		c->distrusts = true;
		distrust_learn(c->w, &c->caller->who, slice_str(c->host));
		conn_record(c, RECORD_REFUSED, "the client does not trust our CA: it left after the handshake",
			    0, 0);
	}
	conn_free(c);
}

static void client_read(struct conn *c)
{
	while (c->state == CONN_HTTP && !c->client.paused) {
		ssize_t n = tls_read(c->client.tls, c->w->scratch, WORKER_SCRATCH);

		if (n == TLS_WANT_READ || n == TLS_WANT_WRITE)
			return;
		if (n <= 0) {
			client_ended(c, n);
			return;
		}
		c->any_request = true;
		if (!c->txn)
			conn_timer(c, REQUEST_MS);
		client_feed(c, slice_of(c->w->scratch, (size_t)n));
		if (c->state == CONN_HTTP && c->txn && c->txn->complete)
			c->client.paused = true;
		if (c->state != CONN_HTTP || !tls_pending(c->client.tls))
			return;
	}
}

/* Between transactions: bytes of the next request may be waiting already. Runs from the event
 * handlers only, so that a client that pipelines a thousand requests cannot deepen the stack. */
void http_resume(struct conn *c)
{
	/* An upstream that fails at once answers a request from within the loop below. */
	if (c->resuming)
		return;
	c->resuming = true;
	while (c->state == CONN_HTTP && c->resume) {
		c->resume = false;
		c->client.paused = false;
		if (buf_size(&c->client.in))
			client_feed(c, (struct slice){ "", 0 });
		if (c->state == CONN_HTTP && !c->txn && tls_pending(c->client.tls))
			client_read(c);
		if (c->state == CONN_HTTP && c->txn && c->txn->complete)
			c->client.paused = true;
	}
	c->resuming = false;
	if (c->state == CONN_HTTP && !c->client.paused && !(c->client.watch.events & EPOLLIN))
		interest(c, &c->client);
}

void http_idle(struct conn *c)
{
	bool more = c->keep_alive && !c->w->stopping;

	if (c->up == UPSTREAM_READY && c->upstream_keep)
		c->upstream.codec->ops->next(c->upstream.codec);
	c->upstream_since_ns = loop_now_ns(c->w->loop);
	/* An answer that came before all of its request was out leaves half a request behind. */
	if (c->up == UPSTREAM_READY &&
	    (!c->upstream_keep || !h1_idle(c->upstream.codec) || buf_size(&c->upstream.in) ||
	     buf_size(&c->upstream.out)))
		conn_upstream_close(c);
	if (!more) {
		if (http_flush(c, &c->client) == 0 && c->client.blocked) {
			c->closing = true;
			conn_timer(c, REQUEST_MS);
			return;
		}
		tls_shutdown(c->client.tls);
		conn_free(c);
		return;
	}
	c->client.codec->ops->next(c->client.codec);
	c->resume = true;
	c->settled = false;
	conn_timer(c, SETTLE_MS);
}

/* Between requests for a moment: the upstream may serve others of this caller, memory goes back. */
static void settle(struct conn *c)
{
	c->settled = true;
	c->w->freed++;
	if (c->up == UPSTREAM_READY)
		pool_put(c);
	buf_trim(&c->client.in);
	buf_trim(&c->client.out);
	conn_timer(c, IDLE_MS);
}

void http_start(struct conn *c)
{
	c->state = CONN_HTTP;
	c->client.paused = false;
	conn_timer(c, SETTLE_MS);
	interest(c, &c->client);
	client_read(c);
	http_resume(c);
}

void http_client_event(struct conn *c, uint32_t events)
{
	if ((events & EPOLLOUT) && c->client.blocked && http_flush(c, &c->client) < 0) {
		conn_free(c);
		return;
	}
	if (c->closing) {
		bool left = events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);

		if (!c->client.blocked && !left)
			tls_shutdown(c->client.tls);
		if (!c->client.blocked || left) {
			conn_free(c);
			return;
		}
		c->client.paused = true; /* what it still says wakes nobody */
		interest(c, &c->client);
		return;
	}
	if (c->upstream.paused && buf_size(&c->client.out) < OUT_HIGH / 2) {
		c->upstream.paused = false;
		interest(c, &c->upstream);
		http_upstream_event(c, EPOLLIN);
		if (c->state != CONN_HTTP)
			return;
	}
	/* Nothing is read while an answer is under way, so only this tells that its reader has left. */
	if ((events & EPOLLERR) || (c->client.paused && (events & EPOLLRDHUP))) {
		conn_free(c);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP)) {
		if (c->client.paused)
			interest(c, &c->client);
		else
			client_read(c);
	}
	http_resume(c);
}

/* ---- replies ---- */

static int on_reply_head(void *ctx, uint32_t stream, struct http_head *h)
{
	struct conn *c = ctx;

	(void)stream;
	if (!c->txn || !c->txn->forwarded)
		return -EPROTO;
	return reply_on_head(c->txn, h);
}

static int on_reply_data(void *ctx, uint32_t stream, struct slice d)
{
	struct conn *c = ctx;

	(void)stream;
	return c->txn ? reply_on_data(c->txn, d) : -EPROTO;
}

static int on_reply_end(void *ctx, uint32_t stream)
{
	struct conn *c = ctx;

	(void)stream;
	return c->txn ? reply_on_end(c->txn) : -EPROTO;
}

const struct codec_events http_reply_events = { on_reply_head, on_reply_data, on_reply_end };

static void upstream_trouble(struct conn *c, const char *why)
{
	struct txn *t = c->txn;

	if (t && t->forwarded && !t->finished && forward_again(t)) {
		conn_upstream_close(c);
		t->stage--;
		(void)txn_step(t);
		return;
	}
	if (t && t->forwarded && !t->finished) {
		reply_broken(t, why);
		return;
	}
	/* Between two requests the provider may close as it likes. */
	conn_upstream_close(c);
}

/* The answer is out. One that came before the request's end (413 and the like): the rest is swallowed. */
static void reply_over(struct conn *c)
{
	if (c->txn->complete) {
		txn_finish(c->txn);
		return;
	}
	c->txn->refused = true;
	conn_upstream_close(c);
	c->client.paused = false;
	interest(c, &c->client);
	c->resume = true;
}

/* After bytes of the reply were taken: on to the client, and finish what is complete. */
static void reply_pump(struct conn *c)
{
	if (http_flush(c, &c->client) < 0) {
		conn_free(c);
		return;
	}
	if (buf_size(&c->client.out) > OUT_HIGH && !c->upstream.paused && c->up == UPSTREAM_READY) {
		c->upstream.paused = true;
		interest(c, &c->upstream);
	}
	if (c->txn && c->txn->reply_done)
		reply_over(c);
}

static void upstream_read(struct conn *c)
{
	while (c->state == CONN_HTTP && c->up == UPSTREAM_READY && !c->upstream.paused) {
		ssize_t n = tls_read(c->upstream.tls, c->w->scratch, WORKER_SCRATCH);
		int r;

		if (n == TLS_WANT_READ || n == TLS_WANT_WRITE)
			return;
		if (n <= 0) {
			c->upstream_keep = false;
			r = n == 0 ? c->upstream.codec->ops->eof(c->upstream.codec) : -ECONNRESET;
			if (r == 0 && c->txn && c->txn->reply_done)
				reply_pump(c);
			else
				upstream_trouble(c, n == 0 ? "the provider closed the connection early" :
							     "the provider reset the connection");
			return;
		}
		if (c->txn && c->txn->forwarded)
			conn_timer(c, (uint64_t)c->w->setup.upstream_timeout_s * 1000U);
		r = side_feed(&c->upstream, slice_of(c->w->scratch, (size_t)n));
		if (c->state != CONN_HTTP)
			return;
		/* -ECANCELED: the answer was ended here (cut, refused); what we said instead still goes out. */
		if (r < 0 && r != -ECANCELED) {
			char why[160];

			(void)snprintf(why, sizeof(why), "the provider's answer is not valid HTTP (%s)",
				       c->upstream.codec->why);
			upstream_trouble(c, c->upstream.codec->why ? why : strerror(-r));
			return;
		}
		reply_pump(c);
		if (c->state != CONN_HTTP || c->up != UPSTREAM_READY || !tls_pending(c->upstream.tls))
			return;
	}
}

void http_upstream_event(struct conn *c, uint32_t events)
{
	if ((events & EPOLLOUT) && c->upstream.blocked && http_flush(c, &c->upstream) < 0) {
		upstream_trouble(c, "the provider reset the connection");
		http_resume(c);
		return;
	}
	if (c->txn && c->txn->too_big && c->txn->forwarded && c->client.paused && !c->txn->complete &&
	    buf_size(&c->upstream.out) < OUT_HIGH / 2) {
		c->client.paused = false;
		interest(c, &c->client);
		client_read(c);
		if (c->state != CONN_HTTP)
			return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		/* A side that is gone would be told of again and again: its end is taken at once. */
		if (events & (EPOLLHUP | EPOLLERR))
			c->upstream.paused = false;
		if (c->upstream.paused)
			interest(c, &c->upstream);
		else
			upstream_read(c);
	}
	http_resume(c);
}

void http_upstream_ready(struct conn *c)
{
	c->upstream_keep = true;
	if (c->probing) {
		conn_probed(c);
		return;
	}
	if (c->state == CONN_UPSTREAM) {
		conn_client_shake(c);
		return;
	}
	if (c->state == CONN_HTTP && c->txn) {
		if (c->txn->too_big)
			forward_big(c);
		else
			(void)txn_step(c->txn);
		http_resume(c);
	}
}

void http_timeout(struct conn *c)
{
	struct txn *t = c->txn;

	if (c->up == UPSTREAM_CONNECT || c->up == UPSTREAM_TLS) {
		conn_upstream_failed(c, "the provider did not answer in time");
		return;
	}
	if (t && t->forwarded && t->complete) {
		reply_broken(t, "the provider stalled");
		http_resume(c);
		return;
	}
	if (!t && !c->settled && !buf_size(&c->client.in)) {
		settle(c);
		return;
	}
	if (c->client.tls && !t)
		tls_shutdown(c->client.tls);
	conn_free(c);
}
