/*
 * The interception CA on disk and in memory.
 *
 * The root carries every permitted host; no client is ever sent it. Under it stands one
 * intermediate a permitted host, constrained to that host alone: some clients (Java) do not
 * enforce constraints on a trust anchor, all do on an intermediate, and one intermediate with a
 * thousand constraints would travel in every handshake. All are minted when the list changes, so
 * that day-to-day signing needs ca.key neither in memory nor on the machine.
 */
#include "base/clock.h"
#include "base/file.h"
#include "tls/mint.h"
#include "tls/permit.h"
#include "tls/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define INTERMEDIATES_MAX (16U << 20)
#define RENEW_S (MINT_INTERMEDIATE_DAYS * 86400ULL / 2) /* when half of their life is over */
#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----\n"

struct ca {
	struct signer signer; /* in process, for tests; ca_signer() */
	struct permit permit;
	char dir[PATH_MAX - 16];
	X509 *root;
	struct buf root_pem;
	EVP_PKEY *key;             /* of the intermediates */
	struct buf intermediates;  /* int.crt as it is on disk */
	struct slice *blocks;      /* PEM of each, in the order of permit.hosts */
};

static const char *path_in(const struct ca *c, const char *file, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%s", c->dir, file);
	return out;
}

static int x509_pem(X509 *x, struct buf *out)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;
	long len;
	int r = -ENOMEM;

	if (b && PEM_write_bio_X509(b, x) == 1) {
		len = BIO_get_mem_data(b, &text);
		r = buf_append(out, slice_of(text, (size_t)len));
	}
	BIO_free(b);
	return r;
}

static X509 *x509_read(struct slice pem)
{
	BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	BIO_free(b);
	ERR_clear_error();
	return x;
}

/* Keys are only taken from a file that nobody else can read. */
static int key_load(const struct ca *c, const char *file, EVP_PKEY **out, struct buf *why)
{
	char path[PATH_MAX], pem[4096];
	cleanup(closep) int fd = open(path_in(c, file, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	EVP_PKEY *key;
	ssize_t n;
	BIO *b;

	if (fd < 0 || fstat(fd, &st) < 0) {
		(void)buf_printf(why, "%s: %s", path, strerror(errno));
		return -errno;
	}
	if (st.st_mode & 077 || st.st_uid != geteuid()) {
		(void)buf_printf(why, "%s: others can read this key; chown it to the daemon's user "
				      "and chmod 600, or delete the directory for a new CA", path);
		return -EPERM;
	}
	n = read(fd, pem, sizeof(pem));
	b = n > 0 ? BIO_new_mem_buf(pem, (int)n) : NULL;
	key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
	BIO_free(b);
	OPENSSL_cleanse(pem, sizeof(pem));
	ERR_clear_error();
	if (!key) {
		(void)buf_printf(why, "%s: not a private key in PEM", path);
		return -EBADMSG;
	}
	*out = key;
	return 0;
}

static int key_save(const struct ca *c, const char *file, EVP_PKEY *key)
{
	char path[PATH_MAX], *text;
	BIO *b = BIO_new(BIO_s_secmem());
	int r = -ENOMEM;

	if (b && PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1) {
		long len = BIO_get_mem_data(b, &text);

		r = file_replace(path_in(c, file, path), slice_of(text, (size_t)len), 0600);
		OPENSSL_cleanse(text, (size_t)len);
	}
	BIO_free(b);
	return r;
}

/* Splits int.crt into its blocks; false when they are not one a permitted host, in order. */
static bool index_blocks(struct ca *c)
{
	struct slice rest = buf_slice(&c->intermediates);

	for (size_t i = 0; i < c->permit.n; i++) {
		char head[HOST_SIZE + 64];
		int n = snprintf(head, sizeof(head), "# %s\n" BEGIN "\n", c->permit.hosts[i].text);
		long end;

		if (!slice_starts(rest, slice_of(head, (size_t)n)))
			return false;
		end = slice_find(rest, SLICE(END));
		if (end < 0)
			return false;
		rest = slice_sub(rest, (size_t)n - sizeof(BEGIN), rest.len);
		end = slice_find(rest, SLICE(END));
		c->blocks[i] = slice_sub(rest, 0, (size_t)end + sizeof(END) - 1);
		rest = slice_from(rest, c->blocks[i].len);
	}
	return rest.len == 0;
}

static int load_root(struct ca *c, struct buf *why)
{
	char path[PATH_MAX];
	int r = file_read(path_in(c, "ca.crt", path), &c->root_pem);

	if (r < 0) {
		if (r != -ENOENT)
			(void)buf_printf(why, "%s: %s", path, strerror(-r));
		return r;
	}
	c->root = x509_read(buf_slice(&c->root_pem));
	if (!c->root) {
		(void)buf_printf(why,
				 "%s: not a certificate; delete the directory for a new CA and "
				 "run sallyport trust install",
				 path);
		return -EBADMSG;
	}
	return 0;
}

static int create_root(struct ca *c, uint64_t now_s, EVP_PKEY **key_out)
{
	cleanup(pkey_freep) EVP_PKEY *key = mint_key();
	cleanup(x509_freep) X509 *root = NULL;
	char path[PATH_MAX];
	int r;

	root = key ? mint_root(key, c->permit.hosts, c->permit.n, now_s) : NULL;
	if (!root)
		return -ENOMEM;
	buf_clear(&c->root_pem);
	r = x509_pem(root, &c->root_pem);
	/* The key first: a crash in between must not leave a trusted root without one. */
	if (r == 0)
		r = key_save(c, "ca.key", key);
	if (r == 0)
		r = file_replace(path_in(c, "ca.crt", path), buf_slice(&c->root_pem), 0600);
	if (r < 0)
		return r;
	X509_free(c->root);
	c->root = take(root);
	*key_out = take(key);
	return 0;
}

/* int.crt and int.key, when they are there, of this root, for this list, and young enough. */
static bool load_intermediates(struct ca *c, uint64_t now_s)
{
	struct buf ignored;
	char path[PATH_MAX];
	cleanup(x509_freep) X509 *first = NULL;
	bool ok;

	buf_init(&ignored, 1024);
	buf_clear(&c->intermediates);
	ok = key_load(c, "int.key", &c->key, &ignored) == 0 &&
	     file_read(path_in(c, "int.crt", path), &c->intermediates) == 0 && index_blocks(c);
	buf_done(&ignored);
	first = ok ? x509_read(c->blocks[0]) : NULL;
	if (first && X509_check_private_key(first, c->key) == 1 &&
	    X509_verify(first, X509_get0_pubkey(c->root)) == 1) {
		time_t soon = (time_t)(now_s + RENEW_S);

		return X509_cmp_time(X509_get0_notAfter(first), &soon) > 0;
	}
	EVP_PKEY_free(c->key);
	c->key = NULL;
	ERR_clear_error();
	return false;
}

static int create_intermediates(struct ca *c, EVP_PKEY *root_key, uint64_t now_s)
{
	char path[PATH_MAX];
	int r = 0;

	EVP_PKEY_free(c->key);
	c->key = mint_key();
	if (!c->key)
		return -ENOMEM;
	buf_clear(&c->intermediates);
	for (size_t i = 0; r == 0 && i < c->permit.n; i++) {
		const struct host *h = &c->permit.hosts[i];
		cleanup(x509_freep) X509 *x =
			mint_intermediate(c->root, root_key, c->key, h, now_s);

		r = x ? buf_printf(&c->intermediates, "# %s\n", h->text) : -ENOMEM;
		if (r == 0)
			r = x509_pem(x, &c->intermediates);
	}
	if (r == 0)
		r = key_save(c, "int.key", c->key);
	if (r == 0)
		r = file_replace(path_in(c, "int.crt", path), buf_slice(&c->intermediates), 0600);
	if (r == 0 && !index_blocks(c))
		r = -EBADMSG;
	return r;
}

/* Brings the directory and memory into the state that ca_open() promises. */
static int ca_settle(struct ca *c, uint64_t now_s, struct buf *why)
{
	cleanup(pkey_freep) EVP_PKEY *root_key = NULL;
	int r = load_root(c, why);
	bool fresh = r == -ENOENT;

	if (r < 0 && !fresh)
		return r;
	if (!fresh &&
	    (!mint_permits(c->root, c->permit.hosts, c->permit.n) ||
	     X509_cmp_time(X509_get0_notAfter(c->root), &(time_t){ (time_t)now_s }) < 0)) {
		(void)buf_str(why,
			      "the CA did not permit a host of the catalogue, or had expired, and "
			      "was replaced: run sallyport trust install");
		fresh = true;
	}
	if (!fresh && load_intermediates(c, now_s))
		return 0;
	if (fresh)
		r = create_root(c, now_s, &root_key);
	else
		r = key_load(c, "ca.key", &root_key, why);
	if (r == 0)
		r = create_intermediates(c, root_key, now_s);
	if (r < 0 && !buf_size(why))
		(void)buf_printf(why, "%s: cannot write the CA: %s", c->dir, strerror(-r));
	return r;
}

static int ca_sign_in_process(struct signer *s, struct slice host, struct slice spki,
			      struct buf *chain_pem)
{
	return ca_sign(container_of(s, struct ca, signer), host, spki,
		       clock_wall_ns() / 1000000000, chain_pem);
}

static void ca_freep(struct ca **c)
{
	ca_free(*c);
}

int ca_open(const char *dir, const char *const *permitted, size_t n, struct ca **out,
	    struct buf *why)
{
	cleanup(ca_freep) struct ca *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->signer.sign = ca_sign_in_process;
	buf_init(&c->root_pem, INTERMEDIATES_MAX);
	buf_init(&c->intermediates, INTERMEDIATES_MAX);
	if (strlen(dir) >= sizeof(c->dir))
		return -ENAMETOOLONG;
	slice_copy(c->dir, sizeof(c->dir), slice_str(dir));
	r = permit_init(&c->permit, permitted, n, why);
	if (r == 0)
		r = file_mkdirs(dir, 0700);
	if (r < 0)
		return r;
	c->blocks = calloc(c->permit.n, sizeof(*c->blocks));
	r = c->blocks ? ca_settle(c, clock_wall_ns() / 1000000000, why) : -ENOMEM;
	if (r < 0)
		return r;
	*out = take(c);
	return 0;
}

void ca_free(struct ca *c)
{
	if (!c)
		return;
	EVP_PKEY_free(c->key);
	X509_free(c->root);
	buf_done(&c->root_pem);
	buf_done(&c->intermediates);
	permit_done(&c->permit);
	free(c->blocks);
	free(c);
}

struct slice ca_root_pem(const struct ca *c)
{
	return buf_slice(&c->root_pem);
}

struct signer *ca_signer(struct ca *c)
{
	return &c->signer;
}

/* Only a P-256 key gets a leaf; a parser bug behind another kind is not ours to meet. */
static EVP_PKEY *spki_read(struct slice spki)
{
	const unsigned char *at = (const unsigned char *)spki.ptr;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)MIN(spki.len, (size_t)4096));
	char group[32] = "";

	if (!key || at != (const unsigned char *)spki.ptr + spki.len ||
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    strcmp(group, "prime256v1") != 0) {
		EVP_PKEY_free(key);
		ERR_clear_error();
		return NULL;
	}
	return key;
}

int ca_sign(struct ca *c, struct slice host, struct slice spki, uint64_t now_s,
	    struct buf *chain_pem)
{
	cleanup(x509_freep) X509 *issuer = NULL, *leaf = NULL;
	cleanup(pkey_freep) EVP_PKEY *key = NULL;
	time_t end = (time_t)(now_s + MINT_LEAF_DAYS * 86400);
	struct host h;
	long at;
	int r;

	if (host_init(&h, host) < 0)
		return -EINVAL;
	at = permit_find(&c->permit, &h);
	if (at < 0)
		return -EACCES;
	key = spki_read(spki);
	if (!key)
		return -EINVAL;
	issuer = x509_read(c->blocks[at]);
	/* The file may have been changed since it was checked at its head. */
	if (!issuer || X509_check_private_key(issuer, c->key) != 1 ||
	    !mint_permits(issuer, &h, 1)) {
		ERR_clear_error();
		return -EBADMSG;
	}
	if (X509_cmp_time(X509_get0_notAfter(issuer), &end) <= 0)
		return -EKEYEXPIRED;
	leaf = mint_leaf(issuer, c->key, key, &h, now_s);
	if (!leaf)
		return -ENOMEM;
	r = x509_pem(leaf, chain_pem);
	return r < 0 ? r : buf_append(chain_pem, c->blocks[at]);
}
