/*
 * TLS as the relay sees it; the only room (with base/digest) that knows OpenSSL.
 *
 * A `struct tls` sits on a non-blocking socket it does not own: OpenSSL reads and writes the
 * descriptor itself, which costs one copy less than memory BIOs. Every call returns at once.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdint.h>
#include <sys/types.h>

#define TLS_WANT_READ (-11)  /* = -EAGAIN: wait until the socket is readable */
#define TLS_WANT_WRITE (-1011) /* wait until it is writable */

struct tls;

/* ---- server side: toward the application ---- */

/* One per worker thread: leaf cache, session ticket keys, settings. */
struct tls_server;

/*
 * Asks the signer for a leaf: `spki` is the thread's one public key (DER SubjectPublicKeyInfo);
 * the answer is the chain, leaf then intermediate, PEM. 0 or -errno (-EACCES: host not in
 * catalogue, -EPIPE: signer gone, -ETIMEDOUT).
 */
struct signer {
	int (*sign)(struct signer *s, struct slice host, struct slice spki, struct buf *chain_pem);
};

int tls_server_new(struct signer *signer, struct tls_server **out);
void tls_server_free(struct tls_server *s);
/* Forget cached leaves (the CA was rotated). */
void tls_server_flush(struct tls_server *s);

/*
 * Begins a handshake on fd for `host` (from hello_parse, or the origin's name when there was no
 * SNI). Leaf minted or from cache; TLS 1.2 and 1.3, tickets on, ALPN "http/1.1" only (none offered:
 * none). 0 or -errno as signer->sign.
 */
int tls_accept(struct tls_server *s, int fd, struct slice host, struct tls **out);

/* ---- client side: toward the provider ---- */

struct tls_upstream; /* trust store, resumption cache by host; one per worker thread */

struct tls_upstream_options {
	const char *ca_file; /* PEM bundle; NULL: the system's /etc/ssl/certs/ca-certificates.crt */
	const char *extra_ca_file; /* added to it (the operator's own roots, the lab); NULL none */
	struct slice own_ca;  /* PEM of our interception CA: never accepted upstream */
};
int tls_upstream_new(const struct tls_upstream_options *o, struct tls_upstream **out,
		     struct buf *why);
void tls_upstream_free(struct tls_upstream *u);

/* Strict: chain, name (SAN only), expiry, TLS >= 1.2, security level 2; session resumed if cached.
 */
int tls_connect(struct tls_upstream *u, int fd, struct slice host, struct tls **out);

/* ---- both ---- */

/* 0 done, TLS_WANT_*, or -errno: -EPROTO (tls_reason() tells), -ECONNRESET, -EPIPE. */
int tls_handshake(struct tls *t);
/* > 0 bytes, 0 end (close_notify), TLS_WANT_*, -ECONNRESET (EOF without close_notify), -EPROTO. */
ssize_t tls_read(struct tls *t, void *to, size_t len);
/* > 0 bytes taken, TLS_WANT_*, -errno. After TLS_WANT_* call again with at least the same bytes. */
ssize_t tls_write(struct tls *t, struct slice from);
bool tls_pending(const struct tls *t); /* decrypted bytes wait inside */
/* close_notify, best effort. */
void tls_shutdown(struct tls *t);
void tls_free(struct tls *t);

/*
 * Why it failed, for people and records: "certificate has expired", "host name mismatch",
 * "unknown_ca alert". Static or owned by t.
 */
const char *tls_reason(const struct tls *t);

/*
 * After a failed server-side handshake: does it look as if the client does not trust our CA
 * (reference: alerts 42, 46, 48, or close with nothing after our certificate)? Also true after a
 * finished one when the first read resets without a byte (`early_reset`: GnuTLS clients).
 */
bool tls_client_distrusts(const struct tls *t, bool early_reset);

struct tls_info {
	const char *version; /* "TLSv1.3" */
	const char *cipher;
	const char *group;   /* "x25519"; "" unknown */
	const char *alpn;    /* "" none */
	bool resumed;
	bool client_cert_asked; /* upstream asked for a client certificate */
};
void tls_info(const struct tls *t, struct tls_info *out);

/* ---- ClientHello peek: hello.c ---- */

#define HELLO_MAX 16384 /* bytes of ClientHello we are ready to wait for */
#define HELLO_ALPN_MAX 8

struct hello {
	struct slice sni;      /* len 0: none was sent. Not yet lower-cased */
	struct slice alpn[HELLO_ALPN_MAX];
	size_t n_alpn;
	bool tls13;            /* offers 1.3 */
	bool ech;              /* has an encrypted_client_hello extension (GREASE or real) */
	bool post_quantum;     /* offers X25519MLKEM768 */
	char joined[512];      /* what the names point into when records had to be joined */
};

/*
 * Reads a ClientHello without consuming it (RFC 8446 4.1.2, RFC 6066 3), over several records.
 * in   what has arrived so far, from the first byte of the connection; borrowed
 * out  filled on 0 only; its names point into `in` or into itself: do not copy it by value
 * 0, -EAGAIN (need more), -EPROTO (not TLS), -EMSGSIZE (over HELLO_MAX), -EINVAL (a name that is
 * not a host name: empty, NUL, control or space characters, over 255 bytes).
 */
int hello_parse(struct slice in, struct hello *out);

/* ---- the CA: ca.c, used by the signer process, `trust` and in-process tests ---- */

struct ca;
/*
 * Creates root and intermediate in `dir` when they are not there (keys 0600, EC P-256, critical
 * basicConstraints, keyUsage, SKI/AKI, critical nameConstraints permitting `permitted`), else loads
 * them. A list of hosts that changed since reissues the intermediate under the same root when the
 * root permits them, or both with a warning in `why`.
 * permitted: DNS names; "example.com" permits the name and everything below it.
 * Files: ca.crt, ca.key (root), int.crt, int.key.
 */
int ca_open(const char *dir, const char *const *permitted, size_t n, struct ca **out,
	    struct buf *why);
void ca_free(struct ca *c);
struct slice ca_root_pem(const struct ca *c);
/* Mints a leaf for host: SAN only that name (or IP), KU digitalSignature, EKU serverAuth, AKI, SKI,
 * 128-bit random serial, notBefore one hour ago, notAfter 3 days on. -EACCES outside `permitted`.
 */
int ca_sign(struct ca *c, struct slice host, struct slice spki, uint64_t now_s,
	    struct buf *chain_pem);
/* A struct signer over a ca in this process, for tests. */
struct signer *ca_signer(struct ca *c);

#endif
