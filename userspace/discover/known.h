/*
 * What the kernel is told before the first packet: the catalogue's names, and the addresses that
 * /etc/hosts gives them, because those never show in a DNS answer.
 */
#ifndef DISCOVER_KNOWN_H
#define DISCOVER_KNOWN_H

#include "catalog/catalog.h"
#include "kern/kern.h"

#define KNOWN_HOSTS_FILE "/etc/hosts"

/*
 * Two providers may list one name (openai and codex: api.openai.com). Whose its addresses are is said
 * by catalog_find(), for the kernel as for the worker: false for the other entries of an exact name.
 */
bool known_is_owner(const struct catalog *c, const struct catalog_host *h);

/* All host patterns of the catalogue into the kernel's table. 0, -E2BIG, -ENOMEM, -errno. */
int known_names(struct kern *k, const struct catalog *c);

/* hosts(5): calls each() for every name of the catalogue; a line it cannot read is left out. */
typedef void known_each_fn(void *ctx, const uint8_t addr[16], uint32_t provider, struct slice name);
void known_hosts_each(struct slice text, const struct catalog *c, known_each_fn *each, void *ctx);
/* The same into the kernel's table, for good. 0 also when there is no such file, or -errno. */
int known_hosts_file(struct kern *k, const struct catalog *c, const char *path);

#endif
