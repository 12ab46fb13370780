/* The hosts the CA may name: sorted, each only once, none below another. Inside tls/ only. */
#ifndef TLS_PERMIT_H
#define TLS_PERMIT_H

#include "base/buf.h"
#include "tls/host.h"

struct permit {
	struct host *hosts;
	size_t n;
};

/*
 * names: "example.com" permits it and everything below; "*.example.com" and ".example.com" are read
 * as that too; an address permits itself. -EINVAL with `why` for a name that is none, for a whole
 * top-level domain, or for an empty list; -ENOMEM.
 */
int permit_init(struct permit *p, const char *const *names, size_t n, struct buf *why);
void permit_done(struct permit *p);
/* Index of the entry that permits host, or -1. */
long permit_find(const struct permit *p, const struct host *host);

#endif
