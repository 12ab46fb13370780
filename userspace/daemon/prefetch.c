/*
 * Addresses before anybody asked: the catalogue's exact names are resolved at start and again as they
 * age, in a process of its own without rights.
 */
#include "daemon/monitor.h"

#include "base/file.h"
#include "base/log.h"
#include "daemon/sandbox.h"
#include "discover/known.h"
#include "discover/resolver.h"

#include <errno.h>
#include <unistd.h>
#include <string.h>

#define ROUND_S 1800 /* from one round to the next */

int prefetch_main(int channel, const struct options *o)
{
	struct catalog *c = NULL;
	struct mistakes bad;
	struct buf text;
	int r;

	buf_init(&text, 16U << 20);
	mistakes_init(&bad, o->data_file[SNAPSHOT_CATALOG]);
	r = file_read(o->data_file[SNAPSHOT_CATALOG], &text);
	if (r == 0)
		r = catalog_load(buf_slice(&text), &bad, &c);
	if (r == 0)
		r = sandbox_user("sallyport");
	mistakes_done(&bad);
	buf_done(&text);
	if (r == 0)
		r = resolver_round(channel, c);
	catalog_unref(c);
	return r == 0 || r == -EPIPE ? 0 : 1;
}

static void resolver_event(struct watch *w, uint32_t events)
{
	struct monitor *m = container_of(w, struct monitor, resolver_watch);

	(void)events;
	if (resolver_take(w->fd, m->kern, m->catalog) != -EAGAIN)
		loop_unwatch(m->loop, w);
}

static void round_again(struct timer *t)
{
	(void)prefetch_start(container_of(t, struct monitor, prefetch_timer));
}

/* A process for each round: it need not sit there for the half hour between two. */
void prefetch_ended(struct monitor *m)
{
	if (m->resolver.channel >= 0) {
		resolver_event(&m->resolver_watch, EPOLLIN);
		loop_unwatch(m->loop, &m->resolver_watch);
		(void)close(m->resolver.channel);
	}
	m->resolver.channel = -1;
	m->resolver.pid = 0;
}

int prefetch_start(struct monitor *m)
{
	int r;

	if (!m->o.prefetch || m->stopping)
		return 0;
	m->prefetch_timer.fn = round_again;
	(void)timer_arm(m->loop, &m->prefetch_timer, ROUND_S * 1000ULL);
	if (m->resolver.pid)
		return 0;
	m->resolver.role = "resolver";
	r = child_start(&m->resolver, &m->o, NULL, 0);
	if (r < 0)
		return r;
	m->resolver_watch = (struct watch){ .fd = m->resolver.channel, .fn = resolver_event };
	return loop_watch(m->loop, &m->resolver_watch, EPOLLIN);
}

void prefetch_hosts_file(struct monitor *m)
{
	int r = known_hosts_file(m->kern, m->catalog, KNOWN_HOSTS_FILE);

	if (r < 0)
		log_warn("cannot read " KNOWN_HOSTS_FILE ": %s; its names are not known before a lookup",
			 strerror(-r));
}
