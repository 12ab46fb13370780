/* The provider's certificates: DIR/<name>.pem, the chain and the key in one file, chosen by SNI. */
#ifndef TESTS_FAKE_CERTS_H
#define TESTS_FAKE_CERTS_H

#include <openssl/ssl.h>

/* The context to accept with; it switches to the certificate of the name asked for (wildcards are
 * files that begin with "_."), to the one the control file names, or to default.pem. NULL: said why
 * on stderr. */
SSL_CTX *certs_open(const char *dir);

#endif
