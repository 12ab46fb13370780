/* sallyport catalog: which hosts are AI. */
#include "base/json.h"
#include "catalog/catalog.h"
#include "cli/cli.h"
#include "cli/policies.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage_text[] =
	"usage: sallyport catalog match HOST... [--path PATH] [--json] [--catalog FILE]\n"
	"       sallyport catalog list [--json] [--catalog FILE]\n\n"
	"match    whose each host is; exit status 1 when none of them is AI\n"
	"list     every host entry of the catalogue\n\n"
	"  --path PATH      also look at the path: a host may serve AI under some paths only\n"
	"  --catalog FILE   read this file instead of providers.json in $SALLYPORT_POLICIES,\n"
	"                   /etc/sallyport, /usr/share/sallyport or ./policies\n"
	"  --json           one JSON object a line\n";

struct options {
	bool json;
	const char *catalog, *path;
};

static void member(struct buf *b, const char *key, const char *value)
{
	(void)buf_printf(b, "%s\"%s\":", buf_size(b) > 1 ? "," : "", key);
	(void)jwrite_string(b, slice_str(value));
}

static void strings(struct buf *b, const char *key, const char *const *items, size_t n)
{
	(void)buf_printf(b, ",\"%s\":[", key);
	for (size_t i = 0; i < n; i++) {
		(void)buf_str(b, i ? "," : "");
		(void)jwrite_string(b, slice_str(items[i]));
	}
	(void)buf_str(b, "]");
}

static void match_json(const char *host, const struct catalog_match *m)
{
	struct buf b;

	buf_init(&b, 64U << 10);
	(void)buf_str(&b, "{");
	member(&b, "host", host);
	(void)buf_str(&b, m ? ",\"match\":true" : ",\"match\":false");
	if (m) {
		member(&b, "provider", m->provider->id);
		member(&b, "name", m->provider->name);
		member(&b, "category", m->provider->category);
		member(&b, "jurisdiction", m->provider->jurisdiction);
		member(&b, "role", m->role);
		strings(&b, "paths", m->paths, m->n_paths);
		strings(&b, "dialects", m->dialects, m->n_dialects);
	}
	printf("%.*s}\n", SLICE_FMT(buf_slice(&b)));
	buf_done(&b);
}

/* "api.x.com", "api.x.com:443" and "https://api.x.com/v1" are all what people paste. */
static struct slice host_of(const char *text)
{
	const char *scheme = strstr(text, "://");
	struct slice host = slice_str(scheme ? scheme + 3 : text);

	host.len = strcspn(host.ptr, "/:");
	return host;
}

static int match(const struct catalog *c, int n, char **hosts, const struct options *o)
{
	static const char *const headers[] = { "HOST", "PROVIDER", "NAME", "CATEGORY", "COUNTRY",
					       "ROLE" };
	const char **cells = calloc((size_t)n * ARRAY_LEN(headers), sizeof(*cells));
	int found = 0;

	if (!cells)
		return EXIT_SYSTEM;
	for (int i = 0; i < n; i++) {
		const char **row = cells + (size_t)i * ARRAY_LEN(headers);
		struct slice host = host_of(hosts[i]);
		struct catalog_match m;
		bool hit = o->path ? catalog_find_path(c, host, slice_str(o->path), &m) :
				     catalog_find(c, host, &m);

		found += hit;
		row[0] = hosts[i];
		if (hit) {
			row[1] = m.provider->id;
			row[2] = m.provider->name;
			row[3] = m.provider->category;
			row[4] = *m.provider->jurisdiction ? m.provider->jurisdiction : NULL;
			row[5] = m.role;
		}
		if (o->json)
			match_json(hosts[i], hit ? &m : NULL);
	}
	if (!o->json)
		out_table(headers, ARRAY_LEN(headers), cells, (size_t)n);
	free(cells);
	return found ? EXIT_FINE : EXIT_NO;
}

static void list_json(const struct catalog *c, const struct catalog_host *h)
{
	const struct provider *p = catalog_provider(c, h->provider);
	struct buf b;

	buf_init(&b, 64U << 10);
	(void)buf_str(&b, "{");
	member(&b, "match", h->exact ? "exact" : h->suffix ? "suffix" : "pattern");
	member(&b, "host", h->pattern);
	member(&b, "provider", p->id);
	member(&b, "category", p->category);
	member(&b, "jurisdiction", p->jurisdiction);
	member(&b, "role", h->role);
	printf("%.*s,\"shared\":%s}\n", SLICE_FMT(buf_slice(&b)), h->shared ? "true" : "false");
	buf_done(&b);
}

static int list(const struct catalog *c, const struct options *o)
{
	static const char *const headers[] = { "HOST", "MATCH", "PROVIDER", "COUNTRY", "ROLE" };
	const struct catalog_host *hosts;
	size_t n = catalog_hosts(c, &hosts);
	const char **cells;

	if (o->json) {
		for (size_t i = 0; i < n; i++)
			list_json(c, &hosts[i]);
		return EXIT_FINE;
	}
	cells = calloc(n * ARRAY_LEN(headers), sizeof(*cells));
	if (!cells)
		return EXIT_SYSTEM;
	for (size_t i = 0; i < n; i++) {
		const char **row = cells + i * ARRAY_LEN(headers);
		const struct provider *p = catalog_provider(c, hosts[i].provider);

		row[0] = hosts[i].pattern;
		row[1] = hosts[i].exact ? "exact" : hosts[i].suffix ? "suffix" : "pattern";
		row[2] = p->id;
		row[3] = *p->jurisdiction ? p->jurisdiction : NULL;
		row[4] = hosts[i].role;
	}
	out_table(headers, ARRAY_LEN(headers), cells, n);
	printf("%zu providers, %zu hosts; facts of %s\n", catalog_size(c), n,
	       catalog_source_date(c));
	free(cells);
	return EXIT_FINE;
}

int cmd_catalog(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "catalog", required_argument, NULL, 'c' },
						 { "path", required_argument, NULL, 'p' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct options o = { 0 };
	struct catalog *c = NULL;
	int opt, status;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (opt == 'j')
			o.json = true;
		else if (opt == 'c')
			o.catalog = optarg;
		else if (opt == 'p')
			o.path = optarg;
		else if (opt == 'h')
			return printf("%s", usage_text) < 0 ? EXIT_SYSTEM : EXIT_FINE;
		else
			return EXIT_USAGE;
	}
	argc -= optind, argv += optind;
	if (argc < 1 || (strcmp(argv[0], "match") != 0 && strcmp(argv[0], "list") != 0))
		return cli_usage("catalog", "say what to do: match HOST... or list");
	if (strcmp(argv[0], "match") == 0 && argc < 2)
		return cli_usage("catalog", "match needs at least one HOST");
	status = policies_catalog("catalog", o.catalog, &c);
	if (status != EXIT_FINE)
		return status;
	status = strcmp(argv[0], "match") == 0 ? match(c, argc - 1, argv + 1, &o) : list(c, &o);
	catalog_unref(c);
	return status;
}
