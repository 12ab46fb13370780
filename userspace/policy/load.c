/* The policy file: JSON -> struct policy. Every mistake is noted with its place; one run finds all.
 */
#include "policy/rules.h"

#include <errno.h>
#include <stdlib.h>

#define POLICY_MEMORY_MAX (32U << 20)
#define RULE_ID_MAX 63 /* audit/record.h: rule[64] */
#define REASON_MAX 200 /* reaches a person in an error message and the audit log */
#define CONTACT_MAX 200
#define WARNINGS_MAX (64U << 10)

static void policy_unrefp(struct policy **p)
{
	policy_unref(*p);
}

static struct policy *policy_new(struct dlp *dlp)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	atomic_init(&p->refs, 1);
	arena_init(&p->arena, POLICY_MEMORY_MAX);
	buf_init(&p->warnings, WARNINGS_MAX);
	p->dlp = dlp_ref(dlp);
	p->contact = "";
	return p;
}

struct policy *policy_ref(struct policy *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void policy_unref(struct policy *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	dlp_unref(p->dlp);
	buf_done(&p->warnings);
	arena_done(&p->arena);
	free(p);
}

const char *load_text(struct load *l, const json_t *o, const char *place, const char *key,
		      size_t max)
{
	const char *v = jread_string(o, place, key, "", l->m);
	struct slice copy;
	char at[PLACE_MAX];

	if (!*v)
		return "";
	if (strlen(v) > max)
		mistakes_add(l->m, jread_place(at, place, key), "is longer than %zu bytes", max);
	for (const char *c = v; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			mistakes_add(l->m, jread_place(at, place, key),
				     "has a line break or control character; write it in one line");
			break;
		}
	}
	copy = arena_dup(&l->p->arena, slice_str(v));
	if (!copy.ptr) {
		l->oom = true;
		return "";
	}
	return copy.ptr;
}

const char *load_id(struct load *l, const json_t *o, const char *place, size_t max)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *id;
	char at[PLACE_MAX];

	jread_place(at, place, "id");
	if (!json_object_get(o, "id")) {
		mistakes_add(l->m, at,
			     "is missing; give it a short name, it stands in the audit log");
		return NULL;
	}
	id = jread_string(o, place, "id", NULL, l->m);
	if (!id)
		return NULL;
	if (!*id || strlen(id) > max || strspn(id, good) != strlen(id)) {
		mistakes_add(l->m, at,
			     "\"%.80s\" must be 1 to %zu letters, digits, '.', '_' or '-'", id,
			     max);
		return NULL;
	}
	return load_text(l, o, place, "id", max);
}

static const char *const mode_names[] = { "observe", "monitor", "enforce", NULL };

/* The part a rule and "default" share. */
static void load_says(struct load *l, const json_t *o, const char *place, enum sp_mode mode,
		      const struct dlp_tables *base, struct decision *out)
{
	static const char *const verdicts[] = { "allow", "block", NULL };
	static const char *const fails[] = { "open", "closed", NULL };
	static const char *const distrusts[] = { "splice", "refuse", NULL };
	bool enforce = mode == SP_MODE_ENFORCE;
	struct dlp_tables dlp;
	char at[PLACE_MAX];

	out->mode = mode;
	out->verdict =
		(enum verdict)jread_choice(o, place, "action", verdicts, VERDICT_ALLOW, l->m);
	out->reason = load_text(l, o, place, "reason", REASON_MAX);
	out->sanctioned = jread_bool(o, place, "sanctioned", false, l->m);
	out->fail_closed = jread_choice(o, place, "fail", fails, enforce, l->m) == 1;
	out->on_distrust =
		(enum distrust)jread_choice(o, place, "on_distrust", distrusts,
					    enforce ? DISTRUST_REFUSE : DISTRUST_SPLICE, l->m);
	if (mode == SP_MODE_OBSERVE && out->fail_closed)
		mistakes_add(
			l->m, jread_place(at, place, "fail"),
			"\"closed\" refuses, and mode observe never does; set mode to monitor or "
			"enforce, or write \"open\"");
	load_dlp(l, o, place, base, &dlp);
	out->dlp_request = dlp.request;
	out->dlp_response = dlp.response;
}

static void load_rule(struct load *l, const json_t *o, const char *place, enum sp_mode mode,
		      const struct dlp_tables *base, struct rule *out)
{
	static const char *const known[] = { "id",     "mode",	      "who",	    "to",
					     "action", "reason",      "sanctioned", "dlp",
					     "fail",   "on_distrust", NULL };
	char at[PLACE_MAX];

	jread_known(o, place, known, l->m);
	out->says.rule = load_id(l, o, place, RULE_ID_MAX);
	if (out->says.rule && strcmp(out->says.rule, "default") == 0)
		mistakes_add(l->m, jread_place(at, place, "id"),
			     "\"default\" names the rule for the rest; choose another");
	mode = (enum sp_mode)jread_choice(o, place, "mode", mode_names, (int)mode, l->m);
	load_selector(l, o, place, &out->sel);
	load_says(l, o, place, mode, base, &out->says);
}

static void load_rules(struct load *l, const json_t *root, enum sp_mode mode,
		       const struct dlp_tables *base)
{
	const json_t *list = jread_array(root, "", "rules", l->m);
	size_t n = json_array_size(list);
	struct policy *p = l->p;
	char place[PLACE_MAX], at[PLACE_MAX];

	if (n > RULES_MAX) {
		mistakes_add(l->m, "rules", "more than %d; select by globs", RULES_MAX);
		return;
	}
	p->rules = arena_array(&p->arena, struct rule, n ? n : 1);
	if (!p->rules) {
		l->oom = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *o = json_array_get(list, i);
		const char *id;

		jread_place_at(place, "rules", i);
		if (!json_is_object(o)) {
			mistakes_add(l->m, place, "must be an object: { ... }");
			continue;
		}
		load_rule(l, o, place, mode, base, &p->rules[i]);
		id = p->rules[i].says.rule;
		for (size_t k = 0; id && k < i; k++)
			if (p->rules[k].says.rule && strcmp(p->rules[k].says.rule, id) == 0)
				mistakes_add(l->m, jread_place(at, place, "id"),
					     "\"%s\" is rules[%zu]'s already; choose another", id,
					     k);
	}
	p->n_rules = n;
}

static void load_default(struct load *l, const json_t *root, enum sp_mode mode,
			 const struct dlp_tables *base)
{
	static const char *const known[] = { "action",	    "reason",	  "dlp", "fail",
					     "on_distrust", "sanctioned", NULL };
	const json_t *o = jread_object(root, "", "default", l->m);
	cleanup(json_decrefp) json_t *none = NULL;

	if (o) {
		jread_known(o, "default", known, l->m);
	} else {
		none = json_object();
		o = none;
	}
	load_says(l, o, "default", mode, base, &l->p->otherwise.says);
	l->p->otherwise.says.rule = "default";
}

static void load_top(struct load *l, const json_t *root, int mode_override)
{
	static const char *const known[] = { "version", "mode",	 "contact", "default",
					     "dlp",	"rules", "budgets", NULL };
	size_t n = dlp_n_types(l->p->dlp);
	uint8_t *logged = arena_bytes(&l->p->arena, n ? n : 1);
	struct dlp_tables all, base;
	enum sp_mode mode;

	if (!logged) {
		l->oom = true;
		return;
	}
	memset(logged, DLP_LOG, n);
	all = (struct dlp_tables){ logged, logged };
	jread_known(root, "", known, l->m);
	if (!json_object_get(root, "version"))
		mistakes_add(l->m, "version", "is missing; add \"version\": 1");
	else if (json_integer_value(json_object_get(root, "version")) != 1)
		mistakes_add(l->m, "version", "must be 1; this sallyport reads no other");
	mode = (enum sp_mode)jread_choice(root, "", "mode", mode_names, SP_MODE_OBSERVE, l->m);
	if (mode_override >= SP_MODE_OBSERVE && mode_override <= SP_MODE_ENFORCE)
		mode = (enum sp_mode)mode_override;
	l->p->contact = load_text(l, root, "", "contact", CONTACT_MAX);
	load_dlp(l, root, "", &all, &base);
	load_default(l, root, mode, &base);
	load_rules(l, root, mode, &base);
	load_budgets(l, root);
}

int policy_load(struct slice json, struct dlp *dlp, const struct policy_names *names,
		int mode_override, struct mistakes *m, struct policy **out)
{
	cleanup(policy_unrefp) struct policy *p = policy_new(dlp);
	cleanup(json_decrefp) json_t *root = NULL;
	struct load l = { .p = p, .names = names, .m = m };
	size_t before = m->n;
	int r;

	if (!p)
		return -ENOMEM;
	root = jread_text(json, m);
	if (!root)
		return -EINVAL;
	if (!json_is_object(root)) {
		mistakes_add(m, "", "must be one JSON object: { \"version\": 1, ... }");
		return -EINVAL;
	}
	load_top(&l, root, mode_override);
	if (l.oom)
		return -ENOMEM;
	if (m->n != before)
		return -EINVAL;
	r = scopes_build(p);
	if (r < 0)
		return r;
	check_policy(p);
	*out = take(p);
	return 0;
}
