/* Patterns and selectors against facts: the hot path of every request. No allocation, no clock. */
#include "base/text.h"
#include "policy/rules.h"

#include <ctype.h>
#include <stdio.h>

static const struct {
	const char *name;
	bool who;
} fields[FIELD_N] = {
	[FIELD_PROVIDER] = { "provider", false },
	[FIELD_UID] = { "uid", true },
	[FIELD_GID] = { "gid", true },
	[FIELD_ENDPOINT] = { "endpoint", false },
	[FIELD_USER] = { "user", true },
	[FIELD_LOGIN_USER] = { "login_user", true },
	[FIELD_GROUP] = { "group", true },
	[FIELD_CONTAINER] = { "container", true },
	[FIELD_POD] = { "pod", true },
	[FIELD_EXE] = { "exe", true },
	[FIELD_UNIT] = { "unit", true },
	[FIELD_SLICE] = { "slice", true },
	[FIELD_HOST] = { "host", false },
	[FIELD_MODEL] = { "model", false },
	[FIELD_ANCESTOR] = { "ancestor", true },
};

const char *field_name(enum field f)
{
	return fields[f].name;
}

bool field_is_who(enum field f)
{
	return fields[f].who;
}

static uint64_t word_head(const char *s, size_t len)
{
	uint64_t head = 0;

	memcpy(&head, s, MIN(len, sizeof(head)));
	return head;
}

static struct word word_of(const char *s, size_t len)
{
	return (struct word){ s, (uint32_t)len, len ? word_head(s, len) : 0 };
}

/* ---- patterns ---- */

static const char *digest_compile(const char *hex, struct pattern *out)
{
	if (text_unhex(slice_str(hex), out->digest, DIGEST_LEN) != DIGEST_LEN)
		return "needs 64 hex digits after sha256: (sha256sum FILE prints them)";
	out->kind = PATTERN_DIGEST;
	return NULL;
}

static char *last_at(char *s)
{
	char *found = NULL;

	while ((s = strstr(s, "@sha256:")))
		found = s++;
	return found;
}

/* Kernel scopes rest on this: a pattern names units, slices or cgroup paths, never "all there are".
 */
static const char *unit_check(enum field f, const char *text)
{
	static const char *const suffixes[] = { ".slice", ".service", ".scope",
						".mount", ".swap",    ".socket" };
	struct slice s = slice_str(text);

	if (f == FIELD_UNIT && text[0] == '/')
		return text[1] ? NULL
			       : "is no cgroup path; write it whole, as "
				 "/system.slice/billing.service";
	if (strcmp(text, "-.slice") == 0)
		return "is the root of all slices; remove it to mean any";
	for (size_t i = 0; i < (f == FIELD_SLICE ? 1 : ARRAY_LEN(suffixes)); i++)
		if (slice_ends(s, slice_str(suffixes[i])))
			return NULL;
	return f == FIELD_SLICE
		       ? "is no slice: its name ends in .slice"
		       : "needs a unit's whole name (billing.service, session-*.scope) or a "
			 "cgroup path that begins with /";
}

const char *pattern_compile(enum field f, const char *written, char *lowered, struct pattern *out)
{
	const char *star = strpbrk(lowered, "*?"), *wrong = NULL;
	char *at = f == FIELD_EXE ? last_at(lowered) : NULL;
	size_t len = strlen(lowered);

	*out = (struct pattern){ .text = lowered, .written = written, .len = (uint32_t)len };
	if (len == 0)
		return "is empty and would match nothing; remove it";
	if (f == FIELD_EXE && slice_starts(slice_str(lowered), SLICE("sha256:")))
		return digest_compile(lowered + strlen("sha256:"), out);
	if (at) {
		wrong = digest_compile(at + strlen("@sha256:"), out);
		out->path = true;
		*at = '\0';
	} else if (!star)
		out->kind = PATTERN_LITERAL;
	else if (star == lowered + len - 1 && *star == '*')
		out->kind = PATTERN_PREFIX;
	else
		out->kind = PATTERN_GLOB;
	out->literal = star ? (uint32_t)(star - lowered) : out->len;
	out->head = word_head(lowered, out->literal);
	if ((f == FIELD_EXE || f == FIELD_ANCESTOR) && lowered[0] != '/' && lowered[0] != '*')
		wrong = "is no absolute path; begin it with / or *";
	if (f == FIELD_UNIT || f == FIELD_SLICE)
		wrong = unit_check(f, lowered);
	return wrong;
}

static inline bool text_fits(const struct pattern *p, const struct word *w)
{
	if (p->kind == PATTERN_LITERAL)
		return p->len == w->len && p->head == w->head &&
		       (p->len <= sizeof(p->head) ||
			memcmp(p->text + sizeof(p->head), w->ptr + sizeof(p->head),
			       p->len - sizeof(p->head)) == 0);
	if (w->len < p->literal || memcmp(p->text, w->ptr, p->literal) != 0)
		return false;
	return p->kind == PATTERN_PREFIX || text_glob(p->text, slice_of(w->ptr, w->len));
}

/* ---- the view ---- */

void view_init(struct view *v, const struct facts *f, bool connect)
{
	v->f = f;
	v->connect = connect;
	v->ready = 0;
	v->names_ready = v->ancestors_ready = false;
	v->n_names = v->n_ancestors = 0;
}

static struct slice model_lower(struct view *v)
{
	size_t n = MIN(v->f->model.len, sizeof(v->model));

	for (size_t i = 0; i < n; i++)
		v->model[i] = (char)tolower((unsigned char)v->f->model.ptr[i]);
	return slice_of(v->model, n);
}

static struct slice field_text(struct view *v, enum field f)
{
	const struct principal *who = v->f->who;

	switch (f) {
	case FIELD_PROVIDER:
		return slice_str(v->f->provider);
	case FIELD_ENDPOINT:
		return slice_str(v->f->endpoint);
	case FIELD_HOST:
		return v->f->host;
	case FIELD_MODEL:
		return model_lower(v);
	case FIELD_USER:
		return slice_str(who->user);
	case FIELD_LOGIN_USER:
		return slice_str(who->login_user);
	case FIELD_GROUP:
		return slice_str(who->group);
	case FIELD_EXE:
		return slice_str(who->exe);
	case FIELD_UNIT:
		return slice_str(who->unit);
	case FIELD_SLICE:
		return slice_str(who->slice);
	case FIELD_CONTAINER:
		return slice_str(who->container);
	case FIELD_POD:
		return slice_str(who->pod);
	default:
		return (struct slice){ "", 0 };
	}
}

static const struct word *view_word(struct view *v, enum field f)
{
	if (!(v->ready & 1U << f)) {
		struct slice s = field_text(v, f);

		v->word[f] = word_of(s.ptr, s.len);
		v->ready |= 1U << f;
	}
	return &v->word[f];
}

static void name_add(struct view *v, const char *s, size_t len)
{
	if (len && v->n_names < VIEW_NAMES)
		v->name[v->n_names++] = word_of(s, len);
}

/*
 * The names a unit or slice pattern may match, those that systemd gave: the slices in front of the
 * path, the outermost unit, and of a user's own manager ("user@1000.service/app.service") the part
 * before the '/' too. What somebody calls a cgroup that was delegated to him counts for nothing.
 */
static void view_names(struct view *v)
{
	const struct principal *who = v->f->who;
	const char *s = who->cgroup, *slash = strchr(who->unit, '/');
	size_t len = 0;

	v->names_ready = true;
	name_add(v, who->unit, strlen(who->unit));
	if (slash)
		name_add(v, who->unit, (size_t)(slash - who->unit));
	do {
		s += len;
		s += strspn(s, "/");
		len = strcspn(s, "/");
		if (!slice_ends(slice_of(s, len), SLICE(".slice")))
			break;
		name_add(v, s, len);
	} while (len);
	if (!who->cgroup[0]) /* a caller described without its path */
		name_add(v, who->slice, strlen(who->slice));
}

static void view_ancestors(struct view *v)
{
	const struct principal *who = v->f->who;
	size_t n = MIN((size_t)who->n_ancestors, (size_t)PRINCIPAL_ANCESTORS);

	v->ancestors_ready = true;
	for (size_t i = 0; i < n; i++)
		if (who->ancestor[i].exe[0])
			v->ancestor[v->n_ancestors++] =
				word_of(who->ancestor[i].exe, strlen(who->ancestor[i].exe));
}

/* ---- members ---- */

static bool exe_fits(const struct pattern *p, struct view *v)
{
	const struct principal *who = v->f->who;

	if (p->kind != PATTERN_DIGEST)
		return who->exe[0] && text_fits(p, view_word(v, FIELD_EXE));
	if (!who->digest_known || memcmp(p->digest, who->digest, DIGEST_LEN) != 0)
		return false;
	return !p->path || text_glob(p->text, slice_str(who->exe));
}

static bool ancestor_fits(const struct pattern *p, struct view *v)
{
	if (!v->ancestors_ready)
		view_ancestors(v);
	for (size_t i = 0; i < v->n_ancestors; i++)
		if (text_fits(p, &v->ancestor[i]))
			return true;
	return false;
}

/* A pattern with '/' first is tried on every leading part of the cgroup path. */
static bool path_fits(const char *glob, const char *path)
{
	size_t end = 0;

	if (*path != '/') /* paths may come without the first '/' */
		glob++;
	while (path[end]) {
		end += strspn(path + end, "/");
		end += strcspn(path + end, "/");
		if (text_glob(glob, slice_of(path, end)))
			return true;
	}
	return false;
}

/* A unit or slice selects what runs in it and below it, as the kernel's walk over a cgroup's
 * ancestors does. */
static bool unit_fits(const struct pattern *p, struct view *v)
{
	if (p->text[0] == '/')
		return path_fits(p->text, v->f->who->cgroup);
	if (!v->names_ready)
		view_names(v);
	for (size_t i = 0; i < v->n_names; i++)
		if (text_fits(p, &v->name[i]))
			return true;
	return false;
}

static bool number_fits(const struct member *m, uint64_t number)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->patterns[i].head == number)
			return true;
	return false;
}

static bool word_fits(const struct member *m, const struct word *w)
{
	if (!w->len) /* not known: not even "*" matches */
		return false;
	for (uint32_t i = 0; i < m->n; i++)
		if (text_fits(&m->patterns[i], w))
			return true;
	return false;
}

static bool pattern_fits(const struct pattern *p, enum field f, struct view *v)
{
	switch (f) {
	case FIELD_EXE:
		return exe_fits(p, v);
	case FIELD_ANCESTOR:
		return ancestor_fits(p, v);
	default:
		return unit_fits(p, v);
	}
}

static enum fit member_fit(const struct member *m, struct view *v)
{
	enum field f = (enum field)m->field;
	const struct word *w;

	switch (f) {
	case FIELD_UID:
		return number_fits(m, v->f->who->uid) ? FIT_YES : FIT_NO;
	case FIELD_GID:
		return number_fits(m, v->f->who->gid) ? FIT_YES : FIT_NO;
	case FIELD_ENDPOINT:
	case FIELD_MODEL:
		if (v->connect)
			return FIT_MAYBE;
		return word_fits(m, view_word(v, f)) ? FIT_YES : FIT_NO;
	case FIELD_PROVIDER:
	case FIELD_HOST:
		w = view_word(v, f);
		if (!w->len && v->connect)
			return FIT_MAYBE;
		return word_fits(m, w) ? FIT_YES : FIT_NO;
	case FIELD_EXE:
	case FIELD_ANCESTOR:
	case FIELD_UNIT:
	case FIELD_SLICE:
		for (uint32_t i = 0; i < m->n; i++)
			if (pattern_fits(&m->patterns[i], f, v))
				return FIT_YES;
		return FIT_NO;
	default:
		return word_fits(m, view_word(v, f)) ? FIT_YES : FIT_NO;
	}
}

enum fit selector_fit(const struct selector *s, struct view *v, size_t *failed)
{
	enum fit all = FIT_YES;

	for (uint32_t i = 0; i < s->n; i++) {
		enum fit one = member_fit(&s->members[i], v);

		if (one == FIT_NO) {
			if (failed)
				*failed = i;
			return FIT_NO;
		}
		all = MIN(all, one);
	}
	return all;
}

const struct member *selector_member(const struct selector *s, enum field f)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->members[i].field == f)
			return &s->members[i];
	return NULL;
}

const char *view_text(struct view *v, enum field f, char *out, size_t size)
{
	const struct principal *who = v->f->who;
	struct slice s = field_text(v, f);

	if (f == FIELD_UID || f == FIELD_GID)
		(void)snprintf(out, size, "%u", f == FIELD_UID ? who->uid : who->gid);
	else if (f == FIELD_ANCESTOR && who->n_ancestors)
		(void)snprintf(out, size, "parent %s", who->ancestor[0].exe);
	else if ((f == FIELD_UNIT || f == FIELD_SLICE) && !s.len && who->cgroup[0])
		(void)snprintf(out, size, "cgroup %s", who->cgroup);
	else
		slice_copy(out, size, s.len ? s : SLICE("not known"));
	return out;
}

/* ---- coverage ---- */

bool pattern_covers(enum field f, const struct pattern *a, const struct pattern *b)
{
	if (a->kind == PATTERN_NUMBER || b->kind == PATTERN_NUMBER)
		return a->kind == b->kind && a->head == b->head;
	if (strcmp(a->written, b->written) == 0)
		return true;
	if (a->kind == PATTERN_DIGEST)
		return b->kind == PATTERN_DIGEST && !a->path &&
		       memcmp(a->digest, b->digest, DIGEST_LEN) == 0;
	if (b->kind == PATTERN_DIGEST) /* a digest alone may stand on any path, or on none */
		return false;
	if ((f == FIELD_UNIT || f == FIELD_SLICE) && (a->text[0] == '/') != (b->text[0] == '/'))
		return false;
	/* b's own text under a's glob: a literal of a meets the same literal, a star of a swallows
	 * whatever b says there, wild cards included; a '?' could meet a star, so it does not
	 * count. */
	return !strchr(a->text, '?') && text_glob(a->text, slice_str(b->text));
}

static bool member_covers(const struct member *a, const struct member *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		bool covered = false;

		for (uint32_t k = 0; k < a->n && !covered; k++)
			covered = pattern_covers((enum field)a->field, &a->patterns[k],
						 &b->patterns[i]);
		if (!covered)
			return false;
	}
	return true;
}

bool selector_covers(const struct selector *a, const struct selector *b)
{
	for (uint32_t i = 0; i < a->n; i++) {
		const struct member *same = selector_member(b, (enum field)a->members[i].field);

		if (!same || !member_covers(&a->members[i], same))
			return false;
	}
	return true;
}
