/*
 * Records as JSON. Written for every exchange, so it goes by pointer into one reserved stretch: each
 * byte of a field takes at most six bytes of JSON, and all fields lie in struct record.
 */
#include "audit/record.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>

struct out {
	char *p;
	bool comma;
};

#define LIT(o, s) (memcpy((o)->p, s, sizeof(s) - 1), (o)->p += sizeof(s) - 1)
/* ,"key": with the comma where one is due */
#define KEY(o, s)                                                                                  \
	do {                                                                                       \
		if ((o)->comma)                                                                    \
			*(o)->p++ = ',';                                                           \
		(o)->comma = true;                                                                 \
		LIT(o, "\"" s "\":");                                                              \
	} while (0)
#define TEXT(o, key, field)                                                                        \
	do {                                                                                       \
		if ((field)[0]) {                                                                  \
			KEY(o, key);                                                               \
			put_text(o, field, sizeof(field));                                         \
		}                                                                                  \
	} while (0)
#define UINT(o, key, n)                                                                            \
	do {                                                                                       \
		KEY(o, key);                                                                       \
		put_uint(o, n);                                                                    \
	} while (0)
#define SET_UINT(o, key, n)                                                                        \
	do {                                                                                       \
		if (n)                                                                             \
			UINT(o, key, n);                                                           \
	} while (0)
#define NAME(o, key, name)                                                                         \
	do {                                                                                       \
		const char *name_ = (name);                                                        \
		KEY(o, key);                                                                       \
		put_text(o, name_, strlen(name_) + 1);                                             \
	} while (0)
#define FLAG(o, key, b)                                                                            \
	do {                                                                                       \
		if (b) {                                                                           \
			KEY(o, key);                                                               \
			LIT(o, "true");                                                            \
		}                                                                                  \
	} while (0)

static const char hex_digits[] = "0123456789abcdef";

/* No further than readers of JSON go: 63 bits. */
static void put_uint(struct out *o, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	n = MIN(n, (uint64_t)INT64_MAX);
	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	memcpy(o->p, digits + i, sizeof(digits) - i);
	o->p += sizeof(digits) - i;
}

static void put_int(struct out *o, int64_t n)
{
	if (n < 0)
		*o->p++ = '-';
	put_uint(o, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

static void put_hex64(struct out *o, uint64_t n)
{
	*o->p++ = '"';
	for (int shift = 60; shift >= 0; shift -= 4)
		*o->p++ = hex_digits[n >> shift & 15];
	*o->p++ = '"';
}

static void put_escape(struct out *o, uint32_t cp)
{
	LIT(o, "\\u");
	for (int shift = 12; shift >= 0; shift -= 4)
		*o->p++ = hex_digits[cp >> shift & 15];
}

/* C1 controls, line separators, and characters that turn the direction of what follows. */
static bool is_unsightly(uint32_t cp)
{
	return (cp >= 0x80 && cp < 0xa0) || cp == 0x200e || cp == 0x200f ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x061c ||
	       cp == 0xfeff;
}

/* Eight bytes at once: none below 0x20, above 0x7e, quote or backslash (exact for "none"). */
static bool is_plain8(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
	uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\'), del = w ^ (ones * 0x7f);

	return !((w | (w - ones * 0x20) | (quote - ones) | (slash - ones) | (del - ones)) & high);
}

static size_t put_char(struct out *o, struct slice rest)
{
	unsigned char c = (unsigned char)rest.ptr[0];
	uint32_t cp;
	size_t n = 1;

	if (c == '"' || c == '\\') {
		*o->p++ = '\\';
		*o->p++ = (char)c;
	} else if (c < 0x20 || c == 0x7f) {
		put_escape(o, c);
	} else if (c < 0x7f) {
		*o->p++ = (char)c;
	} else {
		n = text_utf8_next(rest, &cp);
		if (!n) {
			LIT(o, "\\ufffd");
			return 1;
		}
		if (is_unsightly(cp)) {
			put_escape(o, cp);
		} else {
			memcpy(o->p, rest.ptr, n);
			o->p += n;
		}
	}
	return n;
}

static void put_text(struct out *o, const char *field, size_t size)
{
	struct slice s = slice_of(field, strnlen(field, size));

	*o->p++ = '"';
	while (s.len) {
		uint64_t w;
		size_t n;

		if (s.len >= 8 && (memcpy(&w, s.ptr, 8), is_plain8(w))) {
			memcpy(o->p, &w, 8);
			o->p += 8;
			n = 8;
		} else {
			n = put_char(o, s);
		}
		s.ptr += n;
		s.len -= n;
	}
	*o->p++ = '"';
}

static const char *const kinds[] = { "unknown", "exchange", "spliced", "refused",
				     "seen",	"open",	    "admin" };
static const char *const actions[] = { "allowed", "redacted", "blocked", "cut", "failed" };
static const char *const modes[] = { "observe", "monitor", "enforce" };

const char *record_kind_name(uint32_t kind)
{
	return kind < ARRAY_LEN(kinds) ? kinds[kind] : "unknown";
}

const char *record_action_name(uint32_t action)
{
	return action < ARRAY_LEN(actions) ? actions[action] : "unknown";
}

const char *record_mode_name(uint32_t mode)
{
	return mode < ARRAY_LEN(modes) ? modes[mode] : "unknown";
}

static void put_parents(struct out *o, const struct principal *p)
{
	KEY(o, "parents");
	*o->p++ = '[';
	for (size_t i = 0; i < MIN((size_t)p->n_ancestors, (size_t)PRINCIPAL_ANCESTORS); i++) {
		if (i)
			*o->p++ = ',';
		*o->p++ = '{';
		o->comma = false;
		UINT(o, "pid", p->ancestor[i].pid);
		TEXT(o, "comm", p->ancestor[i].comm);
		TEXT(o, "exe", p->ancestor[i].exe);
		*o->p++ = '}';
	}
	*o->p++ = ']';
	o->comma = true;
}

static void put_who(struct out *o, const struct principal *p)
{
	KEY(o, "who");
	*o->p++ = '{';
	o->comma = false;
	UINT(o, "uid", p->uid);
	TEXT(o, "user", p->user);
	if (p->loginuid != UINT32_MAX)
		UINT(o, "loginuid", p->loginuid);
	TEXT(o, "login", p->login_user);
	UINT(o, "gid", p->gid);
	TEXT(o, "group", p->group);
	UINT(o, "pid", p->pid);
	UINT(o, "start_ns", p->start_ns);
	TEXT(o, "comm", p->comm);
	TEXT(o, "exe", p->exe);
	if (p->digest_known) {
		KEY(o, "digest");
		*o->p++ = '"';
		text_hex(p->digest, DIGEST_LEN, o->p);
		o->p += DIGEST_HEX_LEN - 1;
		*o->p++ = '"';
	}
	FLAG(o, "deleted", p->exe_deleted);
	FLAG(o, "exited", p->exited);
	TEXT(o, "unit", p->unit);
	TEXT(o, "slice", p->slice);
	TEXT(o, "container", p->container);
	TEXT(o, "pod", p->pod);
	TEXT(o, "cgroup", p->cgroup);
	SET_UINT(o, "cgroup_id", p->cgroup_id);
	if (p->n_ancestors)
		put_parents(o, p);
	*o->p++ = '}';
	o->comma = true;
}

static void put_usage(struct out *o, const struct record *r)
{
	const struct {
		const char *key;
		int64_t n;
	} counts[] = { { "input", r->input_tokens },
		       { "output", r->output_tokens },
		       { "cached", r->cached_tokens },
		       { "cache_write", r->cache_write_tokens },
		       { "reasoning", r->reasoning_tokens } };
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		if (counts[i].n < 0)
			continue;
		if (!any) {
			KEY(o, "tokens");
			*o->p++ = '{';
		} else {
			*o->p++ = ',';
		}
		any = true;
		put_text(o, counts[i].key, strlen(counts[i].key) + 1);
		*o->p++ = ':';
		put_int(o, counts[i].n);
	}
	if (any)
		*o->p++ = '}';
}

static void put_findings(struct out *o, const struct record *r)
{
	KEY(o, "findings");
	*o->p++ = '[';
	for (uint32_t i = 0; i < MIN(r->n_findings, (uint32_t)RECORD_FINDINGS); i++) {
		if (i)
			*o->p++ = ',';
		*o->p++ = '{';
		o->comma = false;
		TEXT(o, "type", r->finding[i].type);
		TEXT(o, "where", r->finding[i].where);
		TEXT(o, "action", r->finding[i].action);
		UINT(o, "count", r->finding[i].count);
		*o->p++ = '}';
	}
	*o->p++ = ']';
	o->comma = true;
}

static void put_tools(struct out *o, const struct record *r)
{
	KEY(o, "tools");
	*o->p++ = '[';
	for (uint32_t i = 0; i < MIN(r->n_tools, (uint32_t)RECORD_TOOLS); i++) {
		if (i)
			*o->p++ = ',';
		put_text(o, r->tool[i], sizeof(r->tool[i]));
	}
	*o->p++ = ']';
}

static void put_budgets(struct out *o, const struct record *r)
{
	KEY(o, "budgets");
	*o->p++ = '[';
	for (uint32_t i = 0; i < MIN(r->n_budgets, (uint32_t)RECORD_BUDGETS); i++) {
		if (i)
			*o->p++ = ',';
		*o->p++ = '{';
		o->comma = false;
		TEXT(o, "id", r->budget[i].id);
		if (r->budget[i].caller) {
			KEY(o, "caller");
			put_hex64(o, r->budget[i].caller);
		}
		UINT(o, "window_s", r->budget[i].window_s);
		*o->p++ = '}';
	}
	*o->p++ = ']';
	o->comma = true;
}

static void put_head(struct out *o, const struct record *r)
{
	KEY(o, "time");
	*o->p++ = '"';
	clock_format(r->start_ns, o->p);
	o->p += strlen(o->p);
	*o->p++ = '"';
	NAME(o, "kind", record_kind_name(r->kind));
	if (r->kind != RECORD_ADMIN) {
		NAME(o, "action", record_action_name(r->action));
		if (r->would != r->action)
			NAME(o, "would", record_action_name(r->would));
		NAME(o, "mode", record_mode_name(r->mode));
	}
	if (r->id) {
		KEY(o, "id");
		put_hex64(o, r->id);
	}
	TEXT(o, "note", r->note);
	TEXT(o, "reason", r->reason);
	if (r->who.pid)
		put_who(o, &r->who);
}

static void put_where(struct out *o, const struct record *r)
{
	TEXT(o, "provider", r->provider);
	TEXT(o, "host", r->host);
	TEXT(o, "address", r->address);
	TEXT(o, "endpoint", r->endpoint);
	TEXT(o, "dialect", r->dialect);
	TEXT(o, "method", r->method);
	TEXT(o, "path", r->path);
	TEXT(o, "model", r->model);
	TEXT(o, "model_asked", r->model_asked);
	TEXT(o, "rule", r->rule);
	TEXT(o, "request_id", r->request_id);
	TEXT(o, "tls_client", r->tls_client);
	TEXT(o, "tls_upstream", r->tls_upstream);
	SET_UINT(o, "status", r->status);
	SET_UINT(o, "upstream_status", r->upstream_status);
	FLAG(o, "stream", r->stream);
	FLAG(o, "sanctioned", r->sanctioned);
	FLAG(o, "distrust", r->distrust);
}

static void put_amounts(struct out *o, const struct record *r)
{
	SET_UINT(o, "duration_us", r->duration_us);
	SET_UINT(o, "first_byte_us", r->first_byte_us);
	SET_UINT(o, "bytes_out", r->bytes_out);
	SET_UINT(o, "bytes_in", r->bytes_in);
	put_usage(o, r);
	if (r->priced) {
		KEY(o, "cost_microusd");
		put_int(o, r->cost_microusd);
	}
	FLAG(o, "estimated", r->estimated);
	if (r->reserved_microusd) {
		KEY(o, "reserved_microusd");
		put_int(o, r->reserved_microusd);
	}
	if (r->reserved_tokens) {
		KEY(o, "reserved_tokens");
		put_int(o, r->reserved_tokens);
	}
	if (r->n_findings)
		put_findings(o, r);
	if (r->n_tools)
		put_tools(o, r);
	if (r->n_budgets)
		put_budgets(o, r);
}

int record_json(const struct record *r, struct buf *out)
{
	struct out o = { 0 };
	int e = buf_reserve(out, RECORD_JSON_MAX);

	if (e < 0)
		return e;
	o.p = out->data + out->len;
	put_head(&o, r);
	if (r->kind != RECORD_ADMIN) {
		put_where(&o, r);
		put_amounts(&o, r);
	}
	out->len = (size_t)(o.p - out->data);
	return 0;
}
