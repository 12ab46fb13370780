/* One candidate: lead, value, naming words, validator. Everything a decision reads is bounded. */
#include "dlp/engine.h"

#include "base/def.h"

#include <ctype.h>

#define BACK_MAX 64    /* bytes a value reaches back before its trigger */
#define LIMIT_SPAN 256 /* bytes that are reported when a pattern gave up */

size_t match_back(const struct compiled *c, struct slice text, size_t at)
{
	size_t floor = at > BACK_MAX ? at - BACK_MAX : 0;

	if (c->def->back)
		while (at > floor) {
			unsigned char b = (unsigned char)text.ptr[at - 1];

			if (!(c->back[b >> 6] >> (b & 63) & 1))
				break;
			at--;
		}
	return at;
}

bool match_pointless(const struct trigger_use *t, const struct view *v, size_t at)
{
	size_t digits = 0, i = at;

	if (t->edge && !trigger_edge(v->text, at))
		return true;
	if (!t->number)
		return false;
	/* Years, prices, ports: under seven digits is no number of anybody's. */
	for (; i < v->text.len && digits < 7; i++) {
		char c = v->text.ptr[i];

		if (c >= '0' && c <= '9')
			digits++;
		else if (c != ' ' && c != '.' && c != '-' && c != '(' && c != ')')
			break;
	}
	return digits < 7 && (i < v->text.len || !v->more);
}

/* Length of the naming word in text[i..], 0 when it is not this one. A blank takes _ and - too. */
static size_t word_at(struct slice text, size_t i, const char *word, size_t len)
{
	if (i + len > text.len)
		return 0;
	for (size_t k = 0; k < len; k++) {
		char c = text.ptr[i + k];

		if (word[k] == ' ' ? c != ' ' && c != '_' && c != '-'
				   : tolower((unsigned char)c) != (unsigned char)word[k])
			return 0;
	}
	return len;
}

/* No letter goes on at text[i]; camelCase divides words too. */
static bool word_ends(struct slice text, size_t i, bool more)
{
	unsigned char last = (unsigned char)text.ptr[i - 1], next;

	if (!isalpha(last))
		return true;
	if (i == text.len)
		return !more;
	next = (unsigned char)text.ptr[i];
	return !isalpha(next) || (islower(last) && isupper(next));
}

static bool word_begins(struct slice text, size_t i)
{
	unsigned char first = (unsigned char)text.ptr[i], before;

	if (i == 0 || !isalpha(first))
		return true;
	before = (unsigned char)text.ptr[i - 1];
	return !isalpha(before) || (islower(before) && isupper(first));
}

void words_first(uint64_t set[4], const char *words)
{
	for (const char *w = words; *w;) {
		unsigned char low = (unsigned char)*w, up = (unsigned char)toupper(low);
		size_t len = strcspn(w, "|");

		set[low >> 6] |= 1ull << (low & 63);
		set[up >> 6] |= 1ull << (up & 63);
		w += len + (w[len] == '|');
	}
}

/* One of "a|b c" stands whole in text[from, to). */
static bool words_in(struct slice text, size_t from, size_t to, const struct naming *words,
		     bool more)
{
	struct slice seen = slice_sub(text, 0, to);

	for (size_t i = from; i < to; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (!(words->first[c >> 6] >> (c & 63) & 1) || !word_begins(text, i))
			continue;
		for (const char *w = words->list; *w;) {
			size_t len = strcspn(w, "|");

			if (word_at(seen, i, w, len) && word_ends(text, i + len, more))
				return true;
			w += len + (w[len] == '|');
		}
	}
	return false;
}

static enum verdict words_near(const struct naming *words, const struct view *v, size_t start,
			       size_t end, bool left_only)
{
	size_t from = start > DETECTOR_WORDS ? start - DETECTOR_WORDS : 0;
	size_t to = MIN(end + DETECTOR_RIGHT, v->text.len);
	bool cut = v->more && end + DETECTOR_RIGHT >= v->text.len;

	if (v->key.len && words_in(v->key, 0, v->key.len, words, false))
		return MATCH_YES;
	if (words_in(v->text, from, start, words, false))
		return MATCH_YES;
	if (left_only)
		return MATCH_NO;
	if (words_in(v->text, end, to, words, v->more))
		return MATCH_YES;
	return cut ? MATCH_OPEN : MATCH_NO;
}

static enum verdict value_try(const struct compiled *c, struct regex_scratch *s,
			      const struct view *v, size_t lead, size_t at, struct raw *out)
{
	struct match m = { .text = v->text, .key = v->key, .lead = lead };
	int confidence = 90;

	out->type = c->type;
	out->start = at;
	/* PCRE2 calls a match that has read nothing yet no match, not a partial one. */
	if (at == v->text.len && v->more)
		return MATCH_OPEN;
	switch (regex_match(c->value, s, v->text, at, v->more, &m.start, &m.end)) {
	case REGEX_NO:
		return MATCH_NO;
	case REGEX_PARTIAL:
		return MATCH_OPEN;
	case REGEX_LIMIT: /* fail closed */
		*out = (struct raw){ at, MIN(at + LIMIT_SPAN, v->text.len), c->type, 1 };
		return MATCH_YES;
	case REGEX_YES:
		break;
	}
	if (m.end == m.start)
		return MATCH_NO;
	if (c->def->flags & DETECT_SECRET && is_placeholder(match_value(&m)))
		return MATCH_NO;
	if (c->def->check)
		confidence = c->def->check(&m);
	if (confidence <= 0)
		return MATCH_NO;
	if (c->words.list) {
		enum verdict near =
			words_near(&c->words, v, m.start, m.end, c->def->flags & DETECT_WORDS_LEFT);

		if (near != MATCH_YES)
			return near;
	}
	*out = (struct raw){ m.start, m.end, c->type, (uint8_t)confidence };
	return MATCH_YES;
}

enum verdict match_try(const struct compiled *c, struct regex_scratch *s, const struct view *v,
		       size_t at, struct raw *out)
{
	size_t start, value = match_back(c, v->text, at);

	if (c->def->flags & DETECT_EDGE && !trigger_edge(v->text, at))
		return MATCH_NO;
	if (c->def->flags & DETECT_BACK && value == at)
		return MATCH_NO;
	if (c->lead) {
		out->start = v->text.len;
		switch (regex_match(c->lead, s, v->text, at, v->more, &start, &value)) {
		case REGEX_NO:
		case REGEX_LIMIT: /* leads have no loops that could run away */
			return MATCH_NO;
		case REGEX_PARTIAL:
			out->type = c->type;
			return MATCH_OPEN;
		case REGEX_YES:
			break;
		}
	}
	return value_try(c, s, v, at, value, out);
}

enum verdict match_key(const struct compiled *c, struct regex_scratch *s, const struct view *v,
		       struct raw *out)
{
	if (!c->def->key || !v->key.len || !c->def->key(v->key))
		return MATCH_NO;
	return value_try(c, s, v, 0, 0, out);
}

enum verdict match_rule(const struct rule *r, struct regex_scratch *s, const struct view *v,
			size_t from, struct raw *out, size_t *next)
{
	for (; from <= v->text.len; from = *next) {
		size_t start, end;
		enum verdict near;

		switch (regex_match(r->regex, s, v->text, from, v->more, &start, &end)) {
		case REGEX_NO:
			return MATCH_NO;
		case REGEX_PARTIAL:
			out->type = r->type;
			out->start = start;
			return MATCH_OPEN;
		case REGEX_LIMIT:
			*next = MIN(from + r->max, v->text.len) + 1;
			*out = (struct raw){ from, *next - 1, r->type, 1 };
			return from < v->text.len ? MATCH_YES : MATCH_NO;
		case REGEX_YES:
			break;
		}
		/* Every start counts, not only those after the last match: where a text is cut must
		 * not decide which of two overlapping matches is seen. */
		*next = start + 1;
		if (end == start || (r->valid && !r->valid(slice_sub(v->text, start, end))))
			continue;
		near = r->words.list ? words_near(&r->words, v, start, end, false) : MATCH_YES;
		if (near == MATCH_NO)
			continue;
		*out = (struct raw){ start, end, r->type, r->confidence };
		return near;
	}
	return MATCH_NO;
}
