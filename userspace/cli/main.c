/* Dispatch over commands.def. */
#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(name, help) { #name, help, cmd_##name },
#include "cli/commands.def"
#undef COMMAND
	{ NULL, NULL, NULL },
};

static int help(FILE *to)
{
	fprintf(to, "usage: sallyport COMMAND [OPTIONS]\n\n"
		    "Finds every program on this node that talks to an AI provider and, where told to,\n"
		    "stands in between: inspects, governs and records, with no change in any of them.\n\n");
	for (size_t i = 0; commands[i].name; i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
	fprintf(to, "\nsallyport COMMAND --help explains one. Exit status: 0 fine, 1 the answer is \"no\",\n"
		    "2 usage, 3 the system said no. Manual: sallyport(1), sallyport(8), sallyport-policy(5).\n");
	return to == stdout ? EXIT_FINE : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	if (argc < 2)
		return help(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return help(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		printf("sallyport %s\n", SALLYPORT_VERSION);
		return EXIT_FINE;
	}
	for (size_t i = 0; commands[i].name; i++)
		if (strcmp(commands[i].name, argv[1]) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "sallyport: no command \"%s\"; sallyport --help lists them\n", argv[1]);
	return EXIT_USAGE;
}
