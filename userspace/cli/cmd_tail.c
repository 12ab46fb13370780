/* sallyport tail: the audit log as a story while it is written, through rotation and removal. */
#include "cli/cli.h"
#include "cli/logview.h"

#include "audit/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MS 100

static const char usage_text[] =
	"usage: sallyport tail [-n N] [--no-follow] [--json] [--state DIR]\n\n"
	"Shows who talks to which AI provider, what was found, what it cost and what was refused, as\n"
	"it happens; ctrl-C ends it.\n\n"
	"  -n N           begin with the last N records (10)\n"
	"  -f, --follow   go on with new ones (the default)\n"
	"  --no-follow    end after those\n"
	"  --json         the JSON lines of the log\n"
	"  --state DIR    where the daemon keeps audit.jsonl (" STATE_DIR ")\n";

struct tail {
	char path[PATH_MAX];
	bool json;
	uint64_t seq; /* of the last line shown */
	int fd;       /* of the file that is followed; -1 none */
	ino_t ino;
	struct buf in;
	struct record record;
	int error;
};

static void show(void *arg, const struct chain_link *line)
{
	struct tail *t = arg;

	if (t->error || line->seq <= t->seq)
		return;
	t->seq = line->seq;
	if (logview_read(line, &t->record) == 0)
		t->error = logview_print(line, &t->record, t->json, false);
}

/* Whole lines that have come; a last half stays. */
static void lines_take(struct tail *t)
{
	const char *nl;

	while ((nl = memchr(buf_slice(&t->in).ptr, '\n', buf_size(&t->in)))) {
		size_t len = (size_t)(nl - buf_slice(&t->in).ptr);
		struct chain_link l;

		if (chain_parse(slice_sub(buf_slice(&t->in), 0, len), &l) == 0)
			show(t, &l);
		buf_consume(&t->in, len + 1);
	}
	if (buf_size(&t->in) > CHAIN_LINE_MAX)
		buf_clear(&t->in); /* no line of ours */
}

/* What was added to the open file. Bytes, or -errno. */
static ssize_t read_more(struct tail *t)
{
	ssize_t n, all = 0;

	do {
		int r = buf_reserve(&t->in, CHAIN_LINE_MAX);

		if (r < 0)
			return r;
		n = read(t->fd, t->in.data + t->in.len, CHAIN_LINE_MAX);
		if (n < 0)
			return -errno;
		t->in.len += (size_t)n;
		all += n;
		if (n)
			lines_take(t);
	} while (n > 0 && !t->error);
	return t->error ? t->error : all;
}

/*
 * Opens the file of that name shortly before its end: the first piece is no whole line and is left
 * out, lines that were shown are known by their number.
 */
static void file_open(struct tail *t)
{
	struct stat st;

	buf_clear(&t->in);
	t->fd = open(t->path, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return;
	t->ino = st.st_ino;
	(void)lseek(t->fd, MAX(st.st_size - (off_t)CHAIN_LINE_MAX, (off_t)0), SEEK_SET);
}

/* Another file under the name, or the same one cut short. */
static void file_change(struct tail *t)
{
	struct stat st;

	if (stat(t->path, &st) < 0)
		return;
	if (t->fd >= 0 && st.st_ino == t->ino) {
		if (st.st_size < lseek(t->fd, 0, SEEK_CUR)) {
			(void)lseek(t->fd, 0, SEEK_SET);
			buf_clear(&t->in);
		}
		return;
	}
	if (t->fd >= 0) {
		(void)read_more(t); /* what came before it was renamed or removed */
		(void)close(t->fd);
	}
	file_open(t);
	/* Rotated more than once since the last look: the files in between, by number. */
	if (t->seq)
		(void)log_since(t->path, t->seq, show, t);
}

static int follow(struct tail *t)
{
	for (;;) {
		struct pollfd out = { .fd = STDOUT_FILENO };
		ssize_t n = t->fd >= 0 ? read_more(t) : 0;

		if (n < 0)
			return (int)n;
		if (n == 0) {
			if (fflush(stdout) == EOF)
				return -errno;
			file_change(t);
			/* A reader that went away is noticed without a new line. */
			if (poll(&out, 1, POLL_MS) > 0 && out.revents & (POLLERR | POLLHUP))
				return 0;
			if (out.revents)
				(void)poll(NULL, 0, POLL_MS);
		}
	}
}

static void number_take(void *arg, const struct chain_link *line)
{
	*(uint64_t *)arg = line->seq;
}

/* The last line's number. 0 (also of a log without lines) or -errno. */
static int last_number(const char *path, uint64_t *out)
{
	struct chain end = { 0 };
	int r = chain_resume(path, &end);

	*out = end.seq;
	/* Just rotated, half a line at this moment, or a bad last line: from all that is there. */
	if (r == -ENOENT || r == -EBADMSG)
		r = log_since(path, 0, number_take, out);
	return r;
}

static int run(struct tail *t, uint64_t n, bool go_on)
{
	uint64_t last = 0;
	int r = last_number(t->path, &last);

	if (r == 0 && access(t->path, F_OK) < 0) {
		r = go_on ? 0 : -ENOENT;
		if (go_on)
			fprintf(stderr, "sallyport tail: waiting for %s\n", t->path);
	}
	if (r < 0) {
		fprintf(stderr, "sallyport tail: %s: %s%s\n", t->path, strerror(-r),
			r == -EACCES ? "; run as root or as a member of the log's group" :
				       "; has the daemon run? --state DIR names its folder");
		return EXIT_SYSTEM;
	}
	file_open(t);
	t->seq = last > n ? last - n : 0;
	if (last)
		r = log_since(t->path, t->seq, show, t);
	if (r == 0 && go_on)
		r = follow(t);
	r = r < 0 ? r : t->error;
	if (r < 0 && r != -EPIPE) {
		fprintf(stderr, "sallyport tail: %s: %s\n", t->path, strerror(-r));
		return EXIT_SYSTEM;
	}
	return EXIT_FINE;
}

int cmd_tail(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "follow", no_argument, NULL, 'f' },	{ "no-follow", no_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'j' },	{ "state", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },	{ "lines", required_argument, NULL, 'n' },
		{ 0 },
	};
	struct tail t = { .fd = -1 };
	const char *state = STATE_DIR;
	bool go_on = true;
	uint64_t n = 10;
	char *end;
	int c, r;

	optind = 0;
	while ((c = getopt_long(argc, argv, "n:fh", longs, NULL)) != -1) {
		switch (c) {
		case 'f': go_on = true; break;
		case 'F': go_on = false; break;
		case 'j': t.json = true; break;
		case 'S': state = optarg; break;
		case 'h': fputs(usage_text, stdout); return EXIT_FINE;
		case 'n':
			n = strtoull(optarg, &end, 10);
			if (*end || end == optarg)
				return cli_usage("tail", "-n %s: a number", optarg);
			break;
		default:
			return cli_usage("tail", "unknown option");
		}
	}
	if (optind < argc)
		return cli_usage("tail", "takes options only");
	if ((size_t)snprintf(t.path, sizeof(t.path), "%s/" LOG_NAME, state) >= sizeof(t.path))
		return cli_usage("tail", "--state is too long");
	buf_init(&t.in, 4 * CHAIN_LINE_MAX);
	r = run(&t, n, go_on);
	buf_done(&t.in);
	if (t.fd >= 0)
		(void)close(t.fd);
	return r;
}
