/* sallyport trust: put the CA where applications look for it, look whether it is there, undo it. */
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "trust/store.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_CA "/var/lib/sallyport/ca/ca.crt"

struct options {
	const char *action, *ca_file;
	char root[PATH_MAX];
	bool json, print_env;
};

static const char *const state_names[] = { "absent", "installed", "partly", "not applicable" };

static int help(void)
{
	puts("usage: sallyport trust install | status | remove [--ca FILE] [--root DIR] [--json]\n"
	     "       sallyport trust --print-env\n\n"
	     "Makes programs on this machine trust the CA that signs for AI providers, or stops it.\n\n"
	     "  install      the system's store, Java's, and four environment variables for runtimes\n"
	     "               that bring a store of their own; a value already set is left and told\n"
	     "  status       what each store says; exit status 1 unless all trust the CA\n"
	     "  remove       undoes all of it and checks that no store trusts the CA any more\n\n"
	     "  --ca FILE    the CA's certificate (" DEFAULT_CA ")\n"
	     "  --root DIR   act on the tree under DIR, as of a container image\n"
	     "  --json       for programs\n"
	     "  --print-env  the variables as shell commands, for a shell or an image\n\n"
	     "Variables reach what is started afterwards: by PAM from /etc/environment, by systemd\n"
	     "after systemctl daemon-reexec. Chromium and Firefox have stores of their own.");
	return EXIT_FINE;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "ca", required_argument, NULL, 'c' },    { "root", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },        { "print-env", no_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },        { NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
		switch (c) {
		case 'c':
			o->ca_file = optarg;
			break;
		case 'r':
			if (!realpath(optarg, o->root))
				return cli_usage("trust", "--root %s: %s", optarg, strerror(errno));
			if (strcmp(o->root, "/") == 0)
				o->root[0] = '\0';
			break;
		case 'j':
			o->json = true;
			break;
		case 'e':
			o->print_env = true;
			break;
		case 'h':
			exit(help());
		default:
			return cli_usage("trust", "%s is no option of it, or lacks its value",
					 argv[optind - 1]);
		}
	}
	if (optind < argc)
		o->action = argv[optind++];
	if (optind < argc)
		return cli_usage("trust", "one of install, status, remove at a time");
	if (!o->action && !o->print_env)
		return cli_usage("trust", "install, status or remove?");
	return EXIT_FINE;
}

static int print_env(void)
{
	for (const struct trust_variable *v = trust_variables; v->name; v++)
		printf("export %s=%s\n", v->name, v->value);
	return EXIT_FINE;
}

static void print_report(const struct trust *t, FILE *to)
{
	struct slice s = buf_slice(&t->report);

	if (s.len)
		fprintf(to, "%.*s", SLICE_FMT(s));
}

static void print_json(const struct trust *t, const enum trust_state *states, bool trusted)
{
	json_t *stores = json_object(), *notes = json_array(), *all;
	struct slice rest = buf_slice(&t->report);

	for (size_t i = 0; i < trust_n_stores; i++)
		(void)json_object_set_new(stores, trust_stores[i]->name,
					  json_string(state_names[states[i]]));
	while (rest.len) {
		long end = slice_find(rest, SLICE("\n"));

		if (end < 0)
			break;
		(void)json_array_append_new(notes, json_stringn(rest.ptr, (size_t)end));
		rest = slice_from(rest, (size_t)end + 1);
	}
	all = json_pack("{s:b, s:o, s:o}", "trusted", trusted, "stores", stores, "notes", notes);
	(void)json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static int report_state(struct trust *t, const struct options *o)
{
	enum trust_state states[16];
	const char *cells[2 * ARRAY_LEN(states)];
	bool trusted = true;

	for (size_t i = 0; i < trust_n_stores && i < ARRAY_LEN(states); i++) {
		states[i] = trust_stores[i]->status(t);
		trusted &= states[i] == TRUST_INSTALLED ||
			   (states[i] == TRUST_NOT_APPLICABLE && i > 0);
		cells[2 * i] = trust_stores[i]->name;
		cells[2 * i + 1] = state_names[states[i]];
	}
	if (o->json) {
		print_json(t, states, trusted);
	} else {
		out_table((const char *const[]){ "STORE", "CA" }, 2, cells, trust_n_stores);
		print_report(t, stdout);
	}
	return trusted ? EXIT_FINE : EXIT_NO;
}

static int act(struct trust *t, const struct options *o)
{
	int r;

	if (strcmp(o->action, "status") == 0)
		return report_state(t, o);
	r = strcmp(o->action, "install") == 0 ? trust_install(t) : trust_remove(t);
	/* Who distrusted us before is tried again from now on. */
	if (r == 0 && !*o->root && client_there(NULL))
		json_decref(client_ask("trust", NULL, "reload"));
	if (o->json) {
		(void)report_state(t, o);
	} else {
		print_report(t, r < 0 ? stderr : stdout);
		if (r == 0)
			printf("%s\n", strcmp(o->action, "install") == 0 ?
					       "The CA is trusted. Programs already running, and "
					       "systemd until daemon-reexec, keep their old environment." :
					       "No store trusts the CA any more.");
	}
	if (r < 0)
		fprintf(stderr, "sallyport trust %s: %s%s\n", o->action, strerror(-r),
			r == -EACCES || r == -EPERM ? "; run it as root" : "");
	return r < 0 ? EXIT_SYSTEM : EXIT_FINE;
}

int cmd_trust(int argc, char **argv)
{
	struct options o = { 0 };
	struct trust t;
	int r = parse(argc, argv, &o);

	if (r != EXIT_FINE)
		return r;
	if (o.print_env)
		return print_env();
	if (strcmp(o.action, "install") != 0 && strcmp(o.action, "status") != 0 &&
	    strcmp(o.action, "remove") != 0)
		return cli_usage("trust", "\"%s\" is none of install, status, remove", o.action);
	if (strcmp(o.action, "install") == 0 && !o.ca_file)
		o.ca_file = DEFAULT_CA;
	r = trust_init(&t, o.root, o.ca_file);
	if (r == 0) {
		r = act(&t, &o);
	} else {
		print_report(&t, stderr);
		r = EXIT_SYSTEM;
	}
	trust_done(&t);
	return r;
}
