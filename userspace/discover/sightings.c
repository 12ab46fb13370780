/* Open connections by their cookie, in a table of fixed size: the oldest of a full corner gives way. */
#include "discover/sightings.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS 1024U           /* a power of two */
#define PROBES 8U

struct seen {
	uint64_t cookie;          /* 0: free */
	bool told;
	bool lone;                /* by its ClientHello: no close will come */
	struct sp_event event;
	struct principal who;
};

struct sightings {
	struct whois *whois;
	uint64_t wait_ns;
	sightings_fn *fn;
	void *ctx;
	struct seen slot[SLOTS];
};

int sightings_new(struct whois *w, uint64_t wait_ns, sightings_fn *fn, void *ctx,
		  struct sightings **out)
{
	struct sightings *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->whois = w;
	t->wait_ns = wait_ns;
	t->fn = fn;
	t->ctx = ctx;
	*out = t;
	return 0;
}

static void tell(struct sightings *t, struct seen *s)
{
	struct sighting one = { .event = &s->event, .who = &s->who };

	t->fn(t->ctx, &one);
	s->told = true;
}

void sightings_free(struct sightings *t)
{
	for (size_t i = 0; t && i < SLOTS; i++)
		if (t->slot[i].cookie && !t->slot[i].told)
			tell(t, &t->slot[i]);
	free(t);
}

static struct seen *slot_at(struct sightings *t, uint64_t cookie, unsigned probe)
{
	return &t->slot[((cookie * 0x9e3779b97f4a7c15U >> 32) + probe) & (SLOTS - 1)];
}

static struct seen *slot_find(struct sightings *t, uint64_t cookie)
{
	for (unsigned i = 0; i < PROBES; i++)
		if (slot_at(t, cookie, i)->cookie == cookie)
			return slot_at(t, cookie, i);
	return NULL;
}

static struct seen *slot_get(struct sightings *t, uint64_t cookie)
{
	struct seen *s = slot_find(t, cookie), *oldest = slot_at(t, cookie, 0);

	for (unsigned i = 0; !s && i < PROBES; i++) {
		struct seen *at = slot_at(t, cookie, i);

		if (!at->cookie)
			s = at;
		else if (at->event.time_ns < oldest->event.time_ns)
			oldest = at;
	}
	s = s ? s : oldest;
	if (s->cookie && !s->told)
		tell(t, s);
	return s;
}

static void on_connect(struct sightings *t, const struct sp_event *e)
{
	struct principal who;
	struct seen *s;

	if (e->verdict == SP_REDIRECTED) {
		/* The worker asks about this caller in a moment; look while it is surely alive. */
		whois_resolve(t->whois, &e->task, &who);
		return;
	}
	s = slot_get(t, e->cookie);
	s->cookie = e->cookie;
	s->event = *e;
	s->told = s->lone = false;
	whois_resolve(t->whois, &e->task, &s->who);
	if (!t->wait_ns || e->verdict == SP_REFUSED)
		tell(t, s);
	if (e->verdict == SP_REFUSED)
		s->cookie = 0;
}

static void on_close(struct sightings *t, const struct sp_event *e)
{
	struct seen *s = slot_find(t, e->cookie);
	struct sighting one = { .bytes_out = e->bytes_out, .bytes_in = e->bytes_in };

	if (!s || !e->cookie)
		return;
	one.event = &s->event;
	one.who = &s->who;
	one.again = s->told;
	one.duration_us = e->time_ns > s->event.time_ns ? (e->time_ns - s->event.time_ns) / 1000 : 0;
	t->fn(t->ctx, &one);
	s->cookie = 0;
}

static void on_hello(struct sightings *t, const struct sp_event *e)
{
	struct seen *s = slot_get(t, e->cookie);

	s->cookie = e->cookie;
	s->event = *e;
	s->lone = true;
	whois_resolve(t->whois, &e->task, &s->who);
	tell(t, s);
}

void sightings_event(struct sightings *t, const struct sp_event *e)
{
	struct sighting one = { .event = e };
	struct principal who;

	switch (e->kind) {
	case SP_EVENT_CONNECT:
		on_connect(t, e);
		break;
	case SP_EVENT_CLOSE:
		on_close(t, e);
		break;
	case SP_EVENT_HELLO:
		on_hello(t, e);
		break;
	case SP_EVENT_QUIC:
	case SP_EVENT_DIALLED:
		whois_resolve(t->whois, &e->task, &who);
		one.who = &who;
		t->fn(t->ctx, &one);
		break;
	default:
		break;
	}
}

void sightings_tick(struct sightings *t, uint64_t now_ns)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct seen *s = &t->slot[i];

		if (s->cookie && !s->told && now_ns > s->event.time_ns &&
		    now_ns - s->event.time_ns > t->wait_ns)
			tell(t, s);
	}
}

const struct sp_event *sightings_find(struct sightings *t, uint64_t cookie,
				      const struct principal **who)
{
	struct seen *s = cookie ? slot_find(t, cookie) : NULL;

	if (s)
		*who = &s->who;
	return s ? &s->event : NULL;
}

size_t sightings_open(const struct sightings *t)
{
	size_t n = 0;

	for (size_t i = 0; i < SLOTS; i++)
		n += t->slot[i].cookie != 0 && !t->slot[i].lone;
	return n;
}
