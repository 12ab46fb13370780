/* Command line of the daemon. */
#include "daemon/options.h"

#include "base/def.h"
#include "bpf/sallyport.h"
#include "cli/cli.h"
#include "cli/policies.h"
#include "relay/snapshot.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_STATE = 256, OPT_RUN, OPT_PIN, OPT_CA, OPT_WORKERS, OPT_TIMEOUT, OPT_BODY, OPT_POLICIES,
       OPT_ROLE, OPT_FD, OPT_NO_PREFETCH };

static const struct option longs[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "policy", required_argument, NULL, 'c' },
	{ "policies", required_argument, NULL, OPT_POLICIES },
	{ "mode", required_argument, NULL, 'm' },
	{ "cgroup", required_argument, NULL, 'g' },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "run", required_argument, NULL, OPT_RUN },
	{ "pin-dir", required_argument, NULL, OPT_PIN },
	{ "upstream-ca", required_argument, NULL, OPT_CA },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "upstream-timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "max-body", required_argument, NULL, OPT_BODY },
	{ "no-prefetch", no_argument, NULL, OPT_NO_PREFETCH },
	{ "role", required_argument, NULL, OPT_ROLE },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	printf("usage: sallyport daemon [OPTIONS]\n\n"
	       "Watches, and where the policy says so governs, the AI traffic of this node.\n\n"
	       "  -c, --config FILE       the policy (default /etc/sallyport/policy.json)\n"
	       "      --policies DIR      where providers.json, prices.json and detectors.json are\n"
	       "  -m, --mode MODE         observe, monitor or enforce, in place of the policy's own\n"
	       "  -g, --cgroup DIR        cgroup v2 directory to attach to (default: the root)\n"
	       "      --state DIR         ledger, audit log, CA (default /var/lib/sallyport)\n"
	       "      --run DIR           control socket (default /run/sallyport)\n"
	       "      --pin-dir DIR       on a bpffs: rules that fail closed hold without the daemon\n"
	       "                          (default /sys/fs/bpf/sallyport; \"\" for none)\n"
	       "      --upstream-ca FILE  further roots for the providers' certificates\n"
	       "      --workers N         worker threads (default: CPUs, at most 4)\n"
	       "      --upstream-timeout S  a provider silent for so long has failed (default 600)\n"
	       "      --max-body MIB      largest body that is inspected (default 64)\n"
	       "      --no-prefetch       do not resolve the catalogue at start\n"
	       "  -v, --verbose           debug lines too\n\n"
	       "SIGHUP or `sallyport reload` reads the files again; SIGTERM ends it. See sallyport(8).\n");
}

static int number(const char *name, const char *text, unsigned min, unsigned max, unsigned *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (!*text || *end || v < min || v > max)
		return cli_usage("daemon", "%s: \"%s\" is no whole number from %u to %u", name, text, min, max);
	*out = (unsigned)v;
	return EXIT_FINE;
}

static int mode(const char *text, int *out)
{
	static const char *const names[] = { "observe", "monitor", "enforce" };

	for (int i = 0; i < (int)ARRAY_LEN(names); i++) {
		if (strcmp(names[i], text) == 0) {
			*out = i;
			return EXIT_FINE;
		}
	}
	return cli_usage("daemon", "--mode: \"%s\" is none of observe, monitor, enforce", text);
}

static int option_take(int opt, struct options *o, bool *help)
{
	unsigned fd = 0;
	int r;

	switch (opt) {
	case 'c':
		o->policy = optarg;
		return EXIT_FINE;
	case 'm':
		return mode(optarg, &o->mode);
	case 'g':
		o->cgroup = optarg;
		return EXIT_FINE;
	case 'v':
		o->verbose = true;
		return EXIT_FINE;
	case 'h':
		print_help();
		*help = true;
		return EXIT_FINE;
	case OPT_POLICIES:
		o->policies = optarg;
		return EXIT_FINE;
	case OPT_STATE:
		o->state = optarg;
		return EXIT_FINE;
	case OPT_RUN:
		o->run = optarg;
		return EXIT_FINE;
	case OPT_PIN:
		o->pin = optarg;
		return EXIT_FINE;
	case OPT_CA:
		o->upstream_ca = optarg;
		return EXIT_FINE;
	case OPT_WORKERS:
		return number("--workers", optarg, 1, 64, &o->workers);
	case OPT_TIMEOUT:
		return number("--upstream-timeout", optarg, 1, 86400, &o->upstream_timeout_s);
	case OPT_BODY:
		return number("--max-body", optarg, 1, 512, &o->max_body_mib);
	case OPT_NO_PREFETCH:
		o->prefetch = false;
		return EXIT_FINE;
	case OPT_ROLE:
		o->role = optarg;
		return EXIT_FINE;
	case OPT_FD:
		r = number("--fd", optarg, 0, 1023, &fd);
		o->fd = (int)fd;
		return r;
	default:
		return cli_usage("daemon", "option not understood");
	}
}

static int data_files(struct options *o)
{
	for (int i = 0; i < SNAPSHOT_FILES; i++) {
		char given[PATH_MAX] = "";

		if (i == SNAPSHOT_POLICY && o->policy)
			(void)snprintf(given, sizeof(given), "%s", o->policy);
		else if (o->policies)
			(void)snprintf(given, sizeof(given), "%s/%s", o->policies, snapshot_names[i]);
		if (policies_path(snapshot_names[i], *given ? given : NULL, o->data_file[i]) == 0)
			continue;
		if (i == SNAPSHOT_DETECTORS) {
			o->data_file[i][0] = '\0';
			continue;
		}
		fprintf(stderr, "sallyport daemon: no %s; put it into /etc/sallyport or name its folder "
				"with --policies\n", o->data_file[i]);
		return EXIT_SYSTEM;
	}
	return EXIT_FINE;
}

int options_parse(int argc, char **argv, struct options *o, bool *help)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int opt, r;

	*help = false;
	*o = (struct options){
		.state = "/var/lib/sallyport",
		.run = "/run/sallyport",
		.pin = "/sys/fs/bpf/sallyport",
		.mode = -1,
		.workers = cpus > 4 ? 4 : cpus < 1 ? 1 : (unsigned)cpus,
		.upstream_timeout_s = 600,
		.max_body_mib = 64,
		.prefetch = true,
		.fd = -1,
	};
	optind = 1;
	while ((opt = getopt_long(argc, argv, "c:m:g:vh", longs, NULL)) >= 0) {
		r = option_take(opt, o, help);
		if (r != EXIT_FINE || *help)
			return r;
	}
	if (optind < argc)
		return cli_usage("daemon", "\"%s\" is not understood", argv[optind]);
	return data_files(o);
}
