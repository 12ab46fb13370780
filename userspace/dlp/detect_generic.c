/*
 * Secrets without a shape: only the name they are assigned to gives them away (password = ...,
 * "api_key": "...", --token ...), so the value must look like no word, name, path or number.
 */
#include "dlp/detector.h"
#include "dlp/validate.h"

#include "base/def.h"

#include <ctype.h>

struct shape {
	size_t lower, upper, digit, other, dots, seps, hex;
	size_t run, low_run; /* longest of letters, of lower case letters */
};

static struct shape shape_of(struct slice v)
{
	struct shape s = { 0 };
	size_t run = 0, low_run = 0;

	for (size_t i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.ptr[i];

		s.lower += islower(c) != 0;
		s.upper += isupper(c) != 0;
		s.digit += isdigit(c) != 0;
		s.hex += isxdigit(c) != 0;
		s.dots += c == '.' || c == '/' || c == ':' || c == '\\';
		s.seps += c == '_' || c == '-' || c == '.' || c == '/';
		s.other += !isalnum(c) && c != '_' && c != '-' && c != '.';
		run = isalpha(c) ? run + 1 : 0;
		low_run = islower(c) ? low_run + 1 : 0;
		s.run = MAX(s.run, run);
		s.low_run = MAX(s.low_run, low_run);
	}
	return s;
}

/* 8-4-4-4-12: an identifier more often than a secret. */
static bool is_uuid(struct slice v)
{
	if (v.len != 36)
		return false;
	for (size_t i = 0; i < v.len; i++)
		if ((i == 8 || i == 13 || i == 18 || i == 23) ? v.ptr[i] != '-'
							       : !isxdigit((unsigned char)v.ptr[i]))
			return false;
	return true;
}

/* Words joined by signs, a few digits at their ends: gpt-4o-mini, sha256, my_token_2, a.b.c. */
static bool is_identifier(struct slice v)
{
	size_t words = 0, good = 0, i = 0;

	while (i < v.len) {
		size_t from = i, letters = 0, digits = 0, turns = 0;

		while (i < v.len && !strchr("_-./:@", v.ptr[i])) {
			unsigned char c = (unsigned char)v.ptr[i];

			if (!isalnum(c))
				return false;
			letters += isalpha(c) != 0;
			digits += isdigit(c) != 0;
			if (i > from)
				turns += isdigit(c) && isalpha((unsigned char)v.ptr[i - 1]);
			i++;
		}
		words++;
		good += i == from || letters == 0 || digits == 0 || (turns <= 1 && digits <= 4);
		i++;
	}
	return words == good;
}

/* Letters only in the manner of words: one case, or camel case with long humps. */
static bool is_wordy(struct slice v, const struct shape *s)
{
	size_t humps = 0;

	if (s->digit || s->other)
		return false;
	for (size_t i = 1; i < v.len; i++)
		humps += isupper((unsigned char)v.ptr[i]) && islower((unsigned char)v.ptr[i - 1]);
	return s->upper == 0 || s->lower == 0 || humps * 4 <= v.len;
}

/* Whatever case, and with - for _. */
static bool has_word(struct slice name, const char *lower)
{
	size_t n = strlen(lower), k;

	for (size_t i = 0; i + n <= name.len; i++) {
		for (k = 0; k < n; k++) {
			char c = name.ptr[i + k];

			if ((c | 0x20) != lower[k] &&
			    !(lower[k] == '_' && (c == '_' || c == '-')))
				break;
		}
		if (k == n)
			return true;
	}
	return false;
}

/* Names that carry a secret word and no secret. */
static bool name_is_harmless(struct slice name)
{
	static const char *const words[] = {
		"public",   "pub_key",	  "max_tok",	"maxtok",   "num_tok",	"token_type", "tokentype",
		"tokeniz",  "token_count", "tokencount", "tokens",  "n_token",	"secret_name", "secretname",
		"keyword",  "monkey",	  "passenger",	"keyboard", "cache_key", "cachekey", "primary",
		"foreign",  "sort_key",	  "hash_key",	"partition", "token_id", "tokenid",  "author",
		"publishable", "next_token", "nexttoken", "page_token", "pagetoken", "anon", "_path",
		"_file",    "_url",	  "_uri",	"_name",    "_type",	"_field",    "_length",
		"_version", "_policy",	  "_hint",	"encrypted_", "token_budget", "continuation",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (has_word(name, words[i]))
			return true;
	return false;
}

/* The assignment's whole name: what stands left of the trigger belongs to it too. */
static struct slice name_of(const struct match *m)
{
	size_t from = m->lead, to = m->lead, floor = from > 40 ? from - 40 : 0;

	if (m->lead == m->start)
		return m->key;
	while (from > floor && (isalnum((unsigned char)m->text.ptr[from - 1]) ||
				strchr("_-.", m->text.ptr[from - 1])))
		from--;
	while (to < m->start && (isalnum((unsigned char)m->text.ptr[to]) ||
				 strchr("_-.", m->text.ptr[to])))
		to++;
	return slice_sub(m->text, from, to);
}

static bool is_reference(struct slice v)
{
	static const char *const starts[] = { "http://", "https://", "/", "./", "../", "~/", "file:",
					      "arn:", "vault:", "env.", "process.", "os.", "self.",
					      "this.", "config.", "secrets.", "settings.", "options.",
					      "sha1-", "sha256-", "sha384-", "sha512-", "urn:", "data:" };

	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (slice_starts(v, slice_str(starts[i])))
			return true;
	return v.ptr[0] == '$' || v.ptr[0] == '%' || v.ptr[0] == '&';
}

/* After a password's name: short values count, when no language would have such a word. */
static int check_password(const struct match *m)
{
	struct slice v = match_value(m);
	struct shape s = shape_of(v);

	if (name_is_harmless(name_of(m)) || is_reference(v) || is_uuid(v) || is_wordy(v, &s))
		return 0;
	if (s.lower + s.upper == 0 || (s.digit == 0 && s.other == 0))
		return 0;
	if (s.digit == 0 && (s.upper == 0 || s.lower == 0 || v.len < 8))
		return 0;
	if (s.upper >= 2 && s.lower >= 2 && s.digit && s.low_run <= 3 && !s.seps)
		return 70;
	if (is_identifier(v) && (s.seps || s.digit <= 2))
		return s.upper && s.lower && s.digit >= 2 && !s.seps ? 60 : 0;
	return entropy_of(v) >= 240 ? 75 : 0;
}

/* After a token's or key's name: long and random. */
static int check_token(const struct match *m)
{
	struct slice v = match_value(m);
	struct shape s = shape_of(v);

	if (name_is_harmless(name_of(m)) || is_reference(v) || is_uuid(v) || is_wordy(v, &s))
		return 0;
	if (v.len < 14 || s.digit < 2 || s.lower + s.upper < 2 || s.dots > 2)
		return 0;
	if (is_identifier(v) && s.seps)
		return 0;
	if (s.hex == v.len)
		return v.len >= 24 && entropy_of(v) >= 280 ? 60 : 0;
	return entropy_of(v) >= 320 && s.run <= 16 ? 65 : 0;
}

static bool key_is_password(struct slice key)
{
	return !name_is_harmless(key) &&
	       (has_word(key, "passw") || has_word(key, "passphrase") || has_word(key, "pwd") ||
		has_word(key, "secret"));
}

static bool key_is_token(struct slice key)
{
	return !name_is_harmless(key) &&
	       (has_word(key, "token") || has_word(key, "apikey") || has_word(key, "api_key") ||
		has_word(key, "auth") || has_word(key, "credential") ||
		has_word(key, "access_key") || has_word(key, "accesskey"));
}

#define PASSWORD "passw", "passphrase", "pwd", "secret", "passwd", "pswd", "paswd"
#define SHORT "pass[:=]", "pw[:=]", "pass [:=]", "pw [:=]"
#define TOKEN "token", "apikey", "api[_ -]key", "auth[_ -]", "access[_-]k", "credential", "[_-]key", \
	      "accesskey", "authkey", "client[_-]s"
/* Possessive to the last quote: while this is partial no value has begun (detector.h). */
#define NAME "[A-Za-z0-9_.-]{0,32}+\\\\?[\"'`)\\]]{0,2}+"
#define ASSIGN "[ \\t]{0,8}+(?:[!=]==?|:=|=>|[=:]=?)[ \\t]{0,8}+(?:\\\\?[\"'`])?+"
#define VALUE_CHAR "[^\\s\"'`<>,;(){}\\[\\]|\\\\\\x00-\\x1f\\x7f-\\xff]"
#define PASSWORD_VALUE VALUE_CHAR "{6,100}(?!" VALUE_CHAR ")(?![(\\[])"
#define TOKEN_VALUE VALUE_CHAR "{14,200}(?!" VALUE_CHAR ")(?![(\\[])"
#define GENERIC DETECT_SECRET | DETECT_IGNORE_CASE

const struct detector detect_generic[] = {
	{ .type = "GENERIC_SECRET", .trigger = { PASSWORD }, .lead = "[a-z]{3,10}+" NAME ASSIGN,
	  .value = PASSWORD_VALUE, .key = key_is_password, .check = check_password,
	  .flags = GENERIC, .rank = 20 },
	{ .type = "GENERIC_SECRET", .trigger = { SHORT }, .lead = "[a-z]{2,4}+" ASSIGN,
	  .value = PASSWORD_VALUE, .check = check_password, .flags = GENERIC | DETECT_EDGE,
	  .rank = 20 },
	/* XML elements: <password>...</password>. */
	{ .type = "GENERIC_SECRET", .trigger = { PASSWORD }, .lead = "[a-z]{3,10}+[A-Za-z0-9_.-]{0,32}+>",
	  .value = PASSWORD_VALUE, .check = check_password, .flags = GENERIC, .rank = 20 },
	/* SQL and prose: PASSWORD 'x', password is "x": here the quotes are the evidence. */
	{ .type = "GENERIC_SECRET", .trigger = { PASSWORD },
	  .lead = "[a-z]{3,10}+[a-z_]{0,8}+ {1,3}+(?:is |to |as |str = |: str = |= )?+[\"'`]",
	  .value = PASSWORD_VALUE, .check = check_password, .flags = GENERIC, .rank = 20 },
	/* Annotated: passwd: str = "x". */
	{ .type = "GENERIC_SECRET", .trigger = { PASSWORD },
	  .lead = "[a-z]{3,10}+[a-z0-9_]{0,16}+\\??: ?(?:str|string)\\)? ?= ?[\"'`]",
	  .value = PASSWORD_VALUE, .check = check_password, .flags = GENERIC, .rank = 20 },
	/* Command line: --password x. */
	{ .type = "GENERIC_SECRET", .trigger = { "-passw", "-secret", "-token", "-pwd" },
	  .lead = "-[a-z]{3,8}+[a-z_-]{0,16}+ {1,3}+[\"']?+", .value = PASSWORD_VALUE,
	  .check = check_password, .flags = GENERIC, .rank = 20 },
	{ .type = "GENERIC_SECRET", .trigger = { TOKEN },
	  .lead = "[a-z]{0,12}+[_ -]?+[a-z]{0,12}+" NAME ASSIGN, .value = TOKEN_VALUE,
	  .key = key_is_token, .check = check_token, .flags = GENERIC, .rank = 20 },
	{ .type = "GENERIC_SECRET", .trigger = { "[_-]token>", "token>", "key>" }, .lead = "[_-]?[a-z]{3,6}+>",
	  .value = TOKEN_VALUE, .check = check_token, .flags = GENERIC, .rank = 20 },
	{ .type = "GENERIC_SECRET", .trigger = { "bearer ", "basic " }, .lead = "[a-z]{5,6}+ {1,2}+",
	  .value = "[A-Za-z0-9._~+/-]{16,300}={0,2}(?![A-Za-z0-9._~+/=-])", .check = check_token,
	  .flags = GENERIC | DETECT_EDGE, .rank = 20 },
	{ .type = NULL },
};
