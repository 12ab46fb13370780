/*
 * Observe mode's evidence: connections that the kernel saw and nobody proxied, as records. One is
 * written when the connection closes, with its bytes, or after ten seconds if it is still open then (its
 * close is a second record, which does not count as a connection).
 */
#include "daemon/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "discover/sightings.h"
#include "net/diag.h"

#include <errno.h>
#include <stdlib.h>

#define SEEN_WAIT_NS (10ULL * 1000000000)
#define SEEN_TICK_MS 1000

struct seen_table {
	struct monitor *m;
	struct timer tick;
	struct sightings *sightings;
};

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

static const char *remark(const struct sighting *s)
{
	const struct sp_event *e = s->event;

	if (e->kind == SP_EVENT_HELLO && e->verdict == SP_REFUSED)
		return "ended: the address was not known before the ClientHello; a retry is redirected";
	if (e->kind == SP_EVENT_HELLO)
		return "named in a ClientHello on an address not known before";
	if (e->kind == SP_EVENT_QUIC)
		return e->verdict == SP_REFUSED ? "QUIC refused" : "QUIC datagram";
	if (e->kind == SP_EVENT_DIALLED)
		return "dialled the listener directly: refused";
	if (e->verdict == SP_PASSED_OPEN)
		return "passed: the proxy was not there, the rule fails open";
	if (e->verdict == SP_REFUSED)
		return "refused: the proxy was not there, the rule fails closed";
	return "";
}

static void on_sighting(void *ctx, const struct sighting *s)
{
	static struct record r;
	struct monitor *m = ctx;

	record_of(m, s->event, s->who, &r);
	r.bytes_out = s->bytes_out;
	r.bytes_in = s->bytes_in;
	r.duration_us = s->duration_us;
	if (s->event->verdict == SP_REFUSED && s->event->kind != SP_EVENT_QUIC) {
		r.kind = RECORD_REFUSED;
		r.action = r.would = ACTION_BLOCKED;
	}
	slice_copy(r.reason, sizeof(r.reason), slice_str(s->again ? RECORD_CLOSED : remark(s)));
	monitor_record(m, &r);
	m->seen_records++;
}

/* The kernel drops all that this socket sends: end it, or its application would wait for ever. */
static void held_end(const struct sp_event *e)
{
	struct sock_addr to = { .port = (uint16_t)e->port };
	int r;

	memcpy(to.ip, e->addr, sizeof(to.ip));
	r = diag_destroy(e->cookie, &to);
	if (r < 0 && r != -ENOENT)
		log_warn("cannot end a held connection: %s; the application has to time out", strerror(-r));
}

void seen_event(void *ctx, const struct sp_event *e)
{
	struct monitor *m = ctx;

	if (e->kind == SP_EVENT_HELLO && e->verdict == SP_REFUSED)
		held_end(e);
	sightings_event(m->seen->sightings, e);
}

static void tick(struct timer *timer)
{
	struct seen_table *t = container_of(timer, struct seen_table, tick);

	sightings_tick(t->sightings, clock_mono_ns());
	(void)timer_arm(t->m->loop, timer, SEEN_TICK_MS);
}

int seen_init(struct monitor *m)
{
	int r;

	m->seen = calloc(1, sizeof(*m->seen));
	if (!m->seen)
		return -ENOMEM;
	m->seen->m = m;
	m->seen->tick.fn = tick;
	r = sightings_new(m->whois, SEEN_WAIT_NS, on_sighting, m, &m->seen->sightings);
	return r < 0 ? r : timer_arm(m->loop, &m->seen->tick, SEEN_TICK_MS);
}

void seen_free(struct monitor *m)
{
	if (m->seen)
		sightings_free(m->seen->sightings);
	free(m->seen);
	m->seen = NULL;
}
