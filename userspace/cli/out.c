/* Terminal output: colours only on a terminal, tables aligned by what a person sees. */
#include "cli/cli.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

const char *out_color(enum color c)
{
	static const char *const codes[] = { "\033[0m",  "\033[31m", "\033[32m", "\033[33m",
					     "\033[34m", "\033[2m",  "\033[1m" };
	static int on = -1;

	if (on < 0) {
		const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

		on = isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
	}
	return on ? codes[c] : "";
}

static size_t display_width(const char *s)
{
	struct slice in = slice_str(s);
	size_t width = 0;

	while (in.len) {
		uint32_t cp;
		size_t n = text_utf8_next(in, &cp);
		int w = n ? wcwidth((wchar_t)cp) : 1;

		width += w < 0 ? 0 : (size_t)w;
		in = slice_from(in, n ? n : 1);
	}
	return width;
}

static void cell_print(const char *text, size_t width, bool right, bool last)
{
	size_t have = display_width(text), pad = width > have ? width - have : 0;

	if (right)
		printf("%*s%s", (int)pad, "", text);
	else
		printf("%s%*s", text, last ? 0 : (int)pad, "");
	if (!last)
		printf("  ");
}

void out_table(const char *const *headers, size_t n_columns, const char *const *cells,
	       size_t n_rows)
{
	size_t *width = calloc(n_columns, sizeof(*width));

	if (!width)
		return;
	for (size_t c = 0; c < n_columns; c++) {
		width[c] = display_width(headers[c] + (headers[c][0] == '>'));
		for (size_t r = 0; r < n_rows; r++) {
			const char *t = cells[r * n_columns + c];

			width[c] = MAX(width[c], display_width(t ? t : "-"));
		}
	}
	printf("%s", out_color(COLOR_BOLD));
	for (size_t c = 0; c < n_columns; c++)
		cell_print(headers[c] + (headers[c][0] == '>'), width[c], headers[c][0] == '>',
			   c + 1 == n_columns);
	printf("%s\n", out_color(COLOR_NONE));
	for (size_t r = 0; r < n_rows; r++) {
		for (size_t c = 0; c < n_columns; c++) {
			const char *t = cells[r * n_columns + c];

			cell_print(t ? t : "-", width[c], headers[c][0] == '>', c + 1 == n_columns);
		}
		printf("\n");
	}
	free(width);
}

int cli_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "sallyport %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see sallyport %s --help\n", command);
	return EXIT_USAGE;
}
