/* sallyport budget: what each budget of the policy has spent in its window, from the shared table
 * (exact to the request) or, where no daemon keeps one, from the ledger. */
#include "cli/cli.h"
#include "cli/policy_file.h"

#include "base/clock.h"
#include "spend/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STATE_DIR "/var/lib/sallyport"

static const char usage_text[] =
	"usage: sallyport budget [--policy FILE] [--state DIR] [--json]\n\n"
	"What every budget of the policy has spent in the day or month that runs, what requests in "
	"flight\n"
	"have reserved, and the limit. Windows are UTC. CALLER is the caller's key (sallyport "
	"callers).\n\n"
	"  --policy FILE   this file instead of policy.json in the usual places\n"
	"  --state DIR     where the daemon keeps ledger.db and budgets.shm (" STATE_DIR ")\n"
	"  --json          one JSON object a line\n";

struct row {
	const struct budget_rule *rule;
	struct budget_account account;
	struct budget_state state;
	int64_t requests; /* -1 unknown */
};

struct listing {
	struct db *db;		    /* NULL: none */
	struct budget_table *table; /* NULL: none */
	struct row *rows;
	size_t n, cap;
	const struct budget_rule *rule; /* whose accounts are being collected */
};

static struct row *row_add(struct listing *l, const struct budget_account *a)
{
	struct row *rows;

	for (size_t i = 0; i < l->n; i++)
		if (l->rows[i].rule == l->rule && l->rows[i].account.caller == a->caller)
			return &l->rows[i];
	if (l->n == l->cap) {
		rows = realloc(l->rows, (l->cap ? l->cap * 2 : 16) * sizeof(*rows));
		if (!rows)
			return NULL;
		l->rows = rows;
		l->cap = l->cap ? l->cap * 2 : 16;
	}
	l->rows[l->n] = (struct row){ .rule = l->rule, .account = *a, .requests = -1 };
	return &l->rows[l->n++];
}

static int row_booked(void *ctx, const struct budget_account *a, int64_t microusd, int64_t tokens,
		      int64_t requests)
{
	struct row *r = row_add(ctx, a);

	if (!r)
		return -ENOMEM;
	r->requests = requests;
	r->state.spent_microusd = microusd;
	r->state.spent_tokens = tokens;
	return 0;
}

/* The table is ahead of the ledger by what the recorder has still to book. */
static int rows_of_table(struct listing *l, uint64_t window_s)
{
	struct budget_account a;
	struct budget_state s;
	uint32_t at = 0;

	while (l->table && budget_next(l->table, &at, &a, &s)) {
		struct row *r;

		if (a.window_s != window_s || strcmp(a.id, l->rule->id) != 0)
			continue;
		r = row_add(l, &a);
		if (!r)
			return -ENOMEM;
		s.spent_microusd = MAX(s.spent_microusd, r->state.spent_microusd);
		s.spent_tokens = MAX(s.spent_tokens, r->state.spent_tokens);
		r->state = s;
	}
	return 0;
}

static int rows_collect(struct listing *l, const struct policy *p, uint64_t now_s)
{
	const struct budget_rule *rules;
	size_t n = policy_all_budgets(p, &rules);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct budget_account shared = { .window_s =
							 budget_window_s(rules[i].monthly, now_s) };
		size_t before = l->n;

		l->rule = &rules[i];
		slice_copy(shared.id, sizeof(shared.id), slice_str(rules[i].id));
		if (l->db)
			r = ledger_each(l->db, rules[i].id, shared.window_s, row_booked, l);
		if (r == 0)
			r = rows_of_table(l, shared.window_s);
		if (r == 0 && l->n == before && !row_add(l, &shared))
			r = -ENOMEM;
	}
	return r;
}

/* Per cent of the limit that is nearer; -1 without a limit. */
static int64_t percent(const struct row *r)
{
	int64_t usd = -1, tokens = -1;

	if (r->rule->limit_microusd > 0)
		usd = (int64_t)((__int128)r->state.spent_microusd * 100 / r->rule->limit_microusd);
	if (r->rule->limit_tokens > 0)
		tokens = (int64_t)((__int128)r->state.spent_tokens * 100 / r->rule->limit_tokens);
	if (r->rule->limit_microusd == 0 || r->rule->limit_tokens == 0)
		return 100;
	return MAX(usd, tokens);
}

/* "50.00", "0.001230": cents, and the rest only where there is one. */
static const char *money(struct arena *a, int64_t microusd)
{
	if (microusd < 0)
		return NULL;
	if (microusd % 10000 == 0)
		return arena_printf(a, "%" PRId64 ".%02" PRId64, microusd / 1000000,
				    microusd / 10000 % 100)
			.ptr;
	return arena_printf(a, "%" PRId64 ".%06" PRId64, microusd / 1000000, microusd % 1000000)
		.ptr;
}

static const char *count(struct arena *a, int64_t n)
{
	return n < 0 ? NULL : arena_printf(a, "%" PRId64, n).ptr;
}

static const char *caller(struct arena *a, const struct row *r)
{
	if (!r->rule->each)
		return "all";
	return r->account.caller ? arena_printf(a, "%016" PRIx64, r->account.caller).ptr : NULL;
}

static void print_table(const struct listing *l)
{
	static const char *const headers[] = { "BUDGET",    "SINCE",  "CALLER",	 ">USD",
					       ">RESERVED", ">LIMIT", ">TOKENS", ">RESERVED",
					       ">LIMIT",    ">USED" };
	const size_t columns = ARRAY_LEN(headers);
	const char **cells = calloc(l->n * columns + 1, sizeof(*cells));
	struct arena a;

	arena_init(&a, 64U << 20);
	for (size_t i = 0; cells && i < l->n; i++) {
		const struct row *r = &l->rows[i];
		const char **c = cells + i * columns;
		char since[CLOCK_TEXT_LEN];
		int64_t used = percent(r);

		clock_format(r->account.window_s * 1000000000ULL, since);
		c[0] = r->rule->id;
		c[1] = arena_dup(&a, slice_of(since, 10)).ptr;
		c[2] = caller(&a, r);
		c[3] = money(&a, r->state.spent_microusd);
		c[4] = money(&a, r->state.reserved_microusd);
		c[5] = money(&a, r->rule->limit_microusd);
		c[6] = count(&a, r->state.spent_tokens);
		c[7] = count(&a, r->state.reserved_tokens);
		c[8] = count(&a, r->rule->limit_tokens);
		c[9] = arena_printf(&a, "%" PRId64 "%%", used).ptr;
	}
	if (cells)
		out_table(headers, columns, cells, l->n);
	free(cells);
	arena_done(&a);
}

static void print_limit(const char *key, int64_t value)
{
	if (value < 0)
		printf(",\"%s\":null", key);
	else
		printf(",\"%s\":%" PRId64, key, value);
}

static void print_json(const struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct row *r = &l->rows[i];
		char since[CLOCK_TEXT_LEN];

		clock_format(r->account.window_s * 1000000000ULL, since);
		/* ids are letters, digits, '.', '_' and '-': policy_load() saw to it */
		printf("{\"budget\":\"%s\",\"per\":\"%s\",\"since\":\"%s\",\"caller\":",
		       r->rule->id, r->rule->monthly ? "month" : "day", since);
		if (r->rule->each && r->account.caller)
			printf("\"%016" PRIx64 "\"", r->account.caller);
		else
			printf("null");
		printf(",\"spent_microusd\":%" PRId64 ",\"reserved_microusd\":%" PRId64,
		       r->state.spent_microusd, r->state.reserved_microusd);
		print_limit("limit_microusd", r->rule->limit_microusd);
		printf(",\"spent_tokens\":%" PRId64 ",\"reserved_tokens\":%" PRId64,
		       r->state.spent_tokens, r->state.reserved_tokens);
		print_limit("limit_tokens", r->rule->limit_tokens);
		print_limit("requests", r->requests);
		printf(",\"used_percent\":%" PRId64 ",\"warn_percent\":%u,\"at_limit\":",
		       percent(r), r->rule->warn_percent);
		if (r->rule->downgrade) {
			struct buf b;

			buf_init(&b, 4096);
			(void)jwrite_string(&b, slice_str(r->rule->downgrade));
			printf("{\"downgrade\":%.*s}}\n", SLICE_FMT(buf_slice(&b)));
			buf_done(&b);
		} else {
			printf("\"block\"}\n");
		}
	}
}

/* 0 or -errno; what is not there stays NULL. */
static int state_open(struct listing *l, const char *dir)
{
	char path[PATH_MAX];
	int fd, r;

	(void)snprintf(path, sizeof(path), "%s/ledger.db", dir);
	r = access(path, F_OK) == 0 ? db_open(path, true, &l->db) : 0;
	if (r < 0) {
		fprintf(stderr, "sallyport budget: %s: %s\n", path, strerror(-r));
		return r;
	}
	(void)snprintf(path, sizeof(path), "%s/budgets.shm", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	r = fd < 0 ? -errno : budget_table_map(fd, &l->table);
	if (fd >= 0)
		(void)close(fd);
	if (r < 0)
		fprintf(stderr, "sallyport budget: %s: %s\n", path,
			r == -EBADMSG ? "is no table of this version" : strerror(-r));
	return r;
}

static int budgets(const struct policy *p, const char *dir, bool json)
{
	struct listing l = { 0 };
	int r = state_open(&l, dir);

	if (r == 0 && !l.db && !l.table)
		fprintf(stderr,
			"sallyport budget: nothing recorded in %s yet; has the daemon run?\n", dir);
	if (r == 0) {
		r = rows_collect(&l, p, clock_wall_ns() / 1000000000ULL);
		if (r < 0)
			fprintf(stderr, "sallyport budget: %s/ledger.db: %s\n", dir,
				r == -ENOMEM ? "out of memory" : db_error(l.db));
	}
	if (r == 0 && l.n == 0)
		fprintf(stderr,
			"sallyport budget: the policy declares no budgets (sallyport-policy(5))\n");
	if (r == 0 && json)
		print_json(&l);
	else if (r == 0 && l.n)
		print_table(&l);
	budget_table_close(l.table);
	db_close(l.db);
	free(l.rows);
	return r < 0 ? EXIT_SYSTEM : EXIT_FINE;
}

int cmd_budget(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "policy", required_argument, NULL, 'p' },
		{ "state", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	const char *policy = NULL, *state = STATE_DIR;
	struct policy_file f;
	bool json = false;
	int option, status;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			printf("%s", usage_text);
			return EXIT_FINE;
		case 'j':
			json = true;
			break;
		case 'p':
			policy = optarg;
			break;
		case 's':
			state = optarg;
			break;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		return cli_usage("budget", "cannot read \"%s\"", argv[optind]);
	status = policy_file_load("budget", policy, &f);
	if (status == EXIT_NO) {
		fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&f.mistakes.text)));
		status = EXIT_SYSTEM;
	} else if (status == EXIT_FINE) {
		status = budgets(f.policy, state, json);
	}
	policy_file_done(&f);
	return status;
}
