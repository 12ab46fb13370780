/* Every detector finds what people paste, at its exact place, and leaves its look-alikes alone. */
#include "base/clock.h"
#include "base/def.h"

#include "dlp/dlp.h"
#include "tests/t.h"

#include <errno.h>

static struct dlp *dlp;
static struct dlp_scratch *scratch;

/* ^...^ marks the finding; a text without marks must stay silent about the type. */
static const struct { const char *type, *text; } samples[] = {
	{ "CREDIT_CARD", "pay with ^4111 1111 1111 1111^ please" },
	{ "CREDIT_CARD", "amex ^378282246310005^, exp 12/29" },
	{ "CREDIT_CARD", "^5555-5555-5555-4444^" },
	{ "CREDIT_CARD", "log:\\n^4111111111111111^\\n" },
	{ "CREDIT_CARD", "one digit off 4111 1111 1111 1112" },
	{ "CREDIT_CARD", "hash a4111111111111111" },
	{ "CREDIT_CARD", "longer 41111111111111110000" },
	{ "CREDIT_CARD", "ms 1700000000000 and EAN 5943759817204" },
	{ "IBAN", "to ^DE89 3704 0044 0532 0130 00^ today" },
	{ "IBAN", "^GB82WEST12345698765432^" },
	{ "IBAN", "GB82WEST12345698765431" },
	{ "US_SSN", "my ssn is ^536-90-4399^" },
	{ "US_SSN", "social_security=^536904399^ status=ok" },
	{ "US_SSN", "{\"userSsn\": \"x\"}, 000-12-3456" },
	{ "US_SSN", "ticket 536-90-4399 was closed" },
	{ "US_SSN", "ssn 078-05-1120" },
	{ "EMAIL_ADDRESS", "mail ^jane.doe+tag@mail.example.co.uk^." },
	{ "EMAIL_ADDRESS", "the icon logo@2x.png" },
	{ "EMAIL_ADDRESS", "left-pad@1.3.0" },
	{ "PHONE_NUMBER", "ring ^+49 30 901820^" },
	{ "PHONE_NUMBER", "^(602) 272-9781^" },
	{ "PHONE_NUMBER", "mobile: ^0312 123 45 67^" },
	{ "PHONE_NUMBER", "on 2026-11-02 in 550e8400-e29b-41d4-a716-446655440000" },
	{ "AWS_KEY", "id ^AKIAQ3EGRZL7XNCV5TWA^" },
	{ "AWS_KEY", "AKIAIOSFODNN7EXAMPLE" },
	{ "AWS_KEY", "aws_secret_access_key = \"^sBmHlDFrNcsz35N+LRjwlUxF8/wypT4tiJCQ0wP4^\"" },
	{ "AWS_KEY", "secret sha1 = 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b" },
	{ "GITHUB_TOKEN", "^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^" },
	{ "GITHUB_TOKEN", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
	{ "GITHUB_TOKEN", "^github_pat_11AAOKYUI0JqmGpRMr5nGt_LiPrTSWAOOZZXUwkT9YLUT0fJE9Wh3EbPGXYzzaBcD^" },
	{ "GITLAB_TOKEN", "^glpat-G9dr9LJjGiSfBdxzDVyH^" },
	{ "OPENAI_KEY", "^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^" },
	{ "OPENAI_KEY", "sk-your-key-here and task-force" },
	{ "ANTHROPIC_KEY", "^sk-ant-api03-jSq6OMjv1syXaEUE0bvOckLe_GtCKy8lvZdko3eOJgV8TH-f2iyzRekyZNSby5d9ScikGYuqQhsrxML3X3N3rQ-XwQaQAAA^" },
	{ "GOOGLE_KEY", "^AIzaSyBnAoO3VNVUco4MXf4enYCVBg6ZnpY49N-^" },
	{ "GOOGLE_KEY", "^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^" },
	{ "SLACK_TOKEN", "^xoxb-31446298938-537092655923-AeFmqVRV5nS3q028kmmHUFm3^" },
	{ "SLACK_WEBHOOK", "https://^hooks.slack.com/services/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^" },
	{ "STRIPE_KEY", "^sk_live_dhhfUUyfrAace5dBAZ10JrAD^" },
	{ "STRIPE_KEY", "pk_live_dhhfUUyfrAace5dBAZ10JrAD" },
	{ "JWT", "^eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c^" },
	{ "JWT", "eyJmb28iOiJiYXIifQabcdef.eyJmb28iOiJiYXIifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6y" },
	{ "PRIVATE_KEY", "a ^-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1fjr1MI+yVkFeZhS3gGzPq2bZ9rT0uQ5nW8oKe7HcYdLmJ4\nUhZRwnRxgNb86LEEcgcK35SZCFnQu+POJWwWwWpkzpPiYHS+G66c3k0ApdIJjn2k\n-----END RSA PRIVATE KEY-----^ b" },
	{ "PRIVATE_KEY", "write -----BEGIN PRIVATE KEY----- first, -----END PRIVATE KEY----- last" },
	{ "PRIVATE_KEY", "-----BEGIN PUBLIC KEY-----\nMIIEowIBAAKCAQEAx1fjr1MI+yVkFeZhS3gGzPq2bZ9rT0uQ5nW8oKe7HcYdLmJ4\n-----END PUBLIC KEY-----" },
	{ "SENDGRID_KEY", "^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^" },
	{ "TWILIO_KEY", "^SK6e84981d07ace5c9df33e1ab043a2fb2^" },
	{ "NPM_TOKEN", "//registry/:_authToken=^npm_q3XvR8ZkLm2WtYc5NdP7sHj1FgB4aE9uKx0o^" },
	{ "PYPI_TOKEN", "^pypi-AgEIcHlwaS5vcmcCJDA1NTdiYzI2LTQ3N2QtNDAyYy04YzBjLTVmODU4ZTFkMjACf99COXsicGVybWlz^" },
	{ "HUGGINGFACE_TOKEN", "^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^" },
	{ "GROQ_KEY", "^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^" },
	{ "AZURE_STORAGE_KEY", "AccountKey=^lJzRc1YdHaAA2KCNJJ1tkYwF/+mKK6Ygw0NGe170Xu592euJv2wYUtBlV8z+qnlcNQSnIYVTkLWntUO1F8j8rQ==^" },
	{ "DIGITALOCEAN_TOKEN", "^dop_v1_425522a565f532bc6532d453422e50334a42f5242a3090fbe553b543b124259b^" },
	{ "DATABRICKS_TOKEN", "^dapif21ee53d2b3648c2a1ed38953312a203^" },
	{ "VAULT_TOKEN", "^hvs.CAESIJ9x2vLq8ZkWnR4cYb7MsHd1pJ6uE0aFgXoV^" },
	{ "SHOPIFY_TOKEN", "^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^" },
	{ "SQUARE_TOKEN", "^sq0atp-ZrEYj3nWPlEPo1PzHeI7xA^" },
	{ "GRAFANA_TOKEN", "^glsa_HOruNAb7SOiCdshU8algkrq7FDsNSLAa_54e2f8be^" },
	{ "NEWRELIC_KEY", "^NRAK-X29R0RTNJIQTUFWOA8Z8YRDENG0^" },
	{ "TELEGRAM_TOKEN", "^508627689:AAEuLPKs-EhrjrYGnz60bnYNZqakf6HJxc0^" },
	{ "DISCORD_TOKEN", "^MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs^" },
	{ "URL_CREDENTIAL", "postgres://app:^s2Tf2kLMy^@db.internal/main" },

	{ "URL_CREDENTIAL", "https://host:8080/path and mailto:a@b.example" },
	{ "URL_CREDENTIAL", "postgres://app:${PASS}@db/main" },
	{ "GENERIC_SECRET", "password: ^hunT3r2!x^" },
	{ "GENERIC_SECRET", "{\"api_key\": \"^AIhq5Xyb1Gga9Q5zTT^\"}" },
	{ "GENERIC_SECRET", "--token ^AIhq5Xyb1Gga9Q5z^" },
	{ "GENERIC_SECRET", "max_tokens: 4096, token_type: bearer, key: value" },
	{ "GENERIC_SECRET", "password = get_password(user)" },
	{ "GENERIC_SECRET", "password: [GENERIC_SECRET]" },
	{ "GENERIC_SECRET", "password=${DB_PASSWORD} secret=process.env.SECRET1" },
	{ "UK_NINO", "nino ^LY 05 26 01 A^" },
	{ "IT_FISCAL_CODE", "cf ^RSSMRA63C12F0L5N^" },
	{ "ES_NIF", "^12345678Z^" },
	{ "ES_NIF", "12345678A" },
	{ "PL_PESEL", "PESEL ^44051401458^" },
	{ "PL_PESEL", "order 44051401458" },
	{ "IN_AADHAAR", "Aadhaar ^2040 2446 6336^" },
	{ "BR_CPF", "^336.553.847-00^" },
	{ "UK_NHS", "nhs_number: ^943 476 5870^" },
};

static void test_samples(void)
{
	struct arena arena;

	arena_init(&arena, 1u << 24);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct findings f = { .arena = &arena };
		const char *t = samples[i].text;
		char text[1024];
		size_t len = 0, start = 0, end = 0, marked = 0;
		int type = dlp_type_find(dlp, samples[i].type);
		bool hit = false;

		for (const char *p = t; *p; p++) {
			if (*p != '^')
				text[len++] = *p;
			else if (!marked++)
				start = len;
			else
				end = len;
		}
		t_ok(type >= 0, "the type %s exists", samples[i].type);
		t_ok(dlp_scan(dlp, scratch, slice_of(text, len), (struct slice){ 0 }, 7, &f) == 0,
		     "scan: %s", t);
		for (size_t k = 0; k < f.n; k++)
			if (f.items[k].type == type) {
				hit = true;
				t_ok(marked && f.items[k].start == start && f.items[k].end == end &&
				     f.items[k].part == 7, "%s at %u-%u: %s", samples[i].type,
				     f.items[k].start, f.items[k].end, t);
			}
		t_ok(hit == !!marked, "%s %s: %s", samples[i].type, marked ? "is found" : "is left alone", t);
	}
	arena_done(&arena);
}

static size_t count(const char *text, const char *key, const char *type)
{
	struct arena arena;
	struct findings f = { .arena = &arena };
	size_t n = 0;

	arena_init(&arena, 1u << 24);
	t_ok(dlp_scan(dlp, scratch, slice_str(text), slice_str(key), 0, &f) == 0, "scan: %s", text);
	for (size_t i = 0; i < f.n; i++)
		n += strcmp(dlp_type_name(dlp, f.items[i].type), type) == 0;
	arena_done(&arena);
	return n;
}

/* The JSON key is evidence, as a name before the value is. */
static void test_key(void)
{
	t_int(count("536904399", "", "US_SSN"), 0, "nine digits are nothing");
	t_int(count("536904399", "ssn", "US_SSN"), 1, "under \"ssn\" they are a number of a person");
	t_int(count("536904399", "customerSsn", "US_SSN"), 1, "also in camel case");
	t_int(count("536904399", "lesson", "US_SSN"), 0, "not inside another word");
	t_int(count("hunT3r2!x", "password", "GENERIC_SECRET"), 1, "a value under \"password\"");
	t_int(count("hunT3r2!x", "title", "GENERIC_SECRET"), 0, "not under \"title\"");
	t_int(count("4096", "max_tokens", "GENERIC_SECRET"), 0, "max_tokens is no secret");
}

/* Overlaps: no byte twice, no byte of a match lost, the strictest first. */
static void test_overlap(void)
{
	static const char text[] = "https://bot: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@github.com/x";
	struct arena arena;
	struct findings f = { .arena = &arena }, g = { .arena = &arena };
	uint8_t action[256];
	int token = dlp_type_find(dlp, "GITHUB_TOKEN"), url = dlp_type_find(dlp, "URL_CREDENTIAL");

	arena_init(&arena, 1u << 24);
	(void)dlp_scan(dlp, scratch, SLICE(text), (struct slice){ 0 }, 0, &f);
	for (size_t i = 1; i < f.n; i++)
		t_ok(f.items[i].start >= f.items[i - 1].end, "findings do not overlap");
	t_ok(f.n >= 1 && f.items[0].type == token && f.items[0].start == 12 && f.items[0].end == 52,
	     "the better evidence names it");
	memset(action, DLP_OFF, sizeof(action));
	action[token] = DLP_LOG;
	action[url] = DLP_BLOCK;
	(void)dlp_scan_for(dlp, scratch, action, SLICE(text), (struct slice){ 0 }, 0, &g);
	t_ok(g.n == 1 && g.items[0].type == url, "the strictest action wins, types that are off are silent");
	arena_done(&arena);
}

/* What we write in place of a finding is no finding, bare or under any name. */
static void test_masks(void)
{
	static const char *const frames[][2] = { { "", "" }, { "password: ", "" }, { "{\"token\": \"", "\"}" },
						 { "https://u:", "@h.example/" }, { "my ssn is ", "" },
						 { "secret=", ";" }, { "Bearer ", "" } };

	for (size_t t = 0; t < dlp_n_types(dlp); t++)
		for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
			struct arena arena;
			struct findings f = { .arena = &arena };
			char text[256];

			arena_init(&arena, 1u << 20);
			(void)snprintf(text, sizeof(text), "%s%s%s", frames[i][0],
				       dlp_mask(dlp, (uint16_t)t).ptr, frames[i][1]);
			(void)dlp_scan(dlp, scratch, slice_str(text), (struct slice){ 0 }, 0, &f);
			t_int(f.n, 0, "a mask is left alone: %s", text);
			arena_done(&arena);
		}
}

static void test_rules(void)
{
	static const struct { const char *why, *json, *says; } bad[] = {
		{ "no JSON", "{", "rules.json" },
		{ "unknown key", "{\"detector\": []}", "detectors" },
		{ "no pattern", "{\"detectors\": [{\"type\": \"X1\"}]}", "detectors[0].pattern" },
		{ "a broken pattern", "{\"detectors\": [{\"type\": \"X1\", \"pattern\": \"a(b\"}]}", "at byte" },
		{ "no end", "{\"detectors\": [{\"type\": \"X1\", \"pattern\": \"ab+\"}]}", "{1,64}" },
		{ "the empty text", "{\"detectors\": [{\"type\": \"X1\", \"pattern\": \"a?\"}]}", "empty" },
		{ "a type in lower case", "{\"detectors\": [{\"type\": \"x\", \"pattern\": \"ab\"}]}", "[0].type" },
		{ "no such validator", "{\"detectors\": [{\"type\": \"X1\", \"pattern\": \"ab\", \"validator\": \"lun\"}]}", "luhn" },
		{ "a long look-ahead", "{\"detectors\": [{\"type\": \"X1\", \"pattern\": \"ab(?=.*c)\"}]}", "looks ahead" },
		{ "words of the wrong kind", "{\"detectors\": [{\"type\": \"X1\", \"pattern\": \"ab\", \"words\": [3]}]}", "words[0]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct mistakes m;
		struct dlp *d = NULL;

		mistakes_init(&m, "rules.json");
		t_ok(dlp_new(slice_str(bad[i].json), &m, &d) == -EINVAL && !d, "%s: refused", bad[i].why);
		t_ok(slice_find(buf_slice(&m.text), slice_str(bad[i].says)) >= 0, "%s: said so: %.*s",
		     bad[i].why, SLICE_FMT(buf_slice(&m.text)));
		dlp_unref(d);
		mistakes_done(&m);
	}
	t_int(count("badge E-123456 of the staff", "", "STAFF_ID"), 1, "an operator's pattern beside its word");
	t_int(count("part E-123456 of the engine", "", "STAFF_ID"), 0, "not without it");
	t_int(count("PRJ-79927398713", "", "PROJECT_NO"), 1, "its validator agrees");
	t_int(count("PRJ-79927398714", "", "PROJECT_NO"), 0, "its validator does not");
}

/* A pattern that runs away is cut off and reported as a finding, not waited for and not let through. */
static void test_limit(void)
{
	static const char rule[] = "{\"detectors\": [{\"type\": \"EVIL\", \"pattern\": "
				   "\"(?:(?:a{1,30}){1,30})b\"}]}";
	struct mistakes m;
	struct dlp *d = NULL;
	struct dlp_scratch *s = NULL;
	struct arena arena;
	struct findings f = { .arena = &arena };
	char text[1000];
	uint64_t start = clock_mono_ns();
	bool gave_up = false;

	mistakes_init(&m, "rules.json");
	arena_init(&arena, 1u << 24);
	/* The "b" lets Vectorscan pass it on; the run before it can only fail. */
	memset(text, 'a', sizeof(text));
	memcpy(text + sizeof(text) - 200, "?", 1);
	text[sizeof(text) - 1] = 'b';
	t_ok(dlp_new(SLICE(rule), &m, &d) == 0, "it compiles: %.*s", SLICE_FMT(buf_slice(&m.text)));
	t_ok(d && dlp_scratch_new(d, &s) == 0, "a scratch");
	t_ok(s && dlp_scan(d, s, slice_of(text, sizeof(text)), (struct slice){ 0 }, 0, &f) == 0, "scan");
	for (size_t i = 0; i < f.n; i++)
		gave_up = gave_up || (f.items[i].confidence == 1 && f.items[i].start < sizeof(text) - 200);
	t_ok(f.n > 0, "what could not be decided is found");
	t_ok(gave_up || f.items[0].start <= sizeof(text) - 200, "from where it was given up");
	t_ok(clock_mono_ns() - start < 5000000000ull, "within a bound");
	dlp_scratch_free(s);
	dlp_unref(d);
	arena_done(&arena);
	mistakes_done(&m);
}

int main(void)
{
	static const char rules[] =
		"{\"detectors\": [{\"type\": \"STAFF_ID\", \"pattern\": \"\\\\bE-[0-9]{6}\\\\b\", \"words\": [\"staff\"]},"
		" {\"type\": \"PROJECT_NO\", \"pattern\": \"\\\\bPRJ-[0-9]{11}\\\\b\", \"validator\": \"luhn\"}]}";
	struct mistakes m;

	mistakes_init(&m, "rules.json");
	t_ok(dlp_new(SLICE(rules), &m, &dlp) == 0, "the engine compiles: %.*s", SLICE_FMT(buf_slice(&m.text)));
	if (dlp && dlp_scratch_new(dlp, &scratch) == 0) {
		test_samples();
		test_key();
		test_overlap();
		test_masks();
		test_rules();
		test_limit();
	}
	dlp_scratch_free(scratch);
	dlp_unref(dlp);
	mistakes_done(&m);
	return t_done();
}
