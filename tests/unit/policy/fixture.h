/* What every policy test stands on: a DLP with five types in place of the real one, which takes half a
 * second to compile, and principals and policies in few words. */
#ifndef TESTS_POLICY_FIXTURE_H
#define TESTS_POLICY_FIXTURE_H

#include "base/file.h"
#include "policy/policy.h"
#include "tests/t.h"

#include <errno.h>

static const char *const fixture_types[] = { "CREDIT_CARD", "AWS_KEY", "EMAIL", "IBAN", "PHONE" };

size_t dlp_n_types(UNUSED const struct dlp *d)
{
	return ARRAY_LEN(fixture_types);
}

const char *dlp_type_name(UNUSED const struct dlp *d, uint16_t type)
{
	return fixture_types[type];
}

int dlp_type_find(UNUSED const struct dlp *d, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(fixture_types); i++)
		if (strcmp(fixture_types[i], name) == 0)
			return (int)i;
	return -1;
}

struct dlp *dlp_ref(struct dlp *d)
{
	return d;
}

void dlp_unref(UNUSED struct dlp *d)
{
}

static inline bool fixture_provider(UNUSED void *ctx, const char *id)
{
	static const char *const ids[] = { "openai", "anthropic", "azure-openai", "gemini" };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (strcmp(ids[i], id) == 0)
			return true;
	return false;
}

static const struct policy_names fixture_names = { fixture_provider, NULL };

/* A policy from text; on mistakes they are printed and NULL comes back. */
static inline struct policy *fixture_policy(const char *json)
{
	struct policy *p = NULL;
	struct mistakes m;

	mistakes_init(&m, "policy.json");
	if (policy_load(slice_str(json), NULL, &fixture_names, -1, &m, &p) < 0)
		printf("# %.*s\n", SLICE_FMT(buf_slice(&m.text)));
	mistakes_done(&m);
	return p;
}

static inline void fixture_set(char *to, size_t size, const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	slice_copy(to, size, slice_str(s ? s : ""));
}

/* {"uid":1000,"user":"alice","exe":"/usr/bin/curl","digest":"ab..","cgroup":"/a/b","ancestor":[..]} */
static inline void fixture_who(const json_t *o, struct principal *p)
{
	const json_t *ancestor = json_object_get(o, "ancestor");
	const char *digest = json_string_value(json_object_get(o, "digest"));

	memset(p, 0, sizeof(*p));
	p->uid = (uint32_t)json_integer_value(json_object_get(o, "uid"));
	p->gid = (uint32_t)json_integer_value(json_object_get(o, "gid"));
	fixture_set(p->user, sizeof(p->user), o, "user");
	fixture_set(p->login_user, sizeof(p->login_user), o, "login_user");
	fixture_set(p->group, sizeof(p->group), o, "group");
	fixture_set(p->exe, sizeof(p->exe), o, "exe");
	fixture_set(p->cgroup, sizeof(p->cgroup), o, "cgroup");
	fixture_set(p->unit, sizeof(p->unit), o, "unit");
	fixture_set(p->slice, sizeof(p->slice), o, "slice");
	fixture_set(p->container, sizeof(p->container), o, "container");
	fixture_set(p->pod, sizeof(p->pod), o, "pod");
	if (digest) {
		p->digest_known = true;
		memset(p->digest, (int)strtol(digest, NULL, 16), sizeof(p->digest));
	}
	for (size_t i = 0; i < json_array_size(ancestor) && i < PRINCIPAL_ANCESTORS; i++, p->n_ancestors++)
		slice_copy(p->ancestor[i].exe, sizeof(p->ancestor[i].exe),
			   slice_str(json_string_value(json_array_get(ancestor, i))));
}

static inline struct slice fixture_slice(const json_t *o, const char *key)
{
	return slice_str(json_string_value(json_object_get(o, key)));
}

#endif
