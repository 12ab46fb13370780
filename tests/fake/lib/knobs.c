/* The provider's knobs: one table of words. */
#include "tests/fake/lib/knobs.h"

#include "base/def.h"

#include <stdlib.h>

void knobs_init(struct knobs *k)
{
	memset(k, 0, sizeof(*k));
	k->usage_in = k->usage_out = k->usage_cached = k->usage_reasoning = -1;
}

static const struct {
	const char *word;
	enum fault fault;
} faults[] = {
	{ "stall", FAULT_STALL },
	{ "stall-midstream", FAULT_STALL_MIDSTREAM },
	{ "reset", FAULT_RESET },
	{ "reset-midstream", FAULT_RESET_MIDSTREAM },
	{ "close", FAULT_CLOSE },
	{ "garbage", FAULT_GARBAGE },
	{ "bad-json", FAULT_BAD_JSON },
	{ "long-length", FAULT_LONG_LENGTH },
	{ "wrong-length", FAULT_LONG_LENGTH },
	{ "short-length", FAULT_SHORT_LENGTH },
	{ "two-lengths", FAULT_TWO_LENGTHS },
	{ "truncated", FAULT_TRUNCATED },
	{ "cut", FAULT_CUT },
	{ "until-close", FAULT_UNTIL_CLOSE },
	{ "big-head", FAULT_BIG_HEAD },
	{ "stream-error", FAULT_STREAM_ERROR },
};

/* "-12-34" -> fills up to n numbers; returns how many. */
static int knobs_numbers(struct slice rest, long *out, int n)
{
	char text[64], *p = text;
	int i = 0;

	slice_copy(text, sizeof(text), rest);
	while (i < n && *p == '-') {
		char *end;

		out[i] = strtol(p + 1, &end, 10);
		if (end == p + 1)
			break;
		p = end;
		i++;
	}
	return i;
}

static void knobs_word(struct knobs *k, struct slice w)
{
	long dash = slice_find(w, SLICE("-")), v[4] = { 0 };
	struct slice name = dash < 0 ? w : slice_sub(w, 0, (size_t)dash);
	int n = knobs_numbers(slice_from(w, name.len), v, 4);

	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if (slice_is(w, faults[i].word))
			k->fault = faults[i].fault;
	if (slice_is(name, "fast"))
		k->fast = true;
	else if (slice_is(name, "gzip"))
		k->gzip = true;
	else if (slice_is(name, "tool"))
		k->tool = true;
	else if (slice_is(name, "leak"))
		k->leak = true;
	else if (slice_is(name, "hints"))
		k->early_hints = true;
	else if (slice_is(name, "crlf"))
		k->cr_events = true;
	else if (slice_is(name, "echo"))
		k->echo = true, k->delta = n ? (int)v[0] : 7;
	else if (slice_is(name, "delta") && n)
		k->delta = (int)v[0];
	else if (slice_is(name, "error"))
		k->status = n ? (int)v[0] : 500;
	else if (slice_is(name, "slow"))
		k->slow_ms = n ? (int)v[0] : 500;
	else if (slice_is(name, "every"))
		k->every_ms = n ? (int)v[0] : 50;
	else if (slice_is(name, "split"))
		k->split = n && v[0] > 0 ? (int)v[0] : 1;
	else if (slice_is(name, "big"))
		k->big = n && v[0] > 0 && v[0] <= 32 << 20 ? v[0] : 100000;
	else if (slice_is(name, "usage") && n >= 2)
		k->usage_in = v[0], k->usage_out = v[1], k->usage_cached = n > 2 ? v[2] : -1,
		k->usage_reasoning = n > 3 ? v[3] : -1;
	else if (slice_is(name, "ticks"))
		k->ticks = n > 0 ? (int)MIN(v[0], 100000) : 50, k->tick_bytes = n > 1 ? (int)v[1] : 16,
		k->every_ms = n > 2 ? (int)v[2] : 20;
	else if (slice_is(name, "file"))
		slice_copy(k->file, sizeof(k->file), slice_from(w, name.len + 1));
}

void knobs_add(struct knobs *k, struct slice words)
{
	if (slice_starts(words, SLICE("lab-")))
		words = slice_from(words, 4);
	while (words.len) {
		long plus = slice_find(words, SLICE("+"));
		size_t n = plus < 0 ? words.len : (size_t)plus;

		knobs_word(k, slice_trim(slice_sub(words, 0, n)));
		words = slice_from(words, plus < 0 ? n : n + 1);
	}
}
