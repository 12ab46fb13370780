/*
 * Observe mode's evidence: connections that the kernel saw and nobody proxied. A record is written
 * when the connection closes, with its bytes, or after ten seconds if it is still open then (its
 * close is a second, "closed" record). The caller is looked up at once, while it still lives.
 */
#include "daemon/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX 1024U        /* open connections remembered; a power of two */
#define SEEN_WAIT_NS (10ULL * 1000000000)
#define SEEN_TICK_MS 1000

struct seen {
	uint64_t cookie;          /* 0: free */
	bool told;
	uint64_t time_ns;
	struct sp_event event;
	struct principal who;
};

struct seen_table {
	struct monitor *m;
	struct timer tick;
	struct seen slot[SEEN_MAX];
};

static struct seen *seen_slot(struct seen_table *t, uint64_t cookie)
{
	return &t->slot[cookie * 0x9e3779b97f4a7c15U >> 32 & (SEEN_MAX - 1)];
}

static void record_of(struct monitor *m, const struct sp_event *e, const struct principal *who,
		      struct record *r)
{
	const struct provider *p = catalog_provider(m->catalog, e->provider);
	struct sock_addr to = { .port = (uint16_t)e->port };
	char address[SOCK_TEXT_LEN];

	memset(r, 0, sizeof(*r));
	r->kind = RECORD_SEEN;
	r->who = *who;
	r->start_ns = clock_wall_ns() - (clock_mono_ns() - e->time_ns);
	r->input_tokens = r->output_tokens = r->cached_tokens = r->cache_write_tokens =
		r->reasoning_tokens = -1;
	slice_copy(r->provider, sizeof(r->provider), slice_str(p ? p->id : ""));
	slice_copy(r->host, sizeof(r->host), slice_of(e->host, strnlen(e->host, sizeof(e->host))));
	memcpy(to.ip, e->addr, sizeof(to.ip));
	sock_addr_text(&to, address);
	slice_copy(r->address, sizeof(r->address), slice_str(address));
}

static void tell(struct monitor *m, const struct seen *s, uint64_t out, uint64_t in, uint64_t end_ns,
		 const char *note)
{
	static struct record r;

	record_of(m, &s->event, &s->who, &r);
	r.bytes_out = out;
	r.bytes_in = in;
	r.duration_us = end_ns > s->time_ns ? (end_ns - s->time_ns) / 1000 : 0;
	switch (s->event.verdict) {
	case SP_PASSED_OPEN:
		slice_copy(r.reason, sizeof(r.reason), SLICE("passed: the proxy was not there, the rule fails open"));
		break;
	case SP_REFUSED:
		r.kind = RECORD_REFUSED;
		r.action = r.would = ACTION_BLOCKED;
		slice_copy(r.reason, sizeof(r.reason),
			   SLICE("refused: the proxy was not there, the rule fails closed"));
		break;
	default:
		slice_copy(r.reason, sizeof(r.reason), slice_str(note));
	}
	monitor_record(m, &r);
	m->seen_records++;
}

static void on_connect(struct monitor *m, const struct sp_event *e)
{
	struct seen *s;

	if (e->verdict == SP_REDIRECTED) {
		struct principal who;

		/* The worker asks about this caller in a moment; look while it is surely alive. */
		whois_resolve(m->whois, &e->task, &who);
		return;
	}
	s = seen_slot(m->seen, e->cookie);
	if (s->cookie && !s->told)
		tell(m, s, 0, 0, 0, "");
	s->cookie = e->cookie;
	s->time_ns = e->time_ns;
	s->event = *e;
	s->told = false;
	whois_resolve(m->whois, &e->task, &s->who);
	if (e->verdict == SP_REFUSED) {
		tell(m, s, 0, 0, 0, "");
		s->cookie = 0;
	}
}

static void on_close(struct monitor *m, const struct sp_event *e)
{
	struct seen *s = seen_slot(m->seen, e->cookie);

	if (s->cookie != e->cookie)
		return;
	tell(m, s, e->bytes_out, e->bytes_in, e->time_ns, s->told ? "closed" : "");
	s->cookie = 0;
}

static void on_other(struct monitor *m, const struct sp_event *e, const char *what)
{
	struct seen s = { .event = *e, .time_ns = e->time_ns };

	whois_resolve(m->whois, &e->task, &s.who);
	tell(m, &s, 0, 0, 0, what);
}

void seen_event(void *ctx, const struct sp_event *e)
{
	struct monitor *m = ctx;

	switch (e->kind) {
	case SP_EVENT_CONNECT:
		on_connect(m, e);
		break;
	case SP_EVENT_CLOSE:
		on_close(m, e);
		break;
	case SP_EVENT_HELLO:
		on_other(m, e, "named in a ClientHello on an address not known before");
		break;
	case SP_EVENT_QUIC:
		on_other(m, e, e->verdict == SP_REFUSED ? "QUIC refused" : "QUIC datagram");
		break;
	case SP_EVENT_DIALLED:
		on_other(m, e, "dialled the listener directly: refused");
		break;
	default:
		break;
	}
}

static void tick(struct timer *timer)
{
	struct seen_table *t = container_of(timer, struct seen_table, tick);
	uint64_t now = clock_mono_ns();

	for (size_t i = 0; i < SEEN_MAX; i++) {
		struct seen *s = &t->slot[i];

		if (s->cookie && !s->told && now - s->time_ns > SEEN_WAIT_NS) {
			tell(t->m, s, 0, 0, 0, "");
			s->told = true;
		}
	}
	(void)timer_arm(t->m->loop, timer, SEEN_TICK_MS);
}

int seen_init(struct monitor *m)
{
	m->seen = calloc(1, sizeof(*m->seen));
	if (!m->seen)
		return -ENOMEM;
	m->seen->m = m;
	m->seen->tick.fn = tick;
	return timer_arm(m->loop, &m->seen->tick, SEEN_TICK_MS);
}

void seen_free(struct monitor *m)
{
	for (size_t i = 0; m->seen && i < SEEN_MAX; i++)
		if (m->seen->slot[i].cookie && !m->seen->slot[i].told)
			tell(m, &m->seen->slot[i], 0, 0, 0, "");
	free(m->seen);
	m->seen = NULL;
}
