/* Records as a story for people: sallyport tail, sallyport audit search. */
#include "audit/record.h"

#include "base/text.h"

#include <time.h>

enum ink { INK_NONE, INK_RED, INK_GREEN, INK_YELLOW, INK_DIM, INK_BOLD };

struct page {
	struct buf *out;
	bool color;
	int error; /* the first one */
};

static void put(struct page *p, const char *text)
{
	int r = buf_str(p->out, text);

	p->error = p->error ? p->error : r;
}

static void ink(struct page *p, enum ink i)
{
	static const char *const codes[] = { "\033[0m",	 "\033[31m", "\033[32m",
					     "\033[33m", "\033[2m",  "\033[1m" };

	if (p->color)
		put(p, codes[i]);
}

/* A field on a terminal: whatever would move the cursor or turn the line becomes '?'. */
static void put_field(struct page *p, const char *field)
{
	struct slice s = slice_str(field);

	while (s.len) {
		uint32_t cp = 0;
		size_t n = text_utf8_next(s, &cp);
		bool bad = !n || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||
			   (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
			   (cp >= 0x2060 && cp <= 0x206f) || cp == 0x061c || cp == 0xfeff;
		int r = buf_append(p->out, bad ? SLICE("?") : slice_sub(s, 0, n));

		p->error = p->error ? p->error : r;
		s = slice_from(s, n ? n : 1);
	}
}

static void put_fmt(struct page *p, const char *fmt, ...) printf_like(2, 3);
static void put_fmt(struct page *p, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(p, text);
}

static void put_time(struct page *p, uint64_t wall_ns, bool date)
{
	time_t s = (time_t)(wall_ns / 1000000000U);
	struct tm tm;
	char text[32];

	(void)localtime_r(&s, &tm);
	if (strftime(text, sizeof(text), date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm) == 0)
		text[0] = '\0';
	ink(p, INK_DIM);
	put(p, text);
	ink(p, INK_NONE);
	put(p, "  ");
}

/* micro-USD without needless zeroes, at least cents: $0.0042, $12.50. */
static void put_money(struct page *p, int64_t microusd, bool estimated)
{
	uint64_t n = microusd < 0 ? 0 - (uint64_t)microusd : (uint64_t)microusd;
	char text[48];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s%s$%llu.%06llu", estimated ? "~" : "",
				      microusd < 0 ? "-" : "", (unsigned long long)(n / 1000000),
				      (unsigned long long)(n % 1000000));

	for (int i = 0; i < 4 && text[len - 1] == '0'; i++)
		text[--len] = '\0';
	put(p, text);
}

static void put_verdict(struct page *p, const struct record *r)
{
	static const enum ink inks[] = { INK_GREEN, INK_YELLOW, INK_RED, INK_RED, INK_RED };
	const char *word = record_action_name(r->action);

	if (r->kind == RECORD_SPLICED)
		word = "passed unread";
	else if (r->kind == RECORD_SEEN)
		word = "seen";
	else if (r->kind == RECORD_REFUSED)
		word = "refused";
	ink(p, r->kind == RECORD_SEEN || r->kind == RECORD_SPLICED ? INK_DIM :
	       r->kind == RECORD_REFUSED			   ? INK_RED :
	       r->action < ARRAY_LEN(inks)			   ? inks[r->action] :
								     INK_NONE);
	put(p, word);
	ink(p, INK_NONE);
	if (r->would != r->action)
		put_fmt(p, " (enforce: %s)", record_action_name(r->would));
}

static void put_numbers(struct page *p, const struct record *r)
{
	if (r->input_tokens >= 0 || r->output_tokens >= 0)
		put_fmt(p, "  %lld+%lld tokens",
			(long long)(r->input_tokens < 0 ? 0 : r->input_tokens),
			(long long)(r->output_tokens < 0 ? 0 : r->output_tokens));
	else if (r->bytes_out || r->bytes_in)
		put_fmt(p, "  %llu+%llu bytes", (unsigned long long)r->bytes_out,
			(unsigned long long)r->bytes_in);
	if (r->priced) {
		put(p, "  ");
		put_money(p, r->cost_microusd, r->estimated);
	}
	if (r->duration_us >= 10000000)
		put_fmt(p, "  %llu s", (unsigned long long)(r->duration_us / 1000000));
	else if (r->duration_us)
		put_fmt(p, "  %llu ms", (unsigned long long)((r->duration_us + 999) / 1000));
}

static void put_target(struct page *p, const struct record *r)
{
	put(p, " -> ");
	ink(p, INK_BOLD);
	put_field(p, r->provider[0] ? r->provider : r->host[0] ? r->host : r->address);
	ink(p, INK_NONE);
	if (r->model[0]) {
		put(p, " ");
		put_field(p, r->model);
	} else if (r->provider[0] && r->host[0]) {
		put(p, " ");
		put_field(p, r->host);
	}
	if (r->model_asked[0] && r->model[0] && strcmp(r->model, r->model_asked) != 0) {
		put(p, " (asked for ");
		put_field(p, r->model_asked);
		put(p, ")");
	}
	put(p, "  ");
}

static void put_findings(struct page *p, const struct record *r)
{
	static const struct {
		const char *action, *done;
	} words[] = { { "redact", "redacted" }, { "block", "blocked" }, { "log", "logged" } };
	bool enforced = strcmp(record_mode_name(r->mode), "enforce") == 0;

	put(p, "          found: ");
	for (uint32_t i = 0; i < MIN(r->n_findings, (uint32_t)RECORD_FINDINGS); i++) {
		const char *done = r->finding[i].action;
		bool would = !enforced && strcmp(done, "log") != 0;

		for (size_t w = 0; w < ARRAY_LEN(words); w++)
			if (strcmp(words[w].action, done) == 0)
				done = words[w].done;
		put(p, i ? ", " : "");
		ink(p, INK_YELLOW);
		put_field(p, r->finding[i].type);
		ink(p, INK_NONE);
		if (would) /* what enforce would do: nothing was done here */
			put_fmt(p, " x%u (enforce:", r->finding[i].count);
		put(p, " ");
		put_field(p, done);
		if (would)
			put(p, ")");
		else
			put_fmt(p, " x%u", r->finding[i].count);
		if (strcmp(r->finding[i].where, "response") == 0)
			put(p, " in the answer");
	}
	put(p, "\n");
}

static void put_reason(struct page *p, const struct record *r)
{
	put(p, "          ");
	ink(p, INK_RED);
	put_field(p, r->reason);
	ink(p, INK_NONE);
	if (r->status >= 400)
		put_fmt(p, " (the client got %u)", r->status);
	put(p, "\n");
}

int record_text(const struct record *r, struct record_style style, struct buf *out)
{
	struct page p = { .out = out, .color = style.color };
	char who[320];

	put_time(&p, r->start_ns, style.date);
	if (r->kind == RECORD_ADMIN) {
		put(&p, "sallyport: ");
		put_field(&p, r->note);
		put(&p, "\n");
		return p.error;
	}
	principal_text(&r->who, who, sizeof(who));
	put_field(&p, who);
	put_target(&p, r);
	put_verdict(&p, r);
	put_numbers(&p, r);
	put(&p, "\n");
	if (r->n_findings)
		put_findings(&p, r);
	if (r->reason[0])
		put_reason(&p, r);
	return p.error;
}
