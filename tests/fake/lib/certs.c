/* Certificates by server name. */
#include "tests/fake/lib/certs.h"

#include "tests/fake/lib/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/err.h>

#define CERTS_MAX 256

static const char *certs_dir;
static struct {
	char name[128];
	SSL_CTX *ctx;
} certs[CERTS_MAX];
static size_t n_certs;

static SSL_CTX *certs_load(const char *path)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_security_level(ctx, 0); /* a weak key is one of the faults */
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"lab", 3);
	if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "provider: %s: no certificate and key in it\n", path);
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* By file name without ".pem"; NULL when there is no such file. */
static SSL_CTX *certs_find(const char *name)
{
	char path[512];

	for (size_t i = 0; i < n_certs; i++)
		if (strcmp(certs[i].name, name) == 0)
			return certs[i].ctx;
	snprintf(path, sizeof(path), "%s/%s.pem", certs_dir, name);
	if (n_certs == CERTS_MAX || strstr(name, "..") || access(path, R_OK) < 0)
		return NULL;
	certs[n_certs].ctx = certs_load(path);
	if (!certs[n_certs].ctx)
		return NULL;
	snprintf(certs[n_certs].name, sizeof(certs[0].name), "%s", name);
	return certs[n_certs++].ctx;
}

static int certs_choose(SSL *ssl, int *alert, void *unused)
{
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char name[256];
	SSL_CTX *ctx;

	(void)alert;
	(void)unused;
	if (!sni)
		return SSL_TLSEXT_ERR_NOACK;
	world_cert(slice_str(sni), name, sizeof(name));
	ctx = certs_find(name[0] ? name : sni);
	if (!ctx && strchr(sni, '.')) {
		snprintf(name, sizeof(name), "_%s", strchr(sni, '.'));
		ctx = certs_find(name);
	}
	if (ctx)
		SSL_set_SSL_CTX(ssl, ctx);
	if (world_tls12(slice_str(sni)))
		SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
	return SSL_TLSEXT_ERR_OK;
}

/* http/1.1 is all that is spoken here; a client that offers only h2 gets no answer to ALPN. */
static int certs_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
		      const unsigned char *in, unsigned in_len, void *unused)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl;
	(void)unused;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, len, ours, sizeof(ours) - 1,
				     in, in_len) == OPENSSL_NPN_NEGOTIATED ?
		       SSL_TLSEXT_ERR_OK :
		       SSL_TLSEXT_ERR_NOACK;
}

SSL_CTX *certs_open(const char *dir)
{
	SSL_CTX *ctx;

	certs_dir = dir;
	ctx = certs_find("default");
	if (!ctx)
		return NULL;
	SSL_CTX_set_tlsext_servername_callback(ctx, certs_choose);
	SSL_CTX_set_alpn_select_cb(ctx, certs_alpn, NULL);
	return ctx;
}
