/* From the tables of the inventory to a report. */
#include "discover/report.h"

#include "base/text.h"
#include "discover/inventory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define REPORT_MAX (256U << 20)

#define FORMAT(name, help) int report_##name(const struct report *r, struct buf *out);
#include "discover/formats.def"
#undef FORMAT
const struct report_format report_formats[] = {
#define FORMAT(name, help) { #name, help, report_##name },
#include "discover/formats.def"
#undef FORMAT
	{ NULL, NULL, NULL },
};

const struct report_format *report_format_find(const char *name)
{
	for (const struct report_format *f = report_formats; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

void report_init(struct report *r)
{
	memset(r, 0, sizeof(*r));
	arena_init(&r->arena, REPORT_MAX);
	r->node = r->version = r->prices_date = r->catalog_date = "";
}

void report_done(struct report *r)
{
	arena_done(&r->arena);
	free(r->caller);
	free(r->provider);
	free(r->day);
	free(r->finding);
	free(r->budget);
}

/* Control and C1 characters, line separators, what changes the direction of text or shows nothing.
 */
static bool is_hostile(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0xad || cp == 0x61c ||
	       (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || (cp >= 0xe0000 && cp <= 0xe007f);
}

const char *report_text(struct report *r, const char *text)
{
	struct slice in = slice_str(text ? text : "");
	char *out = in.len ? arena_bytes(&r->arena, in.len + 1) : NULL;
	size_t n = 0;

	if (!out)
		return "";
	while (in.len) {
		uint32_t cp;
		size_t len = text_utf8_next(in, &cp);

		if (!len || is_hostile(cp)) {
			out[n++] = '?';
		} else {
			memcpy(out + n, in.ptr, len);
			n += len;
		}
		in = slice_from(in, len ? len : 1);
	}
	out[n] = '\0';
	return out;
}

void report_note(struct report *r, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (r->n_notes == ARRAY_LEN(r->note))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->note[r->n_notes++] = report_text(r, text);
}

/* ---- rows of the inventory, merged ---- */

struct collection {
	struct report *r;
	const struct catalog *catalog;
	size_t cap;
};

static void list_add(struct report *r, struct report_list *l, struct slice item)
{
	char text[256];

	if (!item.len)
		return;
	slice_copy(text, sizeof(text), item);
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->item[i], text) == 0)
			return;
	if (l->n < REPORT_LIST_MAX)
		l->item[l->n++] = report_text(r, text);
	else
		l->more++;
}

static void list_add_all(struct report *r, struct report_list *l, struct slice comma_separated)
{
	while (comma_separated.len) {
		long end = slice_find(comma_separated, SLICE(","));
		size_t n = end < 0 ? comma_separated.len : (size_t)end;

		list_add(r, l, slice_sub(comma_separated, 0, n));
		comma_separated = slice_from(comma_separated, n + 1);
	}
}

static int row_take(void *arg, const struct inventory_row *row)
{
	struct collection *c = arg;
	struct report *r = c->r;
	struct report_caller *to;
	bool judged = row->exchanges + row->spliced + row->blocked > 0;

	if (r->n_callers == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;

		to = realloc(r->caller, cap * sizeof(*to));
		if (!to)
			return -ENOMEM;
		r->caller = to;
		c->cap = cap;
	}
	to = &r->caller[r->n_callers++];
	*to = (struct report_caller){
		.key = row->caller,
		.provider = report_text(r, row->provider),
		.uid = row->uid,
		.pid = row->pid,
		.user = report_text(r, row->user),
		.exe = report_text(r, row->exe),
		.digest = report_text(r, row->digest),
		.unit = report_text(r, row->unit),
		.slice = report_text(r, row->slice),
		.container = report_text(r, row->container),
		.first_ns = row->first_ns,
		.last_ns = row->last_ns,
		.distrust = row->distrust,
		.inspected = row->exchanges > 0,
		.reason = report_text(r, row->reason),
		.standing = !judged	      ? STANDING_UNJUDGED
			    : row->sanctioned ? STANDING_SANCTIONED
					      : STANDING_UNSANCTIONED,
	};
	list_add_all(r, &to->hosts, slice_str(row->hosts));
	list_add(r, &to->endpoints, slice_str(row->endpoint));
	list_add(r, &to->models, slice_str(row->model));
	return 0;
}

static int by_caller(const void *a, const void *b)
{
	const struct report_caller *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return strcmp(x->provider, y->provider);
}

static int by_caller_latest(const void *a, const void *b)
{
	const struct report_caller *x = a, *y = b;
	int r = by_caller(a, b);

	return r ? r : (x->last_ns < y->last_ns) - (x->last_ns > y->last_ns);
}

static enum standing worse(enum standing a, enum standing b)
{
	static const int rank[] = {
		[STANDING_SANCTIONED] = 0, [STANDING_UNJUDGED] = 1, [STANDING_UNSANCTIONED] = 2
	};

	return rank[a] > rank[b] ? a : b;
}

/* `from` is the older row of the same caller and provider. */
static void caller_merge(struct report *r, struct report_caller *to,
			 const struct report_caller *from)
{
	for (size_t i = 0; i < from->hosts.n; i++)
		list_add(r, &to->hosts, slice_str(from->hosts.item[i]));
	for (size_t i = 0; i < from->endpoints.n; i++)
		list_add(r, &to->endpoints, slice_str(from->endpoints.item[i]));
	for (size_t i = 0; i < from->models.n; i++)
		list_add(r, &to->models, slice_str(from->models.item[i]));
	to->first_ns = MIN(to->first_ns, from->first_ns);
	to->standing = worse(to->standing, from->standing);
	/* An exchange since then says that it trusts us by now. */
	to->distrust |= from->distrust && !to->inspected;
	to->inspected |= from->inspected;
	if (!to->reason[0])
		to->reason = from->reason;
}

static void callers_merge(struct collection *c)
{
	struct report *r = c->r;
	size_t n = 0;

	for (size_t i = 0; i < r->n_callers; i++) {
		struct report_caller *one = &r->caller[i];
		const struct provider *p = catalog_provider_id(c->catalog, one->provider);

		one->provider_name = report_text(r, p		       ? p->name
						    : one->provider[0] ? one->provider
								       : "not in the catalogue");
		one->jurisdiction = report_text(r, p ? p->jurisdiction : "");
		if (one->standing == STANDING_UNJUDGED && r->judge)
			one->standing = r->judge(r->judge_ctx, one);
		if (n && by_caller(&r->caller[n - 1], one) == 0)
			caller_merge(r, &r->caller[n - 1], one);
		else
			r->caller[n++] = *one;
	}
	r->n_callers = n;
}

/* ---- sums of the range ---- */

static void sums_add(struct report_sums *to, const struct report_sums *s)
{
	to->requests += s->requests;
	to->connections += s->connections;
	to->blocked += s->blocked;
	to->redacted += s->redacted;
	to->findings += s->findings;
	to->bytes_out += s->bytes_out;
	to->bytes_in += s->bytes_in;
	to->tokens_in += s->tokens_in;
	to->tokens_out += s->tokens_out;
	to->cost_microusd += s->cost_microusd;
}

static struct report_caller *caller_find(const struct report *r, uint64_t key, const char *provider)
{
	struct report_caller want = { .key = key, .provider = provider };

	return r->n_callers ? bsearch(&want, r->caller, r->n_callers, sizeof(want), by_caller)
			    : NULL;
}

static int day_add(struct report *r, uint64_t day, const struct report_sums *s)
{
	struct report_day *more;

	if (!r->n_days || r->day[r->n_days - 1].day != day) {
		more = realloc(r->day, (r->n_days + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		r->day = more;
		r->day[r->n_days++] = (struct report_day){ .day = day };
	}
	sums_add(&r->day[r->n_days - 1].sums, s);
	return 0;
}

static int days_collect(struct report *r, struct db *d, uint64_t from_day)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int e = db_query(d, &q,
			 "SELECT day, caller, provider, exchanges, seen + spliced, blocked,"
			 " redacted, bytes_out, bytes_in, tokens_in, tokens_out, cost_microusd"
			 " FROM inventory_days WHERE day >= ? ORDER BY day",
			 "i", (int64_t)from_day);

	while (e == 0 && (e = db_next(q)) == 1) {
		struct report_caller *c = caller_find(r, (uint64_t)db_int(q, 1), db_text(q, 2));
		struct report_sums s = {
			.requests = db_int(q, 3),
			.connections = db_int(q, 4),
			.blocked = db_int(q, 5),
			.redacted = db_int(q, 6),
			.bytes_out = db_int(q, 7),
			.bytes_in = db_int(q, 8),
			.tokens_in = db_int(q, 9),
			.tokens_out = db_int(q, 10),
			.cost_microusd = db_int(q, 11),
		};

		if (c)
			sums_add(&c->sums, &s);
		e = day_add(r, (uint64_t)db_int(q, 0), &s);
	}
	return MIN(e, 0);
}

static int findings_of_callers(struct report *r, struct db *d, uint64_t from_day)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int e = db_query(d, &q,
			 "SELECT caller, provider, sum(n) FROM inventory_findings"
			 " WHERE day >= ? GROUP BY caller, provider",
			 "i", (int64_t)from_day);

	while (e == 0 && (e = db_next(q)) == 1) {
		struct report_caller *c = caller_find(r, (uint64_t)db_int(q, 0), db_text(q, 1));

		if (c)
			c->sums.findings += db_int(q, 2);
		e = 0;
	}
	return MIN(e, 0);
}

static int findings_collect(struct report *r, struct db *d, uint64_t from_day)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int e = db_query(d, &q,
			 "SELECT type, place, action, sum(n), sum(exchanges)"
			 " FROM inventory_findings WHERE day >= ? GROUP BY type, place, action"
			 " ORDER BY 4 DESC, type, place, action",
			 "i", (int64_t)from_day);

	while (e == 0 && (e = db_next(q)) == 1) {
		struct report_finding *more =
			realloc(r->finding, (r->n_findings + 1) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->finding = more;
		r->finding[r->n_findings++] = (struct report_finding){
			.type = report_text(r, db_text(q, 0)),
			.place = report_text(r, db_text(q, 1)),
			.action = report_text(r, db_text(q, 2)),
			.n = db_int(q, 3),
			.requests = db_int(q, 4),
		};
		e = 0;
	}
	return MIN(e, 0);
}

/* ---- the headline ---- */

static int provider_add(struct report *r, const struct report_caller *c)
{
	struct report_provider *p = r->provider;
	size_t i = 0;

	while (i < r->n_providers && strcmp(p[i].id, c->provider) != 0)
		i++;
	if (i == r->n_providers) {
		p = realloc(r->provider, (i + 1) * sizeof(*p));
		if (!p)
			return -ENOMEM;
		r->provider = p;
		p[r->n_providers++] = (struct report_provider){ .id = c->provider,
								.name = c->provider_name,
								.jurisdiction = c->jurisdiction };
	}
	p[i].callers++;
	p[i].unsanctioned += c->standing == STANDING_UNSANCTIONED;
	sums_add(&p[i].sums, &c->sums);
	return 0;
}

static int by_importance(const void *a, const void *b)
{
	static const int rank[] = {
		[STANDING_UNSANCTIONED] = 0, [STANDING_UNJUDGED] = 1, [STANDING_SANCTIONED] = 2
	};
	const struct report_caller *x = a, *y = b;
	int64_t n = report_calls(&x->sums), m = report_calls(&y->sums);

	if (x->standing != y->standing)
		return rank[x->standing] - rank[y->standing];
	if (n != m)
		return n < m ? 1 : -1;
	return by_caller_latest(a, b);
}

static int by_calls(const void *a, const void *b)
{
	const struct report_provider *x = a, *y = b;
	int64_t n = report_calls(&x->sums), m = report_calls(&y->sums);

	return n != m ? (n < m ? 1 : -1) : strcmp(x->id, y->id);
}

/* While the callers are still sorted by key: distinct ones count once, by their worst standing. */
static int headline(struct report *r)
{
	int e = 0;

	for (size_t i = 0; i < r->n_callers && e == 0; i++) {
		const struct report_caller *c = &r->caller[i];
		enum standing worst = c->standing;
		bool first = i == 0 || r->caller[i - 1].key != c->key;

		for (size_t k = i + 1; first && k < r->n_callers && r->caller[k].key == c->key; k++)
			worst = worse(worst, r->caller[k].standing);
		r->who[worst] += first;
		r->calls[c->standing] += report_calls(&c->sums);
		sums_add(&r->sums, &c->sums);
		e = provider_add(r, c);
	}
	return e;
}

int report_collect(struct report *r, struct db *d, const struct catalog *c)
{
	uint64_t from_day = r->from_ns / INVENTORY_DAY_NS;
	struct collection all = { .r = r, .catalog = c };
	int e = inventory_rows(d, from_day * INVENTORY_DAY_NS, row_take, &all);

	if (e < 0)
		return e;
	if (r->n_callers)
		qsort(r->caller, r->n_callers, sizeof(*r->caller), by_caller_latest);
	callers_merge(&all);
	e = days_collect(r, d, from_day);
	if (e == 0)
		e = findings_of_callers(r, d, from_day);
	if (e == 0)
		e = findings_collect(r, d, from_day);
	if (e == 0)
		e = headline(r);
	if (e == 0 && r->n_callers)
		qsort(r->caller, r->n_callers, sizeof(*r->caller), by_importance);
	if (e == 0 && r->n_providers)
		qsort(r->provider, r->n_providers, sizeof(*r->provider), by_calls);
	return e;
}
