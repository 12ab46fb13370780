/* SHA-256 (FIPS 180-4) over OpenSSL. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/slice.h"

#define DIGEST_LEN 32
#define DIGEST_HEX_LEN 65 /* with the NUL */

struct digest; /* a running digest */

/* One shot. 0 or -ENOMEM. */
int digest_of(struct slice in, unsigned char out[DIGEST_LEN]);

/* In pieces. digest_new() returns NULL when out of memory; digest_end() also frees. */
struct digest *digest_new(void);
int digest_add(struct digest *d, struct slice in);
int digest_end(struct digest *d, unsigned char out[DIGEST_LEN]);

/* Of a whole file by descriptor, from its start; at most max bytes. 0, -EFBIG, -errno. */
int digest_fd(int fd, size_t max, unsigned char out[DIGEST_LEN]);

#endif
