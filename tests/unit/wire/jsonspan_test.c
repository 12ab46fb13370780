/* JSON spans: as strict as jansson, the same strings, offsets and splices that keep other bytes. */
#include "base/clock.h"
#include "base/text.h"
#include "tests/t.h"
#include "tests/unit/wire/json_same.h"
#include "tests/unit/wire/recorded.h"

#define MUTATIONS 40000

static uint32_t seed = 7;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* A copy of exactly its length: reading past it shows under ASan. */
static struct slice exact(const char *s, size_t len)
{
	char *p = malloc(len ? len : 1);

	memcpy(p, s, len);
	return slice_of(p, len);
}

static int parse(const char *s, size_t len, struct arena *a, struct jdoc *d)
{
	arena_reset(a);
	return jspan_parse(slice_of(s, len), a, d);
}

static const struct { const char *why, *text; int r; } rows[] = {
	{ "number", "1", 0 },
	{ "minus zero", "-0", 0 },
	{ "number with all parts", "-12.50e+07", 0 },
	{ "leading zero", "01", -EBADMSG },
	{ "plus", "+1", -EBADMSG },
	{ "no digit before the point", ".5", -EBADMSG },
	{ "no digit behind the point", "5.", -EBADMSG },
	{ "no digit in the exponent", "5e", -EBADMSG },
	{ "hexadecimal", "0x10", -EBADMSG },
	{ "minus alone", "-", -EBADMSG },
	{ "NaN", "NaN", -EBADMSG },
	{ "infinity", "-Infinity", -EBADMSG },
	{ "beyond a double", "1e999", 0 },
	{ "words", "[true,false,null]", 0 },
	{ "word cut", "tru", -EBADMSG },
	{ "word too long", "truex", -EBADMSG },
	{ "capital word", "True", -EBADMSG },
	{ "blanks of all kinds", " \t\r\n[ \t\r\n] \t\r\n", 0 },
	{ "form feed", "\f[]", -EBADMSG },
	{ "no-break space", "\xc2\xa0[]", -EBADMSG },
	{ "byte order mark", "\xef\xbb\xbf[]", -EBADMSG },
	{ "nothing", "", -EBADMSG },
	{ "blanks only", "  ", -EBADMSG },
	{ "trailing comma in an array", "[1,]", -EBADMSG },
	{ "leading comma", "[,1]", -EBADMSG },
	{ "two commas", "[1,,2]", -EBADMSG },
	{ "no comma", "[1 2]", -EBADMSG },
	{ "trailing comma in an object", "{\"a\":1,}", -EBADMSG },
	{ "comma alone in an object", "{,}", -EBADMSG },
	{ "no colon", "{\"a\" 1}", -EBADMSG },
	{ "no value", "{\"a\":}", -EBADMSG },
	{ "no key", "{1:2}", -EBADMSG },
	{ "bare key", "{a:2}", -EBADMSG },
	{ "single quotes", "{'a':2}", -EBADMSG },
	{ "comment", "[1/*x*/]", -EBADMSG },
	{ "line comment", "[1]//x", -EBADMSG },
	{ "two documents", "{}{}", -EBADMSG },
	{ "text behind", "[]x", -EBADMSG },
	{ "open array", "[1", -EBADMSG },
	{ "open object", "{\"a\":1", -EBADMSG },
	{ "open string", "\"a", -EBADMSG },
	{ "wrong close", "[1}", -EBADMSG },
	{ "wrong close of an object", "{\"a\":1]", -EBADMSG },
	{ "close alone", "]", -EBADMSG },
	{ "line end in a string", "\"a\nb\"", -EBADMSG },
	{ "tab in a string", "\"a\tb\"", -EBADMSG },
	{ "DEL in a string", "\"a\x7f\"", 0 },
	{ "short escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0 },
	{ "unknown escape", "\"\\x41\"", -EBADMSG },
	{ "escaped quote at the end", "\"\\\"", -EBADMSG },
	{ "escape cut", "\"\\", -EBADMSG },
	{ "\\u with 3 digits", "\"\\u123\"", -EBADMSG },
	{ "\\u with a bad digit", "\"\\u12g4\"", -EBADMSG },
	{ "\\U", "\"\\U0041\"", -EBADMSG },
	{ "\\u0000", "\"\\u0000\"", 0 },
	{ "surrogate pair", "\"\\ud83d\\ude00\"", 0 },
	{ "high surrogate alone", "\"\\ud83d\"", -EBADMSG },
	{ "high surrogate and a letter", "\"\\ud83dx\"", -EBADMSG },
	{ "high surrogate and another escape", "\"\\ud83d\\n0000\"", -EBADMSG },
	{ "two high surrogates", "\"\\ud83d\\ud83d\"", -EBADMSG },
	{ "low surrogate alone", "\"\\ude00\"", -EBADMSG },
	{ "two, three and four bytes", "\"\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", 0 },
	{ "tail byte alone", "\"\x80\"", -EBADMSG },
	{ "character cut", "\"\xe2\x82\"", -EBADMSG },
	{ "overlong slash", "\"\xc0\xaf\"", -EBADMSG },
	{ "overlong in three", "\"\xe0\x9f\xbf\"", -EBADMSG },
	{ "overlong in four", "\"\xf0\x8f\xbf\xbf\"", -EBADMSG },
	{ "surrogate as bytes", "\"\xed\xa0\x80\"", -EBADMSG },
	{ "over U+10FFFF", "\"\xf4\x90\x80\x80\"", -EBADMSG },
	{ "byte FE", "\"\xfe\"", -EBADMSG },
	{ "not UTF-8 in a key", "{\"\xff\":1}", -EBADMSG },
};

static void table(void)
{
	struct arena a;
	struct jdoc d;

	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice text = exact(rows[i].text, strlen(rows[i].text));
		const char *how;

		t_int(parse(text.ptr, text.len, &a, &d), rows[i].r, "%s: %s", rows[i].why,
		      rows[i].text);
		how = json_differs(text);
		t_ok(!how, "%s: %s", rows[i].why, how);
		free((char *)(uintptr_t)text.ptr);
	}
	t_int(parse("[\"a\0b\"]", 7, &a, &d), -EBADMSG, "NUL in a string");
	t_int(parse("[\0]", 3, &a, &d), -EBADMSG, "NUL between tokens");
	t_int(parse("{\"a\\u0000b\":1}", 14, &a, &d), 0, "U+0000 in a key hides nothing");
	arena_done(&a);
}

static void members(void)
{
	static const char text[] = "{\"mod\\u0065l\":\"a\",\"n\":{\"x\":true},\"model\":\"\\u0062\","
				   "\"empty\":\"\",\"list\":[1,\"two\"]}";
	struct arena a;
	struct jdoc d;
	const struct jnode *root, *n;

	arena_init(&a, 1 << 20);
	t_int(parse(text, sizeof(text) - 1, &a, &d), 0, "object");
	root = jspan_root(&d);
	t_ok(d.duplicates, "a key spelt with an escape is the same key");
	t_ok(jspan_is(&d, jspan_get(&d, root, "model"), "b"), "the last one counts");
	t_ok(jspan_true(jspan_get(&d, jspan_get(&d, root, "n"), "x")), "nested");
	t_ok(!jspan_get(&d, jspan_get(&d, root, "list"), "x"), "an array has no members");
	t_ok(!jspan_get(&d, NULL, "x") && !jspan_first(&d, NULL) && !jspan_next(&d, NULL), "NULL");
	n = jspan_get(&d, root, "empty");
	t_ok(n && jspan_text(&d, n, &a).ptr && !jspan_text(&d, n, &a).len, "empty is not absent");
	t_ok(!jspan_text(&d, root, &a).ptr, "an object has no text");
	t_ok(slice_is(jspan_raw(&d, jspan_get(&d, root, "list")), "[1,\"two\"]"), "raw");
	t_ok(slice_is(jspan_key(&d, jspan_first(&d, root)), "mod\\u0065l"), "key as sent");
	t_int(parse("{\"a\":1,\"b\":{\"a\":2},\"c\":[{\"a\":1},{\"a\":1}]}", 41, &a, &d), 0, "object");
	t_ok(!d.duplicates, "one name in several objects is no duplicate");
	t_int(parse("{\"\":1,\"\":2}", 11, &a, &d), 0, "empty keys");
	t_ok(d.duplicates, "empty keys are keys");
	arena_done(&a);
}

static void numbers(void)
{
	static const struct { const char *text; int64_t want; } ints[] = {
		{ "0", 0 }, { "-0", 0 }, { "12", 12 }, { "12.0", 12 }, { "1.2e1", 12 },
		{ "120e-1", 12 }, { "12.5", -7 }, { "1e-1", -7 }, { "-1", -7 },
		{ "9223372036854775807", INT64_MAX }, { "9223372036854775808", -7 },
		{ "922337203685477580.7e1", INT64_MAX }, { "1e18", 1000000000000000000 },
		{ "1e19", -7 }, { "1e99999999999999999999", -7 }, { "0e99999999999999999999", 0 },
		{ "1e-99999999999999999999", -7 }, { "0.000e-5", 0 }, { "\"12\"", -7 },
		{ "0.00012e5", 12 }, { "12000e-3", 12 }, { "12001e-3", -7 }, { "true", -7 },
	};
	struct arena a;
	struct jdoc d;

	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		t_int(parse(ints[i].text, strlen(ints[i].text), &a, &d), 0, "%s", ints[i].text);
		t_int(jspan_int(&d, jspan_root(&d), -7), ints[i].want, "%s", ints[i].text);
	}
	t_int(jspan_int(&d, NULL, -7), -7, "absent");
	arena_done(&a);
}

/* `n` times `unit`, then `end`. */
static struct slice repeated(const char *unit, size_t n, const char *end)
{
	size_t len = strlen(unit), tail = strlen(end);
	char *p = malloc(n * len + tail);

	for (size_t i = 0; i < n; i++)
		memcpy(p + i * len, unit, len);
	memcpy(p + n * len, end, tail);
	return slice_of(p, n * len + tail);
}

static void limit(const char *what, struct slice text, size_t arena_max, int want)
{
	struct arena a;
	struct jdoc d;
	uint64_t start = clock_mono_ns();

	arena_init(&a, arena_max);
	t_int(jspan_parse(text, &a, &d), want, "%s", what);
	t_ok(clock_mono_ns() - start < 5000000000U, "%s: in time", what);
	arena_done(&a);
	free((char *)(uintptr_t)text.ptr);
}

static void limits(void)
{
	struct buf b;
	struct arena a;
	struct jdoc d;

	buf_init(&b, 64 << 20);
	for (int i = 0; i < JSPAN_DEPTH_MAX; i++)
		(void)buf_str(&b, "[");
	for (int i = 0; i < JSPAN_DEPTH_MAX; i++)
		(void)buf_str(&b, "]");
	limit("as deep as may be", exact(b.data, b.len), 1 << 20, 0);
	limit("too deep", repeated("[", 1000000, ""), 1 << 20, -E2BIG);
	limit("too deep in objects", repeated("{\"a\":", JSPAN_DEPTH_MAX + 1, ""), 1 << 20, -E2BIG);
	buf_clear(&b);
	(void)buf_str(&b, "[0");
	while (b.len < 2 * (JSPAN_NODES_MAX - 2) + 2)
		(void)buf_str(&b, ",0");
	(void)buf_str(&b, "]");
	limit("as many nodes as may be", exact(b.data, b.len), 256 << 20, 0);
	limit("more than the arena holds", exact(b.data, b.len), 1 << 20, -ENOMEM);
	b.len--;
	(void)buf_str(&b, ",0]");
	limit("one node too many", exact(b.data, b.len), 256 << 20, -E2BIG);

	/* Many keys of one length and ends: no quadratic search for duplicates. */
	buf_clear(&b);
	(void)buf_str(&b, "{\"x00000000x\":0");
	for (int i = 1; i < 200000; i++)
		(void)buf_printf(&b, ",\"x%08dx\":0", i);
	(void)buf_str(&b, ",\"x0000\\u00300\\u00301x\":0}");
	b.len--;
	(void)buf_str(&b, "}");
	arena_init(&a, 256 << 20);
	t_int(jspan_parse(buf_slice(&b), &a, &d), 0, "200,000 keys");
	t_ok(d.duplicates, "the one duplicate among them, spelt with escapes");
	arena_reset(&a);
	b.len -= strlen(",\"x0000\\u00300\\u00301x\":0}");
	(void)buf_str(&b, "}");
	t_int(jspan_parse(buf_slice(&b), &a, &d), 0, "200,000 keys");
	t_ok(!d.duplicates, "and none without it");
	arena_done(&a);
	buf_done(&b);
}

static const char *const grown[] = {
	"{\"model\":\"gpt-4o\",\"stream\":true,\"n\":1,\"messages\":[{\"role\":\"user\",\"content\":"
	"\"a\\n\\u00e9\\ud83d\\ude00 \xf0\x9f\x98\x80 \xe6\x97\xa5\xe6\x9c\xac end\"}],\"t\":[0.5,-1e3]}",
	"{\"a\":{\"b\":[[],{},[1,2,{\"c\":null}]],\"a\":\"\\\\\\\"\\/\"},\"a\":false}",
	"[\"\",\"\\u0000\",\"\xc3\xa9\",\"0123456789abcdef0123456789abcde\",1e5,-0.0,[[[[\"x\"]]]]]",
	"{\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":6,\"k7\":7,\"k8\":8,\"k9\":9,\"k10\":10,"
	"\"k11\":11,\"k12\":12,\"k13\":13,\"k14\":14,\"k15\":15,\"k16\":16,\"k17\":17,\"k18\":18}",
};

/* Small changes of good texts: most of what breaks a parser is one byte away from fine. */
static void mutations(void)
{
	static const char tokens[] = "{}[]:,\"\\ue0123456789.-+tfn \n\t\x80\xc3\xed\xf4\x7f/dD8aA";
	unsigned int taken = 0;

	for (int i = 0; i < MUTATIONS; i++) {
		const char *from = grown[random_below(ARRAY_LEN(grown))];
		size_t len = strlen(from);
		char *text = malloc(len + 8);
		struct slice copy;
		const char *how;

		memcpy(text, from, len);
		for (uint32_t n = 1 + random_below(3); n; n--) {
			size_t at = random_below((uint32_t)len);
			char c = tokens[random_below(sizeof(tokens) - 1)];

			switch (random_below(4)) {
			case 0:
				text[at] = c;
				break;
			case 1:
				memmove(text + at + 1, text + at, len - at);
				text[at] = c;
				len++;
				break;
			case 2:
				memmove(text + at, text + at + 1, len - at - 1);
				len--;
				break;
			default:
				text[at] = text[random_below((uint32_t)len)];
			}
		}
		copy = exact(text, len);
		how = json_differs(copy);
		taken += how == NULL;
		if (how)
			t_ok(false, "%s: %.*s", how, SLICE_FMT(copy));
		free((char *)(uintptr_t)copy.ptr);
		free(text);
	}
	t_int(taken, MUTATIONS, "mutations");
}

/* Masking a decoded range changes that range and nothing else. */
static void masking(void)
{
	static const struct { const char *json, *find, *want; } masks[] = {
		{ "{\"a\":\"card 4111\\u00201111 ok\",\"b\":\"4111 1111\"}", "4111 1111",
		  "{\"a\":\"card *\\\"* ok\",\"b\":\"4111 1111\"}" },
		{ "{\"a\":\"\\ud83d\\ude00x\\ud83d\\ude00\"}", "x",
		  "{\"a\":\"\\ud83d\\ude00*\\\"*\\ud83d\\ude00\"}" },
		{ "{\"a\":\"\\n\\u0073ecret\\/\"}", "secret/", "{\"a\":\"\\n*\\\"*\"}" },
		{ "{\"a\":\"\xc3\xa9secret\xc3\xa9\"}", "secret",
		  "{\"a\":\"\xc3\xa9*\\\"*\xc3\xa9\"}" },
	};
	struct arena a;
	struct buf with, out;

	arena_init(&a, 1 << 20);
	buf_init(&with, 1 << 10);
	buf_init(&out, 1 << 16);
	t_int(jspan_escape(SLICE("*\"*"), &with), 0, "escape");
	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		struct jdoc d;
		struct jcursor hint = { 0, 0 };
		const struct jnode *n;
		struct splice edit;
		long at;

		t_int(parse(masks[i].json, strlen(masks[i].json), &a, &d), 0, "parse");
		n = jspan_get(&d, jspan_root(&d), "a");
		at = slice_find(jspan_text(&d, n, &a), slice_str(masks[i].find));
		t_ok(at >= 0, "found in the decoded text");
		edit.start = n->start + jspan_raw_offset(&d, n, (uint32_t)at, &hint);
		edit.end = n->start + jspan_raw_offset(
				&d, n, (uint32_t)at + (uint32_t)strlen(masks[i].find), &hint);
		edit.with = buf_slice(&with);
		buf_clear(&out);
		t_int(splice_apply(d.text, &edit, 1, &out), 0, "splice");
		(void)buf_append(&out, slice_of("", 1));
		t_str(out.data, masks[i].want, "masked");
	}
	arena_done(&a);
	buf_done(&with);
	buf_done(&out);
}

/* Anything, escaped, is a JSON string that reads as it (what is no UTF-8 as U+FFFD). */
static void escaping(void)
{
	struct arena a;
	struct buf b;
	struct jdoc d;

	arena_init(&a, 1 << 20);
	buf_init(&b, 1 << 16);
	for (int i = 0; i < 3000; i++) {
		char text[64];
		size_t len = random_below(sizeof(text));
		struct slice in = slice_of(text, len), got;

		for (size_t k = 0; k < len; k++)
			text[k] = (char)random_below(i % 2 ? 128 : 256);
		buf_clear(&b);
		(void)buf_str(&b, "\"");
		t_int(jspan_escape(in, &b), 0, "escape");
		(void)buf_str(&b, "\"");
		t_int(parse(b.data, b.len, &a, &d), 0, "what is escaped parses: %.*s",
		      SLICE_FMT(buf_slice(&b)));
		got = jspan_text(&d, jspan_root(&d), &a);
		t_ok(text_is_utf8(in) ? slice_eq(got, in) : text_is_utf8(got), "round trip");
	}
	buf_done(&b);
	buf_init(&b, 8);
	(void)buf_str(&b, "ab");
	t_int(jspan_escape(SLICE("12\n\n\n\n"), &b), -ENOBUFS, "escape over the cap");
	t_ok(slice_is(buf_slice(&b), "ab"), "leaves the buffer as it was");
	buf_done(&b);
	arena_done(&a);
}

static void splices(void)
{
	static const struct { const char *why; struct splice edits[2]; size_t n; int r; } bad[] = {
		{ "end before start", { { 3, 2, { "x", 1 } } }, 1, -EINVAL },
		{ "past the end", { { 3, 11, { "x", 1 } } }, 1, -EINVAL },
		{ "overlap", { { 0, 3, { "x", 1 } }, { 2, 4, { "y", 1 } } }, 2, -EINVAL },
		{ "not sorted", { { 5, 6, { "x", 1 } }, { 2, 3, { "y", 1 } } }, 2, -EINVAL },
		{ "over the cap", { { 0, 0, { "0123456789", 10 } } }, 1, -ENOBUFS },
	};
	struct buf b;

	buf_init(&b, 16);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t_int(splice_apply(SLICE("0123456789"), bad[i].edits, bad[i].n, &b), bad[i].r, "%s",
		      bad[i].why);
		t_int(buf_size(&b), 0, "%s: nothing written", bad[i].why);
	}
	t_int(splice_apply(SLICE("0123456789"), NULL, 0, &b), 0, "no edit");
	t_ok(slice_is(buf_slice(&b), "0123456789"), "a copy");
	buf_done(&b);
	buf_init(&b, 1 << 16);
	for (int i = 0; i < 2000; i++) {
		char in[40], want[200];
		struct splice edits[4];
		size_t n = random_below(5), at = 0, len = 0, last = 0;

		for (size_t k = 0; k < sizeof(in); k++)
			in[k] = (char)('a' + k % 26);
		for (size_t k = 0; k < n; k++) {
			edits[k].start = at + random_below(6);
			edits[k].end = at = edits[k].start + random_below(4);
			edits[k].with = slice_of("ABCDEFG", random_below(8));
			memcpy(want + len, in + last, edits[k].start - last);
			len += edits[k].start - last;
			memcpy(want + len, "ABCDEFG", edits[k].with.len);
			len += edits[k].with.len;
			last = edits[k].end;
		}
		memcpy(want + len, in + last, sizeof(in) - last);
		len += sizeof(in) - last;
		buf_clear(&b);
		t_int(splice_apply(slice_of(in, sizeof(in)), edits, n, &b), 0, "splice");
		t_ok(slice_eq(buf_slice(&b), slice_of(want, len)), "ranges replaced, others kept");
	}
	buf_done(&b);
}

static size_t n_json;

static void recording(const json_t *one)
{
	static const char *const which[] = { "request_body", "response_body" };

	for (size_t i = 0; i < ARRAY_LEN(which); i++) {
		struct slice body = recorded_body(one, which[i]);
		const char *how;

		if (!body.len || (body.ptr[0] != '{' && body.ptr[0] != '['))
			continue;
		how = json_differs(body);
		n_json++;
		t_ok(!how, "%s of %s: %s", which[i],
		     json_string_value(json_object_get(one, "id")), how);
	}
}

int main(void)
{
	table();
	members();
	numbers();
	limits();
	mutations();
	masking();
	escaping();
	splices();
	if (recorded_each(recording))
		t_ok(n_json > 1000, "recorded JSON bodies: %zu", n_json);
	return t_done();
}
