/* policies/prices.json: what tokens cost. Money is integer micro-USD. */
#ifndef SPEND_PRICES_H
#define SPEND_PRICES_H

#include "base/json.h"
#include "dialect/message.h"

struct prices;
/* 0, -EINVAL with every mistake noted, -ENOMEM. */
int prices_load(struct slice json, struct mistakes *m, struct prices **out);
struct prices *prices_ref(struct prices *p);
void prices_unref(struct prices *p);
size_t prices_size(const struct prices *p); /* rows */
/* The day the table was taken, "2026-08-21"; belongs into every cost report. */
const char *prices_source_date(const struct prices *p);

struct price; /* one row: opaque */
/* By provider id and model with the usual normalisation (date suffix, "models/", region prefixes,
 * longest known prefix); falls back to the same model at another provider. NULL: unknown. */
const struct price *price_find(const struct prices *p, const char *provider, struct slice model);
/*
 * Cost of a usage, rounded up to a micro-USD; unknown counts (-1) are 0. Cached and cache-written
 * tokens are part of the input, reasoning is part of the output; each falls back to the plain rate
 * where the row has none of its own. Above a tier's threshold the whole request costs the tier's
 * rates.
 */
int64_t price_cost(const struct price *p, const struct usage *u);

/*
 * usage.c: estimates where the wire does not say, fitted on recorded exchanges (text without
 * images; median error 10 to 27 %). bytes: UTF-8 of all prompt strings plus the compact JSON of the
 * tools, without base64 payloads. `tools`: some are on offer. An unknown dialect gets the middle of
 * the others.
 */
int64_t usage_estimate_input(const char *dialect, size_t prompt_bytes, bool tools);   /* likely */
/* The worst case of what the caller sends. What the provider adds by itself (search results, remote
 * tools, earlier turns it keeps) cannot be seen before the answer: it is settled, not reserved. */
int64_t usage_reserve_input(const char *dialect, size_t prompt_bytes, bool tools);
int64_t usage_estimate_output(const char *dialect, size_t text_bytes);

#endif
