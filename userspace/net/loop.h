/*
 * One epoll loop a thread: descriptors, timers, and work put off to the end of a round.
 * Level-triggered: a watch that does not want to read must say so, or it is called again.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/* Embedded in its owner; zeroed before first use except fd and fn. */
struct watch {
	int fd;
	uint32_t events; /* what epoll was told; 0 not registered */
	void (*fn)(struct watch *w, uint32_t events);
};

struct timer {
	uint64_t at_ns;  /* CLOCK_MONOTONIC */
	uint32_t slot;   /* place in the heap from 1; 0 not armed */
	void (*fn)(struct timer *t);
};

int loop_new(struct loop **out);
void loop_free(struct loop *l);

/* Sets what to wait for; the first call registers. EPOLLERR and EPOLLHUP always come. 0 or -errno. */
int loop_watch(struct loop *l, struct watch *w, uint32_t events);
/* Safe inside any callback: events of this round that are still to come for w are forgotten. */
void loop_unwatch(struct loop *l, struct watch *w);

/* (Re)arms; 0 or -ENOMEM. */
int timer_arm(struct loop *l, struct timer *t, uint64_t in_ms);
void timer_disarm(struct loop *l, struct timer *t);

/* CLOCK_MONOTONIC at the start of this round. */
uint64_t loop_now_ns(const struct loop *l);

/* Called after every round, before waiting again (flush batches, free the dead). One a loop. */
void loop_on_round(struct loop *l, void (*fn)(void *ctx), void *ctx);

/* Until loop_stop(). 0 or -errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

#endif
