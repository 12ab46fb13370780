/* Leaves by host, as the signer gave them; bounded, reminted before they expire. */
#ifndef TLS_LEAF_H
#define TLS_LEAF_H

#include "tls/host.h"
#include "tls/tls.h"

#include <openssl/x509.h>

struct leaf {
	X509 *cert;
	STACK_OF(X509) *chain; /* the intermediate */
};

struct leaf_cache;

/* key: the thread's one key, lent. NULL without memory. */
struct leaf_cache *leaf_cache_new(struct signer *signer, EVP_PKEY *key);
void leaf_cache_free(struct leaf_cache *c);
void leaf_cache_flush(struct leaf_cache *c);
/* Lends the leaf until the next call. 0 or what the signer said; -EBADMSG: its answer is no chain.
 */
int leaf_get(struct leaf_cache *c, const struct host *host, uint64_t now_s,
	     const struct leaf **out);

#endif
