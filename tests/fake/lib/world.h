/*
 * What a test changes while the provider runs: the control file, read again whenever it changed. One
 * rule a line, `*` is any host:
 *	fault api.openai.com stall+slow-200    knobs for every request to that host
 *	cert api.openai.com bad/expired        another certificate of --certs
 *	tls12 api.openai.com                   no TLS 1.3
 *	accept reset|stall|plain               before any byte: reset, say nothing, talk plain HTTP
 */
#ifndef TESTS_FAKE_WORLD_H
#define TESTS_FAKE_WORLD_H

#include "tests/fake/lib/knobs.h"

enum world_accept { ACCEPT_TLS, ACCEPT_RESET, ACCEPT_STALL, ACCEPT_PLAIN };

/* The control file; NULL: there is none. Borrowed. */
void world_open(const char *control);
/* Reads the control file if it changed since. */
void world_refresh(void);
enum world_accept world_accept(void);
void world_knobs(struct slice host, struct knobs *k);
/* Name of the certificate to present, "" when no rule names one. */
void world_cert(struct slice host, char *out, size_t size);
bool world_tls12(struct slice host);

#endif
