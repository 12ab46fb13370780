/* What every command shares: its entry in commands.def, options, output as table or JSON. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/buf.h"

#include <stdbool.h>

#ifndef SALLYPORT_VERSION
#define SALLYPORT_VERSION "0.1.0"
#endif

/* Exit status of every command (DESIGN.md section 6). */
enum { EXIT_FINE = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_SYSTEM = 3 };

/*
 * commands.def lists COMMAND(name, "one line of help"); a command is
 *	int cmd_<name>(int argc, char **argv);
 * in cmd_<name>.c with argv[0] its own name. It prints its own --help (cli_help) and returns an exit
 * status from above.
 */
#define COMMAND(name, help) int cmd_##name(int argc, char **argv);
#include "cli/commands.def"
#undef COMMAND

/* True on a terminal with NO_COLOR unset: then out_color() gives escape sequences, else "". */
enum color { COLOR_NONE, COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_BLUE, COLOR_DIM, COLOR_BOLD };
const char *out_color(enum color c);

/*
 * Prints rows of cells under headers, columns aligned by display width; right-aligned where the
 * header starts with '>'. cells: n_rows * n_columns strings, row by row; NULL prints "-".
 */
void out_table(const char *const *headers, size_t n_columns, const char *const *cells,
	       size_t n_rows);

/* "sallyport scan: <message>" to stderr; returns EXIT_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) printf_like(2, 3);

#endif
