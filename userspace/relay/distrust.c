/*
 * Who does not trust our certificate, by (executable, host): learned from handshakes that the client
 * broke off. Only a pointer for the rule's on_distrust; an entry lives for an hour, and a reload (which
 * `sallyport trust install` asks for) forgets them all, so that a mended trust store is noticed.
 *
 * One table for all worker threads: the next attempt of a client may be another thread's. Entries are
 * two independent words; a torn one costs a client one attempt more.
 */
#include "relay/worker.h"

#include "base/clock.h"

#define DISTRUST_PAIRS 1024U /* a power of two */
#define DISTRUST_TTL_NS (3600ULL * 1000000000)

struct distrust_table {
	struct {
		uint64_t key;
		uint64_t until_ns;
	} pair[DISTRUST_PAIRS];
};
static struct distrust_table shared;

int distrust_init(struct worker *w)
{
	w->distrust = &shared;
	return 0;
}

void distrust_done(struct worker *w)
{
	w->distrust = NULL;
}

static uint64_t mix(uint64_t h, const void *p, size_t len)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < len; i++)
		h = (h ^ c[i]) * 0x100000001b3U;
	return h;
}

static uint64_t pair_key(const struct principal *who, struct slice host)
{
	uint64_t h = 0xcbf29ce484222325U;

	h = who->digest_known ? mix(h, who->digest, sizeof(who->digest)) :
				mix(h, who->exe, strlen(who->exe));
	h = mix(h, &who->uid, sizeof(who->uid));
	h = mix(h, host.ptr, host.len);
	return h ? h : 1;
}

static size_t pair_slot(uint64_t key)
{
	return (size_t)(key ^ key >> 32) & (DISTRUST_PAIRS - 1);
}

void distrust_learn(struct worker *w, const struct principal *who, struct slice host)
{
	uint64_t key = pair_key(who, host);
	size_t slot = pair_slot(key);

	__atomic_store_n(&w->distrust->pair[slot].until_ns, loop_now_ns(w->loop) + DISTRUST_TTL_NS,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&w->distrust->pair[slot].key, key, __ATOMIC_RELEASE);
}

void distrust_flush(struct worker *w, uint64_t generation)
{
	static uint64_t flushed;

	/* Each thread is told of a reload: the first one forgets, a later one must not unlearn. */
	if (__atomic_exchange_n(&flushed, generation, __ATOMIC_ACQ_REL) == generation)
		return;
	for (size_t i = 0; i < DISTRUST_PAIRS; i++)
		__atomic_store_n(&w->distrust->pair[i].key, 0, __ATOMIC_RELAXED);
}

bool distrust_known(struct worker *w, const struct principal *who, struct slice host)
{
	uint64_t key = pair_key(who, host);
	size_t slot = pair_slot(key);

	return __atomic_load_n(&w->distrust->pair[slot].key, __ATOMIC_ACQUIRE) == key &&
	       __atomic_load_n(&w->distrust->pair[slot].until_ns, __ATOMIC_RELAXED) > loop_now_ns(w->loop);
}
