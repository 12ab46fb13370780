/* What dlp.c, match.c, resolve.c, detect_rules.c and window.c share; nobody outside the room. */
#ifndef DLP_ENGINE_H
#define DLP_ENGINE_H

#include "dlp/detector.h"
#include "dlp/dlp.h"
#include "dlp/regex.h"
#include "dlp/trigger.h"
#include "dlp/validate.h"

#include <hs/hs.h>

#define DLP_TYPES_MAX 256
#define DLP_RULES_MAX 64
#define DLP_TEXT_MAX (64u << 20) /* bytes of one text */

/* Naming words: "ssn|social security". */
struct naming {
	const char *list;  /* lower case; NULL: none are needed */
	uint64_t first[4]; /* set of bytes one can begin with */
};

/* A detector, compiled. */
struct compiled {
	const struct detector *def;
	struct regex *lead, *value;
	uint64_t back[4]; /* set of bytes */
	struct naming words;
	uint16_t type;
};

/* A pattern of the operator's. */
struct rule {
	char *pattern;
	struct naming words; /* the list is owned */
	struct regex *regex;
	validator valid;
	size_t max; /* bytes of its longest match and what it looks at */
	uint16_t type;
	uint8_t confidence;
	bool ignore_case;
};

struct type {
	char *name, *mask;
	uint8_t rank;
};

/* One trigger pattern serves every detector that has it. */
struct trigger_use {
	const char *pattern;
	bool ignore_case;
	uint8_t width;
	bool edge;   /* none fires in the middle of a token */
	bool number; /* TRIGGER_NUMBER: nothing to do for short ones */
	uint16_t n, detector[24];
};

struct dlp {
	int refs;
	struct compiled *detectors;
	size_t n_detectors;
	struct trigger_use *triggers;
	size_t n_triggers;
	struct trigger_set *set;
	struct rule rules[DLP_RULES_MAX];
	size_t n_rules;
	struct type types[DLP_TYPES_MAX];
	size_t n_types;
	hs_database_t *db; /* ids: triggers, then rules */
	hs_scratch_t *proto;
};

/* A match before overlaps are resolved. */
struct raw {
	uint64_t start, end;
	uint16_t type;
	uint8_t confidence;
};

struct raw_list {
	struct raw *items;
	size_t n, cap;
};

struct edge { /* of resolve.c */
	uint64_t at;
	uint32_t item;
	bool open;
};

/* Keys repeat ("role", "content"): what the detectors' key functions said of one is kept. */
#define KEY_MEMO 64     /* a power of two */
#define KEY_MEMO_LEN 30
struct key_memo {
	char key[KEY_MEMO_LEN];
	uint8_t len;     /* 0: free */
	bool any;        /* some detector takes this key */
};

struct dlp_scratch {
	const struct dlp *d; /* a reference */
	hs_scratch_t *hs;
	struct regex_scratch *regex;
	struct raw_list raw;
	struct edge *edges;
	size_t edges_cap;
	struct key_memo keys[KEY_MEMO];
};

int findings_add(struct findings *f, uint32_t part, const struct raw *r);
int raw_add(struct raw_list *l, struct raw item);

/* The type's number, made if need be; its rank is the highest of its detectors. -ENOSPC, -ENOMEM.
 */
int dlp_type_add(struct dlp *d, const char *name, uint8_t rank);

void words_first(uint64_t set[4], const char *words);

/* What a match is tried on. */
struct view {
	struct slice text, key;
	bool more; /* the text goes on: what the end could change is undecided */
};

enum verdict { MATCH_NO, MATCH_YES, MATCH_OPEN };

/*
 * Decides detector `c` at the trigger that begins at text[at]. YES: *out is the finding. OPEN: more
 * text is needed, and out->start is the first byte that could belong to the finding.
 */
enum verdict match_try(const struct compiled *c, struct regex_scratch *s, const struct view *v,
		       size_t at, struct raw *out);
/* The detector's value at the beginning of a text that stands under a telling JSON key. */
enum verdict match_key(const struct compiled *c, struct regex_scratch *s, const struct view *v,
		       struct raw *out);
/*
 * The rule's matches that begin in [from, text end): the next one in *out with the place to go on
 * in *next, or NO, or OPEN (out->start as above).
 */
enum verdict match_rule(const struct rule *r, struct regex_scratch *s, const struct view *v,
			size_t from, struct raw *out, size_t *next);
/* No detector may fire for trigger `t` at text[at]: cheap reasons that hold for all of its
 * detectors. */
bool match_pointless(const struct trigger_use *t, const struct view *v, size_t at);
/* Where a value that reaches back from `at` begins. */
size_t match_back(const struct compiled *c, struct slice text, size_t at);

/*
 * Every byte belongs to the strictest and then highest-ranked type that covers it: findings of one
 * type that overlap become one, a loser keeps the pieces nobody else covers (4 bytes or more).
 * Calls `emit` in order of start. action NULL: rank alone. Reorders the list. 0, -ENOMEM, emit's
 * error.
 */
int resolve(const struct dlp *d, struct dlp_scratch *s, const uint8_t *action, struct raw_list *l,
	    int (*emit)(void *arg, const struct raw *r), void *arg);

/* Operator's patterns: adds rules and types. 0, -EINVAL (mistakes noted), -ENOMEM. */
int rules_load(struct dlp *d, struct slice json, struct mistakes *m);
void rules_done(struct dlp *d);

#endif
