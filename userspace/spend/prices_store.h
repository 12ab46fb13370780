/* Inside of the price table: what prices_load.c builds and prices.c looks up in. */
#ifndef SPEND_PRICES_STORE_H
#define SPEND_PRICES_STORE_H

#include "base/arena.h"
#include "spend/prices.h"

#define TIERS_MAX 4
#define NO_RATE (-1)

enum rate { RATE_IN, RATE_OUT, RATE_CACHED, RATE_CACHE_WRITE, RATE_REASONING, RATES };

struct tier {
	int64_t above;         /* input tokens */
	int64_t rate[RATES];   /* pico-USD a token; NO_RATE: the row's own */
};

struct price {
	int64_t rate[RATES];
	struct tier tiers[TIERS_MAX];
	size_t n_tiers;
};

struct row {
	struct price price;
};

/* provider "": that model at whichever provider the file names first. Names in lower case. */
struct price_slot {
	const char *provider, *model;
	const struct row *row; /* NULL: free */
};

struct price_glob {
	const char *provider, *text;
	size_t literal;        /* characters that are no wildcard */
	size_t order;
	const struct row *row;
};

struct prices {
	unsigned refs;
	struct arena arena;
	const char *source_date;
	size_t n_rows;
	const char **fallback; /* providers to ask for a model that its own does not list */
	size_t n_fallback;
	struct price_slot *slots; /* open addressing, a power of two */
	size_t n_slots, n_used;
	struct price_glob *globs; /* by provider, then the most specific first */
	size_t n_globs, cap_globs;
};

/* Where that name is, or would be. */
struct price_slot *price_slot(const struct prices *p, struct slice provider, struct slice model);

#endif
