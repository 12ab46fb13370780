/* Loading the policy for a command: no daemon needed. */
#include "cli/policy_file.h"

#include "base/file.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>

#define FILE_MAX (8U << 20)

static bool provider_exists(void *ctx, const char *id)
{
	return catalog_provider_id(ctx, id) != NULL;
}

int policy_file_dlp(const char *command, struct dlp **out)
{
	char path[PATH_MAX];
	struct mistakes m;
	struct buf own;
	int r = 0, status = EXIT_FINE;

	buf_init(&own, FILE_MAX);
	if (policies_path("detectors.json", NULL, path) == 0)
		r = file_read(path, &own);
	mistakes_init(&m, path);
	if (r == 0)
		r = dlp_new(buf_size(&own) ? buf_slice(&own) : (struct slice){ NULL, 0 }, &m, out);
	if (r == -EINVAL) {
		fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&m.text)));
		status = EXIT_NO;
	} else if (r < 0) {
		fprintf(stderr, "sallyport %s: %s: %s\n", command, path, strerror(-r));
		status = EXIT_SYSTEM;
	}
	mistakes_done(&m);
	buf_done(&own);
	return status;
}

static int parse(const char *command, struct policy_file *f)
{
	const struct policy_names names = { provider_exists, f->catalog };
	struct buf text;
	int r;

	buf_init(&text, FILE_MAX);
	r = file_read(f->path, &text);
	if (r == 0)
		r = policy_load(buf_slice(&text), f->dlp, &names, -1, &f->mistakes, &f->policy);
	buf_done(&text);
	if (r == -EINVAL)
		return EXIT_NO;
	if (r == -EFBIG || r == -ENOBUFS)
		fprintf(stderr, "sallyport %s: %s: larger than %u MiB\n", command, f->path,
			FILE_MAX >> 20);
	else if (r < 0)
		fprintf(stderr, "sallyport %s: %s: %s\n", command, f->path, strerror(-r));
	return r < 0 ? EXIT_SYSTEM : EXIT_FINE;
}

int policy_file_load(const char *command, const char *given, struct policy_file *f)
{
	int status;

	memset(f, 0, sizeof(*f));
	mistakes_init(&f->mistakes, f->path);
	if (policies_path("policy.json", given, f->path) < 0) {
		fprintf(stderr, "sallyport %s: %s: %s\n", command, f->path,
			given ? "cannot be read"
			      : "is in none of $SALLYPORT_POLICIES, /etc/sallyport, "
				"/usr/share/sallyport, "
				"./policies; name the file");
		return EXIT_SYSTEM;
	}
	status = policies_catalog(command, NULL, &f->catalog);
	if (status == EXIT_FINE)
		status = policy_file_dlp(command, &f->dlp);
	/* A mistake in those two is not this file's: the answer about it is not known. */
	return status == EXIT_FINE ? parse(command, f) : EXIT_SYSTEM;
}

void policy_file_done(struct policy_file *f)
{
	policy_unref(f->policy);
	dlp_unref(f->dlp);
	catalog_unref(f->catalog);
	mistakes_done(&f->mistakes);
}
