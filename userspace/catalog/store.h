/* Inside of the catalogue: what load.c builds and catalog.c looks up in. */
#ifndef CATALOG_STORE_H
#define CATALOG_STORE_H

#include "base/arena.h"
#include "catalog/catalog.h"

#define CATALOG_HOST_MAX 253     /* RFC 1035 2.3.4, as text */
#define CATALOG_ENTRIES_MAX 65536
#define CATALOG_NONE UINT32_MAX

/* Beside each catalog_host. */
struct entry {
	struct catalog_match match;
	uint32_t rank;     /* lower comes first among entries of one tail and kind */
	uint32_t literal;  /* characters that are no wildcard: more is more specific */
	uint32_t next;     /* next of the same tail and kind, CATALOG_NONE ends */
	size_t line;       /* order in the file */
};

/* Everything known about one string of labels that ends a host name. */
enum tail_kind { TAIL_EXACT, TAIL_PATTERN, TAIL_SUFFIX, TAIL_KINDS };
struct tail {
	const char *name;
	uint32_t len;
	uint32_t hash;
	uint32_t first[TAIL_KINDS];
};

struct catalog {
	unsigned refs;
	struct arena arena;
	const char *source_date;
	struct provider *providers;
	size_t n_providers;
	struct catalog_host *hosts;
	struct entry *entries;      /* parallel to hosts */
	size_t n_hosts, cap_hosts;
	struct catalog_port *ports;
	struct catalog_match *port_matches; /* parallel to ports */
	size_t n_ports, cap_ports;
	struct tail *tails;         /* open addressing, a power of two; len 0: free */
	size_t n_tails;
};

/* One step of the hash over a name read from its last character to its first. */
static inline uint32_t tail_step(uint32_t hash, char ch)
{
	return (hash ^ (unsigned char)ch) * 16777619U;
}
#define TAIL_SEED 2166136261U

static inline size_t tail_slot(const struct catalog *c, uint32_t hash)
{
	return (hash ^ hash >> 15) & (c->n_tails - 1);
}

/* Index of hosts and entries by tail. 0 or -ENOMEM. */
int catalog_index(struct catalog *c);

#endif
