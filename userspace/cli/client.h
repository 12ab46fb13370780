/*
 * The control socket: one JSON object a line each way, for root and the sallyport group.
 *
 * {"do":"status"}: everything `sallyport status` shows. {"do":"reload"}: {"ok":true,"generation":N} or
 * {"error":..., "mistakes":...}. Anything else: {"error":"..."}.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#define CONTROL_SOCKET "control.sock" /* below the run directory */
#define CONTROL_LINE_MAX 4096

/* Is there a daemon's socket that we may use? Says nothing. */
bool client_there(const char *run_dir);

/* Sends {"do":what} to the daemon; the answer is the caller's (json_decref). NULL: the complaint with
 * its remedy is on stderr. run_dir NULL: /run/sallyport. */
json_t *client_ask(const char *command, const char *run_dir, const char *what);

#endif
