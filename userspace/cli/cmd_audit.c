/* sallyport audit: verify the chain, search the records. */
#include "cli/cli.h"
#include "cli/logview.h"

#include "audit/anchor.h"
#include "audit/writer.h"
#include "base/clock.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEARCH_LIMIT 1000

static const char usage_text[] =
	"usage: sallyport audit verify [F] [--state DIR] [--json]\n"
	"       sallyport audit search [FILTERS] [--limit N] [--state DIR] [--json]\n\n"
	"verify  reads the audit log from its first line and names the first one that was changed,\n"
	"        cut out, added or moved; without F all files of the log in the state folder, and\n"
	"        that its end is where the recorder left it. Exit status 1: a bad line was found.\n"
	"search  prints the records that match, oldest first. FILTERS are globs (\"*\", \"?\"):\n\n"
	"  --user U       user name or uid        --provider P   \"openai\"\n"
	"  --exe E        path of the program     --model M      \"gpt-4*\"\n"
	"  --unit U       systemd unit            --action A     allowed, redacted, blocked, cut,\n"
	"  --since T      7d, 12h, 2026-11-20                    failed; or seen, spliced, refused, admin\n"
	"  --limit N      the last N that match (1000)\n"
	"  --state DIR    where the daemon keeps audit.jsonl (" STATE_DIR ")\n"
	"  --json         JSON lines as they stand in the log; verify: one object a file\n";

struct audit_options {
	const char *state;
	struct log_filter filter;
	uint64_t limit;
	bool json, help;
};

static int options_read(struct audit_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "user", required_argument, NULL, 'u' },     { "exe", required_argument, NULL, 'e' },
		{ "unit", required_argument, NULL, 'U' },     { "provider", required_argument, NULL, 'p' },
		{ "model", required_argument, NULL, 'm' },    { "action", required_argument, NULL, 'a' },
		{ "since", required_argument, NULL, 's' },    { "limit", required_argument, NULL, 'n' },
		{ "state", required_argument, NULL, 'S' },    { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },	      { 0 },
	};
	char *end;
	int c;

	*o = (struct audit_options){ .state = STATE_DIR, .limit = SEARCH_LIMIT };
	optind = 0;
	while ((c = getopt_long(argc, argv, "n:h", longs, NULL)) != -1) {
		switch (c) {
		case 'u': o->filter.user = optarg; break;
		case 'e': o->filter.exe = optarg; break;
		case 'U': o->filter.unit = optarg; break;
		case 'p': o->filter.provider = optarg; break;
		case 'm': o->filter.model = optarg; break;
		case 'a': o->filter.action = optarg; break;
		case 'S': o->state = optarg; break;
		case 'j': o->json = true; break;
		case 'h': o->help = true; break;
		case 's':
			if (since_parse(optarg, clock_wall_ns(), &o->filter.since_ns) < 0)
				return cli_usage("audit", "--since %s: say 7d, 12h or 2026-11-20", optarg);
			break;
		case 'n':
			o->limit = strtoull(optarg, &end, 10);
			if (*end || !o->limit)
				return cli_usage("audit", "--limit %s: a number from 1", optarg);
			break;
		default:
			return cli_usage("audit", "unknown option");
		}
	}
	return EXIT_FINE;
}

static int log_path(const struct audit_options *o, char path[PATH_MAX], const char *name)
{
	return (size_t)snprintf(path, PATH_MAX, "%s/%s", o->state, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int failed(const char *path, int r)
{
	fprintf(stderr, "sallyport audit: %s: %s%s\n", path, strerror(-r),
		r == -ENOENT ? "; has the daemon run? --state DIR names its folder" :
		r == -EACCES ? "; run as root or as a member of the log's group" : "");
	return EXIT_SYSTEM;
}

/* ---- verify ---- */

static void verdict_print(const char *path, const struct chain_verdict *v, bool json)
{
	if (json) {
		struct buf name;

		buf_init(&name, PATH_MAX * 6 + 2);
		(void)jwrite_string(&name, slice_str(path));
		printf("{\"file\":%.*s,\"lines\":%llu,\"good\":%s,\"last_seq\":%llu",
		       SLICE_FMT(buf_slice(&name)), (unsigned long long)v->lines,
		       v->what ? "false" : "true", (unsigned long long)v->end.seq);
		if (v->what)
			printf(",\"first_bad\":%llu,\"what\":\"%s\"", (unsigned long long)v->first_bad,
			       v->what);
		printf("}\n");
		buf_done(&name);
	} else if (v->first_bad) {
		printf("%s:%llu: %s%s%s\n", path, (unsigned long long)v->first_bad, out_color(COLOR_RED),
		       v->what, out_color(COLOR_NONE));
	} else if (v->what) {
		printf("%s: %s%s%s\n", path, out_color(COLOR_RED), v->what, out_color(COLOR_NONE));
	} else {
		printf("%s: %sgood%s, %llu lines, the last is number %llu\n", path,
		       out_color(COLOR_GREEN), out_color(COLOR_NONE), (unsigned long long)v->lines,
		       (unsigned long long)v->end.seq);
	}
}

static void hash_take(void *arg, const struct chain_link *line)
{
	struct chain *c = arg;

	if (line->seq == c->seq)
		slice_copy(c->hash, sizeof(c->hash), line->hash);
}

/* What the recorder knows of the log's end, asked before the log is read, as it grows. */
static int anchor_read(const struct audit_options *o, struct chain *out)
{
	cleanup(db_closep) struct db *db = NULL;
	char path[PATH_MAX];
	int r = log_path(o, path, LEDGER_NAME);

	if (r == 0)
		r = db_open(path, true, &db);
	if (r == 0)
		r = anchor_get(db, out);
	return r;
}

/* NULL: the log ends where the recorder left it, or after that. */
static const char *anchor_check(const char *path, const struct chain *anchor, const struct chain *end)
{
	struct chain at = { .seq = anchor->seq };

	if (!anchor->seq)
		return NULL;
	if (end->seq < anchor->seq)
		return "lines are missing at the end: the recorder had written more";
	if (log_since(path, anchor->seq - 1, hash_take, &at) < 0)
		return "its end could not be read again";
	return strcmp(at.hash, anchor->hash) == 0 ?
		       NULL : "written anew: the line the recorder knows has another hash";
}

static int verify_state(const struct audit_options *o)
{
	struct log_files files = { 0 };
	struct chain_verdict v = { 0 };
	struct chain anchor = { 0 };
	char path[PATH_MAX];
	int known = anchor_read(o, &anchor), r = log_path(o, path, LOG_NAME);

	if (r == 0)
		r = log_files_list(path, &files);
	if (r == 0 && !files.n)
		r = -ENOENT;
	for (size_t i = 0; i < files.n && r == 0; i++) {
		struct chain start = v.end;

		r = chain_verify(files.path[i], i ? &start : NULL, &v);
		if (r >= 0)
			verdict_print(files.path[i], &v, o->json);
	}
	log_files_done(&files);
	if (r < 0)
		return failed(path, r);
	if (r == 1)
		return EXIT_NO;
	if (known < 0) {
		fprintf(stderr, "sallyport audit: the log's end was not compared with %s/%s: %s\n",
			o->state, LEDGER_NAME, strerror(-known));
		return EXIT_FINE;
	}
	v.what = anchor_check(path, &anchor, &v.end);
	if (!v.what)
		return EXIT_FINE;
	verdict_print(path, &v, o->json);
	return EXIT_NO;
}

static int verify(const struct audit_options *o, int argc, char **argv)
{
	struct chain_verdict v;
	int r;

	if (argc > 1)
		return cli_usage("audit", "verify takes one file");
	if (argc == 0)
		return verify_state(o);
	r = chain_verify(argv[0], NULL, &v);
	if (r < 0)
		return failed(argv[0], r);
	verdict_print(argv[0], &v, o->json);
	return r == 0 ? EXIT_FINE : EXIT_NO;
}

/* ---- search ---- */

/* The last `limit` matches, as whole lines: a ring. */
struct hits {
	const struct audit_options *o;
	char **line;
	uint64_t n;
	int error;
	struct record record;
};

static void hit_take(void *arg, const struct chain_link *line)
{
	struct hits *h = arg;
	size_t len = (size_t)(line->hash.ptr + line->hash.len + 2 - line->hashed.ptr);
	char **at = &h->line[h->n % h->o->limit];

	if (h->error || logview_read(line, &h->record) < 0 ||
	    !log_filter_matches(&h->o->filter, &h->record))
		return;
	free(*at);
	*at = strndup(line->hashed.ptr, len);
	if (!*at)
		h->error = -ENOMEM;
	h->n++;
}

static int search(const struct audit_options *o, int argc)
{
	struct hits h = { .o = o };
	struct log_files files = { 0 };
	uint64_t first;
	char path[PATH_MAX];
	int r = log_path(o, path, LOG_NAME);

	if (argc)
		return cli_usage("audit", "search takes options only");
	if (r == 0)
		r = log_files_list(path, &files);
	if (r == 0 && !files.n)
		r = -ENOENT;
	log_files_done(&files);
	if (r < 0)
		return failed(path, r);
	h.line = calloc(o->limit, sizeof(*h.line));
	if (!h.line)
		return failed(path, -ENOMEM);
	if (r == 0)
		r = log_since(path, 0, hit_take, &h);
	r = r < 0 ? r : h.error;
	first = h.n > o->limit ? h.n - o->limit : 0;
	for (uint64_t i = first; i < h.n && r == 0; i++) {
		const char *text = h.line[i % o->limit];
		struct chain_link l;

		r = chain_parse(slice_str(text), &l);
		if (r == 0)
			r = logview_read(&l, &h.record);
		if (r == 0)
			r = logview_print(&l, &h.record, o->json, true);
	}
	for (uint64_t i = 0; i < o->limit; i++)
		free(h.line[i]);
	free(h.line);
	if (r < 0)
		return failed(path, r);
	if (first)
		fprintf(stderr, "sallyport audit: %llu older ones match too; --limit shows more\n",
			(unsigned long long)first);
	return h.n ? EXIT_FINE : EXIT_NO;
}

int cmd_audit(int argc, char **argv)
{
	struct audit_options o;
	int r = options_read(&o, argc, argv);

	if (r != EXIT_FINE)
		return r;
	if (o.help) {
		fputs(usage_text, stdout);
		return EXIT_FINE;
	}
	argc -= optind;
	argv += optind;
	if (argc && strcmp(argv[0], "verify") == 0)
		return verify(&o, argc - 1, argv + 1);
	if (argc && strcmp(argv[0], "search") == 0)
		return search(&o, argc - 1);
	return cli_usage("audit", "say verify or search");
}
