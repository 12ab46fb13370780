/*
 * Certificates built from nothing (RFC 5280), strict enough for Python 3.13's VERIFY_X509_STRICT:
 * root, intermediates, leaves; P-256 and ECDSA-SHA256 throughout. Inside tls/ only.
 */
#ifndef TLS_MINT_H
#define TLS_MINT_H

#include "tls/host.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>

#define MINT_ROOT_DAYS 3650
#define MINT_INTERMEDIATE_DAYS 825
#define MINT_LEAF_DAYS 3

void pkey_freep(EVP_PKEY **p);
void x509_freep(X509 **p);

/* All return NULL when OpenSSL fails (no memory); the caller frees. */
EVP_PKEY *mint_key(void);
/* Self-signed, path length 1, critical name constraints: the n hosts and nothing else. */
X509 *mint_root(EVP_PKEY *key, const struct host *permitted, size_t n, uint64_t now_s);
/* Path length 0, constrained to the one host and what is below it. */
X509 *mint_intermediate(X509 *root, EVP_PKEY *root_key, EVP_PKEY *key, const struct host *permitted,
			uint64_t now_s);
/* For the one host and nothing below it. */
X509 *mint_leaf(X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key, const struct host *host,
		uint64_t now_s);
/* Do the name constraints of `ca` permit all of the n hosts? False when it has none. */
bool mint_permits(X509 *ca, const struct host *hosts, size_t n);

#endif
