/* The caller's stable key and readable name. */
#include "ident/principal.h"

#include "base/digest.h"

#include <stdio.h>

static size_t add(char *to, size_t at, size_t size, const void *bytes, size_t len)
{
	if (len > size - at)
		len = size - at;
	memcpy(to + at, bytes, len);
	return at + len;
}

uint64_t principal_key(const struct principal *p)
{
	/* Each part with its NUL or of fixed size, so that no two callers read the same. */
	char text[8 + sizeof(p->exe) + sizeof(p->container) + sizeof(p->unit) + 16];
	const char *where = p->container[0] ? p->container : p->unit;
	unsigned char digest[DIGEST_LEN];
	size_t at = add(text, 0, sizeof(text), &p->uid, sizeof(p->uid));
	uint64_t key;

	if (!p->container[0] && slice_ends(slice_str(p->unit), SLICE(".scope")))
		where = p->slice;
	text[at++] = p->digest_known ? 'd' : 'p';
	if (p->digest_known)
		at = add(text, at, sizeof(text), p->digest, DIGEST_LEN);
	else
		at = add(text, at, sizeof(text), p->exe, strnlen(p->exe, sizeof(p->exe) - 1) + 1);
	text[at++] = p->container[0] ? 'c' : 'u';
	at = add(text, at, sizeof(text), where, strnlen(where, 127) + 1);
	if (digest_of(slice_of(text, at), digest) < 0)
		return 1;
	memcpy(&key, digest, sizeof(key));
	return key ? key : 1;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

void principal_text(const struct principal *p, char *out, size_t size)
{
	const char *exe = p->exe[0] ? base_name(p->exe) : p->comm[0] ? p->comm : "?";
	char container[24] = "", user[40];

	if (p->container[0])
		(void)snprintf(container, sizeof(container), "%.12s ", p->container);
	if (p->user[0])
		(void)snprintf(user, sizeof(user), "%s", p->user);
	else
		(void)snprintf(user, sizeof(user), "uid %u", p->uid);
	(void)snprintf(out, size, "%s%s%s%s (%s, pid %u)", container, container[0] ? "" : p->unit,
		       !container[0] && p->unit[0] ? " " : "", exe, user, p->pid);
}
