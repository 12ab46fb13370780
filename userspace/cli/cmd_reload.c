/* `sallyport reload`: the daemon reads its files again. */
#include "cli/cli.h"
#include "cli/client.h"

#include <getopt.h>
#include <stdio.h>

int cmd_reload(int argc, char **argv)
{
	static const struct option longs[] = { { "run", required_argument, NULL, 'r' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	const char *run = NULL, *mistakes;
	bool as_json = false;
	json_t *answer;
	int opt, status;

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
			printf("usage: sallyport reload [--json] [--run DIR]\n\n"
			       "Makes the daemon read policy, catalogue, prices and detectors again. With a\n"
			       "mistake in any of them the old rules stay, and the exit status is 1.\n");
			return EXIT_FINE;
		default:
			return cli_usage("reload", "option not understood");
		}
	}
	if (optind < argc)
		return cli_usage("reload", "\"%s\" is not understood", argv[optind]);
	answer = client_ask("reload", run, "reload");
	if (!answer)
		return EXIT_SYSTEM;
	status = json_object_get(answer, "ok") ? EXIT_FINE : EXIT_NO;
	mistakes = json_string_value(json_object_get(answer, "mistakes"));
	if (as_json) {
		(void)json_dumpf(answer, stdout, JSON_COMPACT);
		printf("\n");
	} else if (status == EXIT_FINE) {
		printf("reloaded: generation %lld\n",
		       (long long)json_integer_value(json_object_get(answer, "generation")));
	} else {
		fprintf(stderr, "not reloaded, the old rules stay:\n%s", mistakes ? mistakes : "");
	}
	json_decref(answer);
	return status;
}
