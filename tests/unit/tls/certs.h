/* Certificates as bad as a test wants them, and a raw server that shows them. */
#ifndef TESTS_TLS_CERTS_H
#define TESTS_TLS_CERTS_H

#include "tests/t.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

struct made {
	X509 *cert;
	EVP_PKEY *key;
};

/* NULL leaves an extension out. Times are in days from now. */
struct wish {
	const char *cn, *san, *basic, *usage, *purpose, *constraints;
	int from_day, to_day;
	int rsa_bits; /* 0: P-256 */
	bool sha1;
	bool no_key_ids;
};

static inline void made_add(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!e || X509_add_ext(x, e, -1) != 1) {
		printf("# cannot add %s\n", value);
		exit(1);
	}
	X509_EXTENSION_free(e);
}

/* issuer NULL: self-signed. */
static inline struct made make_cert(const struct wish *w, const struct made *issuer)
{
	struct made m = { X509_new(), w->rsa_bits ? EVP_RSA_gen((unsigned int)w->rsa_bits) :
						    EVP_EC_gen("P-256") };
	X509 *by = issuer ? issuer->cert : m.cert;
	static long serial = 1000;

	X509_set_version(m.cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(m.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(m.cert), w->from_day * 86400L);
	X509_gmtime_adj(X509_getm_notAfter(m.cert), w->to_day * 86400L);
	X509_set_pubkey(m.cert, m.key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(m.cert), "CN", MBSTRING_ASC,
				   (const unsigned char *)w->cn, -1, -1, 0);
	X509_set_issuer_name(m.cert, X509_get_subject_name(by));
	made_add(m.cert, by, NID_basic_constraints, w->basic);
	made_add(m.cert, by, NID_key_usage, w->usage);
	made_add(m.cert, by, NID_ext_key_usage, w->purpose);
	made_add(m.cert, by, NID_name_constraints, w->constraints);
	made_add(m.cert, by, NID_subject_alt_name, w->san);
	if (!w->no_key_ids) {
		made_add(m.cert, by, NID_subject_key_identifier, "hash");
		made_add(m.cert, by, NID_authority_key_identifier, "keyid");
	}
	X509_sign(m.cert, issuer ? issuer->key : m.key, w->sha1 ? EVP_sha1() : EVP_sha256());
	return m;
}

static inline void made_free(struct made *m)
{
	X509_free(m->cert);
	EVP_PKEY_free(m->key);
}

static inline void made_write(const char *path, const struct made *m)
{
	FILE *f = fopen(path, "w");

	if (!f || PEM_write_X509(f, m->cert) != 1)
		exit(1);
	fclose(f);
}

#define CA_BASIC "critical,CA:TRUE"
#define CA_USAGE "critical,keyCertSign,cRLSign"
#define LEAF_BASIC "critical,CA:FALSE"
#define LEAF_USAGE "critical,digitalSignature"

/* A raw end on fd; server when it has a leaf. Weak on purpose: what is refused, we refuse. */
static inline SSL *raw_end(int fd, const struct made *leaf, const struct made *chain)
{
	SSL_CTX *ctx = SSL_CTX_new(leaf ? TLS_server_method() : TLS_client_method());
	SSL *ssl;

	SSL_CTX_set_security_level(ctx, 0);
	if (leaf) {
		SSL_CTX_use_certificate(ctx, leaf->cert);
		SSL_CTX_use_PrivateKey(ctx, leaf->key);
		if (chain && chain->cert)
			SSL_CTX_add1_chain_cert(ctx, chain->cert);
	}
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, fd);
	if (leaf)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

#endif
