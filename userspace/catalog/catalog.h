/*
 * Which hosts are AI, and what their paths mean: policies/providers.json. Immutable, refcounted.
 */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "base/arena.h"
#include "base/json.h"
#include "base/slice.h"

#include <stdint.h>

struct catalog;

struct provider {
	uint32_t number;           /* from 1, in the file's order; what the kernel's tables hold */
	const char *id;            /* "openai": what policies say */
	const char *name;          /* "OpenAI API" */
	const char *category;      /* "api", "cloud", "app"... */
	const char *jurisdiction;  /* ISO 3166-1 or "" unknown */
};

struct catalog_match {
	const struct provider *provider;
	const char *role;          /* "inference", "web", "auth"... */
	const char *const *paths;  /* shared host: only these path prefixes ("*" = one segment) */
	size_t n_paths;            /* are AI; 0: the whole host is */
	const char *const *dialects; /* the provider's, preferred first */
	size_t n_dialects;
};

/* policies/providers.json (schema: README there). 0, -EINVAL with every mistake noted, -ENOMEM. */
int catalog_load(struct slice json, struct mistakes *m, struct catalog **out);
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c);

/* The date of the facts, "2026-08-22"; "" when the file does not say. */
const char *catalog_source_date(const struct catalog *c);

/*
 * Any case, trailing dot allowed, no port. Exact before pattern before suffix, longest suffix wins.
 * Several providers may share one host: an entry for the whole host comes before one with paths,
 * inference before web before auth, then the file's order. Strings in `out` live as long as `c`.
 */
bool catalog_find(const struct catalog *c, struct slice host, struct catalog_match *out);
/*
 * The same with the request's path known: an entry whose path prefix covers it comes first, then
 * entries for whole hosts. False also for a shared host none of whose entries covers the path: then
 * this request is not AI traffic.
 */
bool catalog_find_path(const struct catalog *c, struct slice host, struct slice path,
		       struct catalog_match *out);
/* Local inference servers stand on a port, not on a name: candidates only, to be confirmed by what
 * they speak. `host` is the name or address dialled. */
bool catalog_find_port(const struct catalog *c, struct slice host, uint16_t port,
		       struct catalog_match *out);
const struct provider *catalog_provider(const struct catalog *c, uint32_t number); /* NULL: none */
const struct provider *catalog_provider_id(const struct catalog *c, const char *id);
size_t catalog_size(const struct catalog *c); /* providers */

/* Every host entry, for the kernel's table, the prefetch (exact ones) and the CA's constraints. */
struct catalog_host {
	const char *pattern;  /* lower case; "{region}" already written as "*": one or more
			       * characters of [a-z0-9-], never a dot */
	bool suffix;
	bool exact;
	bool shared;
	const char *role;
	uint32_t provider;
};
size_t catalog_hosts(const struct catalog *c, const struct catalog_host **out);

/* Local servers: a port, with or without a name. */
struct catalog_port {
	const char *host;     /* "localhost"; "" any */
	uint16_t port;
	uint32_t provider;
	const char *role;
};
size_t catalog_ports(const struct catalog *c, const struct catalog_port **out);

/* endpoint.c: what a method and path on an AI host mean. */
struct endpoint {
	const char *name;     /* "chat", "responses", "completions", "messages", "count-tokens",
			       * "embeddings", "images", "audio", "files", "batches", "models",
			       * "generate", "converse", "invoke", "mcp"...; "other" unknown */
	const char *dialect;  /* "openai-chat"...; "generic" */
	struct slice model;   /* named in the path, still percent-encoded; ptr NULL: in the body */
	bool inference;       /* sends a prompt */
};
/*
 * path as on the wire, with query. By path ending, so it works for unknown AI hosts (m NULL) too.
 * Paths no rule knows: name "other", dialect "generic", inference when the method carries a body.
 */
void endpoint_find(const struct catalog_match *m, struct slice method, struct slice path,
		   struct endpoint *out);

/* endpoint.model as people write it: percent-decoded, in `a`. ptr NULL: not in the path, or no
 * memory. */
struct slice endpoint_model(const struct endpoint *e, struct arena *a);

#endif
