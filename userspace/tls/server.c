/*
 * The side toward the application.
 *
 * One SSL_CTX a thread: an SSL_CTX of its own would cost each host 20 KB. The leaf is set per
 * connection, and the session id context is the host's digest, so that a ticket given for one host
 * resumes with no other (RFC 8446 4.6.1 binds it to the SNI only by the client's good will).
 */
#include "base/clock.h"
#include "base/digest.h"
#include "tls/leaf.h"
#include "tls/mint.h"
#include "tls/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define TICKET_LIFE_S 3600

struct tls_server {
	SSL_CTX *ctx;
	EVP_PKEY *key;
	struct leaf_cache *leaves;
	uint64_t rotate_s; /* when the ticket keys are thrown away next */
};

/* Nothing encrypted under a ticket key older than two hours can be resumed, or read later. */
static void rotate_tickets(struct tls_server *s, uint64_t now_s)
{
	unsigned char keys[80];

	if (now_s < s->rotate_s)
		return;
	s->rotate_s = now_s + TICKET_LIFE_S;
	if ((size_t)SSL_CTX_get_tlsext_ticket_keys(s->ctx, NULL, 0) != sizeof(keys) ||
	    RAND_bytes(keys, sizeof(keys)) != 1 ||
	    SSL_CTX_set_tlsext_ticket_keys(s->ctx, keys, sizeof(keys)) != 1)
		SSL_CTX_set_options(s->ctx, SSL_OP_NO_TICKET);
	OPENSSL_cleanse(keys, sizeof(keys));
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned int in_len, void *arg)
{
	(void)arg;
	/* A client that speaks 1.0 offers just that (curl -0), and gets it. */
	for (unsigned int at = 0; at < in_len; at += 1U + in[at]) {
		if (in[at] == 8 && in_len - at > 8 && (memcmp(in + at + 1, "http/1.1", 8) == 0 ||
						       memcmp(in + at + 1, "http/1.0", 8) == 0)) {
			*out = in + at + 1;
			*out_len = 8;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	stream_of(ssl)->reason = "the client does not offer http/1.1 (ALPN)";
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void tls_server_free(struct tls_server *s)
{
	if (!s)
		return;
	leaf_cache_free(s->leaves);
	SSL_CTX_free(s->ctx);
	EVP_PKEY_free(s->key);
	free(s);
}

static void server_freep(struct tls_server **s)
{
	tls_server_free(*s);
}

int tls_server_new(struct signer *signer, struct tls_server **out)
{
	cleanup(server_freep) struct tls_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->key = mint_key();
	s->leaves = s->key ? leaf_cache_new(signer, s->key) : NULL;
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (!s->leaves || !s->ctx || stream_settings(s->ctx) < 0 ||
	    SSL_CTX_set_num_tickets(s->ctx, 1) != 1)
		return -ENOMEM;
	SSL_CTX_set_session_cache_mode(s->ctx, SSL_SESS_CACHE_OFF); /* tickets only */
	SSL_CTX_set_timeout(s->ctx, TICKET_LIFE_S);
	SSL_CTX_set_max_early_data(s->ctx, 0); /* 0-RTT can be replayed */
	SSL_CTX_set_alpn_select_cb(s->ctx, select_alpn, NULL);
	*out = take(s);
	return 0;
}

void tls_server_flush(struct tls_server *s)
{
	leaf_cache_flush(s->leaves);
	s->rotate_s = 0;
}

int tls_accept(struct tls_server *s, int fd, struct slice host, struct tls **out)
{
	uint64_t now_s = clock_wall_ns() / 1000000000;
	unsigned char digest[DIGEST_LEN];
	const struct leaf *leaf;
	struct host h;
	SSL *ssl;
	int r;

	if (host_init(&h, host) < 0)
		return -EINVAL;
	rotate_tickets(s, now_s);
	r = leaf_get(s->leaves, &h, now_s, &leaf);
	if (r == 0)
		r = digest_of(slice_str(h.text), digest);
	if (r < 0)
		return r;
	ssl = SSL_new(s->ctx);
	if (!ssl || SSL_use_cert_and_key(ssl, leaf->cert, s->key, leaf->chain, 1) != 1 ||
	    SSL_set_session_id_context(ssl, digest, sizeof(digest)) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return -ENOMEM;
	}
	SSL_set_accept_state(ssl);
	return stream_new(ssl, fd, out);
}

/*
 * Distrust is mostly silent (measured with 52 clients): Node, Bun, asyncio and gRPC close with not
 * a byte after our certificate, Java after a ChangeCipherSpec record (6 bytes), the others send one
 * of three alerts. On a resumed session no certificate was shown, so there was nothing to distrust.
 */
bool tls_client_distrusts(const struct tls *t, bool early_reset)
{
	if (t->upstream || SSL_session_reused(t->ssl))
		return false;
	if (t->done)
		return early_reset;
	if (!t->cert_sent)
		return false;
	if (t->alert)
		return t->alert == SSL_AD_BAD_CERTIFICATE ||
		       t->alert == SSL_AD_CERTIFICATE_UNKNOWN || t->alert == SSL_AD_UNKNOWN_CA;
	if (!t->eof && !t->error)
		return false;
	return t->rx_after_cert == 0 ||
	       (t->rx_after_cert == 6 && t->rx_first == SSL3_RT_CHANGE_CIPHER_SPEC);
}
