/* sallyport scan: the DLP engine on a file, for a person or (--jsonl) for a program that measures
 * it. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/json.h"
#include "dlp/dlp.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64u << 20) /* one line or text: what dlp_scan() takes */
#define CHUNK (1u << 16)
#define PREVIEW 4 /* characters of a finding that are shown: enough to know it, not to use it */

enum output { OUT_TABLE, OUT_JSON, OUT_JSONL };

struct scan_job {
	struct dlp *dlp;
	struct dlp_scratch *scratch;
	struct arena arena;
	struct buf out;
	enum output output;
	size_t line_no, found;
	uint64_t done, total; /* bytes, for the progress bar; total 0: not known */
	int shown;	      /* per cent last drawn */
	bool bar;
};

static int help(void)
{
	puts("usage: sallyport scan [--jsonl] [--json] [--detectors F] [F|-]\n\n"
	     "Looks for secrets and personal data in a file or standard input.\n\n"
	     "  --jsonl         each line is {\"id\", \"text\"}; prints {\"id\", \"spans\": "
	     "[{\"start\",\n"
	     "                  \"end\", \"type\"}]}, offsets in UTF-8 bytes, end exclusive\n"
	     "  --json          the findings of the whole input as one JSON array\n"
	     "  --detectors F   your own patterns as well (policies/detectors.json)\n\n"
	     "Without --jsonl: exit status 1 when something was found. A finding is shown masked.");
	return EXIT_FINE;
}

static void progress(struct scan_job *j, size_t len)
{
	int percent;

	j->done += len;
	if (!j->bar || !j->total)
		return;
	percent = (int)(j->done * 100 / j->total);
	if (percent > 100)
		percent = 100;
	if (percent == j->shown)
		return;
	j->shown = percent;
	fprintf(stderr, "\r  [%-40.*s] %3d%%", percent * 40 / 100,
		"########################################", percent);
	if (percent == 100)
		fprintf(stderr, "\r%50s\r", "");
	fflush(stderr);
}

/* Writes what has been gathered. */
static int flush_out(struct scan_job *j)
{
	struct slice s = buf_slice(&j->out);
	int r = fwrite(s.ptr, 1, s.len, stdout) == s.len ? 0 : -EIO;

	buf_clear(&j->out);
	return r;
}

static int scan_text(struct scan_job *j, struct slice text, struct findings *f)
{
	*f = (struct findings){ .arena = &j->arena };
	return dlp_scan(j->dlp, j->scratch, text, (struct slice){ 0 }, 0, f);
}

static int spans_write(struct scan_job *j, const struct findings *f)
{
	int r = buf_str(&j->out, "[");

	for (size_t i = 0; r == 0 && i < f->n; i++)
		r = buf_printf(&j->out, "%s{\"start\": %u, \"end\": %u, \"type\": \"%s\"}",
			       i ? ", " : "", f->items[i].start, f->items[i].end,
			       dlp_type_name(j->dlp, f->items[i].type));
	return r < 0 ? r : buf_str(&j->out, "]");
}

/* One line of --jsonl. The id is echoed as it came, whatever JSON value it is. */
static int line_scan(struct scan_job *j, struct slice line)
{
	json_error_t why;
	json_t *o = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, &why);
	const json_t *text = json_object_get(o, "text"), *id = json_object_get(o, "id");
	cleanup(freep) char *id_text = id ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
	struct findings f;
	int r;

	if (!json_is_string(text)) {
		fprintf(stderr, "sallyport scan: line %zu: %s\n", j->line_no,
			o ? "has no \"text\" that is a string" : why.text);
		json_decref(o);
		return -EINVAL;
	}
	r = scan_text(j, slice_of(json_string_value(text), json_string_length(text)), &f);
	json_decref(o);
	if (r == 0)
		r = buf_printf(&j->out, "{\"id\": ");
	if (r == 0)
		r = buf_str(&j->out, id_text ? id_text : "null");
	if (r == 0)
		r = buf_str(&j->out, ", \"spans\": ");
	if (r == 0)
		r = spans_write(j, &f);
	if (r == 0)
		r = buf_str(&j->out, "}\n");
	arena_reset(&j->arena);
	return r < 0 ? r : flush_out(j);
}

/* "sk-a...(51)": the first characters and the length. */
static const char *preview(struct scan_job *j, struct slice value)
{
	char safe[PREVIEW + 1];
	size_t n = value.len >= 4 * PREVIEW ? PREVIEW : value.len >= 8 ? 2 : 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		safe[i] = c > 0x20 && c < 0x7f ? value.ptr[i] : '?';
	}
	safe[n] = '\0';
	return arena_printf(&j->arena, "%s... (%zu bytes)", safe, value.len).ptr;
}

static int table_write(struct scan_job *j, struct slice text, const struct findings *f)
{
	static const char *const headers[] = { ">LINE", ">COLUMN", "TYPE", ">CONFIDENCE", "VALUE" };
	const char **cells = arena_array(&j->arena, const char *, f->n * 5 + 1);
	size_t line = 1, bol = 0, at = 0;

	if (!cells)
		return -ENOMEM;
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *one = &f->items[i];

		for (; at < one->start; at++)
			if (text.ptr[at] == '\n') {
				line++;
				bol = at + 1;
			}
		cells[i * 5] = arena_printf(&j->arena, "%zu", line).ptr;
		cells[i * 5 + 1] = arena_printf(&j->arena, "%zu", one->start - bol + 1).ptr;
		cells[i * 5 + 2] = dlp_type_name(j->dlp, one->type);
		cells[i * 5 + 3] = arena_printf(&j->arena, "%u", one->confidence).ptr;
		cells[i * 5 + 4] = preview(j, slice_sub(text, one->start, one->end));
		if (!cells[i * 5] || !cells[i * 5 + 1] || !cells[i * 5 + 3] || !cells[i * 5 + 4])
			return -ENOMEM;
	}
	if (f->n)
		out_table(headers, 5, cells, f->n);
	else
		puts("nothing found");
	return 0;
}

static int whole_scan(struct scan_job *j, int fd)
{
	cleanup(buf_done) struct buf text;
	struct findings f;
	int r;

	buf_init(&text, LINE_MAX_BYTES);
	r = file_read_fd(fd, &text);
	if (r < 0)
		return r;
	r = scan_text(j, buf_slice(&text), &f);
	if (r < 0)
		return r;
	j->found = f.n;
	if (j->output == OUT_TABLE)
		return table_write(j, buf_slice(&text), &f);
	r = spans_write(j, &f);
	if (r == 0)
		r = buf_str(&j->out, "\n");
	return r < 0 ? r : flush_out(j);
}

static int lines_scan(struct scan_job *j, int fd)
{
	cleanup(buf_done) struct buf in;
	size_t seen = 0; /* bytes known to hold no line end */
	ssize_t n;

	buf_init(&in, LINE_MAX_BYTES + CHUNK);
	do {
		struct slice have;
		const char *end;
		int r = buf_reserve(&in, CHUNK);

		if (r < 0)
			return r == -ENOBUFS ? -EMSGSIZE : r;
		n = read(fd, in.data + in.len, CHUNK);
		if (n < 0)
			return -errno;
		in.len += (size_t)n;
		progress(j, (size_t)n);
		while (have = buf_slice(&in),
		       (end = have.len > seen ? memchr(have.ptr + seen, '\n', have.len - seen)
					      : NULL)) {
			j->line_no++;
			r = end == have.ptr
				    ? 0
				    : line_scan(j, slice_of(have.ptr, (size_t)(end - have.ptr)));
			if (r < 0)
				return r;
			buf_consume(&in, (size_t)(end - have.ptr) + 1);
			seen = 0;
		}
		seen = have.len;
	} while (n > 0);
	j->line_no++;
	return buf_size(&in) ? line_scan(j, buf_slice(&in)) : 0;
}

static int engine_open(struct scan_job *j, const char *detectors)
{
	cleanup(buf_done) struct buf own;
	cleanup(mistakes_done) struct mistakes m;
	struct slice json = { 0 };
	int r = 0;

	buf_init(&own, 4u << 20);
	mistakes_init(&m, detectors ? detectors : "detectors");
	if (detectors) {
		r = file_read(detectors, &own);
		if (r < 0) {
			fprintf(stderr, "sallyport scan: %s: %s\n", detectors, strerror(-r));
			return r;
		}
		json = buf_size(&own) ? buf_slice(&own) : SLICE("");
	}
	r = dlp_new(json, &m, &j->dlp);
	if (r < 0) {
		struct slice why = buf_slice(&m.text);

		fprintf(stderr, "%.*s", SLICE_FMT(why));
		return r;
	}
	return dlp_scratch_new(j->dlp, &j->scratch);
}

static int job_run(struct scan_job *j, const char *path)
{
	cleanup(closep) int fd = -1;
	struct stat st;
	int r;

	fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "sallyport scan: %s: %s\n", path, strerror(errno));
		return EXIT_SYSTEM;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		j->total = (uint64_t)st.st_size;
	j->bar = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) && j->total > (8u << 20);
	r = j->output == OUT_JSONL ? lines_scan(j, fd) : whole_scan(j, fd);
	if (r == 0 && fflush(stdout) != 0)
		r = -EIO;
	if (r == -EMSGSIZE || r == -EFBIG || r == -ENOBUFS)
		fprintf(stderr, "sallyport scan: %s: a text is over %u MiB; cut it\n", path,
			LINE_MAX_BYTES >> 20);
	else if (r < 0 && r != -EINVAL)
		fprintf(stderr, "sallyport scan: %s: %s\n", path, strerror(-r));
	if (r < 0)
		return r == -EINVAL ? EXIT_USAGE : EXIT_SYSTEM;
	return j->output != OUT_JSONL && j->found ? EXIT_NO : EXIT_FINE;
}

int cmd_scan(int argc, char **argv)
{
	static const struct option options[] = {
		{ "jsonl", no_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "detectors", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct scan_job j = { .shown = -1 };
	const char *detectors = NULL;
	int c, status;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return help();
		if (c == 'l')
			j.output = OUT_JSONL;
		else if (c == 'j')
			j.output = OUT_JSON;
		else if (c == 'd')
			detectors = optarg;
		else
			return cli_usage("scan", "unknown option or missing argument");
	}
	if (optind + 1 < argc)
		return cli_usage("scan", "one file, not %d", argc - optind);
	arena_init(&j.arena, 1u << 30);
	buf_init(&j.out, 1u << 30);
	c = engine_open(&j, detectors);
	if (c == 0)
		status = job_run(&j, optind < argc ? argv[optind] : "-");
	else
		status = c == -EINVAL ? EXIT_USAGE : EXIT_SYSTEM;
	dlp_scratch_free(j.scratch);
	dlp_unref(j.dlp);
	arena_done(&j.arena);
	buf_done(&j.out);
	return status;
}
