/*
 * Connections that the kernel saw and nobody proxied, made of its events: an opening and a close become
 * one sighting with the caller, who is looked up at once, while he still lives.
 */
#ifndef DISCOVER_SIGHTINGS_H
#define DISCOVER_SIGHTINGS_H

#include "ident/whois.h"

#include <stdbool.h>

struct sighting {
	const struct sp_event *event;   /* of the connect; of itself for HELLO, QUIC and DIALLED */
	const struct principal *who;
	uint64_t bytes_out, bytes_in;   /* 0 while it is open */
	uint64_t duration_us;           /* 0 while it is open */
	bool again;                     /* told before when it was open; now it is closed */
};

struct sightings;
/*
 * wait_ns: how long an open connection is held back for its bytes; 0: it is told when it opens and
 * again when it closes. What is pointed to in a sighting lives for the call. -ENOMEM.
 */
typedef void sightings_fn(void *ctx, const struct sighting *s);
int sightings_new(struct whois *w, uint64_t wait_ns, sightings_fn *fn, void *ctx,
		  struct sightings **out);
/* Tells what is still held back. NULL is fine. */
void sightings_free(struct sightings *t);

void sightings_event(struct sightings *t, const struct sp_event *e);
/* Tells the open connections that waited long enough; about once a second. now: CLOCK_MONOTONIC. */
void sightings_tick(struct sightings *t, uint64_t now_ns);
/* An open connection by its socket's cookie; NULL: not known. Lent until the next event. */
const struct sp_event *sightings_find(struct sightings *t, uint64_t cookie,
				      const struct principal **who);
/* Connections that are open now. */
size_t sightings_open(const struct sightings *t);

#endif
