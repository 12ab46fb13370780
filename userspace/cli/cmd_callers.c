/* sallyport callers: the inventory, who uses which AI provider and model. */
#include "cli/cli.h"
#include "cli/logview.h"

#include "base/arena.h"
#include "base/clock.h"
#include "discover/inventory.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS 10

static const char usage_text[] =
	"usage: sallyport callers [--since T] [--state DIR] [--json]\n\n"
	"Every caller that was seen with an AI provider, latest first: who, which model, how often, how\n"
	"much, and whether a rule names that use as approved.\n\n"
	"  --since T     seen in the last 7d, 12h, or since 2026-11-20\n"
	"  --state DIR   where the daemon keeps ledger.db (" STATE_DIR ")\n"
	"  --json        one JSON object a line, with all fields\n";

struct table {
	struct arena arena;
	const char **cells;
	size_t n, cap; /* rows */
};

static const char *time_text(struct arena *a, uint64_t ns)
{
	char text[CLOCK_TEXT_LEN];

	clock_format(ns, text);
	text[16] = '\0';
	text[10] = ' ';
	return arena_dup(a, slice_str(text)).ptr;
}

static const char *caller_text(struct arena *a, const struct inventory_row *row)
{
	const char *exe = strrchr(row->exe, '/');
	const char *where = row->container[0] ? row->container : row->unit;

	exe = exe && exe[1] ? exe + 1 : row->exe[0] ? row->exe : "?";
	return arena_printf(a, "%.*s%s%s", row->container[0] ? 12 : 60, where, *where ? " " : "",
			    exe).ptr;
}

static const char *state_text(const struct inventory_row *row)
{
	if (row->distrust)
		return "no trust";
	if (row->sanctioned)
		return "yes";
	return row->exchanges + row->blocked + row->spliced ? "no" : "seen only";
}

static int cells_add(void *arg, const struct inventory_row *row)
{
	struct table *t = arg;
	struct arena *a = &t->arena;
	const char **c;
	char cost[32];

	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;

		c = realloc(t->cells, cap * COLUMNS * sizeof(*c));
		if (!c)
			return -ENOMEM;
		t->cells = c;
		t->cap = cap;
	}
	c = t->cells + t->n++ * COLUMNS;
	logview_money(row->cost_microusd, cost);
	c[0] = caller_text(a, row);
	c[1] = row->user[0] ? arena_dup(a, slice_str(row->user)).ptr :
			      arena_printf(a, "uid %u", row->uid).ptr;
	c[2] = arena_dup(a, slice_str(row->provider[0] ? row->provider : row->hosts)).ptr;
	c[3] = row->model[0] ? arena_dup(a, slice_str(row->model)).ptr : NULL;
	c[4] = arena_printf(a, "%" PRId64, row->exchanges + row->spliced + row->seen).ptr;
	c[5] = arena_printf(a, "%" PRId64, row->tokens_in + row->tokens_out).ptr;
	c[6] = arena_dup(a, slice_str(cost)).ptr;
	c[7] = time_text(a, row->last_ns);
	c[8] = state_text(row);
	c[9] = arena_printf(a, "%016" PRIx64, row->caller).ptr;
	return 0;
}

static void put_text(struct buf *out, const char *key, const char *value)
{
	(void)buf_printf(out, ",\"%s\":", key);
	(void)jwrite_string(out, slice_str(value));
}

static void put_int(struct buf *out, const char *key, int64_t value)
{
	(void)buf_printf(out, ",\"%s\":%" PRId64, key, value);
}

static int json_row(void *arg, const struct inventory_row *row)
{
	char first[CLOCK_TEXT_LEN], last[CLOCK_TEXT_LEN];
	struct buf *out = arg;

	clock_format(row->first_ns, first);
	clock_format(row->last_ns, last);
	buf_clear(out);
	(void)buf_printf(out, "{\"caller\":\"%016" PRIx64 "\"", row->caller);
	put_text(out, "provider", row->provider);
	put_text(out, "endpoint", row->endpoint);
	put_text(out, "model", row->model);
	put_text(out, "hosts", row->hosts);
	put_int(out, "uid", row->uid);
	put_text(out, "user", row->user);
	put_text(out, "exe", row->exe);
	put_text(out, "digest", row->digest);
	put_text(out, "unit", row->unit);
	put_text(out, "slice", row->slice);
	put_text(out, "container", row->container);
	put_text(out, "first_seen", first);
	put_text(out, "last_seen", last);
	put_int(out, "exchanges", row->exchanges);
	put_int(out, "blocked", row->blocked);
	put_int(out, "redacted", row->redacted);
	put_int(out, "spliced", row->spliced);
	put_int(out, "seen", row->seen);
	put_int(out, "bytes_out", row->bytes_out);
	put_int(out, "bytes_in", row->bytes_in);
	put_int(out, "tokens_in", row->tokens_in);
	put_int(out, "tokens_out", row->tokens_out);
	put_int(out, "cost_microusd", row->cost_microusd);
	put_text(out, "reason", row->reason);
	(void)buf_printf(out, ",\"sanctioned\":%s,\"distrust\":%s}\n",
			 row->sanctioned ? "true" : "false", row->distrust ? "true" : "false");
	return fwrite(out->data + out->off, 1, buf_size(out), stdout) == buf_size(out) ? 0 : -EIO;
}

static int table_print(struct db *d, uint64_t since_ns)
{
	static const char *const headers[COLUMNS] = { "CALLER", "USER",	  "PROVIDER", "MODEL",	 ">CALLS",
						      ">TOKENS", ">COST", "LAST SEEN", "APPROVED",
						      "KEY" };
	struct table t = { 0 };
	int r;

	arena_init(&t.arena, 64U << 20);
	r = inventory_rows(d, since_ns, cells_add, &t);
	if (r == 0 && t.n)
		out_table(headers, COLUMNS, t.cells, t.n);
	else if (r == 0)
		puts("nobody has been seen with an AI provider yet");
	free(t.cells);
	arena_done(&t.arena);
	return r;
}

static int callers(const char *state, uint64_t since_ns, bool json)
{
	cleanup(db_closep) struct db *db = NULL;
	char path[PATH_MAX];
	struct buf out;
	int r;

	if ((size_t)snprintf(path, sizeof(path), "%s/" LEDGER_NAME, state) >= sizeof(path))
		return cli_usage("callers", "--state is too long");
	r = db_open(path, true, &db);
	buf_init(&out, 64U << 10);
	if (r == 0)
		r = json ? inventory_rows(db, since_ns, json_row, &out) : table_print(db, since_ns);
	buf_done(&out);
	if (r == 0)
		return EXIT_FINE;
	fprintf(stderr, "sallyport callers: %s: %s%s%s\n", path, strerror(-r), r == -EIO ? ": " : "",
		r == -EIO ? db_error(db) :
		r == -ENOENT ? "; has the daemon run? --state DIR names its folder" : "");
	return EXIT_SYSTEM;
}

int cmd_callers(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "since", required_argument, NULL, 's' }, { "state", required_argument, NULL, 'S' },
		{ "json", no_argument, NULL, 'j' },	   { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *state = STATE_DIR;
	uint64_t since_ns = 0;
	bool json = false;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			if (since_parse(optarg, clock_wall_ns(), &since_ns) < 0)
				return cli_usage("callers", "--since %s: say 7d, 12h or 2026-11-20",
						 optarg);
			break;
		case 'S': state = optarg; break;
		case 'j': json = true; break;
		case 'h': fputs(usage_text, stdout); return EXIT_FINE;
		default: return cli_usage("callers", "unknown option");
		}
	}
	if (optind < argc)
		return cli_usage("callers", "takes options only");
	return callers(state, since_ns, json);
}
