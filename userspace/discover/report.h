/*
 * The discovery report: who on this node uses which AI provider, out of the inventory, in one of the
 * formats of formats.def. The same report serves `sallyport report` (the daemon's inventory) and
 * `sallyport discover` (one of its own, in memory).
 *
 * Every text in it is valid UTF-8 without control or direction-changing characters; each format escapes
 * what is special to it, because the names of programs are their owners' to choose.
 */
#ifndef DISCOVER_REPORT_H
#define DISCOVER_REPORT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/db.h"
#include "catalog/catalog.h"

#include <stdint.h>

/* What the policy says of a use: nothing yet; a rule approves it; none does. */
enum standing { STANDING_UNJUDGED, STANDING_SANCTIONED, STANDING_UNSANCTIONED };

#define REPORT_LIST_MAX 24
struct report_list {
	const char *item[REPORT_LIST_MAX];
	size_t n, more; /* more: how many did not fit */
};

struct report_sums {
	int64_t requests;    /* inspected exchanges */
	int64_t connections; /* seen or passed through, unread */
	int64_t blocked, redacted, findings;
	int64_t bytes_out, bytes_in, tokens_in, tokens_out, cost_microusd;
};

/* One caller with one provider. */
struct report_caller {
	uint64_t key;
	const char *provider, *provider_name, *jurisdiction; /* "" unknown */
	uint32_t uid, pid;
	const char *user, *exe, *digest, *unit, *slice, *container;
	struct report_list hosts, endpoints, models;
	uint64_t first_ns, last_ns;  /* ever; the sums are of the range */
	struct report_sums sums;
	enum standing standing;
	bool distrust;               /* does not trust the CA, as far as the newest rows say */
	bool inspected;              /* some exchange of it was */
	const char *reason;          /* last refusal or failure */
};

struct report_provider {
	const char *id, *name, *jurisdiction;
	size_t callers, unsanctioned;
	struct report_sums sums;
};

struct report_day {
	uint64_t day; /* since 1970, UTC */
	struct report_sums sums;
};

struct report_finding {
	const char *type, *place, *action;
	int64_t n, requests;
};

struct report_budget {
	const char *id, *per; /* "day", "month" */
	int64_t accounts;     /* callers, where each has his own; else 1 */
	int64_t spent_microusd, limit_microusd, spent_tokens, limit_tokens; /* limits: -1 none */
	int64_t percent;      /* used, of the fullest account */
	unsigned warn_percent;
};

/* The daemon's own accounts of every connection (sallyport status). */
struct report_coverage {
	bool known;
	const char *mode, *since;
	int64_t attempts, observed, redirected, inspected, spliced, refused_proxy, failed_open,
		refused_kernel, quic_refused, unexplained, events_lost;
};

struct report {
	struct arena arena;
	const char *node;
	bool watched;          /* by discover; else from the inventory of the daemon */
	uint64_t from_ns, to_ns, made_ns;
	const char *version, *prices_date, *catalog_date; /* "" unknown */
	/* How a use that was only seen stands by the policy; NULL: nobody says. */
	enum standing (*judge)(void *ctx, const struct report_caller *c);
	void *judge_ctx;

	struct report_caller *caller; /* unsanctioned first, then busiest first */
	size_t n_callers;
	struct report_provider *provider;
	size_t n_providers;
	struct report_day *day;
	size_t n_days;
	struct report_finding *finding;
	size_t n_findings;
	struct report_budget *budget;
	size_t n_budgets;
	struct report_coverage coverage;
	const char *note[8];   /* what the reader must know of this very report */
	size_t n_notes;

	struct report_sums sums;
	size_t who[3];         /* distinct callers by their worst enum standing */
	int64_t calls[3];      /* requests and connections by enum standing */
};

void report_init(struct report *r);
void report_done(struct report *r);
/* The texts of a report: cleaned copies in its arena; "" when memory is out. */
const char *report_text(struct report *r, const char *text);
/* A sentence for `note`; one too many is dropped. */
void report_note(struct report *r, const char *fmt, ...) printf_like(2, 3);

/*
 * Fills callers, providers, days, findings and sums from the inventory in `d`, as from the UTC day that
 * from_ns is in. 0, -ENOMEM, db errors (no table: -EIO).
 */
int report_collect(struct report *r, struct db *d, const struct catalog *c);

static inline int64_t report_calls(const struct report_sums *s)
{
	return s->requests + s->connections;
}

/* What no report of ours can show, a sentence each; NULL ends it. */
extern const char *const report_not_seen[];
/* What to do about clients that do not trust the CA. */
extern const char report_distrust_remedy[];

/* A format writes the whole document. 0, -ENOBUFS, -ENOMEM. */
struct report_format {
	const char *name; /* "html" */
	const char *help;
	int (*write)(const struct report *r, struct buf *out);
};
extern const struct report_format report_formats[]; /* a NULL name ends it */
const struct report_format *report_format_find(const char *name); /* NULL: none such */

/* Helpers of the formats. */
const char *report_standing_name(enum standing s);
/* The program's name: the last part of its path, "unknown program". */
const char *report_program(const struct report_caller *c);
/* The container, unit or slice it runs in; "". */
const char *report_home(const struct report_caller *c);
const char *report_user(const struct report_caller *c, char out[48]);
/* "2026-11-20 18:31". */
void report_minute(uint64_t ns, char out[17]);
/* "12,345"; "12.3 M"; "1.2 MB"; "$12.50", "$0.004200". */
void report_number(int64_t n, char out[32]);
void report_short(int64_t n, char out[32]);
void report_bytes(int64_t n, char out[32]);
void report_money(int64_t microusd, char out[32]);
/* "a, b and 3 more" into an arena of the caller's choice. */
const char *report_join(struct arena *a, const struct report_list *l, size_t max);

#endif
