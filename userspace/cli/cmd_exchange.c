/* sallyport exchange: recorded exchanges in, what we would see of each out. */
#include "base/file.h"
#include "cli/cli.h"
#include "cli/exchange.h"
#include "cli/policies.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (512U << 20)
#define LINE_OUT_MAX (16U << 20)

static const char usage_text[] =
	"usage: sallyport exchange [--jsonl] [--policy FILE] [F|-]\n\n"
	"Reads a recorded exchange (JSON: url, method, request_body, response_status,\n"
	"response_headers, response_body) as the daemon would and prints one JSON line: dialect,\n"
	"model, usage, cost, tool calls, findings, decision. Counts are what the wire says, null\n"
	"where it is silent; the cost then rests on an estimate and says so.\n\n"
	"  --jsonl           one exchange a line\n"
	"  --policy FILE     decide by this policy (for a caller nobody knows); else \"allow\"\n"
	"  --catalog FILE    instead of providers.json in the usual places\n"
	"  --prices FILE     instead of prices.json\n"
	"  --detectors FILE  your own DLP patterns as well\n";

struct options {
	bool jsonl;
	const char *policy, *catalog, *prices, *detectors;
};

struct loaded {
	struct catalog *catalog;
	struct prices *prices;
	struct dlp *dlp;
	struct dlp_scratch *scratch;
	struct policy *policy;
};

static void loaded_done(struct loaded *l)
{
	policy_unref(l->policy);
	dlp_scratch_free(l->scratch);
	dlp_unref(l->dlp);
	prices_unref(l->prices);
	catalog_unref(l->catalog);
}

static bool provider_exists(void *ctx, const char *id)
{
	return catalog_provider_id(ctx, id) != NULL;
}

/* Reads an optional file and hands it to one of the two loaders below. */
static int load_file(const char *path, struct loaded *l,
		     int (*fn)(struct slice json, struct mistakes *m, struct loaded *l))
{
	struct mistakes m;
	struct buf text;
	int r = 0, status = EXIT_FINE;

	buf_init(&text, FILE_MAX_BYTES);
	mistakes_init(&m, path ? path : "");
	if (path)
		r = file_read(path, &text);
	if (r == 0)
		r = fn(path ? buf_slice(&text) : slice_of(NULL, 0), &m, l);
	if (m.n) {
		fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&m.text)));
		status = EXIT_NO;
	} else if (r < 0) {
		fprintf(stderr, "sallyport exchange: %s: %s\n", path ? path : "detectors",
			strerror(-r));
		status = EXIT_SYSTEM;
	}
	mistakes_done(&m);
	buf_done(&text);
	return status;
}

static int load_dlp(struct slice json, struct mistakes *m, struct loaded *l)
{
	int r = dlp_new(json, m, &l->dlp);

	return r ? r : dlp_scratch_new(l->dlp, &l->scratch);
}

static int load_policy(struct slice json, struct mistakes *m, struct loaded *l)
{
	struct policy_names names = { provider_exists, l->catalog };

	return policy_load(json, l->dlp, &names, -1, m, &l->policy);
}

static int load_all(const struct options *o, struct loaded *l)
{
	int status = policies_catalog("exchange", o->catalog, &l->catalog);

	if (status == EXIT_FINE)
		status = policies_prices("exchange", o->prices, &l->prices);
	if (status == EXIT_FINE)
		status = load_file(o->detectors, l, load_dlp);
	if (status == EXIT_FINE && o->policy)
		status = load_file(o->policy, l, load_policy);
	return status;
}

/* One exchange; `line` for the message, 0 for a file that is one object. */
static int one(struct slice text, size_t line, const struct exchange_rules *rules)
{
	char where[32] = "";
	json_error_t e;
	json_t *json = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, &e);
	struct exchange x;
	struct buf out;
	int r;

	if (line)
		(void)snprintf(where, sizeof(where), "line %zu: ", line);
	if (!json) {
		fprintf(stderr, "sallyport exchange: %s%s (column %d)\n", where, e.text, e.column);
		return -EINVAL;
	}
	buf_init(&out, LINE_OUT_MAX);
	r = exchange_read(json, rules, &x);
	if (r == 0)
		r = exchange_write(&x, rules, &out);
	if (r == 0 && fwrite(out.data + out.off, 1, buf_size(&out), stdout) != buf_size(&out))
		r = -errno;
	if (r < 0)
		fprintf(stderr, "sallyport exchange: %scannot be read as an exchange: %s\n", where,
			strerror(-r));
	exchange_done(&x);
	buf_done(&out);
	json_decref(json);
	return r;
}

static int lines(FILE *in, const struct exchange_rules *rules)
{
	char *text = NULL;
	size_t cap = 0, n = 0, bad = 0;
	ssize_t len;

	while ((len = getline(&text, &cap, in)) >= 0) {
		n++;
		if (len > 1 && one(slice_of(text, (size_t)len), n, rules) < 0)
			bad++;
	}
	free(text);
	return bad ? EXIT_NO : EXIT_FINE;
}

static int whole(FILE *in, const struct exchange_rules *rules)
{
	struct buf text;
	int r;

	buf_init(&text, FILE_MAX_BYTES);
	r = file_read_fd(fileno(in), &text);
	if (r < 0)
		fprintf(stderr, "sallyport exchange: %s\n", strerror(-r));
	else
		r = one(buf_slice(&text), 0, rules) < 0 ? 1 : 0;
	buf_done(&text);
	return r < 0 ? EXIT_SYSTEM : r ? EXIT_NO : EXIT_FINE;
}

static int run(const struct options *o, const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct loaded l = { 0 };
	int status;

	if (!in) {
		fprintf(stderr, "sallyport exchange: %s: %s\n", path, strerror(errno));
		return EXIT_SYSTEM;
	}
	status = load_all(o, &l);
	if (status == EXIT_FINE) {
		struct exchange_rules rules = { l.catalog, l.prices, l.dlp, l.scratch, l.policy };

		status = o->jsonl ? lines(in, &rules) : whole(in, &rules);
	}
	if (fflush(stdout) != 0)
		status = EXIT_SYSTEM;
	loaded_done(&l);
	if (in != stdin)
		(void)fclose(in);
	return status;
}

int cmd_exchange(int argc, char **argv)
{
	static const struct option options[] = { { "jsonl", no_argument, NULL, 'l' },
						 { "json", no_argument, NULL, 'j' },
						 { "policy", required_argument, NULL, 'p' },
						 { "catalog", required_argument, NULL, 'c' },
						 { "prices", required_argument, NULL, 'P' },
						 { "detectors", required_argument, NULL, 'd' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct options o = { 0 };
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		switch (opt) {
		case 'l':
			o.jsonl = true;
			break;
		case 'j': /* JSON is what it prints */
			break;
		case 'p':
			o.policy = optarg;
			break;
		case 'c':
			o.catalog = optarg;
			break;
		case 'P':
			o.prices = optarg;
			break;
		case 'd':
			o.detectors = optarg;
			break;
		case 'h':
			return printf("%s", usage_text) < 0 ? EXIT_SYSTEM : EXIT_FINE;
		default:
			return EXIT_USAGE;
		}
	}
	if (argc - optind > 1)
		return cli_usage("exchange", "one file at most");
	return run(&o, optind < argc ? argv[optind] : "-");
}
