/* What the commands that read the audit log and the inventory share. */
#ifndef CLI_LOGVIEW_H
#define CLI_LOGVIEW_H

#include "audit/chain.h"
#include "audit/record.h"

#define STATE_DIR "/var/lib/sallyport"
#define LOG_NAME "audit.jsonl"
#define LEDGER_NAME "ledger.db"

/* "90s", "30m", "12h", "7d", "2w" before now, or "2026-11-20", "2026-11-20T18:31" (UTC): wall clock
 * in ns. 0 or -EINVAL. */
int since_parse(const char *text, uint64_t now_ns, uint64_t *out);

/* A record out of a line's members. 0, -EBADMSG, -ENOMEM. */
int logview_read(const struct chain_link *line, struct record *out);

/* Globs; NULL matches all. */
struct log_filter {
	const char *user; /* name or number */
	const char *exe, *unit, *provider, *model;
	const char *action; /* "blocked", or a kind: "spliced" */
	uint64_t since_ns;
};
bool log_filter_matches(const struct log_filter *f, const struct record *r);

/* The story of a line, or with json the line itself. 0 or -errno of the output. */
int logview_print(const struct chain_link *line, const struct record *r, bool json, bool date);

/* "$12.50", "$0.000420": cents, and more digits only where there are some. */
void logview_money(int64_t microusd, char out[32]);

#endif
