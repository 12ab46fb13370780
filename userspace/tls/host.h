/* Host names as certificates and caches know them: lower case, no trailing dot, or an address. */
#ifndef TLS_HOST_H
#define TLS_HOST_H

#include "base/slice.h"

#define HOST_SIZE 256 /* a name of at most 253 bytes (RFC 1035 3.1), or an address, and the NUL */

struct host {
	char text[HOST_SIZE];
	unsigned char ip[16]; /* network order */
	size_t ip_len;        /* 0: a name; 4 or 16: an address */
};

/*
 * From what a client or an operator wrote: letters, digits, '-', '_' and dots; "[::1]" loses its
 * brackets. 0, or -EINVAL: wildcards, empty or over-long labels, anything else.
 */
int host_init(struct host *h, struct slice name);
/* Is `name` `suffix` itself or below it? Both normalised names. */
bool host_under(const char *name, const char *suffix);

#endif
