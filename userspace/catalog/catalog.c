/*
 * Looking a host up. One table holds every known tail ("api.openai.com", "amazonaws.com"): a name
 * is hashed once from its end, and the table asked at each label. load.c reads the file.
 */
#include "base/text.h"
#include "catalog/store.h"

#include <errno.h>
#include <stdlib.h>

struct catalog *catalog_ref(struct catalog *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void catalog_unref(struct catalog *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	arena_done(&c->arena);
	free(c->hosts);
	free(c->entries);
	free(c->ports);
	free(c->port_matches);
	free(c->tails);
	free(c);
}

/* ---- the index ---- */

static struct tail *tail_get(struct catalog *c, const char *name, size_t len)
{
	uint32_t hash = TAIL_SEED;
	size_t slot;

	for (size_t i = len; i-- > 0;)
		hash = tail_step(hash, name[i]);
	for (slot = tail_slot(c, hash); c->tails[slot].len; slot = (slot + 1) & (c->n_tails - 1))
		if (c->tails[slot].len == len && memcmp(c->tails[slot].name, name, len) == 0)
			return &c->tails[slot];
	c->tails[slot] = (struct tail){ .name = name, .len = (uint32_t)len, .hash = hash,
					.first = { CATALOG_NONE, CATALOG_NONE, CATALOG_NONE } };
	return &c->tails[slot];
}

/* The labels after the last wildcard: "*.svc.*.pinecone.io" is found under "pinecone.io". */
static const char *pattern_tail(const char *pattern)
{
	const char *star = strrchr(pattern, '*');
	const char *dot = strchr(star, '.');

	return dot ? dot + 1 : "";
}

static bool entry_before(const struct entry *a, const struct entry *b)
{
	if (a->literal != b->literal)
		return a->literal > b->literal;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	return a->line < b->line;
}

int catalog_index(struct catalog *c)
{
	size_t n = 64;

	while (n < c->n_hosts * 2)
		n *= 2;
	c->tails = calloc(n, sizeof(*c->tails));
	if (!c->tails)
		return -ENOMEM;
	c->n_tails = n;
	for (uint32_t i = 0; i < c->n_hosts; i++) {
		const struct catalog_host *h = &c->hosts[i];
		enum tail_kind kind = h->exact	  ? TAIL_EXACT
				      : h->suffix ? TAIL_SUFFIX
						  : TAIL_PATTERN;
		const char *name = kind == TAIL_PATTERN ? pattern_tail(h->pattern) : h->pattern;
		uint32_t *at = &tail_get(c, name, strlen(name))->first[kind];

		while (*at != CATALOG_NONE && entry_before(&c->entries[*at], &c->entries[i]))
			at = &c->entries[*at].next;
		c->entries[i].next = *at;
		*at = i;
	}
	return 0;
}

/* ---- looking up ---- */

static bool label_char(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-';
}

/* '*' is one or more label characters, never a dot. Going back to the last '*' alone is enough: an
 * earlier one in the same label gains nothing, and a dot ends a label for good. */
static bool pattern_matches(const char *p, const char *s, const char *end)
{
	const char *back_p = NULL, *back_s = NULL;

	while (s < end || *p) {
		if (*p == '*' && s < end && label_char(*s)) {
			back_p = p++;
			back_s = s++;
			continue;
		}
		if (s < end && *p != '*' && *p == *s) {
			p++, s++;
			continue;
		}
		if (!back_p || back_s + 1 >= end || !label_char(back_s[1]))
			return false;
		s = ++back_s + 1;
		p = back_p + 1;
	}
	return true;
}

/*
 * The path as a server may read it, so that "/x/../backend%2dapi/codex" cannot slip out of a
 * prefix: percent-decoded, empty and "." segments gone, ".." resolved, lower case, no query.
 * -ENOBUFS when it does not fit.
 */
static int path_normal(struct slice in, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i <= in.len; i++) {
		unsigned char byte;
		char ch = i < in.len && in.ptr[i] != '?' && in.ptr[i] != '#' ? in.ptr[i] : '\0';

		if (ch == '%' && i + 2 < in.len &&
		    text_unhex(slice_sub(in, i + 1, i + 3), &byte, 1) == 1 && byte) {
			ch = (char)byte;
			i += 2;
		}
		if (n + 1 >= size)
			return -ENOBUFS;
		if (ch != '/' && ch != '\\' && ch) {
			out[n++] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
			continue;
		}
		/* A segment ended: drop "." and "..", with the segment before it. */
		if (n >= 2 && memcmp(out + n - 2, "/.", 2) == 0) {
			n--;
		} else if (n >= 3 && memcmp(out + n - 3, "/..", 3) == 0) {
			n -= 3;
			while (n && out[n - 1] != '/')
				n--;
		}
		if (!ch)
			break;
		if (n == 0 || out[n - 1] != '/')
			out[n++] = '/';
	}
	out[n] = '\0';
	return 0;
}

/* A prefix ends where a segment ends; '*' in it is one segment. Both without regard to case. */
static bool prefix_covers(const char *prefix, const char *path)
{
	char last = '/';

	for (; *prefix && *path; last = *prefix++) {
		if (*prefix == '*') {
			path += strcspn(path, "/");
		} else if ((*prefix >= 'A' && *prefix <= 'Z' ? *prefix + 32 : *prefix) == *path) {
			path++;
		} else {
			return false;
		}
	}
	return !*prefix && (last == '/' || !*path || *path == '/');
}

static bool path_covered(const struct catalog_match *m, struct slice path)
{
	char normal[1024];

	if (path_normal(path, normal, sizeof(normal)) < 0)
		return true;
	for (size_t i = 0; i < m->n_paths; i++)
		if (prefix_covers(m->paths[i], normal))
			return true;
	return false;
}

struct name {
	char text[CATALOG_HOST_MAX + 1];
	size_t len;
	/* Tails of the table that the name ends in, shortest first. */
	const struct tail *tails[64];
	size_t n;
};

static bool name_read(const struct catalog *c, struct slice host, struct name *out)
{
	uint32_t hash = TAIL_SEED;

	if (host.len && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len == 0 || host.len > CATALOG_HOST_MAX || c->n_tails == 0)
		return false;
	out->len = host.len;
	out->n = 0;
	for (size_t i = host.len; i-- > 0;) {
		char ch = host.ptr[i];

		if (ch >= 'A' && ch <= 'Z')
			ch = (char)(ch + 32);
		out->text[i] = ch;
		hash = tail_step(hash, ch);
		if (i && host.ptr[i - 1] != '.')
			continue;
		for (size_t slot = tail_slot(c, hash); c->tails[slot].len;
		     slot = (slot + 1) & (c->n_tails - 1)) {
			const struct tail *t = &c->tails[slot];

			if (t->hash != hash || t->len != host.len - i ||
			    memcmp(t->name, out->text + i, t->len) != 0)
				continue;
			if (out->n < ARRAY_LEN(out->tails))
				out->tails[out->n++] = t;
			break;
		}
	}
	return out->n > 0;
}

typedef bool entry_fn(const struct catalog *c, const struct entry *e, void *ctx);

/* Calls fn for each entry that covers the name, best first, until it says true. */
static bool name_walk(const struct catalog *c, const struct name *n, entry_fn *fn, void *ctx)
{
	const struct tail *longest = n->tails[n->n - 1];
	uint32_t i;

	if (longest->len == n->len)
		for (i = longest->first[TAIL_EXACT]; i != CATALOG_NONE; i = c->entries[i].next)
			if (fn(c, &c->entries[i], ctx))
				return true;
	for (size_t t = n->n; t-- > 0;)
		for (i = n->tails[t]->first[TAIL_PATTERN]; i != CATALOG_NONE;
		     i = c->entries[i].next)
			if (pattern_matches(c->hosts[i].pattern, n->text, n->text + n->len) &&
			    fn(c, &c->entries[i], ctx))
				return true;
	for (size_t t = n->n; t-- > 0;)
		for (i = n->tails[t]->first[TAIL_SUFFIX]; i != CATALOG_NONE; i = c->entries[i].next)
			if (fn(c, &c->entries[i], ctx))
				return true;
	return false;
}

static bool entry_first(const struct catalog *c UNUSED, const struct entry *e, void *ctx)
{
	*(struct catalog_match *)ctx = e->match;
	return true;
}

bool catalog_find(const struct catalog *c, struct slice host, struct catalog_match *out)
{
	struct name n;

	return name_read(c, host, &n) && name_walk(c, &n, entry_first, out);
}

struct path_search {
	struct slice path;
	const struct entry *whole;   /* first entry for a whole host */
	const struct entry *covered; /* first entry whose paths cover it */
};

static bool entry_on_path(const struct catalog *c UNUSED, const struct entry *e, void *ctx)
{
	struct path_search *s = ctx;

	if (e->match.n_paths == 0) {
		if (!s->whole)
			s->whole = e;
	} else if (path_covered(&e->match, s->path)) {
		s->covered = e;
	}
	return s->covered != NULL;
}

bool catalog_find_path(const struct catalog *c, struct slice host, struct slice path,
		       struct catalog_match *out)
{
	struct path_search s = { .path = path };
	struct name n;

	if (!name_read(c, host, &n))
		return false;
	(void)name_walk(c, &n, entry_on_path, &s);
	if (!s.covered && !s.whole)
		return false;
	*out = s.covered ? s.covered->match : s.whole->match;
	return true;
}

bool catalog_find_port(const struct catalog *c, struct slice host, uint16_t port,
		       struct catalog_match *out)
{
	const struct catalog_match *any = NULL;

	for (size_t i = 0; i < c->n_ports; i++) {
		if (c->ports[i].port != port)
			continue;
		if (c->ports[i].host[0] && slice_ieq(host, slice_str(c->ports[i].host))) {
			*out = c->port_matches[i];
			return true;
		}
		if (!c->ports[i].host[0] && !any)
			any = &c->port_matches[i];
	}
	if (any)
		*out = *any;
	return any != NULL;
}

const struct provider *catalog_provider(const struct catalog *c, uint32_t number)
{
	return number >= 1 && number <= c->n_providers ? &c->providers[number - 1] : NULL;
}

const struct provider *catalog_provider_id(const struct catalog *c, const char *id)
{
	for (size_t i = 0; i < c->n_providers; i++)
		if (strcmp(c->providers[i].id, id) == 0)
			return &c->providers[i];
	return NULL;
}

size_t catalog_size(const struct catalog *c)
{
	return c->n_providers;
}

const char *catalog_source_date(const struct catalog *c)
{
	return c->source_date;
}

size_t catalog_hosts(const struct catalog *c, const struct catalog_host **out)
{
	*out = c->hosts;
	return c->n_hosts;
}

size_t catalog_ports(const struct catalog *c, const struct catalog_port **out)
{
	*out = c->ports;
	return c->n_ports;
}
