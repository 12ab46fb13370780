/* Records back from the log's JSON, and mended when they came from a worker. */
#include "audit/record.h"

#include "base/text.h"

#include <errno.h>
#include <time.h>

static void read_text(const json_t *o, const char *key, char *to, size_t size)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_string(v))
		slice_copy(to, size, slice_of(json_string_value(v), json_string_length(v)));
}
#define READ_TEXT(o, key, field) read_text(o, key, field, sizeof(field))

static int64_t read_int(const json_t *o, const char *key, int64_t absent)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : absent;
}

static uint64_t read_hex64(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	unsigned char b[8];
	uint64_t n = 0;

	if (!s || text_unhex(slice_str(s), b, sizeof(b)) != (int)sizeof(b))
		return 0;
	for (size_t i = 0; i < sizeof(b); i++)
		n = n << 8 | b[i];
	return n;
}

static uint32_t read_name(const json_t *o, const char *key, const char *(*name)(uint32_t),
			  uint32_t n, uint32_t absent)
{
	const char *s = json_string_value(json_object_get(o, key));

	for (uint32_t i = 0; s && i < n; i++)
		if (strcmp(name(i), s) == 0)
			return i;
	return absent;
}

static uint64_t read_time(const json_t *o)
{
	const char *s = json_string_value(json_object_get(o, "time"));
	unsigned ms = 0;
	struct tm tm = { 0 };

	if (!s || sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d.%3uZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			 &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) < 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (uint64_t)timegm(&tm) * 1000000000U + (uint64_t)ms * 1000000U;
}

static void read_who(const json_t *o, struct principal *p)
{
	const json_t *parents = json_object_get(o, "parents"), *parent;
	const char *digest = json_string_value(json_object_get(o, "digest"));
	size_t i;

	p->uid = (uint32_t)read_int(o, "uid", 0);
	p->gid = (uint32_t)read_int(o, "gid", 0);
	p->loginuid = (uint32_t)read_int(o, "loginuid", UINT32_MAX);
	p->pid = (uint32_t)read_int(o, "pid", 0);
	p->start_ns = (uint64_t)read_int(o, "start_ns", 0);
	p->cgroup_id = (uint64_t)read_int(o, "cgroup_id", 0);
	READ_TEXT(o, "user", p->user);
	READ_TEXT(o, "login", p->login_user);
	READ_TEXT(o, "group", p->group);
	READ_TEXT(o, "comm", p->comm);
	READ_TEXT(o, "exe", p->exe);
	READ_TEXT(o, "unit", p->unit);
	READ_TEXT(o, "slice", p->slice);
	READ_TEXT(o, "container", p->container);
	READ_TEXT(o, "pod", p->pod);
	READ_TEXT(o, "cgroup", p->cgroup);
	p->exe_deleted = json_is_true(json_object_get(o, "deleted"));
	p->exited = json_is_true(json_object_get(o, "exited"));
	p->digest_known = digest && text_unhex(slice_str(digest), p->digest, DIGEST_LEN) ==
					    DIGEST_LEN;
	json_array_foreach((json_t *)parents, i, parent) {
		if (i >= PRINCIPAL_ANCESTORS)
			break;
		p->ancestor[i].pid = (uint32_t)read_int(parent, "pid", 0);
		READ_TEXT(parent, "comm", p->ancestor[i].comm);
		READ_TEXT(parent, "exe", p->ancestor[i].exe);
		p->n_ancestors = (uint8_t)(i + 1);
	}
}

static void read_lists(const json_t *o, struct record *r)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(o, "findings"), i, v) {
		if (i >= RECORD_FINDINGS)
			break;
		READ_TEXT(v, "type", r->finding[i].type);
		READ_TEXT(v, "where", r->finding[i].where);
		READ_TEXT(v, "action", r->finding[i].action);
		r->finding[i].count = (uint32_t)read_int(v, "count", 0);
		r->n_findings = (uint32_t)i + 1;
	}
	json_array_foreach(json_object_get(o, "tools"), i, v) {
		if (i >= RECORD_TOOLS)
			break;
		if (json_is_string(v))
			slice_copy(r->tool[i], sizeof(r->tool[i]), slice_str(json_string_value(v)));
		r->n_tools = (uint32_t)i + 1;
	}
	json_array_foreach(json_object_get(o, "budgets"), i, v) {
		if (i >= RECORD_BUDGETS)
			break;
		READ_TEXT(v, "id", r->budget[i].id);
		r->budget[i].caller = read_hex64(v, "caller");
		r->budget[i].window_s = (uint64_t)read_int(v, "window_s", 0);
		r->n_budgets = (uint32_t)i + 1;
	}
}

static void read_amounts(const json_t *o, struct record *r)
{
	const json_t *tokens = json_object_get(o, "tokens");

	r->duration_us = (uint64_t)read_int(o, "duration_us", 0);
	r->first_byte_us = (uint64_t)read_int(o, "first_byte_us", 0);
	r->bytes_out = (uint64_t)read_int(o, "bytes_out", 0);
	r->bytes_in = (uint64_t)read_int(o, "bytes_in", 0);
	r->input_tokens = read_int(tokens, "input", -1);
	r->output_tokens = read_int(tokens, "output", -1);
	r->cached_tokens = read_int(tokens, "cached", -1);
	r->cache_write_tokens = read_int(tokens, "cache_write", -1);
	r->reasoning_tokens = read_int(tokens, "reasoning", -1);
	r->priced = json_object_get(o, "cost_microusd") != NULL;
	r->cost_microusd = read_int(o, "cost_microusd", 0);
	r->estimated = json_is_true(json_object_get(o, "estimated"));
	r->reserved_microusd = read_int(o, "reserved_microusd", 0);
	r->reserved_tokens = read_int(o, "reserved_tokens", 0);
}

int record_read(const json_t *o, struct record *out)
{
	struct record *r = out;

	if (!json_is_object(o) || !json_is_string(json_object_get(o, "kind")) || !read_time(o))
		return -EBADMSG;
	memset(r, 0, sizeof(*r));
	r->kind = read_name(o, "kind", record_kind_name, RECORD_ADMIN + 1, 0);
	r->action = read_name(o, "action", record_action_name, ACTION_FAILED + 1, ACTION_ALLOWED);
	r->would = read_name(o, "would", record_action_name, ACTION_FAILED + 1, r->action);
	r->mode = read_name(o, "mode", record_mode_name, 3, 0);
	r->id = read_hex64(o, "id");
	r->start_ns = read_time(o);
	r->who.loginuid = UINT32_MAX;
	READ_TEXT(o, "note", r->note);
	READ_TEXT(o, "reason", r->reason);
	read_who(json_object_get(o, "who"), &r->who);
	READ_TEXT(o, "provider", r->provider);
	READ_TEXT(o, "host", r->host);
	READ_TEXT(o, "address", r->address);
	READ_TEXT(o, "endpoint", r->endpoint);
	READ_TEXT(o, "dialect", r->dialect);
	READ_TEXT(o, "method", r->method);
	READ_TEXT(o, "path", r->path);
	READ_TEXT(o, "model", r->model);
	READ_TEXT(o, "model_asked", r->model_asked);
	READ_TEXT(o, "rule", r->rule);
	READ_TEXT(o, "request_id", r->request_id);
	READ_TEXT(o, "tls_client", r->tls_client);
	READ_TEXT(o, "tls_upstream", r->tls_upstream);
	r->status = (uint32_t)read_int(o, "status", 0);
	r->upstream_status = (uint32_t)read_int(o, "upstream_status", 0);
	r->stream = json_is_true(json_object_get(o, "stream"));
	r->sanctioned = json_is_true(json_object_get(o, "sanctioned"));
	r->distrust = json_is_true(json_object_get(o, "distrust"));
	read_amounts(o, r);
	read_lists(o, r);
	return 0;
}

#define END(field) ((field)[sizeof(field) - 1] = '\0')

/* A byte other than 0 and 1 in a bool is undefined behaviour where it is read. */
static void sane_bool(void *b)
{
	unsigned char c;

	memcpy(&c, b, 1);
	c = c != 0;
	memcpy(b, &c, 1);
}

static void sane_who(struct principal *p)
{
	sane_bool(&p->exited);
	sane_bool(&p->digest_known);
	sane_bool(&p->exe_deleted);
	p->n_ancestors = MIN(p->n_ancestors, (uint8_t)PRINCIPAL_ANCESTORS);
	END(p->user), END(p->login_user), END(p->group), END(p->comm), END(p->exe), END(p->cgroup);
	END(p->unit), END(p->slice), END(p->container), END(p->pod);
	for (size_t i = 0; i < PRINCIPAL_ANCESTORS; i++)
		END(p->ancestor[i].comm), END(p->ancestor[i].exe);
}

/* No exchange costs a thousand million dollars; a negative one would give a budget back. */
#define AMOUNT_MAX 1000000000000000LL

static void sane_amount(int64_t *n, int64_t least)
{
	*n = *n < least ? least : MIN(*n, (int64_t)AMOUNT_MAX);
}

static void sane_amounts(struct record *r)
{
	sane_amount(&r->input_tokens, -1);
	sane_amount(&r->output_tokens, -1);
	sane_amount(&r->cached_tokens, -1);
	sane_amount(&r->cache_write_tokens, -1);
	sane_amount(&r->reasoning_tokens, -1);
	sane_amount(&r->cost_microusd, 0);
	sane_amount(&r->reserved_microusd, 0);
	sane_amount(&r->reserved_tokens, 0);
	r->bytes_out = MIN(r->bytes_out, (uint64_t)AMOUNT_MAX);
	r->bytes_in = MIN(r->bytes_in, (uint64_t)AMOUNT_MAX);
}

void record_sane(struct record *r)
{
	r->kind = r->kind > RECORD_ADMIN ? 0 : r->kind;
	r->action = r->action > ACTION_FAILED ? ACTION_FAILED : r->action;
	r->would = r->would > ACTION_FAILED ? ACTION_FAILED : r->would;
	r->mode = r->mode > 2 ? 0 : r->mode;
	sane_bool(&r->stream), sane_bool(&r->sanctioned);
	sane_bool(&r->estimated), sane_bool(&r->priced), sane_bool(&r->distrust);
	sane_amounts(r);
	sane_who(&r->who);
	END(r->provider), END(r->host), END(r->address), END(r->endpoint), END(r->dialect);
	END(r->method), END(r->path), END(r->model), END(r->model_asked), END(r->rule);
	END(r->reason), END(r->request_id), END(r->note), END(r->tls_client), END(r->tls_upstream);
	r->n_findings = MIN(r->n_findings, (uint32_t)RECORD_FINDINGS);
	r->n_tools = MIN(r->n_tools, (uint32_t)RECORD_TOOLS);
	r->n_budgets = MIN(r->n_budgets, (uint32_t)RECORD_BUDGETS);
	for (size_t i = 0; i < RECORD_FINDINGS; i++)
		END(r->finding[i].type), END(r->finding[i].where), END(r->finding[i].action);
	for (size_t i = 0; i < RECORD_TOOLS; i++)
		END(r->tool[i]);
	for (size_t i = 0; i < RECORD_BUDGETS; i++)
		END(r->budget[i].id);
}
