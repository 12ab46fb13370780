/*
 * The catalogue's exact names resolved by the machine's own resolver, in a process without rights (a
 * DNS answer comes off the network), and what it found put into the kernel's table by the one with.
 */
#ifndef DISCOVER_RESOLVER_H
#define DISCOVER_RESOLVER_H

#include "catalog/catalog.h"
#include "kern/kern.h"

/* In the process without rights: every name once, with a pause between two. 0; -EPIPE: the other end
 * of the channel is gone. */
int resolver_round(int channel, const struct catalog *c);
/* Waits. 0, or -EPIPE when the other end is gone. */
int resolver_pause(int channel, int ms);

/* In the other: takes all that has arrived; the sender is not trusted. -EAGAIN: more may come,
 * -EPIPE: the process has ended. */
int resolver_take(int channel, struct kern *k, const struct catalog *c);

#endif
