/* X.509 by hand: each extension as the strictest of the clients measured wants it. */
#include "tls/mint.h"

#include "base/def.h"

#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define HOUR_S 3600
#define DAY_S 86400

void pkey_freep(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

void x509_freep(X509 **p)
{
	X509_free(*p);
}

EVP_PKEY *mint_key(void)
{
	return EVP_EC_gen("P-256");
}

/* 127 random bits: positive in DER's 16 bytes, and far over the 64 that CA/B 7.1 asks for. */
static bool set_serial(X509 *x)
{
	unsigned char random[16];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	random[0] = (random[0] & 0x7f) | 0x40;
	number = BN_bin2bn(random, sizeof(random), NULL);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
	BN_free(number);
	return ok;
}

/* Version, serial, life and key; an hour back, as clocks of clients differ. */
static X509 *begin(EVP_PKEY *key, uint64_t now_s, uint64_t days)
{
	cleanup(x509_freep) X509 *x = X509_new();

	if (!x || X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x) ||
	    !ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(now_s - HOUR_S)) ||
	    !ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(now_s + days * DAY_S)) ||
	    X509_set_pubkey(x, key) != 1)
		return NULL;
	return take(x);
}

static bool set_subject(X509 *x, const char *common_name)
{
	X509_NAME *n = X509_get_subject_name(x);

	return X509_NAME_add_entry_by_txt(n, "O", MBSTRING_ASC, (const unsigned char *)"sallyport",
					  -1, -1, 0) == 1 &&
	       (!common_name ||
		X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
					   (const unsigned char *)common_name, -1, -1, 0) == 1);
}

static bool add_basic(X509 *x, long path_len)
{
	BASIC_CONSTRAINTS *b = BASIC_CONSTRAINTS_new();
	bool ok = b != NULL;

	if (ok && path_len >= 0) {
		b->ca = 0xff;
		b->pathlen = ASN1_INTEGER_new();
		ok = b->pathlen && ASN1_INTEGER_set(b->pathlen, path_len) == 1;
	}
	ok = ok && X509_add1_ext_i2d(x, NID_basic_constraints, b, 1, X509V3_ADD_DEFAULT) == 1;
	BASIC_CONSTRAINTS_free(b);
	return ok;
}

/* Bits as RFC 5280 4.2.1.3 counts them, most significant first. */
static bool add_usage(X509 *x, int bit, int second_bit)
{
	ASN1_BIT_STRING *u = ASN1_BIT_STRING_new();
	bool ok = u && ASN1_BIT_STRING_set_bit(u, bit, 1) == 1 &&
		  (second_bit < 0 || ASN1_BIT_STRING_set_bit(u, second_bit, 1) == 1) &&
		  X509_add1_ext_i2d(x, NID_key_usage, u, 1, X509V3_ADD_DEFAULT) == 1;

	ASN1_BIT_STRING_free(u);
	return ok;
}

static bool add_server_auth(X509 *x)
{
	EXTENDED_KEY_USAGE *e = EXTENDED_KEY_USAGE_new();
	bool ok = e && sk_ASN1_OBJECT_push(e, OBJ_nid2obj(NID_server_auth)) > 0 &&
		  X509_add1_ext_i2d(x, NID_ext_key_usage, e, 0, X509V3_ADD_DEFAULT) == 1;

	EXTENDED_KEY_USAGE_free(e);
	return ok;
}

/* Subject key identifier: SHA-1 of the key (RFC 5280 4.2.1.2, method 1); a name, no signature. */
static bool add_key_id(X509 *x)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len;
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	bool ok = id && X509_pubkey_digest(x, EVP_sha1(), digest, &len) == 1 &&
		  ASN1_OCTET_STRING_set(id, digest, (int)len) == 1 &&
		  X509_add1_ext_i2d(x, NID_subject_key_identifier, id, 0, X509V3_ADD_DEFAULT) == 1;

	ASN1_OCTET_STRING_free(id);
	return ok;
}

static bool add_issuer_id(X509 *x, X509 *issuer)
{
	AUTHORITY_KEYID *a = AUTHORITY_KEYID_new();
	/* Not X509_get0_subject_key_id(): it caches the extensions of a root still being built. */
	bool ok = a &&
		  (a->keyid = X509_get_ext_d2i(issuer, NID_subject_key_identifier, NULL, NULL)) &&
		  X509_add1_ext_i2d(x, NID_authority_key_identifier, a, 0, X509V3_ADD_DEFAULT) == 1;

	AUTHORITY_KEYID_free(a);
	return ok;
}

static bool name_add_bytes(GENERAL_NAME *n, int type, const void *bytes, size_t len)
{
	ASN1_STRING *s = ASN1_STRING_type_new(type == GEN_DNS ? V_ASN1_IA5STRING :
								V_ASN1_OCTET_STRING);

	if (!s || ASN1_STRING_set(s, bytes, (int)len) != 1) {
		ASN1_STRING_free(s);
		return false;
	}
	GENERAL_NAME_set0_value(n, type, s);
	return true;
}

static bool add_alt_name(X509 *x, const struct host *h)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();
	GENERAL_NAME *n = GENERAL_NAME_new();
	bool ok = all && n &&
		  (h->ip_len ? name_add_bytes(n, GEN_IPADD, h->ip, h->ip_len) :
			       name_add_bytes(n, GEN_DNS, h->text, strlen(h->text))) &&
		  sk_GENERAL_NAME_push(all, n) > 0;

	if (ok)
		n = NULL;
	ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAME_free(n);
	GENERAL_NAMES_free(all);
	return ok;
}

static bool subtree_push(STACK_OF(GENERAL_SUBTREE) **to, int type, const void *bytes, size_t len)
{
	GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();

	if (!*to)
		*to = sk_GENERAL_SUBTREE_new_null();
	if (!sub || !*to || !name_add_bytes(sub->base, type, bytes, len) ||
	    sk_GENERAL_SUBTREE_push(*to, sub) <= 0) {
		GENERAL_SUBTREE_free(sub);
		return false;
	}
	return true;
}

/*
 * Constraints bind per type of name (RFC 5280 4.2.1.10): with DNS names alone a stolen key could
 * still sign for addresses, so these are excluded whole, or permitted one by one.
 */
static bool add_constraints(X509 *x, const struct host *permitted, size_t n)
{
	static const unsigned char everything[32]; /* address 0 with mask 0 */
	NAME_CONSTRAINTS *c = NAME_CONSTRAINTS_new();
	bool ok = c != NULL, names = false, addresses = false;

	for (size_t i = 0; ok && i < n; i++) {
		const struct host *h = &permitted[i];
		unsigned char masked[32];

		names |= h->ip_len == 0;
		addresses |= h->ip_len != 0;
		memcpy(masked, h->ip, h->ip_len);
		memset(masked + h->ip_len, 0xff, h->ip_len);
		ok = h->ip_len ? subtree_push(&c->permittedSubtrees, GEN_IPADD, masked,
					      2 * h->ip_len) :
				 subtree_push(&c->permittedSubtrees, GEN_DNS, h->text,
					      strlen(h->text));
	}
	if (ok && !addresses)
		ok = subtree_push(&c->excludedSubtrees, GEN_IPADD, everything, 8) &&
		     subtree_push(&c->excludedSubtrees, GEN_IPADD, everything, 32);
	if (ok && !names) /* the empty name is every name */
		ok = subtree_push(&c->excludedSubtrees, GEN_DNS, "", 0);
	ok = ok && X509_add1_ext_i2d(x, NID_name_constraints, c, 1, X509V3_ADD_DEFAULT) == 1;
	NAME_CONSTRAINTS_free(c);
	return ok;
}

X509 *mint_root(EVP_PKEY *key, const struct host *permitted, size_t n, uint64_t now_s)
{
	cleanup(x509_freep) X509 *x = begin(key, now_s, MINT_ROOT_DAYS);
	unsigned char id[4];
	char name[64];

	/* Two installs must not have CAs of one name: stores find issuers by it. */
	if (RAND_bytes(id, sizeof(id)) != 1)
		return NULL;
	(void)snprintf(name, sizeof(name), "sallyport CA %02x%02x%02x%02x", id[0], id[1], id[2],
		       id[3]);
	if (!x || !set_subject(x, name) ||
	    X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 || !add_basic(x, 1) ||
	    !add_usage(x, 5, 6) || !add_key_id(x) || !add_issuer_id(x, x) ||
	    !add_constraints(x, permitted, n) || X509_sign(x, key, EVP_sha256()) <= 0)
		return NULL;
	return take(x);
}

X509 *mint_intermediate(X509 *root, EVP_PKEY *root_key, EVP_PKEY *key, const struct host *permitted,
			uint64_t now_s)
{
	cleanup(x509_freep) X509 *x = begin(key, now_s, MINT_INTERMEDIATE_DAYS);
	char name[65]; /* ub-common-name is 64 */
	int n = snprintf(name, sizeof(name), "sallyport %s", permitted->text);

	/* All share one key: only a name of its own keeps a client from mixing them up. */
	if (x && n >= (int)sizeof(name)) {
		unsigned char digest[32];

		if (EVP_Digest(permitted->text, strlen(permitted->text), digest, NULL, EVP_sha256(),
			       NULL) != 1)
			return NULL;
		n = snprintf(name, sizeof(name), "sallyport ");
		for (size_t i = 0; i < 16; i++)
			n += snprintf(name + n, sizeof(name) - (size_t)n, "%02x", digest[i]);
	}
	if (!x || !set_subject(x, name) ||
	    X509_set_issuer_name(x, X509_get_subject_name(root)) != 1 || !add_basic(x, 0) ||
	    !add_usage(x, 5, 6) || !add_server_auth(x) || !add_key_id(x) ||
	    !add_issuer_id(x, root) || !add_constraints(x, permitted, 1) ||
	    X509_sign(x, root_key, EVP_sha256()) <= 0)
		return NULL;
	return take(x);
}

X509 *mint_leaf(X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key, const struct host *host,
		uint64_t now_s)
{
	cleanup(x509_freep) X509 *x = begin(key, now_s, MINT_LEAF_DAYS);
	/* A name over 64 bytes does not fit a common name; nobody reads it there anyway. */
	const char *common_name = strlen(host->text) <= 64 ? host->text : NULL;

	if (!x || !set_subject(x, common_name) ||
	    X509_set_issuer_name(x, X509_get_subject_name(issuer)) != 1 || !add_basic(x, -1) ||
	    !add_usage(x, 0, -1) || !add_server_auth(x) || !add_key_id(x) ||
	    !add_issuer_id(x, issuer) || !add_alt_name(x, host) ||
	    X509_sign(x, issuer_key, EVP_sha256()) <= 0)
		return NULL;
	return take(x);
}

static bool subtree_has(const GENERAL_SUBTREE *sub, const struct host *h)
{
	const ASN1_STRING *s;
	char suffix[HOST_SIZE];
	int type;

	s = GENERAL_NAME_get0_value(sub->base, &type);
	if (type == GEN_DNS && h->ip_len == 0) {
		slice_copy(suffix, sizeof(suffix), slice_of(ASN1_STRING_get0_data(s),
							    (size_t)ASN1_STRING_length(s)));
		return suffix[0] == '\0' || host_under(h->text, suffix);
	}
	if (type == GEN_IPADD && h->ip_len && ASN1_STRING_length(s) == 2 * (int)h->ip_len) {
		const unsigned char *a = ASN1_STRING_get0_data(s);

		for (size_t i = 0; i < h->ip_len; i++)
			if ((a[i] ^ h->ip[i]) & a[h->ip_len + i])
				return false;
		return true;
	}
	return false;
}

static bool subtrees_have(const STACK_OF(GENERAL_SUBTREE) *all, const struct host *h, size_t guess)
{
	int n = sk_GENERAL_SUBTREE_num(all);

	if ((int)guess < n && subtree_has(sk_GENERAL_SUBTREE_value(all, (int)guess), h))
		return true;
	for (int i = 0; i < n; i++)
		if (subtree_has(sk_GENERAL_SUBTREE_value(all, i), h))
			return true;
	return false;
}

bool mint_permits(X509 *ca, const struct host *hosts, size_t n)
{
	NAME_CONSTRAINTS *c = X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL);
	bool ok = c != NULL;

	/* The lists are mostly the same and in the same order: then this is one pass. */
	for (size_t i = 0; ok && i < n; i++)
		ok = subtrees_have(c->permittedSubtrees, &hosts[i], i) &&
		     !subtrees_have(c->excludedSubtrees, &hosts[i], 0);
	NAME_CONSTRAINTS_free(c);
	return ok;
}
