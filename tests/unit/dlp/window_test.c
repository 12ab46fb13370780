/* However a text is cut, the window finds what the whole text holds, and lets nothing of it out early. */
#include "base/clock.h"
#include "dlp/dlp.h"
#include "tests/t.h"

#include <stdint.h>

static struct dlp *dlp;
static struct dlp_scratch *scratch;

static uint64_t rnd_state = 88172645463325252ull;
static unsigned rnd(unsigned n)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (unsigned)(rnd_state >> 11) % n;
}

/* Whole samples, near misses and cut ones: what lies side by side in the built texts. */
static const char *const pieces[] = {
	"the quick brown fox ", "contact ", "john", ".", "doe", "@", "example", ".com", " ", "\n", ", ",
	"4111 1111 1111 1111", "4111-1111-1111-1112", "378282246310005", "41111111", "DE89 3704 0044 0532 "
	"0130 00", "GB82WEST12345698765432", "GB82", "WEST", "my ssn is ", "536-90-4399", "536904399",
	" (ssn)", "social security", "AKIAQ3EGRZL7XNCV5TWA", "AKIA", "ASIAQ3EGRZL7", "ghp_",
	"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", "password: ", "password", "=", "hunT3r2!x", "\"", "'",
	"aws_secret_access_key = ", "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", "token=", "AIhq5Xyb1Gga9Q5z",
	"postgres://user:", "s2Tf2kLMy", "@db.internal/x", "https://", "sk-ant-api03-", "sk-",
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", "eyJzdWIiOiIxMjM0NTY3ODkwIn0.", "c2lnbmF0dXJl",
	"+1 (602) 272-9781", "(602)272-9781", "602-272-9781", "call ", "0312 123 45 67", "2026-11-02", "30000",
	"LY 05 26 01 A", "LY052601A", "RSSMRA63C12F0L5N", "PANABCPE1234F", "ABCPE1234F", "HTTP", "12345678Z",
	"-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN ", "-----END RSA PRIVATE KEY-----", "-", "-----",
	"MIIEowIBAAKCAQEAx1fjr1MI+yVkFeZhS3gGzPq2bZ9rT0uQ5nW8oKe7HcYdLmJ4", "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.",
	"ZnCjm1XVW7vRze4b7Cq4se7kKWs", "508627689:AAEuLPKs-EhrjrYGnz60bnYNZqakf6HJxc0", ":AA", "a", "s", "g",
	"hooks.slack.com/services/", "T0DCUJB1Q/B0DD08H5G/bJtrpFi1fO1JMCcwLx8uZyAg", "<", ">", "{", "}", ":", "\\n",
	"\\\"", "%22", "Bearer ", "[CREDIT_CARD]", "[GENERIC_SECRET]", "\xc3\xa9", "\xf0\x9f\x98\x80", "E-123456",
	"staff ", "O29Q~F5-VwnW.lZdd11xFF_t5NAXCaGwDl9NbT1x", "dO2", "secret", "api_key", "x", "1", "7",
};

static const char rules[] =
	"{\"detectors\": [{\"type\": \"STAFF_ID\", \"pattern\": \"\\\\bE-[0-9]{6}\\\\b\", \"words\": [\"staff\"]},"
	" {\"type\": \"PROJECT\", \"pattern\": \"(?:brown|quick) [a-z]{1,20}(?![a-z])\"}]}";

static size_t text_build(char *out, size_t max)
{
	size_t len = 0, want = rnd(24) + 1;

	while (want--) {
		const char *p = pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))];
		size_t n = strlen(p), take = rnd(6) ? n : rnd((unsigned)n + 1);

		if (len + take > max)
			break;
		memcpy(out + len, p, take);
		len += take;
		if (rnd(3) == 0 && len < max)
			out[len++] = ' ';
	}
	return len;
}

static int by_place(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (int)x->type - (int)y->type;
}

static bool same(const struct findings *a, const struct findings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].start != b->items[i].start || a->items[i].end != b->items[i].end ||
		    a->items[i].type != b->items[i].type ||
		    a->items[i].confidence != b->items[i].confidence)
			return false;
	return true;
}

static void findings_print(const char *who, const struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		printf("#  %s %u-%u %s %u\n", who, f->items[i].start, f->items[i].end,
		       dlp_type_name(dlp, f->items[i].type), f->items[i].confidence);
}

/* Feeds in cuts of at most `step` bytes (0: random); false when a promise of `safe` was broken. */
static bool feed(struct slice text, const uint8_t *action, size_t hold_max, unsigned step,
		 struct findings *out)
{
	struct window *w;
	uint64_t safe = 0, before = 0;
	size_t at = 0, seen = 0;
	bool good = true;

	if (window_new(dlp, scratch, action, hold_max, &w) < 0)
		return false;
	for (;;) {
		size_t n = step ? step : rnd(40);
		bool final;

		if (n > text.len - at)
			n = text.len - at;
		final = at + n == text.len && rnd(2);
		if (window_push(w, slice_sub(text, at, at + n), final, out, &safe) < 0)
			good = false;
		at += n;
		good = good && safe >= before && safe <= at && at - safe <= (hold_max < 256 ? 256 : hold_max);
		/* What is returned with this push ends before safe; masked types begin after the last. */
		for (; seen < out->n; seen++)
			good = good && out->items[seen].end <= safe &&
			       (action[out->items[seen].type] < DLP_REDACT ||
				out->items[seen].start >= before);
		before = safe;
		if (final)
			break;
	}
	window_free(w);
	if (out->n)
		qsort(out->items, out->n, sizeof(*out->items), by_place);
	return good && safe == text.len;
}

static void actions_draw(uint8_t *action)
{
	unsigned mode = rnd(4);

	for (size_t i = 0; i < dlp_n_types(dlp); i++)
		action[i] = (uint8_t)(mode == 0 ? DLP_REDACT : mode == 1 ? DLP_LOG : rnd(4));
}

static void test_cuts(void)
{
	static char text[8192];
	uint8_t action[256];
	struct arena arena;
	size_t found = 0;

	arena_init(&arena, 1u << 26);
	for (int round = 0; round < 6000 && !t_bad; round++) {
		struct slice s = slice_of(text, text_build(text, sizeof(text)));
		struct findings whole = { .arena = &arena }, cut = { .arena = &arena };
		unsigned step = round % 3 == 0 ? 1 : round % 3 == 1 ? 0 : 16;
		bool kept;

		actions_draw(action);
		(void)dlp_scan_for(dlp, scratch, action, s, (struct slice){ 0 }, 0, &whole);
		kept = feed(s, action, 20000, step, &cut);
		if (!kept || !same(&whole, &cut)) {
			printf("# text %.*s\n", SLICE_FMT(s));
			findings_print("whole", &whole);
			findings_print("cut  ", &cut);
		}
		t_ok(kept, "round %d: safe keeps its promises (step %u)", round, step);
		t_ok(same(&whole, &cut), "round %d: cut in steps of %u", round, step);
		found += whole.n;
		arena_reset(&arena);
	}
	t_ok(found > 3000, "the texts hold something to find (%zu)", found);
	arena_done(&arena);
}

/* A hold too small for the match: masked from its start all the same, at the same bytes. */
static void test_overflow(void)
{
	static char text[16384];
	uint8_t action[256];
	struct arena arena;

	memset(action, DLP_REDACT, sizeof(action));
	arena_init(&arena, 1u << 26);
	for (int round = 0; round < 300 && !t_bad; round++) {
		size_t len = text_build(text, 4000), body = 300 + rnd(3000);
		struct findings whole = { .arena = &arena }, cut[3] = { { 0 } };
		struct slice s;
		size_t k = 0;

		len += (size_t)sprintf(text + len, " -----BEGIN RSA PRIVATE KEY-----\n");
		while (body--)
			text[len++] = body % 65 ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[rnd(64)] : '\n';
		if (round % 4)
			len += (size_t)sprintf(text + len, "\n-----END RSA PRIVATE KEY----- ");
		len += text_build(text + len, 2000);
		s = slice_of(text, len);
		(void)dlp_scan_for(dlp, scratch, action, s, (struct slice){ 0 }, 0, &whole);
		for (size_t i = 0; i < 3; i++) {
			cut[i].arena = &arena;
			t_ok(feed(s, action, 512, i == 0 ? 1 : i == 1 ? 0 : 6000, &cut[i]),
			     "round %d: safe keeps its promises with a small hold", round);
		}
		t_ok(same(&cut[0], &cut[1]) && same(&cut[0], &cut[2]),
		     "round %d: an overflow falls on the same bytes however cut", round);
		for (size_t i = 0; i < whole.n; i++)
			for (uint32_t at = whole.items[i].start; at < whole.items[i].end; at++) {
				while (k < cut[0].n && cut[0].items[k].end <= at)
					k++;
				if (k == cut[0].n || cut[0].items[k].start > at) {
					t_ok(false, "round %d: byte %u of a %s is let out", round, at,
					     dlp_type_name(dlp, whole.items[i].type));
					i = whole.n - 1;
					break;
				}
			}
		arena_reset(&arena);
	}
	arena_done(&arena);
}

static uint64_t held_after(const uint8_t *action, const char *text)
{
	struct arena arena;
	struct findings out = { .arena = &arena };
	struct window *w;
	uint64_t safe = 0;

	arena_init(&arena, 1u << 20);
	(void)window_new(dlp, scratch, action, 4096, &w);
	(void)window_push(w, slice_str(text), false, &out, &safe);
	window_free(w);
	arena_done(&arena);
	return strlen(text) - safe;
}

static void test_hold(void)
{
	static const struct { const char *why, *text; uint64_t held, held_mail; } rows[] = {
		{ "an ordinary word waits only for an e-mail address", "The answer is fortytwo", 0, 8 },
		{ "a finished word waits for nothing", "The answer is ", 0, 0 },
		{ "a word that names a secret is itself none", "please say the password", 0, 8 },
		{ "a value after that name does", "the password: hunT", 4, 4 },
		{ "the value's quote does not", "the password: \"", 0, 0 },
		{ "digits may become a card", "card 4111 11", 7, 7 },
		{ "a short number cannot once it ended", "in 2026 the ", 0, 0 },
		{ "a key's prefix", "use sk-an", 5, 5 },
		{ "the middle of a word is no prefix", "the task-q", 0, 6 },
		{ "a list's dash is no key block", "\n- item one ", 0, 0 },
		{ "a dash at the end may be", "\n-", 1, 1 },
		{ "a country's letters", "to DE89 37", 7, 7 },
		{ "a URL holds nothing before its password", "see https://docs.internal/a/b ", 0, 0 },
		{ "code", "if (x == y) { return z; } ", 0, 0 },
	};
	uint8_t all[256], some[256];

	memset(all, DLP_REDACT, sizeof(all));
	memset(some, DLP_REDACT, sizeof(some));
	some[dlp_type_find(dlp, "EMAIL_ADDRESS")] = DLP_LOG;
	some[dlp_type_find(dlp, "PROJECT")] = all[dlp_type_find(dlp, "PROJECT")] = DLP_LOG;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_int(held_after(some, rows[i].text), rows[i].held, "%s: \"%s\"", rows[i].why,
		      rows[i].text);
		t_int(held_after(all, rows[i].text), rows[i].held_mail, "with e-mail, %s: \"%s\"",
		      rows[i].why, rows[i].text);
	}
}

int main(void)
{
	struct mistakes m;

	mistakes_init(&m, "rules");
	t_ok(dlp_new(SLICE(rules), &m, &dlp) == 0, "the engine compiles: %.*s", SLICE_FMT(buf_slice(&m.text)));
	if (!dlp || dlp_scratch_new(dlp, &scratch) < 0)
		return t_done();
	test_cuts();
	test_overflow();
	test_hold();
	dlp_scratch_free(scratch);
	dlp_unref(dlp);
	mistakes_done(&m);
	return t_done();
}
