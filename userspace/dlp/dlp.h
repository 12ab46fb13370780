/*
 * Finds secrets and personal data in decoded text. One Vectorscan pass over all detectors names the
 * candidates, then PCRE2 (JIT, with match limits) on a window around each gives exact bounds, then
 * the validator decides. Immutable after dlp_new(); a scratch is one thread's.
 */
#ifndef DLP_DLP_H
#define DLP_DLP_H

#include "base/arena.h"
#include "base/json.h"
#include "base/slice.h"

#include <stdint.h>

struct dlp;
struct dlp_scratch;

/* What policy does with a finding of a type; the strictest wins where findings overlap. */
enum dlp_action { DLP_OFF, DLP_LOG, DLP_REDACT, DLP_BLOCK };

struct finding {
	uint16_t type;        /* index: dlp_type_name() */
	uint8_t confidence;   /* 0-100 */
	uint32_t part;        /* caller's number of the part */
	uint32_t start, end;  /* bytes of the decoded text, end exclusive */
};

struct findings {
	struct arena *arena;
	struct finding *items; /* sorted by part and start after dlp_scan(); overlaps resolved */
	size_t n, cap;
};

/* Appends one. 0 or -ENOMEM. */
int findings_keep(struct findings *f, const struct finding *one);

/* operator_json: policies/detectors.json (own patterns), ptr NULL for none. 0, -EINVAL (mistakes
 * noted), -ENOMEM. Takes 0.1-0.5 s: compile once, share, swap on reload. */
int dlp_new(struct slice operator_json, struct mistakes *m, struct dlp **out);
struct dlp *dlp_ref(struct dlp *d);
void dlp_unref(struct dlp *d);
int dlp_scratch_new(struct dlp *d, struct dlp_scratch **out);
void dlp_scratch_free(struct dlp_scratch *s);

size_t dlp_n_types(const struct dlp *d);
const char *dlp_type_name(const struct dlp *d, uint16_t type); /* "CREDIT_CARD" */
int dlp_type_find(const struct dlp *d, const char *name);      /* -1: no such type */

/*
 * Scans one text. `key`: the JSON key the text stands under ("password"), or empty: evidence for
 * detectors that need context. Appends to `out`. 0, -ENOMEM, -EMSGSIZE (over 64 MiB).
 * Fails closed: a match limit that is hit is reported as a finding of the type with confidence 1.
 */
int dlp_scan(const struct dlp *d, struct dlp_scratch *s, struct slice text, struct slice key,
	     uint32_t part, struct findings *out);

/*
 * The same with the actions of a policy, by type: an overlap goes to the type with the strictest
 * action (then to the better evidence), and DLP_OFF types are not looked for. window.c finds exactly
 * what this finds. dlp_scan() is this with every action equal.
 */
int dlp_scan_for(const struct dlp *d, struct dlp_scratch *s, const uint8_t *action,
		 struct slice text, struct slice key, uint32_t part, struct findings *out);

/* The replacement that stands for a finding: "[CREDIT_CARD]"; the same for the same type always, so
 * that provider prompt caches survive. Never matches any detector itself. */
struct slice dlp_mask(const struct dlp *d, uint16_t type);

/*
 * window.c: the same scan over a text that arrives in pieces. All chunkings give the same output.
 *
 * One window a lane. Offsets are bytes of the lane's whole decoded text. window_push() appends text
 * and says how far the text is settled: no byte before *safe can become part of a match that is not
 * already among the findings returned. Only types whose action[] is DLP_REDACT or DLP_BLOCK hold
 * text back; DLP_LOG types are scanned but never delay. At most `hold_max` bytes are held; a longer
 * possible match is settled as a finding (confidence 1, masked from its start) rather than let
 * through, at a byte that the text alone decides. With hold_max of 16 KiB (no match of ours is longer)
 * the findings are those of dlp_scan_for(); with less, those of every other chunking. Under 256 it
 * counts as 256.
 *
 * What each type holds while the end of the text could begin it: an e-mail address the last word (any
 * word may be its local part: log it on replies if an event must not wait for the next), numbers the
 * last digits, keys their prefix; passwords nothing before `name: `.
 */
struct window;
int window_new(const struct dlp *d, struct dlp_scratch *s, const uint8_t *action /* by type */,
	       size_t hold_max, struct window **out);
void window_free(struct window *w);
/* final: the lane ends here, everything settles. Findings (absolute offsets, part = 0) that settled
 * with this push are appended to `out`, each exactly once, all with end <= *safe. */
int window_push(struct window *w, struct slice text, bool final, struct findings *out,
		uint64_t *safe);

#endif
