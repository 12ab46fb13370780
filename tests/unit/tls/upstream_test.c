/* A bad upstream is refused, with a reason that a person understands, before a byte is sent. */
#include "certs.h"
#include "pair.h"

#include <arpa/inet.h>

static char dir[64], roots_path[96];
static struct made root, intermediate, own;
static struct tls_upstream *upstream;

static const struct wish good_leaf = { .cn = "x", .san = "DNS:api.test", .basic = LEAF_BASIC,
				       .usage = LEAF_USAGE, .purpose = "serverAuth",
				       .from_day = -1, .to_day = 2 };
static const struct wish good_ca = { .cn = "Test intermediate", .basic = CA_BASIC,
				     .usage = CA_USAGE, .from_day = -1, .to_day = 20 };

static struct slice pem_of(X509 *x, char *out, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	PEM_write_bio_X509(b, x);
	n = BIO_read(b, out, (int)size);
	BIO_free(b);
	return slice_of(out, (size_t)n);
}

static void set_up(void)
{
	struct wish w = good_ca;
	struct tls_upstream_options o = { .ca_file = roots_path };
	char pem[8192];
	struct buf why;
	FILE *f;

	buf_init(&why, 4096);
	scratch_new(dir);
	snprintf(roots_path, sizeof(roots_path), "%s/roots.pem", dir);
	w.cn = "Test root";
	root = make_cert(&w, NULL);
	w.cn = "Our own interception CA";
	own = make_cert(&w, NULL);
	intermediate = make_cert(&good_ca, &root);
	/* As trust install leaves it: our own CA stands in the system's bundle. */
	made_write(roots_path, &root);
	f = fopen(roots_path, "a");
	PEM_write_X509(f, own.cert);
	fclose(f);
	o.own_ca = pem_of(own.cert, pem, sizeof(pem));
	t_int(tls_upstream_new(&o, &upstream, &why), 0, "upstream: %.*s",
	      SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
}

/* Handshakes with a raw server; the client's result, its reason copied out. */
static int try_server(const char *host, const struct made *leaf, const struct made *chain,
		      const char *set, char reason[256], bool *got_byte)
{
	struct pair p;
	char byte;
	SSL *ssl;
	int r = TLS_WANT_READ;

	pair_sockets(&p);
	ssl = raw_end(p.fds[1], leaf, chain);
	if (set && strcmp(set, "tls1.1") == 0)
		SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
	else if (set && strcmp(set, "rsa-kx") == 0)
		SSL_set_cipher_list(ssl, "AES128-GCM-SHA256"), SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
	else if (set && strcmp(set, "client-cert") == 0)
		SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	t_int(tls_connect(upstream, p.fds[0], slice_str(host), &p.client), 0, "connect");
	for (int i = 0; i < 20 && waits(r); i++) {
		r = tls_handshake(p.client);
		(void)SSL_do_handshake(ssl);
	}
	if (r == 0 && set && strcmp(set, "client-cert") == 0) {
		/* In TLS 1.3 the refusal comes after our end is done. */
		(void)SSL_do_handshake(ssl);
		r = (int)tls_read(p.client, &byte, 1);
	}
	*got_byte = SSL_read(ssl, &byte, 1) > 0;
	snprintf(reason, 256, "%s", tls_reason(p.client));
	SSL_free(ssl);
	pair_done(&p);
	return r;
}

struct bad {
	const char *why, *reason;
	struct wish leaf, ca;
	int issuer; /* 0 intermediate, 1 own CA, 2 itself, 3 unknown root, 4 `ca` under the root,
		     * 5 intermediate that is not sent, 6 own CA's intermediate */
	const char *set;
};

#define LEAF(...) { .cn = "x", .san = "DNS:api.test", .basic = LEAF_BASIC, .usage = LEAF_USAGE, \
		    .purpose = "serverAuth", .from_day = -1, .to_day = 2, __VA_ARGS__ }
#define ISSUER(...) { .cn = "Bad issuer", .basic = CA_BASIC, .usage = CA_USAGE, .from_day = -1, \
		      .to_day = 20, __VA_ARGS__ }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct bad rows[] = {
	{ "expired", "has expired", LEAF(.from_day = -9, .to_day = -1), { 0 }, 0, NULL },
	{ "not yet valid", "not yet valid", LEAF(.from_day = 1), { 0 }, 0, NULL },
	{ "self-signed", "self-signed", LEAF(), { 0 }, 2, NULL },
	{ "wrong host", "host name mismatch", LEAF(.san = "DNS:other.test"), { 0 }, 0, NULL },
	{ "untrusted root", "not trusted", LEAF(), { 0 }, 3, NULL },
	{ "incomplete chain", "not trusted, or the chain is incomplete", LEAF(), { 0 }, 5, NULL },
	{ "name in the CN only", "host name mismatch", LEAF(.cn = "api.test", .san = NULL), { 0 }, 0,
	  NULL },
	{ "name in the CN, another in the SAN", "host name mismatch",
	  LEAF(.cn = "api.test", .san = "DNS:other.test"), { 0 }, 0, NULL },
	{ "wildcard too deep", "host name mismatch", LEAF(.san = "DNS:*.api.test"), { 0 }, 0, NULL },
	{ "partial wildcard", "host name mismatch", LEAF(.san = "DNS:ap*.test"), { 0 }, 0,
	  NULL },
	{ "wildcard of a top-level domain", "host name mismatch", LEAF(.san = "DNS:*.test"), { 0 }, 0,
	  NULL },
	{ "for clients only", "not for servers", LEAF(.purpose = "clientAuth"), { 0 }, 0, NULL },
	{ "RSA of 1024 bits", "too small", LEAF(.rsa_bits = 1024), { 0 }, 0, NULL },
	{ "issuer is no CA", "is no CA", LEAF(), ISSUER(.basic = "critical,CA:FALSE"), 4, NULL },
	{ "issuer's CA flag not critical", "certificate: ", LEAF(), ISSUER(.basic = "CA:TRUE"), 4,
	  NULL },
	{ "issuer without key usage", "certificate: ", LEAF(), ISSUER(.usage = NULL), 4, NULL },
	{ "no authority key id", "certificate: ", LEAF(.no_key_ids = true), { 0 }, 0, NULL },
	{ "issuer outside its constraints", "name constraints", LEAF(),
	  ISSUER(.constraints = "critical,permitted;DNS:other.test"), 4, NULL },
	{ "issuer with SHA-1", "weak digest", LEAF(), ISSUER(.sha1 = true), 4, NULL },
	{ "our own CA", "sallyport's own CA", LEAF(), { 0 }, 1, NULL },
	{ "an intermediate of our own CA", "sallyport's own CA", LEAF(), ISSUER(), 6, NULL },
	{ "TLS 1.1", "", LEAF(), { 0 }, 0, "tls1.1" },
	{ "RSA key exchange", "handshake_failure alert", LEAF(.rsa_bits = 2048), { 0 }, 0, "rsa-kx" },
	{ "client certificate demanded", "client certificate", LEAF(), { 0 }, 0, "client-cert" },
};
#pragma GCC diagnostic pop

static void test_bad(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct bad *b = &rows[i];
		struct made other = { 0 }, leaf;
		const struct made *issuer = &intermediate, *chain = &intermediate;
		char reason[256];
		bool got_byte;
		int r;

		if (b->issuer == 1)
			issuer = &own, chain = &own;
		else if (b->issuer == 2)
			issuer = NULL, chain = NULL;
		else if (b->issuer == 3)
			other = make_cert(&good_ca, NULL), issuer = chain = &other;
		else if (b->issuer == 4)
			other = make_cert(&b->ca, &root), issuer = chain = &other;
		else if (b->issuer == 5)
			chain = NULL;
		else if (b->issuer == 6)
			other = make_cert(&b->ca, &own), issuer = chain = &other;
		leaf = make_cert(&b->leaf, issuer);
		r = try_server("api.test", &leaf, chain, b->set, reason, &got_byte);
		t_ok(r < 0 && !waits(r), "%s: refused (%d)", b->why, r);
		t_ok(strstr(reason, b->reason) && *reason, "%s: reason \"%s\" has \"%s\"", b->why,
		     reason, b->reason);
		t_ok(!got_byte, "%s: upstream got no byte", b->why);
		made_free(&leaf);
		made_free(&other);
	}
}

static void test_path_length(void)
{
	struct wish w = good_ca;
	struct made short_ca, below, leaf, bundle;
	struct pair p;
	int r = TLS_WANT_READ;
	SSL *ssl;

	w.basic = "critical,CA:TRUE,pathlen:0";
	w.cn = "Short";
	short_ca = make_cert(&w, &root);
	w.cn = "Below";
	below = make_cert(&w, &short_ca);
	leaf = make_cert(&good_leaf, &below);
	bundle = below;
	pair_sockets(&p);
	ssl = raw_end(p.fds[1], &leaf, &bundle);
	SSL_add1_chain_cert(ssl, short_ca.cert);
	t_int(tls_connect(upstream, p.fds[0], SLICE("api.test"), &p.client), 0, "connect");
	for (int i = 0; i < 20 && waits(r); i++) {
		r = tls_handshake(p.client);
		(void)SSL_do_handshake(ssl);
	}
	t_int(r, -EPROTO, "path length: refused");
	t_ok(strstr(tls_reason(p.client), "path length"), "path length: \"%s\"",
	     tls_reason(p.client));
	SSL_free(ssl);
	pair_done(&p);
	made_free(&short_ca);
	made_free(&below);
	made_free(&leaf);
}

static const struct {
	const char *why, *host, *san;
} good_rows[] = {
	{ "exact", "api.test", "DNS:api.test" },
	{ "upper case and a dot", "API.test.", "DNS:api.test" },
	{ "wildcard", "a.api.test", "DNS:*.api.test" },
	{ "address", "127.0.0.1", "IP:127.0.0.1" },
	{ "long address", "::1", "IP:::1" },
	{ "one of many", "api.test", "DNS:x.test,DNS:y.test,DNS:api.test" },
};

static void test_good(void)
{
	for (size_t i = 0; i < ARRAY_LEN(good_rows); i++) {
		struct wish w = good_leaf;
		struct made leaf;
		char reason[256];
		bool got;

		w.san = good_rows[i].san;
		leaf = make_cert(&w, &intermediate);
		t_int(try_server(good_rows[i].host, &leaf, &intermediate, NULL, reason, &got), 0,
		      "%s is accepted: %s", good_rows[i].why, reason);
		made_free(&leaf);
	}
}

/* Garbage, silence and resets instead of a handshake. */
static void test_no_tls(void)
{
	static const char *const said[] = { "HTTP/1.1 400 Bad Request\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x28",
					    "" };
	static const int lens[] = { 28, 7, 0 };

	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		struct pair p;
		int r;

		pair_sockets(&p);
		t_int(tls_connect(upstream, p.fds[0], SLICE("api.test"), &p.client), 0, "connect");
		t_int(tls_handshake(p.client), TLS_WANT_READ, "waits");
		t_int(write(p.fds[1], said[i], (size_t)lens[i]), lens[i], "said");
		shutdown(p.fds[1], SHUT_WR);
		r = tls_handshake(p.client);
		t_int(r, i == 2 ? -ECONNRESET : -EPROTO, "said %zu: refused", i);
		t_ok(*tls_reason(p.client), "said %zu: \"%s\"", i, tls_reason(p.client));
		pair_done(&p);
	}
}

static void test_files(void)
{
	struct tls_upstream_options o = { .ca_file = "/nonexistent.pem" };
	struct tls_upstream *u;
	struct buf why;

	buf_init(&why, 4096);
	t_int(tls_upstream_new(&o, &u, &why), -ENOENT, "no bundle");
	t_ok(slice_find(buf_slice(&why), SLICE("/nonexistent.pem")) == 0, "names the file");
	buf_clear(&why);
	o.ca_file = "/dev/null";
	t_int(tls_upstream_new(&o, &u, &why), -EBADMSG, "an empty bundle trusts nobody: an error");
	buf_done(&why);
}

int main(void)
{
	set_up();
	test_good();
	test_bad();
	test_path_length();
	test_no_tls();
	test_files();
	tls_upstream_free(upstream);
	made_free(&root);
	made_free(&own);
	made_free(&intermediate);
	scratch_drop(dir);
	return t_done();
}
