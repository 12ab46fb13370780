/* A short list, newest first: what was used last is the likeliest to be still open. */
#include "relay/pool.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#define POOL_MAX 128           /* connections a worker keeps */
#define POOL_MS (20U * 1000)   /* providers close theirs after a minute or more: be well before them */
#define SWEEP_MS 2000
#define LEND_LOOK 64           /* newest connections asked for an upstream they do not need now */
#define TRIM_AFTER 64          /* connections that went idle or away since the last time */
#define TRIM_PAD (256U << 10)  /* bytes of heap top kept for what comes next */

struct pooled {
	struct pooled *next;
	struct pool *pool;
	struct watch watch;
	struct tls *tls;
	struct sock_addr to;
	uint64_t caller, since_ns;
	char host[256];
};

struct pool {
	struct worker *w;
	struct timer sweep;
	struct pooled *first;
	size_t n;
};

static void pooled_close(struct pooled *p)
{
	loop_unwatch(p->pool->w->loop, &p->watch);
	tls_shutdown(p->tls);
	tls_free(p->tls);
	(void)close(p->watch.fd);
	free(p);
}

static void pool_unlink(struct pooled *p)
{
	for (struct pooled **at = &p->pool->first; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			p->pool->n--;
			return;
		}
	}
}

/* The provider closed it, or said something nobody asked for. */
static void pooled_event(struct watch *watch, uint32_t events)
{
	struct pooled *p = container_of(watch, struct pooled, watch);

	(void)events;
	pool_unlink(p);
	pooled_close(p);
}

static void pool_sweep(struct timer *t)
{
	struct pool *pool = container_of(t, struct pool, sweep);
	uint64_t now = loop_now_ns(pool->w->loop);
	struct pooled **at = &pool->first;

	while (*at) {
		struct pooled *p = *at;

		if (now - p->since_ns < POOL_MS * 1000000ULL && !pool->w->stopping) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		pool->n--;
		pooled_close(p);
	}
	/* A heap full of holes stays resident: hand it back once a crowd has left. */
	if (pool->w->freed >= TRIM_AFTER) {
		pool->w->freed = 0;
		(void)malloc_trim(TRIM_PAD);
	}
	(void)timer_arm(pool->w->loop, t, SWEEP_MS);
}

int pool_init(struct worker *w)
{
	w->pool = calloc(1, sizeof(*w->pool));
	if (!w->pool)
		return -ENOMEM;
	w->pool->w = w;
	w->pool->sweep.fn = pool_sweep;
	return timer_arm(w->loop, &w->pool->sweep, SWEEP_MS);
}

void pool_done(struct worker *w)
{
	while (w->pool && w->pool->first) {
		struct pooled *p = w->pool->first;

		w->pool->first = p->next;
		pooled_close(p);
	}
	free(w->pool);
	w->pool = NULL;
}

void pool_put(struct conn *c)
{
	struct pool *pool = c->w->pool;
	struct pooled *p = pool->n < POOL_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		conn_upstream_close(c);
		return;
	}
	loop_unwatch(c->w->loop, &c->upstream.watch);
	*p = (struct pooled){ .next = pool->first,
			      .pool = pool,
			      .watch = { .fd = c->upstream.watch.fd, .fn = pooled_event },
			      .tls = take(c->upstream.tls),
			      .to = c->to,
			      .caller = c->caller->key,
			      .since_ns = loop_now_ns(c->w->loop) };
	memcpy(p->host, c->host, sizeof(p->host));
	c->upstream.watch.fd = -1;
	conn_upstream_close(c);
	pool->first = p;
	pool->n++;
	if (loop_watch(pool->w->loop, &p->watch, EPOLLIN) < 0)
		pooled_event(&p->watch, 0);
}

static bool pooled_fits(const struct pooled *p, const struct conn *c)
{
	return p->caller == c->caller->key && p->to.port == c->to.port &&
	       memcmp(p->to.ip, c->to.ip, sizeof(p->to.ip)) == 0 && strcmp(p->host, c->host) == 0;
}

/*
 * A connection of the same caller that is between two requests right now gives its upstream away: the
 * next of the two to need one finds it, or another, or makes one. A crowd of new connections then needs
 * as many upstreams as it has requests at a time, not one each.
 */
static void lend(struct conn *c)
{
	struct conn *from = c->w->conns;

	for (int i = 0; i < LEND_LOOK && from; i++, from = from->next) {
		if (from == c || from->state != CONN_HTTP || from->txn || from->up != UPSTREAM_READY ||
		    from->upstream.feeding || from->closing || from->caller->key != c->caller->key ||
		    memcmp(&from->to, &c->to, sizeof(c->to)) != 0 || strcmp(from->host, c->host) != 0)
			continue;
		pool_put(from);
		return;
	}
}

static struct pooled *pool_find(struct conn *c)
{
	struct pooled *p = c->w->pool->first;

	while (p && !pooled_fits(p, c))
		p = p->next;
	return p;
}

bool pool_take(struct conn *c)
{
	struct pooled *p = pool_find(c);

	if (!p) {
		lend(c);
		p = pool_find(c);
	}
	if (!p || h1_responses(&http_reply_events, c, &c->upstream.codec) < 0)
		return false;
	pool_unlink(p);
	loop_unwatch(c->w->loop, &p->watch);
	c->upstream.watch.fd = p->watch.fd;
	c->upstream.tls = p->tls;
	c->upstream_since_ns = p->since_ns;
	free(p);
	c->up = UPSTREAM_READY;
	c->upstream_error[0] = '\0';
	(void)loop_watch(c->w->loop, &c->upstream.watch, EPOLLIN);
	return true;
}
