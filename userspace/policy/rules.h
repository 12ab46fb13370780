/*
 * Inside of the room: how rules look once compiled. A selector is a list of members (AND), a member
 * a list of patterns (OR). Everything lives in the policy's arena and never changes after
 * policy_load().
 */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include "base/arena.h"
#include "policy/policy.h"

#include <stdatomic.h>

/* In the order in which they are compared: the cheapest first. */
enum field {
	FIELD_PROVIDER,
	FIELD_UID,
	FIELD_GID,
	FIELD_ENDPOINT,
	FIELD_USER,
	FIELD_LOGIN_USER,
	FIELD_GROUP,
	FIELD_CONTAINER,
	FIELD_POD,
	FIELD_EXE,
	FIELD_UNIT,
	FIELD_SLICE,
	FIELD_HOST,
	FIELD_MODEL,
	FIELD_ANCESTOR,
	FIELD_N,
};
/* "exe"; and whether it stands under "who" or "to". */
const char *field_name(enum field f);
bool field_is_who(enum field f);

enum pattern_kind {
	PATTERN_NUMBER,
	PATTERN_LITERAL,
	PATTERN_PREFIX, /* "abc*" */
	PATTERN_GLOB,
	PATTERN_DIGEST, /* "sha256:<hex>" or "PATH@sha256:<hex>" */
};

struct pattern {
	uint8_t kind;	     /* enum pattern_kind */
	bool path;	     /* DIGEST: text is a glob the path must match as well */
	uint32_t len;	     /* of text */
	uint32_t literal;    /* bytes before the first wild card */
	uint64_t head;	     /* NUMBER: its value; LITERAL: first 8 bytes, see word_head() */
	const char *text;    /* glob; lower case where case does not count */
	const char *written; /* as the operator wrote it */
	unsigned char digest[DIGEST_LEN];
};

struct member {
	uint8_t field; /* enum field */
	uint32_t n;
	const struct pattern *patterns;
};

struct selector {
	uint32_t n;
	struct member members[FIELD_N];
};

struct rule {
	struct selector sel;
	struct decision says;
};

struct budget {
	struct selector sel;
	struct budget_rule rule;
};

#define RULES_MAX 1000
#define BUDGETS_FILE_MAX 256
#define PATTERNS_MAX 4096 /* in one file */

struct policy {
	atomic_uint refs;
	struct arena arena;
	struct dlp *dlp;
	const char *contact;
	struct rule *rules;
	size_t n_rules;
	struct rule otherwise; /* "default" */
	struct budget *budgets;
	const struct budget_rule *budget_rules; /* the same, for policy_all_budgets() */
	size_t n_budgets;
	struct policy_scope *scopes;
	size_t n_scopes;
	struct buf warnings;
};

/* match.c */

/* A text with its length and first bytes at hand: two integer compares settle most literals. */
struct word {
	const char *ptr;
	uint32_t len;
	uint64_t head;
};

#define VIEW_NAMES 16  /* slices around a unit and the unit itself */
#define VIEW_MODEL 256 /* bytes of a model's name that count */

/* Facts made ready for comparing, as far as some rule asked for them. */
struct view {
	const struct facts *f;
	bool connect; /* endpoint, model and maybe host are still to come */
	bool names_ready, ancestors_ready;
	uint8_t n_names, n_ancestors;
	uint32_t ready; /* bit a field */
	struct word word[FIELD_N];
	struct word name[VIEW_NAMES]; /* of units and slices */
	struct word ancestor[PRINCIPAL_ANCESTORS];
	char model[VIEW_MODEL];
};

enum fit { FIT_NO, FIT_MAYBE, FIT_YES };

void view_init(struct view *v, const struct facts *f, bool connect);
/* *failed (may be NULL): index of the member that said no. */
enum fit selector_fit(const struct selector *s, struct view *v, size_t *failed);
/* What the facts say of a field, for people. Returns out. */
const char *view_text(struct view *v, enum field f, char *out, size_t size);
const struct member *selector_member(const struct selector *s, enum field f);

/* Fills a pattern from its text, which must outlive it; `lowered` is a copy to write in, lower case
 * where case does not count. NULL, or what is wrong and the remedy as plain words. */
const char *pattern_compile(enum field f, const char *written, char *lowered, struct pattern *out);
/* True only when everything b can match, a matches too. */
bool pattern_covers(enum field f, const struct pattern *a, const struct pattern *b);
bool selector_covers(const struct selector *a, const struct selector *b);

/* load.c and its parts */
struct load {
	struct policy *p;
	const struct policy_names *names;
	struct mistakes *m;
	size_t n_patterns;
	bool oom;
};

/* load_selector.c: reads "who" and "to" of the object at place. */
void load_selector(struct load *l, const json_t *o, const char *place, struct selector *out);
/* load_dlp.c: the tables of an object's "dlp" member over a base (NULL: everything is logged). */
struct dlp_tables {
	const uint8_t *request, *response;
};
void load_dlp(struct load *l, const json_t *o, const char *place, const struct dlp_tables *base,
	      struct dlp_tables *out);
/* load_budget.c */
void load_budgets(struct load *l, const json_t *root);
/* The bytes of a string member, checked for length and control characters; "" when absent. */
const char *load_text(struct load *l, const json_t *o, const char *place, const char *key,
		      size_t max);
/* An id: letters, digits, '.', '_', '-'; NULL after a mistake. */
const char *load_id(struct load *l, const json_t *o, const char *place, size_t max);

/* check.c: what is no mistake but surely not meant, into p->warnings. */
void check_policy(struct policy *p);
/* scopes.c: fills p->scopes. 0, -ENOMEM. */
int scopes_build(struct policy *p);

#endif
