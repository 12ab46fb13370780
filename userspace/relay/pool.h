/*
 * Upstream connections between two users: verified, idle, waiting for the next request of the same
 * caller to the same host and address. A worker's own; never shared between callers, so that nobody
 * rides on another's connection. Idle clients hold no upstream, new clients need no handshake.
 */
#ifndef RELAY_POOL_H
#define RELAY_POOL_H

#include "relay/conn.h"

struct pool;

int pool_init(struct worker *w);
void pool_done(struct worker *w);
/* Takes over c's upstream, which must be ready and between two exchanges. */
void pool_put(struct conn *c);
/* Gives c an upstream (c->up is UPSTREAM_READY then); false: there is none. */
bool pool_take(struct conn *c);

#endif
