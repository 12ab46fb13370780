/* Reads policies/providers.json; what each mistake is and where, is the operator's to read. */
#include "catalog/store.h"

#include <errno.h>
#include <stdlib.h>

#define CATALOG_MAX (4U << 20) /* bytes of text one catalogue may hold */
#define PATHS_MAX 64

/* What a host is for; the order is the preference where two providers claim the same host. */
static const char *const roles[] = { "inference", "app", "web", "coding", "media", "mcp", "models",
				     "files", "auth", "control", "static", "telemetry", NULL };

struct load {
	struct catalog *c;
	struct mistakes *m;
	struct provider *provider;
	const char *const *dialects;
	size_t n_dialects;
	bool no_memory;
};

static const char *text_keep(struct load *l, const char *s)
{
	struct slice copy = arena_dup(&l->c->arena, slice_str(s));

	if (!copy.ptr)
		l->no_memory = true;
	return copy.ptr ? copy.ptr : "";
}

/* One more element at the end of a growing array; NULL when memory or the bound is reached. */
static void *grow(void **items, size_t *n, size_t *cap, size_t size)
{
	if (*n == *cap) {
		size_t more = *cap ? *cap * 2 : 64;
		void *p = more > CATALOG_ENTRIES_MAX ? NULL : realloc(*items, more * size);

		if (!p)
			return NULL;
		*items = p;
		*cap = more;
	}
	return memset((char *)*items + (*n)++ * size, 0, size);
}

static const char *const *strings_read(struct load *l, const json_t *list, const char *place,
				       size_t *n)
{
	size_t have = json_array_size(list);
	const char **out;

	*n = 0;
	if (have == 0)
		return NULL;
	out = have > PATHS_MAX ? NULL : arena_array(&l->c->arena, const char *, have);
	if (!out) {
		mistakes_add(l->m, place, "a list may have at most %d entries", PATHS_MAX);
		return NULL;
	}
	for (size_t i = 0; i < have; i++) {
		const char *s = json_string_value(json_array_get(list, i));
		char at[PLACE_MAX];

		if (s && *s)
			out[(*n)++] = text_keep(l, s);
		else
			mistakes_add(l->m, jread_place_at(at, place, i), "must be a string");
	}
	return out;
}

/* "{region}" becomes "*", letters become small; false for what cannot be a host name. */
static bool pattern_read(const char *in, char *out, size_t size)
{
	size_t n = 0;

	for (; *in && n + 1 < size; in++) {
		char ch = *in;

		if (ch == '{') {
			in = strchr(in, '}');
			if (!in)
				return false;
			ch = '*';
		}
		if (ch >= 'A' && ch <= 'Z')
			ch = (char)(ch + 32);
		if (!(ch >= 'a' && ch <= 'z') && !(ch >= '0' && ch <= '9') && !strchr("-_.*", ch))
			return false;
		if (ch == '.' && (n == 0 || out[n - 1] == '.'))
			return false;
		if (ch == '*' && n && out[n - 1] == '*')
			return false;
		out[n++] = ch;
	}
	out[n] = '\0';
	/* The last label must be literal, or the whole net would match. */
	return n > 0 && !*in && out[n - 1] != '.' &&
	       (!strchr(out, '*') || strchr(strrchr(out, '*'), '.'));
}

static void port_add(struct load *l, const char *host, unsigned long port,
		     const struct catalog_match *match)
{
	struct catalog *c = l->c;
	size_t n = c->n_ports, cap = c->cap_ports;
	struct catalog_match *pm = grow((void **)&c->port_matches, &n, &cap, sizeof(*pm));
	struct catalog_port *p = grow((void **)&c->ports, &c->n_ports, &c->cap_ports, sizeof(*p));

	if (!p || !pm) {
		l->no_memory = true;
		return;
	}
	*pm = *match;
	*p = (struct catalog_port){ .host = text_keep(l, host), .port = (uint16_t)port,
				    .provider = l->provider->number, .role = match->role };
}

static void host_add(struct load *l, const char *pattern, bool suffix, unsigned role,
		     const struct catalog_match *match)
{
	struct catalog *c = l->c;
	size_t n = c->n_hosts, cap = c->cap_hosts;
	struct entry *e = grow((void **)&c->entries, &n, &cap, sizeof(*e));
	struct catalog_host *h = grow((void **)&c->hosts, &c->n_hosts, &c->cap_hosts, sizeof(*h));

	if (!e || !h) {
		l->no_memory = true;
		return;
	}
	*h = (struct catalog_host){ .pattern = text_keep(l, pattern), .suffix = suffix,
				    .exact = !suffix && !strchr(pattern, '*'),
				    .shared = match->n_paths > 0, .role = match->role,
				    .provider = l->provider->number };
	*e = (struct entry){ .match = *match,
			     .rank = role + (match->n_paths ? 100 : 0),
			     .line = n };
	for (; *pattern; pattern++)
		e->literal += *pattern != '*';
}

/* "host", ".host" (and every subdomain), "*.host", ":port", "host:port", or { host, paths }. */
static void host_read(struct load *l, const json_t *j, const char *place, unsigned role)
{
	static const char *const known[] = { "host", "paths", NULL };
	struct catalog_match match = { .provider = l->provider, .role = roles[role],
				       .dialects = l->dialects, .n_dialects = l->n_dialects };
	const char *text = json_string_value(j), *colon;
	char pattern[CATALOG_HOST_MAX + 1], at[PLACE_MAX], name[CATALOG_HOST_MAX + 1];

	if (json_is_object(j)) {
		jread_known(j, place, known, l->m);
		text = jread_string(j, place, "host", NULL, l->m);
		match.paths = strings_read(l, jread_array(j, place, "paths", l->m),
					   jread_place(at, place, "paths"), &match.n_paths);
	}
	if (!text || !*text || strlen(text) > CATALOG_HOST_MAX) {
		mistakes_add(l->m, place,
			     "must be a host name, or { \"host\": ..., \"paths\": [...] }");
		return;
	}
	for (size_t i = 0; i < match.n_paths; i++)
		if (match.paths[i][0] != '/')
			mistakes_add(l->m, place, "path \"%s\" must begin with '/'",
				     match.paths[i]);
	colon = strchr(text, ':');
	if (colon) {
		char *end;
		unsigned long port = strtoul(colon + 1, &end, 10);

		slice_copy(name, sizeof(name), slice_of(text, (size_t)(colon - text)));
		if (*end || end == colon + 1 || port == 0 || port > 65535)
			mistakes_add(l->m, place, "\"%s\": the port must be 1 to 65535", text);
		else
			port_add(l, name, port, &match);
		return;
	}
	if (!pattern_read(text + (*text == '.'), pattern, sizeof(pattern)) ||
	    (*text == '.' && strchr(pattern, '*'))) {
		mistakes_add(l->m, place,
			     "\"%s\" is no host: write \"api.x.com\", \".x.com\" for it and "
			     "its subdomains, or \"*.x.com\" for one label",
			     text);
		return;
	}
	host_add(l, pattern, *text == '.', role, &match);
}

static const char *required(struct load *l, const json_t *j, const char *place, const char *key)
{
	const char *s = jread_string(j, place, key, "", l->m);
	char at[PLACE_MAX];

	if (!*s)
		mistakes_add(l->m, jread_place(at, place, key),
			     "is missing; every provider has one");
	return text_keep(l, s);
}

static void provider_read(struct load *l, const json_t *j, const char *place)
{
	static const char *const known[] = { "id", "name", "category", "jurisdiction", "dialects",
					     "hosts", NULL };
	char at[PLACE_MAX], at_role[PLACE_MAX], at_host[PLACE_MAX];
	struct provider *p = l->provider;
	const json_t *hosts;

	jread_known(j, place, known, l->m);
	p->id = required(l, j, place, "id");
	p->name = required(l, j, place, "name");
	p->category = required(l, j, place, "category");
	p->jurisdiction = text_keep(l, jread_string(j, place, "jurisdiction", "", l->m));
	if (*p->id && catalog_provider_id(l->c, p->id) != p)
		mistakes_add(l->m, jread_place(at, place, "id"), "\"%s\" is there twice", p->id);
	l->dialects = strings_read(l, jread_array(j, place, "dialects", l->m),
				   jread_place(at, place, "dialects"), &l->n_dialects);
	hosts = jread_object(j, place, "hosts", l->m);
	jread_place(at, place, "hosts");
	if (hosts)
		jread_known(hosts, at, roles, l->m);
	for (unsigned r = 0; roles[r]; r++) {
		const json_t *list = hosts ? jread_array(hosts, at, roles[r], l->m) : NULL;

		jread_place(at_role, at, roles[r]);
		for (size_t i = 0; i < json_array_size(list); i++)
			host_read(l, json_array_get(list, i), jread_place_at(at_host, at_role, i),
				  r);
	}
}

static void file_read_json(struct load *l, const json_t *root)
{
	static const char *const known[] = { "version", "source_date", "providers", NULL };
	const json_t *list;
	size_t n;

	if (!json_is_object(root)) {
		mistakes_add(l->m, "",
			     "must be an object: { \"version\": 1, \"providers\": [...] }");
		return;
	}
	jread_known(root, "", known, l->m);
	(void)jread_int(root, "", "version", 1, 1, 1, l->m);
	l->c->source_date = text_keep(l, jread_string(root, "", "source_date", "", l->m));
	list = jread_array(root, "", "providers", l->m);
	n = json_array_size(list);
	if (n == 0 || n > CATALOG_ENTRIES_MAX) {
		mistakes_add(l->m, "providers", "must be a list of 1 to %d providers",
			     CATALOG_ENTRIES_MAX);
		return;
	}
	l->c->providers = arena_array(&l->c->arena, struct provider, n);
	if (!l->c->providers) {
		l->no_memory = true;
		return;
	}
	for (size_t i = 0; i < n && !l->no_memory; i++) {
		const json_t *j = json_array_get(list, i);
		char place[PLACE_MAX];

		jread_place_at(place, "providers", i);
		if (!json_is_object(j)) {
			mistakes_add(l->m, place, "must be an object: { \"id\": ... }");
			return;
		}
		l->provider = &l->c->providers[i];
		*l->provider = (struct provider){ .number = (uint32_t)i + 1, .id = "" };
		l->c->n_providers = i + 1;
		provider_read(l, j, place);
	}
}

static void catalog_unrefp(struct catalog **c)
{
	catalog_unref(*c);
}

int catalog_load(struct slice json, struct mistakes *m, struct catalog **out)
{
	cleanup(catalog_unrefp) struct catalog *c = calloc(1, sizeof(*c));
	cleanup(json_decrefp) json_t *root = NULL;
	struct load l = { .c = c, .m = m };
	size_t before = m->n;

	if (!c)
		return -ENOMEM;
	c->refs = 1;
	c->source_date = "";
	arena_init(&c->arena, CATALOG_MAX);
	root = jread_text(json, m);
	if (!root)
		return -EINVAL;
	file_read_json(&l, root);
	if (l.no_memory)
		return -ENOMEM;
	if (m->n != before)
		return -EINVAL;
	if (catalog_index(c) < 0)
		return -ENOMEM;
	*out = take(c);
	return 0;
}
