/* The search path of the operator's data files, and the complaint when one is missing or wrong. */
#include "cli/policies.h"

#include "base/file.h"
#include "catalog/catalog.h"
#include "cli/cli.h"
#include "spend/prices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLICIES_FILE_MAX (32U << 20)

int policies_path(const char *name, const char *given, char out[PATH_MAX])
{
	const char *dirs[] = { getenv("SALLYPORT_POLICIES"), "/etc/sallyport",
			       "/usr/share/sallyport", "policies" };

	if (given) {
		(void)snprintf(out, PATH_MAX, "%s", given);
		return access(out, R_OK) == 0 ? 0 : -ENOENT;
	}
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (!dirs[i] || !*dirs[i])
			continue;
		(void)snprintf(out, PATH_MAX, "%s/%s", dirs[i], name);
		if (access(out, R_OK) == 0)
			return 0;
	}
	(void)snprintf(out, PATH_MAX, "%s", name);
	return -ENOENT;
}

int policies_read(const char *command, const char *name, const char *given, char path[PATH_MAX],
		  struct buf *out)
{
	int r = policies_path(name, given, path);

	if (r < 0 && !given) {
		fprintf(stderr,
			"sallyport %s: no %s in $SALLYPORT_POLICIES, /etc/sallyport, "
			"/usr/share/sallyport or ./policies; `make install` puts it there\n",
			command, name);
		return EXIT_SYSTEM;
	}
	r = file_read(path, out);
	if (r < 0) {
		fprintf(stderr, "sallyport %s: %s: %s\n", command, path, strerror(-r));
		return EXIT_SYSTEM;
	}
	return EXIT_FINE;
}

/* What one of the two loaders below needs; the rest is the same for both. */
typedef int load_fn(struct slice json, struct mistakes *m, void *out);

static int catalog_load_any(struct slice json, struct mistakes *m, void *out)
{
	return catalog_load(json, m, out);
}

static int prices_load_any(struct slice json, struct mistakes *m, void *out)
{
	return prices_load(json, m, out);
}

static int load(const char *command, const char *name, const char *given, load_fn *fn, void *out)
{
	char path[PATH_MAX];
	struct mistakes m;
	struct buf text;
	int r, status;

	buf_init(&text, POLICIES_FILE_MAX);
	status = policies_read(command, name, given, path, &text);
	if (status == EXIT_FINE) {
		mistakes_init(&m, path);
		r = fn(buf_slice(&text), &m, out);
		if (r == -EINVAL) {
			fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&m.text)));
			status = EXIT_NO;
		} else if (r < 0) {
			fprintf(stderr, "sallyport %s: %s: %s\n", command, path, strerror(-r));
			status = EXIT_SYSTEM;
		}
		mistakes_done(&m);
	}
	buf_done(&text);
	return status;
}

int policies_catalog(const char *command, const char *given, struct catalog **out)
{
	return load(command, "providers.json", given, catalog_load_any, out);
}

int policies_prices(const char *command, const char *given, struct prices **out)
{
	return load(command, "prices.json", given, prices_load_any, out);
}
