/* The leaf cache: a hash table whose chains are short, with the oldest leaf thrown out when full.
 */
#include "tls/leaf.h"

#include "base/def.h"
#include "tls/mint.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define LEAVES_MAX                                                                                 \
	512 /* about 10 KB each; a client that asks for endless subdomains gets no more */
#define BUCKETS 256
#define CHAIN_MAX 16384
#define REMINT_S (6 * 3600) /* a leaf is used until this long before its end */

struct entry {
	struct entry *next;
	struct leaf leaf;
	uint64_t used_s, end_s;
	char host[];
};

struct leaf_cache {
	struct signer *signer;
	EVP_PKEY *key;
	unsigned char spki[128];
	size_t spki_len;
	size_t n;
	struct entry *buckets[BUCKETS];
};

static void entry_free(struct entry *e)
{
	X509_free(e->leaf.cert);
	sk_X509_pop_free(e->leaf.chain, X509_free);
	free(e);
}

static struct entry **bucket_of(struct leaf_cache *c, const char *host)
{
	unsigned int h = 2166136261U; /* FNV-1a; the names are bounded by LEAVES_MAX anyway */

	for (; *host; host++)
		h = (h ^ (unsigned char)*host) * 16777619U;
	return &c->buckets[h % BUCKETS];
}

struct leaf_cache *leaf_cache_new(struct signer *signer, EVP_PKEY *key)
{
	struct leaf_cache *c = calloc(1, sizeof(*c));
	unsigned char *at;
	int len = i2d_PUBKEY(key, NULL);

	if (!c || len <= 0 || len > (int)sizeof(c->spki)) {
		free(c);
		return NULL;
	}
	at = c->spki;
	c->spki_len = (size_t)i2d_PUBKEY(key, &at);
	c->signer = signer;
	c->key = key;
	return c;
}

void leaf_cache_flush(struct leaf_cache *c)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (c->buckets[i]) {
			struct entry *e = c->buckets[i];

			c->buckets[i] = e->next;
			entry_free(e);
		}
	}
	c->n = 0;
}

void leaf_cache_free(struct leaf_cache *c)
{
	if (!c)
		return;
	leaf_cache_flush(c);
	free(c);
}

static void evict_oldest(struct leaf_cache *c)
{
	struct entry **oldest = NULL, *e;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry **p = &c->buckets[i]; *p; p = &(*p)->next)
			if (!oldest || (*p)->used_s < (*oldest)->used_s)
				oldest = p;
	if (!oldest)
		return;
	e = *oldest;
	*oldest = e->next;
	entry_free(e);
	c->n--;
}

/* The leaf and one intermediate, the leaf for our key. */
static int read_chain(struct leaf_cache *c, struct slice pem, struct leaf *out)
{
	BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	struct leaf l = { PEM_read_bio_X509(b, NULL, NULL, NULL), sk_X509_new_null() };
	X509 *issuer = l.cert ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	BIO_free(b);
	ERR_clear_error();
	if (issuer && l.chain && sk_X509_push(l.chain, issuer) > 0 &&
	    X509_check_private_key(l.cert, c->key) == 1) {
		*out = l;
		return 0;
	}
	if (!l.chain || sk_X509_num(l.chain) == 0)
		X509_free(issuer);
	sk_X509_pop_free(l.chain, X509_free);
	X509_free(l.cert);
	ERR_clear_error();
	return -EBADMSG;
}

static int mint(struct leaf_cache *c, const struct host *host, uint64_t now_s, struct entry **out)
{
	size_t len = strlen(host->text) + 1;
	struct buf pem;
	struct entry *e = calloc(1, sizeof(*e) + len);
	int r, days = 0, seconds = 0;

	if (!e)
		return -ENOMEM;
	memcpy(e->host, host->text, len);
	buf_init(&pem, CHAIN_MAX);
	r = c->signer->sign(c->signer, slice_str(host->text),
			    slice_of(c->spki, c->spki_len), &pem);
	if (r == 0)
		r = read_chain(c, buf_slice(&pem), &e->leaf);
	buf_done(&pem);
	if (r == 0 && ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(e->leaf.cert)) != 1)
		r = -EBADMSG;
	if (r < 0) {
		entry_free(e);
		return r;
	}
	e->end_s = now_s + (uint64_t)MAX(0LL, days * 86400LL + seconds - REMINT_S);
	*out = e;
	return 0;
}

int leaf_get(struct leaf_cache *c, const struct host *host, uint64_t now_s, const struct leaf **out)
{
	struct entry **bucket = bucket_of(c, host->text), **p = bucket, *e;
	int r;

	while (*p && strcmp((*p)->host, host->text) != 0)
		p = &(*p)->next;
	if (*p && (*p)->end_s <= now_s) {
		e = *p;
		*p = e->next;
		entry_free(e);
		c->n--;
	} else if (*p) {
		(*p)->used_s = now_s;
		*out = &(*p)->leaf;
		return 0;
	}
	r = mint(c, host, now_s, &e);
	if (r < 0)
		return r;
	if (c->n >= LEAVES_MAX)
		evict_oldest(c);
	e->used_s = now_s;
	e->next = *bucket;
	*bucket = e;
	c->n++;
	*out = &e->leaf;
	return 0;
}
