/* Why this decision, rule by rule: by the code that decides (selector_fit), for people and as JSON.
 */
#include "policy/rules.h"

#include <errno.h>

static const char *const modes[] = { "observe", "monitor", "enforce" };
static const char *const actions[] = { "off", "log", "redact", "block" };

#define TEXT_MAX 320

/* "/usr/bin/curl, sha256:..." cut to what a line bears. */
static void patterns_text(const struct member *m, struct buf *out)
{
	for (uint32_t i = 0; i < m->n && i < 6; i++) {
		if (m->patterns[i].kind == PATTERN_NUMBER)
			(void)buf_printf(out, "%s%llu", i ? ", " : "",
					 (unsigned long long)m->patterns[i].head);
		else
			(void)buf_printf(out, "%s%s", i ? ", " : "", m->patterns[i].written);
	}
	if (m->n > 6)
		(void)buf_printf(out, " and %u more", m->n - 6);
}

static void member_text(const struct member *m, struct view *v, bool fits, struct buf *out)
{
	enum field f = (enum field)m->field;
	char have[TEXT_MAX];

	(void)buf_printf(out, "%s.%s %s %s ", field_is_who(f) ? "who" : "to", field_name(f),
			 view_text(v, f, have, sizeof(have)), fits ? "is one of" : "is none of");
	patterns_text(m, out);
}

static void why(const struct selector *s, struct view *v, enum fit fit, size_t failed,
		struct buf *out)
{
	if (fit == FIT_NO) {
		member_text(&s->members[failed], v, false, out);
		return;
	}
	if (s->n == 0)
		(void)buf_str(out, "it asks for nothing");
	for (uint32_t i = 0; i < s->n; i++) {
		if (i)
			(void)buf_str(out, "; ");
		member_text(&s->members[i], v, true, out);
	}
}

/* How many types get each action, and which where they are few. */
static void table_text(const struct policy *p, const char *lead, const uint8_t *table,
		       struct buf *out)
{
	(void)buf_printf(out, "  dlp %s", lead);
	for (int a = DLP_BLOCK; a >= DLP_OFF; a--) {
		size_t n = 0, shown = 0;

		for (size_t i = 0; i < dlp_n_types(p->dlp); i++)
			n += table[i] == a;
		if (!n)
			continue;
		(void)buf_printf(out, " %s %zu", actions[a], n);
		for (size_t i = 0; i < dlp_n_types(p->dlp) && n <= 6; i++) {
			if (table[i] != a)
				continue;
			(void)buf_printf(out, "%s%s", shown ? ", " : " (",
					 dlp_type_name(p->dlp, (uint16_t)i));
			if (++shown == n)
				(void)buf_str(out, ")");
		}
	}
	(void)buf_str(out, "\n");
}

static void says_text(const struct policy *p, const struct decision *d, struct buf *out)
{
	(void)buf_printf(out, "decision: %s by rule %s, mode %s%s%s\n",
			 d->verdict == VERDICT_BLOCK ? "block" : "allow", d->rule, modes[d->mode],
			 *d->reason ? ": " : "", d->reason);
	if (d->verdict == VERDICT_BLOCK && d->mode != SP_MODE_ENFORCE)
		(void)buf_printf(out, "  mode %s refuses nothing: the request goes on\n",
				 modes[d->mode]);
	(void)buf_printf(out,
			 "  %ssanctioned; when inspection fails: %s; when the client distrusts the "
			 "CA: %s\n",
			 d->sanctioned ? "" : "not ", d->fail_closed ? "refuse" : "pass",
			 d->on_distrust == DISTRUST_REFUSE ? "refuse" : "splice");
	table_text(p, "request: ", d->dlp_request, out);
	table_text(p, "response:", d->dlp_response, out);
}

static void limit_text(const struct budget_rule *b, struct buf *out)
{
	if (b->limit_microusd >= 0)
		(void)buf_printf(out, " %.*f USD", b->limit_microusd % 10000 ? 6 : 2,
				 (double)b->limit_microusd / 1e6);
	if (b->limit_tokens >= 0)
		(void)buf_printf(out, "%s %lld tokens", b->limit_microusd >= 0 ? " and" : "",
				 (long long)b->limit_tokens);
	(void)buf_printf(out, " a %s, %s, warns at %u %%, then %s%s", b->monthly ? "month" : "day",
			 b->each ? "each caller" : "shared", b->warn_percent,
			 b->downgrade ? "downgrades to " : "blocks",
			 b->downgrade ? b->downgrade : "");
}

int policy_explain(const struct policy *p, const struct facts *f, struct buf *out)
{
	struct decision d;
	struct view v;
	size_t before = buf_size(out);

	view_init(&v, f, false);
	for (size_t i = 0; i < p->n_rules; i++) {
		size_t failed = 0;
		enum fit fit = selector_fit(&p->rules[i].sel, &v, &failed);

		(void)buf_printf(out, "rules[%zu] %s: %s: ", i, p->rules[i].says.rule,
				 fit == FIT_YES ? "matches" : "no");
		why(&p->rules[i].sel, &v, fit, failed, out);
		(void)buf_str(out, "\n");
		if (fit == FIT_YES)
			break;
	}
	policy_decide(p, f, &d);
	if (strcmp(d.rule, "default") == 0)
		(void)buf_str(out, "default: no rule matched\n");
	says_text(p, &d, out);
	policy_on_connect(p, f, &d);
	(void)buf_printf(out, "at connect: mode %s (%s)\n", modes[d.mode], d.rule);
	for (size_t i = 0; i < p->n_budgets; i++) {
		size_t failed = 0;
		enum fit fit = selector_fit(&p->budgets[i].sel, &v, &failed);

		(void)buf_printf(out, "budgets[%zu] %s: %s", i, p->budgets[i].rule.id,
				 fit == FIT_YES ? "applies:" : "no: ");
		if (fit == FIT_YES)
			limit_text(&p->budgets[i].rule, out);
		else
			why(&p->budgets[i].sel, &v, fit, failed, out);
		(void)buf_str(out, "\n");
	}
	return buf_size(out) > before ? 0 : -ENOBUFS;
}

/* ---- the same as JSON ---- */

static void json_why(const struct selector *s, struct view *v, struct buf *out)
{
	struct buf text;
	size_t failed = 0;
	enum fit fit = selector_fit(s, v, &failed);

	buf_init(&text, 64U << 10);
	why(s, v, fit, failed, &text);
	(void)buf_printf(out, "\"matches\":%s,\"why\":", fit == FIT_YES ? "true" : "false");
	(void)jwrite_string(out, buf_slice(&text));
	buf_done(&text);
}

static void json_table(const struct policy *p, const uint8_t *table, struct buf *out)
{
	(void)buf_str(out, "{");
	for (size_t i = 0; i < dlp_n_types(p->dlp); i++) {
		(void)buf_str(out, i ? "," : "");
		(void)jwrite_string(out, slice_str(dlp_type_name(p->dlp, (uint16_t)i)));
		(void)buf_printf(out, ":\"%s\"", actions[table[i]]);
	}
	(void)buf_str(out, "}");
}

static void json_says(const struct policy *p, const struct decision *d, struct buf *out)
{
	(void)buf_printf(out, "{\"action\":\"%s\",\"mode\":\"%s\",\"rule\":\"%s\",\"reason\":",
			 d->verdict == VERDICT_BLOCK ? "block" : "allow", modes[d->mode], d->rule);
	(void)jwrite_string(out, slice_str(d->reason));
	(void)buf_printf(out,
			 ",\"sanctioned\":%s,\"fail\":\"%s\",\"on_distrust\":\"%s\",\"dlp\":"
			 "{\"request\":",
			 d->sanctioned ? "true" : "false", d->fail_closed ? "closed" : "open",
			 d->on_distrust == DISTRUST_REFUSE ? "refuse" : "splice");
	json_table(p, d->dlp_request, out);
	(void)buf_str(out, ",\"response\":");
	json_table(p, d->dlp_response, out);
	(void)buf_str(out, "}}");
}

int policy_explain_json(const struct policy *p, const struct facts *f, struct buf *out)
{
	struct decision d;
	struct view v;

	view_init(&v, f, false);
	(void)buf_str(out, "{\"rules\":[");
	for (size_t i = 0; i < p->n_rules; i++) {
		(void)buf_printf(out, "%s{\"id\":\"%s\",", i ? "," : "", p->rules[i].says.rule);
		json_why(&p->rules[i].sel, &v, out);
		(void)buf_str(out, "}");
		if (selector_fit(&p->rules[i].sel, &v, NULL) == FIT_YES)
			break;
	}
	policy_decide(p, f, &d);
	(void)buf_str(out, "],\"decision\":");
	json_says(p, &d, out);
	policy_on_connect(p, f, &d);
	(void)buf_printf(out, ",\"at_connect\":{\"mode\":\"%s\",\"rule\":\"%s\"},\"budgets\":[",
			 modes[d.mode], d.rule);
	for (size_t i = 0; i < p->n_budgets; i++) {
		(void)buf_printf(out, "%s{\"id\":\"%s\",", i ? "," : "", p->budgets[i].rule.id);
		json_why(&p->budgets[i].sel, &v, out);
		(void)buf_str(out, "}");
	}
	return buf_str(out, "]}");
}
