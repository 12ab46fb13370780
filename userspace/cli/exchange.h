/* A recorded exchange (one JSON object) seen as the worker would see it. */
#ifndef CLI_EXCHANGE_H
#define CLI_EXCHANGE_H

#include "base/arena.h"
#include "catalog/catalog.h"
#include "dialect/reader.h"
#include "dlp/dlp.h"
#include "policy/policy.h"
#include "spend/prices.h"

#define EXCHANGE_BODY_MAX (64U << 20)

/* What it is judged with; policy may be NULL. */
struct exchange_rules {
	const struct catalog *catalog;
	const struct prices *prices;
	const struct dlp *dlp;
	struct dlp_scratch *scratch;
	const struct policy *policy;
};

struct exchange {
	const json_t *json;
	struct arena arena;
	/* request */
	char host[256];
	struct slice method, path;
	bool known_host;
	struct catalog_match match;
	struct endpoint endpoint;
	const struct dialect *dialect;
	struct message message;
	struct slice request_body;
	struct findings request_findings;
	/* reply */
	int status;
	struct reader reader;
	struct findings reply_findings;
	/* results */
	struct slice model;
	struct usage usage; /* for the sum: the wire's counts, estimates where it has none */
	bool estimated;
	int64_t cost_microusd;         /* -1: no price known */
	struct decision decision;
	const char *verdict;           /* "allow", "redact", "block" */
};

/* `json` is borrowed for as long as `out`. 0, -EINVAL (not an exchange), -EBADMSG (a body that does
 * not decode), -ENOBUFS, -ENOMEM. exchange_done() in any case. */
int exchange_read(const json_t *json, const struct exchange_rules *rules, struct exchange *out);
void exchange_done(struct exchange *x);
/* One line, with its '\n'. */
int exchange_write(const struct exchange *x, const struct exchange_rules *rules, struct buf *out);

#endif
