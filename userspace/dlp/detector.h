/*
 * The interface of a detector: one entry of a table in detect_*.c, listed in detectors.def.
 *
 * A trigger says where to look; `lead` (not part of the finding) and `value` (the finding) are
 * matched there, anchored; context words and `check` decide. Whether and where a detector fires
 * must depend on DETECTOR_LEFT bytes before the trigger, on the match, and on what the patterns'
 * look- aheads and DETECTOR_RIGHT bytes after the value say: window.c relies on it.
 */
#ifndef DLP_DETECTOR_H
#define DLP_DETECTOR_H

#include "base/slice.h"

#include <stdint.h>

#define DETECTOR_LEFT 256 /* bytes before a trigger that a decision may read */
#define DETECTOR_WORDS 64 /* of these, how far left naming words are looked for */
#define DETECTOR_RIGHT 32 /* and how far right */
#define DETECTOR_TRIGGERS 24
/* No value of ours is longer; every pattern is bounded. An operator's pattern too. */
#define DETECTOR_MAX 16384

enum detector_flags {
	DETECT_EDGE = 1,	/* the trigger must stand at the beginning of a token */
	DETECT_IGNORE_CASE = 2, /* in trigger and patterns */
	DETECT_BACK = 4,	/* something of the value must stand before the trigger */
	DETECT_WORDS_LEFT = 16, /* a naming word to the right does not count */
	DETECT_SECRET = 8,	/* placeholders never fire (reference: AKIA...EXAMPLE, ${TOKEN}) */
};

/* What a check sees. Offsets into text; `lead` is where the trigger began. */
struct match {
	struct slice text, key;
	size_t lead, start, end;
};

static inline struct slice match_value(const struct match *m)
{
	return slice_sub(m->text, m->start, m->end);
}

struct detector {
	const char *type;			/* "CREDIT_CARD"; NULL ends a table */
	const char *trigger[DETECTOR_TRIGGERS]; /* trigger.h */
	const char *lead;  /* PCRE2, or NULL: the value begins at the trigger. Must be possessive:
			    * while it is partial, no value may begin in what it has read */
	const char *value; /* PCRE2 */
	const char *back;  /* bytes the value reaches back over before the trigger, at most 64 */
	const char
		*words; /* "ssn|social security": one must stand near, or in the key; NULL: none */
	/* A text that stands under this JSON key is a value as it is. */
	bool (*key)(struct slice key);
	int (*check)(const struct match *m); /* confidence 1-100, 0: no; NULL: 90 */
	uint8_t flags;
	uint8_t rank; /* of the type, 1-99: who wins where findings overlap */
};

/* Where a number begins: every detector of numbers has this one, so that the pass pays once. */
#define TRIGGER_NUMBER "\\d{3}[\\d .-]"

/* Tables. */
#define DETECTORS(name) extern const struct detector detect_##name[];
#include "dlp/detectors.def"
#undef DETECTORS

#endif
