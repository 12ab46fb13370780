/* sallyport report: the daemon's inventory as a document. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/emit.h"
#include "cli/logview.h"
#include "cli/policy_file.h"

#include "base/clock.h"
#include "base/text.h"
#include "discover/inventory.h"
#include "spend/ledger.h"
#include "spend/prices.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUN_DIR "/run/sallyport"
#define SINCE "30d"

static const char usage_text[] =
	"usage: sallyport report [--since T] [--format html|json|csv|md] [-o FILE] [--open]\n\n"
	"Who on this node uses which AI provider: unsanctioned use first, then volume, cost, "
	"findings,\n"
	"budgets, clients that do not trust the CA, and what cannot be seen. No prompt, answer or "
	"key is\n"
	"in it. Reads what the daemon recorded; works while it runs and when it does not.\n\n"
	"      --since T       whole UTC days from the last 7d, 12h, or from 2026-11-20 (" SINCE
	")\n" EMIT_HELP "md\n"
	"      --open          show it in a browser (xdg-open); with no -o from a temporary file\n"
	"      --state DIR     where the daemon keeps " LEDGER_NAME " (" STATE_DIR ")\n"
	"      --run DIR       the daemon's control socket, for its counters (" RUN_DIR ")\n"
	"      --policy FILE   this file instead of policy.json in the usual places\n"
	"      --json          the same as --format json\n";

struct options {
	const char *format, *output, *state, *run, *policy;
	uint64_t since_ns;
	bool open;
};

/* What was only seen has been judged by no rule; ask the policy of today. */
static enum standing judge(void *ctx, const struct report_caller *c)
{
	struct principal who = { .uid = c->uid, .pid = c->pid };
	struct decision d;
	struct facts f = { .who = &who,
			   .provider = c->provider,
			   .host = slice_str(c->hosts.n ? c->hosts.item[0] : "") };

	slice_copy(who.user, sizeof(who.user), slice_str(c->user));
	slice_copy(who.exe, sizeof(who.exe), slice_str(c->exe));
	slice_copy(who.unit, sizeof(who.unit), slice_str(c->unit));
	slice_copy(who.slice, sizeof(who.slice), slice_str(c->slice));
	slice_copy(who.container, sizeof(who.container), slice_str(c->container));
	who.digest_known =
		text_unhex(slice_str(c->digest), who.digest, sizeof(who.digest)) == DIGEST_LEN;
	policy_on_connect(ctx, &f, &d);
	return d.sanctioned ? STANDING_SANCTIONED : STANDING_UNSANCTIONED;
}

/* ---- budgets ---- */

struct spending {
	const struct budget_rule *rule;
	struct report_budget *to;
};

static int64_t percent(int64_t spent, int64_t limit)
{
	if (limit < 0)
		return 0;
	return limit ? (int64_t)((__int128)spent * 100 / limit) : 100;
}

static int account_take(void *ctx, const struct budget_account *a, int64_t microusd, int64_t tokens,
			int64_t requests)
{
	const struct spending *s = ctx;

	(void)a, (void)requests;
	s->to->accounts++;
	s->to->spent_microusd += microusd;
	s->to->spent_tokens += tokens;
	s->to->percent = MAX(s->to->percent, percent(microusd, s->rule->limit_microusd));
	s->to->percent = MAX(s->to->percent, percent(tokens, s->rule->limit_tokens));
	return 0;
}

static int budgets_collect(struct report *r, struct db *d, const struct policy *p)
{
	const struct budget_rule *rules;
	size_t n = policy_all_budgets(p, &rules);
	int e = 0;

	r->budget = calloc(n + 1, sizeof(*r->budget));
	if (!r->budget)
		return -ENOMEM;
	for (size_t i = 0; i < n && e == 0; i++) {
		struct report_budget *b = &r->budget[r->n_budgets++];
		struct spending s = { &rules[i], b };

		*b = (struct report_budget){
			.id = report_text(r, rules[i].id),
			.per = rules[i].monthly ? "month" : "day",
			.limit_microusd = rules[i].limit_microusd,
			.limit_tokens = rules[i].limit_tokens,
			.warn_percent = rules[i].warn_percent,
		};
		e = ledger_each(d, rules[i].id,
				budget_window_s(rules[i].monthly, r->made_ns / 1000000000U),
				account_take, &s);
	}
	return e;
}

/* ---- the daemon's counters ---- */

static int64_t number(const json_t *a, const char *group, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(a, group), name));
}

static void coverage_ask(struct report *r, const char *run)
{
	struct report_coverage *c = &r->coverage;
	char path[PATH_MAX];
	json_t *a;

	(void)snprintf(path, sizeof(path), "%s/" CONTROL_SOCKET, run);
	a = access(path, F_OK) == 0 ? client_ask("report", run, "status") : NULL;
	if (!a)
		return;
	*c = (struct report_coverage){
		.known = true,
		.mode = report_text(r, json_string_value(json_object_get(a, "mode"))),
		.since = report_text(r, json_string_value(json_object_get(a, "since"))),
		.attempts = number(a, "kernel", "connects"),
		.observed = number(a, "kernel", "observed"),
		.redirected = number(a, "kernel", "redirected"),
		.failed_open = number(a, "kernel", "failed_open"),
		.refused_kernel = number(a, "kernel", "refused"),
		.quic_refused = number(a, "kernel", "quic_refused"),
		.events_lost = number(a, "kernel", "events_lost"),
		.inspected = number(a, "proxy", "inspected"),
		.spliced = number(a, "proxy", "spliced"),
		.refused_proxy = number(a, "proxy", "refused"),
	};
	c->unexplained = c->attempts - c->redirected - c->observed - c->failed_open -
			 c->refused_kernel + c->redirected -
			 (number(a, "proxy", "accepted") - number(a, "proxy", "dialled"));
	json_decref(a);
}

/* ---- */

static void prices_note(struct report *r)
{
	struct prices *p = NULL;
	char path[PATH_MAX];

	if (policies_path("prices.json", NULL, path) == 0 &&
	    policies_prices("report", NULL, &p) == EXIT_FINE)
		r->prices_date = report_text(r, prices_source_date(p));
	prices_unref(p);
}

static int collect(struct report *r, const struct options *o, const struct catalog *c,
		   const struct policy *policy)
{
	cleanup(db_closep) struct db *d = NULL;
	char path[PATH_MAX];
	int e;

	(void)snprintf(path, sizeof(path), "%s/" LEDGER_NAME, o->state);
	e = db_open(path, true, &d);
	if (e == 0)
		e = report_collect(r, d, c);
	if (e == 0 && policy)
		e = budgets_collect(r, d, policy);
	if (e < 0)
		fprintf(stderr, "sallyport report: %s: %s%s%s\n", path, strerror(-e), d ? ": " : "",
			e == -ENOENT ? "; has the daemon run? --state DIR names its folder"
			: d	     ? db_error(d)
				     : "");
	return e < 0 ? EXIT_SYSTEM : EXIT_FINE;
}

static int show(const char *path)
{
	(void)fflush(stdout);
	(void)execlp("xdg-open", "xdg-open", path, NULL);
	fprintf(stderr, "sallyport report: cannot start xdg-open: %s; open %s yourself\n",
		strerror(errno), path);
	return EXIT_SYSTEM;
}

static int report(const struct options *o, const struct catalog *c, const struct policy *policy)
{
	const struct report_format *f =
		emit_format("report", o->format, o->output, o->open ? "html" : "md");
	char temporary[64] = "";
	const char *output = o->output;
	struct report r;
	int status;

	if (!f)
		return EXIT_USAGE;
	if (o->open && !output) {
		(void)snprintf(temporary, sizeof(temporary), "/tmp/sallyport-report.XXXXXX.%s",
			       f->name);
		(void)close(mkstemps(temporary, (int)strlen(f->name) + 1));
		output = temporary;
	}
	emit_begin(&r, c);
	r.from_ns = o->since_ns / INVENTORY_DAY_NS * INVENTORY_DAY_NS;
	if (policy) {
		r.judge = judge;
		r.judge_ctx = (void *)policy;
	} else {
		report_note(&r, "No policy file was found: what was only seen is not judged.");
	}
	status = collect(&r, o, c, policy);
	if (status == EXIT_FINE) {
		prices_note(&r);
		coverage_ask(&r, o->run);
		status = emit("report", &r, f, output);
	}
	report_done(&r);
	return status == EXIT_FINE && o->open ? show(output) : status;
}

/* Without a policy the report is made all the same; one with a mistake is told. */
static int run(const struct options *o)
{
	char path[PATH_MAX];
	struct policy_file p;
	struct catalog *c = NULL;
	int status;

	if (!o->policy && policies_path("policy.json", NULL, path) < 0) {
		status = policies_catalog("report", NULL, &c);
		if (status == EXIT_FINE)
			status = report(o, c, NULL);
		catalog_unref(c);
		return status;
	}
	status = policy_file_load("report", o->policy, &p);
	if (status == EXIT_NO)
		fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&p.mistakes.text)));
	if (status != EXIT_SYSTEM)
		status = report(o, p.catalog, p.policy);
	policy_file_done(&p);
	return status;
}

enum { OPT_SINCE = 256, OPT_FORMAT, OPT_STATE, OPT_RUN, OPT_POLICY, OPT_OPEN, OPT_JSON };

int cmd_report(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "output", required_argument, NULL, 'o' },
		{ "state", required_argument, NULL, OPT_STATE },
		{ "run", required_argument, NULL, OPT_RUN },
		{ "policy", required_argument, NULL, OPT_POLICY },
		{ "open", no_argument, NULL, OPT_OPEN },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .state = STATE_DIR, .run = RUN_DIR };
	const char *since = SINCE;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1) {
		switch (c) {
		case OPT_SINCE:
			since = optarg;
			break;
		case OPT_FORMAT:
			o.format = optarg;
			break;
		case OPT_JSON:
			o.format = "json";
			break;
		case 'o':
			o.output = optarg;
			break;
		case OPT_STATE:
			o.state = optarg;
			break;
		case OPT_RUN:
			o.run = optarg;
			break;
		case OPT_POLICY:
			o.policy = optarg;
			break;
		case OPT_OPEN:
			o.open = true;
			break;
		case 'h':
			printf("%s", usage_text);
			return EXIT_FINE;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		return cli_usage("report", "\"%s\" is not understood", argv[optind]);
	if (since_parse(since, clock_wall_ns(), &o.since_ns) < 0)
		return cli_usage("report", "--since %s: say 7d, 12h or 2026-11-20", since);
	return run(&o);
}
