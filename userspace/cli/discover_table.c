/* What discover shows on a terminal. */
#include "cli/cli.h"
#include "cli/emit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS 9

static void table_row(struct arena *a, const struct report_caller *c, const char **cell)
{
	char text[48];

	cell[0] = report_program(c);
	cell[1] = *report_home(c) ? report_home(c) : NULL;
	cell[2] = arena_dup(a, slice_str(report_user(c, text))).ptr;
	cell[3] = c->pid ? arena_printf(a, "%" PRIu32, c->pid).ptr : NULL;
	cell[4] = *c->provider ? c->provider : NULL;
	cell[5] = report_join(a, &c->hosts, 2);
	report_number(c->sums.connections, text);
	cell[6] = arena_dup(a, slice_str(text)).ptr;
	report_bytes(c->sums.bytes_out, text);
	cell[7] = arena_dup(a, slice_str(text)).ptr;
	report_bytes(c->sums.bytes_in, text);
	cell[8] = arena_dup(a, slice_str(text)).ptr;
}

void discover_table(const struct report *r, unsigned seconds)
{
	static const char *const headers[COLUMNS] = { "PROGRAM", "WHERE",    "USER",
						      ">PID",	 "PROVIDER", "HOSTS",
						      ">CONNS",	 ">SENT",    ">RECEIVED" };
	const char **cells = calloc(r->n_callers * COLUMNS + 1, sizeof(*cells));
	struct arena a;

	arena_init(&a, 64U << 20);
	for (size_t i = 0; cells && i < r->n_callers; i++)
		table_row(&a, &r->caller[i], cells + i * COLUMNS);
	if (cells && r->n_callers)
		out_table(headers, COLUMNS, cells, r->n_callers);
	printf("%s%zu program%s, %zu provider%s, %" PRId64 " connection%s in %u s\n",
	       r->n_callers ? "\n" : "", r->who[STANDING_UNJUDGED],
	       r->who[STANDING_UNJUDGED] == 1 ? "" : "s", r->n_providers,
	       r->n_providers == 1 ? "" : "s", r->sums.connections,
	       r->sums.connections == 1 ? "" : "s", seconds);
	for (size_t i = 0; i < r->n_notes; i++)
		printf("%s%s%s\n", out_color(COLOR_DIM), r->note[i], out_color(COLOR_NONE));
	free(cells);
	arena_done(&a);
}
