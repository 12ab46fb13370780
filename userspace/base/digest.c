/* SHA-256 by EVP; the method is fetched once, as a fetch costs more than a short digest. */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct digest {
	EVP_MD_CTX *ctx;
};

static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void sha256_fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

struct digest *digest_new(void)
{
	struct digest *d = calloc(1, sizeof(*d));

	(void)pthread_once(&sha256_once, sha256_fetch);
	if (!d)
		return NULL;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || !sha256 || EVP_DigestInit_ex2(d->ctx, sha256, NULL) != 1) {
		EVP_MD_CTX_free(d->ctx);
		free(d);
		return NULL;
	}
	return d;
}

int digest_add(struct digest *d, struct slice in)
{
	return EVP_DigestUpdate(d->ctx, in.ptr, in.len) == 1 ? 0 : -ENOMEM;
}

int digest_end(struct digest *d, unsigned char out[DIGEST_LEN])
{
	int ok = EVP_DigestFinal_ex(d->ctx, out, NULL);

	EVP_MD_CTX_free(d->ctx);
	free(d);
	return ok == 1 ? 0 : -ENOMEM;
}

int digest_of(struct slice in, unsigned char out[DIGEST_LEN])
{
	(void)pthread_once(&sha256_once, sha256_fetch);
	if (!sha256)
		return -ENOMEM;
	return EVP_Digest(in.ptr, in.len, out, NULL, sha256, NULL) == 1 ? 0 : -ENOMEM;
}

int digest_fd(int fd, size_t max, unsigned char out[DIGEST_LEN])
{
	static const size_t step = 65536;
	struct digest *d = digest_new();
	unsigned char drop[DIGEST_LEN];
	char *block = malloc(step);
	size_t at = 0;
	int r = 0;

	if (!d || !block)
		r = -ENOMEM;
	while (r == 0) {
		ssize_t n = pread(fd, block, step, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		at += (size_t)n;
		r = at > max ? -EFBIG : digest_add(d, slice_of(block, (size_t)n));
	}
	free(block);
	if (d) {
		int end = digest_end(d, r == 0 ? out : drop);

		r = r == 0 ? end : r;
	}
	return r;
}
