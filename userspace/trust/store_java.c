/*
 * Debian's Java store. The hook of ca-certificates-java adds the CA with the system's store, but
 * keeps it when that one lets it go: removal is ours (measured; with --fresh too).
 */
#include "trust/store.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME "java"
#define KEYSTORE "/etc/ssl/certs/java/cacerts"
#define ALIAS "debian:sallyport.pem" /* as the hook would call it */
#define PASSWORD "changeit" /* every JDK's, public; it keeps no secret */
#define LIST_MAX (16U << 20)

/* keytool wraps its PEM with CR LF: compared without white space. */
static void squeeze(struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		if (b->data[i] != '\r' && b->data[i] != '\n')
			b->data[n++] = b->data[i];
	b->len = n;
}

/* 1 there, 0 not, -ENOENT no Java here, -errno. */
static int has_ca(struct trust *t, const char *keystore)
{
	struct buf list, pem;
	int r;

	if (access(keystore, F_OK) < 0)
		return -ENOENT;
	buf_init(&list, LIST_MAX);
	buf_init(&pem, 1U << 20);
	r = trust_run((const char *const[]){ "keytool", "-list", "-rfc", "-keystore", keystore,
					     "-storepass", PASSWORD, NULL }, &list);
	if (r == -ENOENT)
		trust_say(t, "java: %s is there, but no keytool to ask it; install a Java runtime",
			  keystore);
	else if (r > 0)
		trust_say(t, "java: keytool cannot read %s", keystore);
	r = r > 0 ? -EIO : r;
	if (r == 0)
		r = buf_append(&pem, t->pem);
	if (r == 0) {
		squeeze(&list);
		squeeze(&pem);
		r = t->pem.len && slice_find(buf_slice(&list), buf_slice(&pem)) >= 0;
	}
	buf_done(&list);
	buf_done(&pem);
	return r;
}

static int java_install(struct trust *t)
{
	char keystore[PATH_MAX], ca[PATH_MAX];
	int r;

	if (!trust_path(t, KEYSTORE, keystore) || !trust_path(t, TRUST_CA_FILE, ca))
		return -ENAMETOOLONG;
	r = has_ca(t, keystore);
	if (r == -ENOENT || r == 1)
		return 0;
	if (r < 0)
		return r;
	r = trust_run((const char *const[]){ "keytool", "-importcert", "-noprompt", "-alias", ALIAS,
					     "-file", ca, "-keystore", keystore, "-storepass",
					     PASSWORD, NULL }, NULL);
	if (r != 0)
		trust_say(t, "java: keytool could not add the CA to %s", keystore);
	return r > 0 ? -EIO : r;
}

static int java_remove(struct trust *t)
{
	char keystore[PATH_MAX];
	int r;

	if (!trust_path(t, KEYSTORE, keystore))
		return -ENAMETOOLONG;
	r = has_ca(t, keystore);
	if (r == -ENOENT || r == 0)
		return 0;
	if (r == 1)
		r = trust_run((const char *const[]){ "keytool", "-delete", "-alias", ALIAS,
						     "-keystore", keystore, "-storepass", PASSWORD,
						     NULL }, NULL);
	if (r != 0)
		trust_say(t, "java: keytool could not delete %s from %s", ALIAS, keystore);
	return r > 0 ? -EIO : r;
}

static enum trust_state java_status(struct trust *t)
{
	char keystore[PATH_MAX];
	int r = trust_path(t, KEYSTORE, keystore) ? has_ca(t, keystore) : -ENAMETOOLONG;

	return r == 1 ? TRUST_INSTALLED : r == 0 ? TRUST_ABSENT : TRUST_NOT_APPLICABLE;
}

const struct store store_java = { NAME, java_install, java_remove, java_status };
