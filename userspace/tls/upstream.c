/*
 * The side toward the provider: verified at least as strictly as the strictest client would.
 *
 * `trust install` puts our own CA into the system's store, from which we read the roots: it is left
 * out when they are loaded, and no chain may hold its key ("Killed by Proxy": four of fourteen
 * interceptors could be fooled with a certificate of their own CA).
 */
#include "base/clock.h"
#include "base/def.h"
#include "base/file.h"
#include "tls/host.h"
#include "tls/mint.h"
#include "tls/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define BUNDLE_MAX (8U << 20)
#define SESSIONS_MAX 256
#define SESSION_LIFE_S 3600 /* a verification is not trusted for longer than this */
#define OWN_MAX 4

struct session {
	char *host;
	SSL_SESSION *session;
	uint64_t born_s;
};

struct tls_upstream {
	SSL_CTX *ctx;
	X509 *own[OWN_MAX]; /* our interception CA's certificates */
	size_t n_own;
	struct session sessions[SESSIONS_MAX];
};

/* ---- roots ---- */

static X509 *next_cert(BIO *b)
{
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	ERR_clear_error();
	return x;
}

static bool is_own_key(const struct tls_upstream *u, const X509 *x)
{
	for (size_t i = 0; i < u->n_own; i++)
		if (EVP_PKEY_eq(X509_get0_pubkey(x), X509_get0_pubkey(u->own[i])) == 1)
			return true;
	return false;
}

static int add_roots(struct tls_upstream *u, struct slice pem, size_t *n)
{
	X509_STORE *store = SSL_CTX_get_cert_store(u->ctx);
	BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	int r = b ? 0 : -ENOMEM;
	X509 *x;

	while (r == 0 && (x = next_cert(b))) {
		if (!is_own_key(u, x)) {
			r = X509_STORE_add_cert(store, x) == 1 ? 0 : -ENOMEM;
			(*n)++;
		}
		X509_free(x);
	}
	BIO_free(b);
	return r;
}

static int add_file(struct tls_upstream *u, const char *path, struct buf *why)
{
	struct buf text;
	size_t n = 0;
	int r;

	buf_init(&text, BUNDLE_MAX);
	r = file_read(path, &text);
	if (r < 0)
		(void)buf_printf(why, "%s: %s", path, strerror(-r));
	else
		r = add_roots(u, buf_slice(&text), &n);
	buf_done(&text);
	if (r == 0 && n == 0) {
		(void)buf_printf(why, "%s: holds no certificate; install ca-certificates or name "
				      "another bundle", path);
		r = -EBADMSG;
	}
	return r;
}

static int add_own(struct tls_upstream *u, struct slice pem)
{
	BIO *b = pem.len ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
	X509 *x;

	while (b && u->n_own < OWN_MAX && (x = next_cert(b)))
		u->own[u->n_own++] = x;
	BIO_free(b);
	return pem.len && !u->n_own ? -EBADMSG : 0;
}

/* ---- verification ---- */

/* Is x ours, or signed by ours? The name is compared first, as a signature costs 80 us. */
static bool is_own(const struct tls_upstream *u, X509 *x)
{
	if (is_own_key(u, x))
		return true;
	for (size_t i = 0; i < u->n_own; i++)
		if (X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(u->own[i])) == 0 &&
		    X509_verify(x, X509_get0_pubkey(u->own[i])) == 1)
			return true;
	ERR_clear_error();
	return false;
}

static bool any_own(const struct tls_upstream *u, const STACK_OF(X509) *chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (is_own(u, sk_X509_value(chain, i)))
			return true;
	return false;
}

static int verify_chain(X509_STORE_CTX *store, void *arg)
{
	const struct tls_upstream *u = arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	int ok = X509_verify_cert(store);

	if (any_own(u, X509_STORE_CTX_get0_untrusted(store)) ||
	    any_own(u, X509_STORE_CTX_get0_chain(store))) {
		stream_of(ssl)->own_ca = true;
		if (ok > 0)
			X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	/* Else each connection keeps the provider's chain, 10 KB of parsed certificates. */
	if (ok > 0)
		X509_STORE_CTX_set0_verified_chain(store, NULL);
	return ok;
}

static int note_client_cert(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	(void)cert;
	(void)key;
	stream_of(ssl)->cert_asked = true;
	return 0;
}

/* ---- resumption ---- */

static void session_drop(struct session *s)
{
	free(s->host);
	SSL_SESSION_free(s->session);
	*s = (struct session){ 0 };
}

static struct session *session_find(struct tls_upstream *u, const char *host,
				    struct session **oldest)
{
	*oldest = &u->sessions[0];
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &u->sessions[i];

		if (s->host && strcmp(s->host, host) == 0)
			return s;
		if (s->born_s < (*oldest)->born_s)
			*oldest = s;
	}
	return NULL;
}

/* 1 when the reference is kept, as OpenSSL wants it. */
static int session_new(SSL *ssl, SSL_SESSION *session)
{
	struct tls_upstream *u = stream_of(ssl)->upstream;
	const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct session *oldest, *s;

	if (!u || !host || !SSL_SESSION_is_resumable(session))
		return 0;
	s = session_find(u, host, &oldest);
	if (!s) {
		s = oldest;
		session_drop(s);
		s->host = strdup(host);
		if (!s->host)
			return 0;
	}
	/* That of the full handshake: resuming does not prolong what was verified then. */
	if (!s->session || !SSL_session_reused(ssl))
		s->born_s = clock_wall_ns() / 1000000000;
	SSL_SESSION_free(s->session);
	s->session = session;
	return 1;
}

static void session_offer(struct tls_upstream *u, SSL *ssl, const char *host)
{
	struct session *oldest, *s = session_find(u, host, &oldest);
	uint64_t now_s = clock_wall_ns() / 1000000000;

	if (!s)
		return;
	if (s->born_s + SESSION_LIFE_S < now_s || !SSL_SESSION_is_resumable(s->session))
		session_drop(s);
	else
		(void)SSL_set_session(ssl, s->session);
}

/*
 * The session keeps what the peer sent, and every ticket's session inherits it: 10 KB of parsed
 * certificates a connection. They were judged; the leaf alone stays.
 */
void upstream_settle(struct tls *t)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(t->ssl);

	while (sk_X509_num(chain) > 0)
		X509_free(sk_X509_pop(chain));
}

/* ---- life ---- */

static int settings(struct tls_upstream *u)
{
	X509_VERIFY_PARAM *p;

	if (stream_settings(u->ctx) < 0 ||
	    SSL_CTX_set_alpn_protos(u->ctx, (const unsigned char *)"\x08http/1.1", 9) != 0)
		return -ENOMEM;
	p = SSL_CTX_get0_param(u->ctx);
	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	X509_VERIFY_PARAM_set_depth(p, 8);
	SSL_CTX_set_verify(u->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(u->ctx, verify_chain, u);
	SSL_CTX_set_client_cert_cb(u->ctx, note_client_cert);
	SSL_CTX_set_session_cache_mode(u->ctx, SSL_SESS_CACHE_CLIENT |
						       SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(u->ctx, session_new);
	return 0;
}

static void upstream_freep(struct tls_upstream **u)
{
	tls_upstream_free(*u);
}

int tls_upstream_new(const struct tls_upstream_options *o, struct tls_upstream **out,
		     struct buf *why)
{
	cleanup(upstream_freep) struct tls_upstream *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->ctx = SSL_CTX_new(TLS_client_method());
	r = u->ctx ? settings(u) : -ENOMEM;
	if (r == 0)
		r = add_own(u, o->own_ca);
	if (r == 0)
		r = add_file(u, o->ca_file ? o->ca_file : SYSTEM_BUNDLE, why);
	if (r == 0 && o->extra_ca_file)
		r = add_file(u, o->extra_ca_file, why);
	if (r < 0)
		return r;
	*out = take(u);
	return 0;
}

void tls_upstream_free(struct tls_upstream *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		session_drop(&u->sessions[i]);
	for (size_t i = 0; i < u->n_own; i++)
		X509_free(u->own[i]);
	SSL_CTX_free(u->ctx);
	free(u);
}

int tls_connect(struct tls_upstream *u, int fd, struct slice host, struct tls **out)
{
	struct host h;
	struct tls *t;
	SSL *ssl;
	int ok, r;

	if (host_init(&h, host) < 0)
		return -EINVAL;
	ssl = SSL_new(u->ctx);
	if (!ssl)
		return -ENOMEM;
	/* An address has no server name (RFC 6066 3), and its certificate an IP SAN. */
	if (h.ip_len)
		ok = X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), h.ip, h.ip_len);
	else
		ok = SSL_set_tlsext_host_name(ssl, h.text) == 1 && SSL_set1_host(ssl, h.text) == 1;
	if (ok != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return -ENOMEM;
	}
	SSL_set_connect_state(ssl);
	if (!h.ip_len)
		session_offer(u, ssl, h.text);
	r = stream_new(ssl, fd, &t);
	if (r < 0)
		return r;
	t->upstream = u;
	*out = t;
	return 0;
}
