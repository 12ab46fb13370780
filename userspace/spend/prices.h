/* policies/prices.json: what tokens cost. Money is integer micro-USD. */
#ifndef SPEND_PRICES_H
#define SPEND_PRICES_H

#include "base/json.h"
#include "dialect/message.h"

struct prices;
int prices_load(struct slice json, struct mistakes *m, struct prices **out);
struct prices *prices_ref(struct prices *p);
void prices_unref(struct prices *p);

struct price; /* one row: opaque */
/* By provider id and model with the usual normalisation (date suffix, "models/", region prefixes,
 * longest known prefix); falls back to the same model at another provider. NULL: unknown. */
const struct price *price_find(const struct prices *p, const char *provider, struct slice model);
/* Cost of a usage (unknown counts as 0 except input/output), rounded up to a micro-USD. Tiers apply. */
int64_t price_cost(const struct price *p, const struct usage *u);

/* usage.c: estimates where the wire does not say (dialects.md section 13). */
int64_t usage_estimate_input(const char *dialect, size_t prompt_bytes, bool tools);   /* likely */
int64_t usage_reserve_input(const char *dialect, size_t prompt_bytes, bool tools);    /* worst case */
int64_t usage_estimate_output(const char *dialect, size_t text_bytes);

#endif
