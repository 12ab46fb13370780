/* Reports to a file or to standard output. */
#include "cli/emit.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOCUMENT_MAX (256U << 20)

const struct report_format *emit_format(const char *command, const char *name, const char *path,
					const char *otherwise)
{
	const struct report_format *f = NULL;
	const char *dot = path ? strrchr(path, '.') : NULL;

	if (name) {
		f = report_format_find(name);
		if (!f)
			(void)cli_usage(command, "--format: \"%s\" is none of html, json, csv, md",
					name);
		return f;
	}
	if (dot)
		f = strcmp(dot, ".htm") == 0 ? report_format_find("html")
					     : report_format_find(dot + 1);
	return f ? f : report_format_find(otherwise);
}

/* A pipe or a device is written to, not replaced. */
static int write_to(const char *path, struct slice text)
{
	cleanup(closep) int fd = -1;
	struct stat st;

	if (!path || strcmp(path, "-") == 0)
		return file_write_all(STDOUT_FILENO, text);
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return file_replace(path, text, 0640);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : file_write_all(fd, text);
}

int emit(const char *command, const struct report *r, const struct report_format *f,
	 const char *path)
{
	struct buf text;
	int e;

	buf_init(&text, DOCUMENT_MAX);
	e = f->write(r, &text);
	if (e == 0)
		e = write_to(path, buf_slice(&text));
	buf_done(&text);
	if (e < 0) {
		fprintf(stderr, "sallyport %s: cannot write %s: %s\n", command,
			path ? path : "standard output", strerror(-e));
		return EXIT_SYSTEM;
	}
	if (path && strcmp(path, "-") != 0)
		printf("%s\n", path);
	return EXIT_FINE;
}

void emit_begin(struct report *r, const struct catalog *c)
{
	char node[256] = "";

	(void)gethostname(node, sizeof(node) - 1);
	report_init(r);
	r->node = report_text(r, *node ? node : "this node");
	r->version = SALLYPORT_VERSION;
	r->catalog_date = catalog_source_date(c);
	r->made_ns = r->to_ns = clock_wall_ns();
}
