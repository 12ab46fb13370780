/*
 * Which hosts are AI, and what their paths mean: policies/providers.json. Immutable, refcounted.
 */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

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
	const char *const *paths;  /* shared host: only these path prefixes ("*" = one segment) are AI; */
	size_t n_paths;            /* 0: the whole host is */
	const char *const *dialects; /* the provider's, preferred first */
	size_t n_dialects;
};

int catalog_load(struct slice json, struct mistakes *m, struct catalog **out);
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c);

/* Any case, trailing dot allowed, no port. Exact before pattern before suffix, longest suffix wins. */
bool catalog_find(const struct catalog *c, struct slice host, struct catalog_match *out);
const struct provider *catalog_provider(const struct catalog *c, uint32_t number); /* NULL: none */
const struct provider *catalog_provider_id(const struct catalog *c, const char *id);
size_t catalog_size(const struct catalog *c); /* providers */

/* Every host entry, for the kernel's table, the prefetch (exact ones) and the CA's constraints. */
struct catalog_host {
	const char *pattern;  /* lower case; "{region}" already written as "*" */
	bool suffix;
	bool exact;
	bool shared;
	const char *role;
	uint32_t provider;
};
size_t catalog_hosts(const struct catalog *c, const struct catalog_host **out);

/* endpoint.c: what a method and path on an AI host mean. */
struct endpoint {
	const char *name;     /* "chat", "responses", "completions", "messages", "count-tokens",
			       * "embeddings", "images", "audio", "files", "batches", "models",
			       * "generate", "converse", "invoke", "mcp"...; "other" unknown */
	const char *dialect;  /* "openai-chat"...; "generic" */
	struct slice model;   /* named in the path, percent-decoding not applied; ptr NULL: in the body */
	bool inference;       /* sends a prompt */
};
/* path as on the wire, with query. By path ending (dialects.md), so it works for unknown AI hosts. */
void endpoint_find(const struct catalog_match *m, struct slice method, struct slice path,
		   struct endpoint *out);

#endif
