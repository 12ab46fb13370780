/* Where a report goes and in which format: what `report` and `discover` share. */
#ifndef CLI_EMIT_H
#define CLI_EMIT_H

#include "discover/report.h"

#define EMIT_HELP \
	"  -o, --output FILE   into this file, whose name is then printed; \"-\": standard output\n" \
	"      --format F      html, json, csv or md; without it FILE's ending decides, else "

/* By name, or by the ending of `path`, or `otherwise`. NULL: told to stderr. name, path may be NULL. */
const struct report_format *emit_format(const char *command, const char *name, const char *path,
					const char *otherwise);
/* path NULL or "-": standard output. A regular file is replaced atomically, mode 0640. An exit status,
 * told to stderr. */
int emit(const char *command, const struct report *r, const struct report_format *f,
	 const char *path);

/* The parts of a report that do not come from the inventory: node, version, time, catalogue. */
void emit_begin(struct report *r, const struct catalog *c);

/* discover_table.c: a line a caller and provider, the sum, the notes, to standard output. */
void discover_table(const struct report *r, unsigned seconds);

#endif
