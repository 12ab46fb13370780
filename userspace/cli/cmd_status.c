/*
 * `sallyport status`: is everything running, and does the sum come out: what the kernel saw, what the
 * proxy took, what was passed or refused, and what nobody can explain (which should be nothing).
 */
#include "cli/cli.h"
#include "cli/client.h"

#include <getopt.h>
#include <stdio.h>

static long long number(const json_t *o, const char *group, const char *name)
{
	return (long long)json_integer_value(json_object_get(json_object_get(o, group), name));
}

static void process(const json_t *a, const char *name, bool wanted)
{
	const json_t *p = json_object_get(a, name);
	bool runs = json_is_true(json_object_get(p, "running"));
	long long failures = json_integer_value(json_object_get(p, "failures"));

	printf("  %-9s %s%s%s", name, out_color(runs || !wanted ? COLOR_GREEN : COLOR_RED),
	       runs ? "running" : wanted ? "NOT RUNNING" : "not needed in observe mode",
	       out_color(COLOR_NONE));
	if (runs)
		printf(" (pid %lld)", (long long)json_integer_value(json_object_get(p, "pid")));
	if (failures)
		printf(", ended unexpectedly %lld times", failures);
	printf("\n");
}

static void reconcile(const json_t *a)
{
	long long connects = number(a, "kernel", "connects");
	long long redirected = number(a, "kernel", "redirected");
	long long observed = number(a, "kernel", "observed");
	long long open = number(a, "kernel", "failed_open"), refused = number(a, "kernel", "refused");
	long long taken = number(a, "proxy", "accepted") - number(a, "proxy", "dialled");
	long long kernel_gap = connects - redirected - observed - open - refused;
	long long proxy_gap = redirected - taken;

	printf("\nconnections to AI providers\n");
	printf("  %8lld attempts seen by the kernel\n", connects);
	printf("  %8lld observed only\n", observed);
	printf("  %8lld redirected: %lld inspected, %lld passed through unread, %lld refused\n", redirected,
	       number(a, "proxy", "inspected"), number(a, "proxy", "spliced"), number(a, "proxy", "refused"));
	printf("  %8lld passed because the proxy was not there and the rule fails open\n", open);
	printf("  %8lld refused because the proxy was not there and the rule fails closed\n", refused);
	printf("  %8lld UDP (QUIC) refused\n", number(a, "kernel", "quic_refused"));
	printf("  %s%8lld not explained%s%s\n", out_color(kernel_gap || proxy_gap ? COLOR_YELLOW : COLOR_GREEN),
	       kernel_gap + proxy_gap, out_color(COLOR_NONE),
	       proxy_gap > 0 ? " (redirected and not accepted: given up by the application, or on their way)" :
			       "");
}

static void processes(const json_t *a)
{
	bool path = json_is_true(json_object_get(a, "data_path"));

	printf("%ssallyport%s  strictest mode %s%s%s, since %s, rules generation %lld\n", out_color(COLOR_BOLD),
	       out_color(COLOR_NONE), out_color(COLOR_BOLD), json_string_value(json_object_get(a, "mode")),
	       out_color(COLOR_NONE), json_string_value(json_object_get(a, "since")),
	       (long long)json_integer_value(json_object_get(a, "generation")));
	process(a, "recorder", true);
	process(a, "signer", path);
	process(a, "worker", path);
}

static void exchanges(const json_t *a)
{
	printf("\nexchanges\n");
	printf("  %8lld inspected, %lld changed, %lld blocked, %lld cut, %lld failed\n",
	       number(a, "proxy", "exchanges"), number(a, "proxy", "redacted"), number(a, "proxy", "blocked"),
	       number(a, "proxy", "cut"), number(a, "proxy", "failed"));
	printf("  %8lld findings\n", number(a, "proxy", "findings"));
	printf("  %8lld handshakes broken off over our certificate\n", number(a, "proxy", "distrusted"));
	printf("  %8lld upstream certificates or handshakes refused\n",
	       number(a, "proxy", "upstream_tls_failed"));
	printf("  %8lld open connections\n", number(a, "proxy", "open"));
}

int cmd_status(int argc, char **argv)
{
	static const struct option longs[] = { { "run", required_argument, NULL, 'r' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	const char *run = NULL;
	bool as_json = false, alive;
	json_t *answer;
	int opt;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
		switch (opt) {
		case 'r':
			run = optarg;
			break;
		case 'j':
			as_json = true;
			break;
		case 'h':
			printf("usage: sallyport status [--json] [--run DIR]\n\n"
			       "Shows the daemon's processes, and reconciles what the kernel saw with what the\n"
			       "proxy did. Exit status 1 when the data path is wanted and not alive.\n");
			return EXIT_FINE;
		default:
			return cli_usage("status", "option not understood");
		}
	}
	if (optind < argc)
		return cli_usage("status", "\"%s\" is not understood", argv[optind]);
	answer = client_ask("status", run, "status");
	if (!answer)
		return EXIT_SYSTEM;
	alive = !json_is_true(json_object_get(answer, "data_path")) ||
		json_is_true(json_object_get(answer, "workers_alive"));
	if (as_json) {
		(void)json_dumpf(answer, stdout, JSON_COMPACT);
		printf("\n");
	} else {
		processes(answer);
		reconcile(answer);
		exchanges(answer);
	}
	json_decref(answer);
	return alive ? EXIT_FINE : EXIT_NO;
}
