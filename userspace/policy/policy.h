/*
 * The one policy file (sallyport-policy(5)). An immutable snapshot, refcounted, swapped on reload;
 * a pure function of facts. First rule that matches wins; what stands in "default" is for the rest.
 *
 * A member of a selector matches only what is known: a rule for "model": ["*"] does not match a
 * request without a model, one for an exe digest no caller whose executable could not be read.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/json.h"
#include "policy/facts.h"

struct policy;

/* provider ids for the check "no such provider"; may be NULL to skip it. */
struct policy_names {
	bool (*provider_exists)(void *ctx, const char *id);
	void *ctx;
};

/* dlp gives the type names; it is ref'd. `mode_override` -1, or the daemon's --mode: it replaces
 * the file's default mode. 0, -EINVAL with every mistake noted, -ENOMEM. */
int policy_load(struct slice json, struct dlp *dlp, const struct policy_names *names,
		int mode_override, struct mistakes *m, struct policy **out);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p);
/* What is no mistake but surely not meant (a rule that is never reached), a line each without the
 * file's name; "" none. Lives as long as the policy. */
struct slice policy_warnings(const struct policy *p);

/* Before any byte is decrypted: who and where only. Rules that also select on endpoint or model
 * count as possible matches: the strictest mode among the first sure match and the possible ones
 * before it is returned, so that inspection happens when any of them may need it. The other words
 * are the strictest of those rules as well, but for verdict: BLOCK only when each of them blocks.
 * An empty host or provider may still become any. */
void policy_on_connect(const struct policy *p, const struct facts *f, struct decision *out);
/* With the request known. */
void policy_decide(const struct policy *p, const struct facts *f, struct decision *out);

/* Whom a refused person should ask: text of "contact", "" none. */
const char *policy_contact(const struct policy *p);

/*
 * What the kernel needs (scopes.c says how it is found): for every caller the kernel can tell apart
 * and every provider of the catalogue, a mode at least as high as policy_on_connect() would say. A
 * `who` by uid, unit or slice gets scopes of its own; every other one widens all the scopes its
 * caller may be found in.
 *
 * The caller resolves a CGROUP scope's pattern to the ids of all cgroups it names (a unit's name as
 * the last component, or a whole path when it begins with '/'), and does so before anything runs in
 * a new one. Where several patterns name the same cgroup any of their entries is right; the highest
 * mode is the plain choice. Each scope has an entry with provider NULL; other entries of the same
 * scope are the exceptions from it.
 */
struct policy_scope {
	enum sp_scope_kind kind;
	uint32_t uid;
	const char *unit;     /* glob on unit name or cgroup path, for SP_SCOPE_CGROUP */
	const char *provider; /* id; NULL any */
	enum sp_mode mode;
	bool fail_closed;
};
size_t policy_scopes(const struct policy *p, const struct policy_scope **out);

/* ---- budgets that the file declares ---- */
struct budget_rule {
	const char *id;
	bool monthly;		/* else daily; windows are UTC */
	int64_t limit_microusd; /* -1 none */
	int64_t limit_tokens;	/* -1 none */
	unsigned warn_percent;	/* 80 */
	bool each;		/* one account per caller (principal_key) instead of one shared */
	const char *downgrade;	/* model to use when it is used up; NULL: block */
};
/* After a downgrade the request is charged to the same account with no limit (budget_claim: -1). */
/* Budgets whose selector matches, in file order; at most max. */
size_t policy_budgets(const struct policy *p, const struct facts *f, const struct budget_rule **out,
		      size_t max);
/* All of them, for `sallyport budget`. */
size_t policy_all_budgets(const struct policy *p, const struct budget_rule **out);

/* explain.c: why this decision, rule by rule, as text lines into `out`. */
int policy_explain(const struct policy *p, const struct facts *f, struct buf *out);
/* The same as one JSON object: {"rules", "decision", "at_connect", "budgets"}. */
int policy_explain_json(const struct policy *p, const struct facts *f, struct buf *out);

#endif
