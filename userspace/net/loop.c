/* epoll loop with a binary heap of timers. */
#include "net/loop.h"

#include "base/clock.h"
#include "base/def.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOP_BATCH 128

struct loop {
	int epoll;
	bool stop;
	uint64_t now_ns;
	struct timer **heap; /* from index 1 */
	uint32_t n_timers, cap_timers;
	struct epoll_event batch[LOOP_BATCH];
	int n_batch, at_batch;
	void (*on_round)(void *ctx);
	void *on_round_ctx;
};

int loop_new(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		int r = -errno;

		free(l);
		return r;
	}
	l->now_ns = clock_mono_ns();
	*out = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	(void)close(l->epoll);
	free(l->heap);
	free(l);
}

int loop_watch(struct loop *l, struct watch *w, uint32_t events)
{
	/* EPOLLERR alone stands for "registered, nothing wanted but errors": epoll adds it anyway. */
	struct epoll_event e = { .events = events ? events : EPOLLERR, .data.ptr = w };
	int op = w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (w->events == e.events)
		return 0;
	if (epoll_ctl(l->epoll, op, w->fd, &e) < 0)
		return -errno;
	w->events = e.events;
	return 0;
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	if (!w->events)
		return;
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->events = 0;
	for (int i = l->at_batch; i < l->n_batch; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
}

static void heap_put(struct loop *l, uint32_t slot, struct timer *t)
{
	l->heap[slot] = t;
	t->slot = slot;
}

static void heap_up(struct loop *l, uint32_t slot)
{
	struct timer *t = l->heap[slot];

	for (; slot > 1 && l->heap[slot / 2]->at_ns > t->at_ns; slot /= 2)
		heap_put(l, slot, l->heap[slot / 2]);
	heap_put(l, slot, t);
}

static void heap_down(struct loop *l, uint32_t slot)
{
	struct timer *t = l->heap[slot];

	for (;;) {
		uint32_t child = slot * 2;

		if (child > l->n_timers)
			break;
		if (child < l->n_timers && l->heap[child + 1]->at_ns < l->heap[child]->at_ns)
			child++;
		if (l->heap[child]->at_ns >= t->at_ns)
			break;
		heap_put(l, slot, l->heap[child]);
		slot = child;
	}
	heap_put(l, slot, t);
}

int timer_arm(struct loop *l, struct timer *t, uint64_t in_ms)
{
	timer_disarm(l, t);
	if (l->n_timers + 1 >= l->cap_timers) {
		uint32_t cap = l->cap_timers ? l->cap_timers * 2 : 64;
		struct timer **heap = realloc(l->heap, cap * sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		l->heap = heap;
		l->cap_timers = cap;
	}
	t->at_ns = l->now_ns + in_ms * 1000000U;
	heap_put(l, ++l->n_timers, t);
	heap_up(l, l->n_timers);
	return 0;
}

void timer_disarm(struct loop *l, struct timer *t)
{
	uint32_t slot = t->slot;
	struct timer *last;

	if (!slot)
		return;
	t->slot = 0;
	last = l->heap[l->n_timers--];
	if (last == t)
		return;
	heap_put(l, slot, last);
	heap_up(l, slot);
	heap_down(l, last->slot);
}

uint64_t loop_now_ns(const struct loop *l)
{
	return l->now_ns;
}

void loop_on_round(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	l->on_round = fn;
	l->on_round_ctx = ctx;
}

static int wait_ms(const struct loop *l)
{
	uint64_t now = clock_mono_ns(), at;

	if (!l->n_timers)
		return -1;
	at = l->heap[1]->at_ns;
	return at <= now ? 0 : (int)MIN((at - now) / 1000000U + 1, (uint64_t)60000);
}

static void timers_run(struct loop *l)
{
	while (l->n_timers && l->heap[1]->at_ns <= l->now_ns) {
		struct timer *t = l->heap[1];

		timer_disarm(l, t);
		t->fn(t);
	}
}

int loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop) {
		int n = epoll_wait(l->epoll, l->batch, LOOP_BATCH, wait_ms(l));

		if (n < 0 && errno != EINTR)
			return -errno;
		l->now_ns = clock_mono_ns();
		l->n_batch = MAX(n, 0);
		for (l->at_batch = 0; l->at_batch < l->n_batch;) {
			struct epoll_event *e = &l->batch[l->at_batch++];
			struct watch *w = e->data.ptr;

			if (w)
				w->fn(w, e->events);
		}
		timers_run(l);
		if (l->on_round)
			l->on_round(l->on_round_ctx);
	}
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}
