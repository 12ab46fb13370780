/* Where the operator's data files are: providers.json, prices.json and their like. */
#ifndef CLI_POLICIES_H
#define CLI_POLICIES_H

#include "base/buf.h"
#include "base/json.h"

#include <limits.h>

/*
 * The file named by an option (`given`, may be NULL), else the first that is there of
 * $SALLYPORT_POLICIES/name, /etc/sallyport/name, /usr/share/sallyport/name, ./policies/name.
 * 0, or -ENOENT; `out` then holds the name looked for, for the message.
 */
int policies_path(const char *name, const char *given, char out[PATH_MAX]);

/* Finds and reads it into an initialised buffer; complains to stderr in the name of `command`.
 * EXIT_FINE or EXIT_SYSTEM. `path` gets the file's name for `struct mistakes`. */
int policies_read(const char *command, const char *name, const char *given, char path[PATH_MAX],
		  struct buf *out);

struct catalog;
struct prices;
/* Read and parsed, every mistake printed. EXIT_FINE, EXIT_NO (mistakes in it) or EXIT_SYSTEM. */
int policies_catalog(const char *command, const char *given, struct catalog **out);
int policies_prices(const char *command, const char *given, struct prices **out);

#endif
