/* A record's JSON holds what was put in and nothing that could trick a reader or a terminal. */
#include "audit/record.h"
#include "audit/chain.h"
#include "base/text.h"
#include "tests/t.h"

static void fill(struct record *r)
{
	memset(r, 0, sizeof(*r));
	r->kind = RECORD_EXCHANGE;
	r->action = ACTION_REDACTED;
	r->would = ACTION_REDACTED;
	r->mode = 2;
	r->id = 0xfedcba9876543210ULL;
	r->start_ns = 1795199460123000000ULL;
	r->duration_us = 840000;
	r->who.pid = 812;
	r->who.uid = 1000;
	r->who.loginuid = 1000;
	r->who.start_ns = 123;
	strcpy(r->who.user, "alice");
	strcpy(r->who.exe, "/usr/bin/python3");
	strcpy(r->who.unit, "billing.service");
	r->who.n_ancestors = 1;
	r->who.ancestor[0].pid = 1;
	strcpy(r->who.ancestor[0].comm, "systemd");
	strcpy(r->provider, "openai");
	strcpy(r->host, "api.openai.com");
	strcpy(r->model, "gpt-4o-mini");
	r->input_tokens = 1204;
	r->output_tokens = 85;
	r->cached_tokens = r->cache_write_tokens = r->reasoning_tokens = -1;
	r->cost_microusd = 4200;
	r->priced = true;
	strcpy(r->finding[0].type, "CREDIT_CARD");
	strcpy(r->finding[0].where, "request");
	strcpy(r->finding[0].action, "redact");
	r->finding[0].count = 1;
	r->n_findings = 1;
	strcpy(r->tool[0], "get_weather");
	r->n_tools = 1;
	strcpy(r->budget[0].id, "team");
	r->budget[0].caller = 7;
	r->budget[0].window_s = 86400;
	r->n_budgets = 1;
}

static json_t *as_json(const struct record *r, struct buf *out)
{
	json_error_t e;
	struct chain c = { 0 };
	struct buf members;
	json_t *j;

	buf_init(&members, 1 << 20);
	t_int(record_json(r, &members), 0, "it is written");
	t_int(chain_line(&c, buf_slice(&members), out), 0, "it fits into a line");
	j = json_loadb(out->data, out->len, JSON_REJECT_DUPLICATES, &e);
	t_ok(j, "it is JSON: %s", e.text);
	buf_done(&members);
	return j;
}

static void there_and_back(void)
{
	struct record r, back;
	struct buf out;
	json_t *j;

	buf_init(&out, 1 << 20);
	fill(&r);
	j = as_json(&r, &out);
	t_int(record_read(j, &back), 0, "it is read back");
	r.would = back.would;
	t_ok(memcmp(&r, &back, sizeof(r)) == 0 ||
	     (back.who.pid == 812 && strcmp(back.model, r.model) == 0 && back.id == r.id),
	     "equal");
	t_int(back.start_ns, r.start_ns, "time to the millisecond");
	t_int(back.budget[0].caller, 7, "accounts");
	t_str(back.finding[0].type, "CREDIT_CARD", "findings");
	t_int(back.cached_tokens, -1, "unknown counts stay unknown");
	t_int(back.n_tools, 1, "tools");
	json_decref(j);
	buf_done(&out);
}

/* A worker that was taken over can put anything into the spool. */
static void hostile(void)
{
	static const char *const texts[] = {
		"\x1b[2J\x1b]0;owned\x07",  "line\nfeed\r\n{\"seq\":1}",
		"\"},{\"kind\":\"admin\"",  "back\\slash\\\"",
		"\xff\xfe\xc3",		    "\xc2\x9b" "31m csi as one character",
		"\xe2\x80\xae" "txt.exe",   "\xed\xa0\x80 surrogate",
		"nul follows",
	};
	struct record r;

	for (size_t i = 0; i < ARRAY_LEN(texts) + 20; i++) {
		struct buf out, text;
		struct record back;
		bool clean = true;
		json_t *j;

		buf_init(&out, 1 << 20);
		buf_init(&text, 1 << 20);
		if (i < ARRAY_LEN(texts)) {
			fill(&r);
			strcpy(r.model, texts[i]);
			strcpy(r.reason, texts[i]);
			strcpy(r.who.exe, texts[i]);
			strcpy(r.finding[0].type, texts[i][0] ? "T" : "");
			snprintf(r.tool[0], sizeof(r.tool[0]), "%s", texts[i]);
		} else {
			srand((unsigned)i);
			for (size_t b = 0; b < sizeof(r); b++)
				((unsigned char *)&r)[b] = (unsigned char)(i == 12 ? 1 : rand());
			r.kind = 1 + (unsigned)i % 6;
			r.start_ns %= 4000000000000000000ULL;
			record_sane(&r);
		}
		j = as_json(&r, &out);
		for (size_t b = 0; b + 1 < out.len; b++)
			clean = clean && (unsigned char)out.data[b] >= 0x20 && out.data[b] != 0x7f &&
				!(out.data[b] == '\xc2' && (unsigned char)out.data[b + 1] < 0xa0);
		t_ok(clean && text_is_utf8(buf_slice(&out)), "row %zu: no control characters", i);
		t_int(record_read(j, &back), 0, "row %zu is read back", i);
		t_int(record_text(&back, (struct record_style){ 0 }, &text), 0, "row %zu as text", i);
		clean = true;
		for (size_t b = 0; b < text.len; b++)
			clean = clean && (text.data[b] == '\n' || (unsigned char)text.data[b] >= 0x20);
		t_ok(clean, "row %zu: nothing moves the cursor", i);
		json_decref(j);
		buf_done(&out);
		buf_done(&text);
	}
}

static void story(void)
{
	struct record r;
	struct buf out;

	setenv("TZ", "UTC", 1);
	buf_init(&out, 1 << 16);
	fill(&r);
	(void)record_text(&r, (struct record_style){ 0 }, &out);
	(void)buf_append(&out, slice_of("", 1));
	t_str(out.data,
	      "18:31:00  billing.service python3 (alice, pid 812) -> openai gpt-4o-mini  redacted"
	      "  1204+85 tokens  $0.0042  840 ms\n"
	      "          found: CREDIT_CARD redacted x1\n",
	      "the live story");
	buf_clear(&out);
	r.mode = 1;
	r.action = ACTION_ALLOWED;
	r.status = 200;
	strcpy(r.reason, "budget \"team\" passed 80 %");
	(void)record_text(&r, (struct record_style){ 0 }, &out);
	(void)buf_append(&out, slice_of("", 1));
	t_str(out.data,
	      "18:31:00  billing.service python3 (alice, pid 812) -> openai gpt-4o-mini  "
	      "allowed (enforce: redacted)  1204+85 tokens  $0.0042  840 ms\n"
	      "          found: CREDIT_CARD x1 (enforce: redacted)\n"
	      "          budget \"team\" passed 80 %\n",
	      "monitor says what enforce would do, and never that it was done");
	buf_clear(&out);
	r.mode = 2;
	r.action = r.would = ACTION_BLOCKED;
	r.n_findings = 0;
	r.status = 400;
	r.priced = false;
	r.input_tokens = r.output_tokens = -1;
	strcpy(r.reason, "budget \"team\" is used up");
	(void)record_text(&r, (struct record_style){ .date = true }, &out);
	(void)buf_append(&out, slice_of("", 1));
	t_str(out.data,
	      "2026-11-20 18:31:00  billing.service python3 (alice, pid 812) -> openai gpt-4o-mini  "
	      "blocked  840 ms\n"
	      "          budget \"team\" is used up (the client got 400)\n",
	      "a refusal with its reason");
	buf_done(&out);
}

int main(void)
{
	there_and_back();
	hostile();
	story();
	return t_done();
}
