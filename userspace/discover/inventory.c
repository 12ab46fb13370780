/* The inventory's batch in memory and its tables. */
#include "discover/inventory.h"

#include "base/def.h"
#include "base/text.h"
#include "ident/principal.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH_MAX 1024U
#define BUCKETS 2048U /* a power of two, twice the batch */
#define FINDINGS_MAX 256U /* different ones in a batch */

struct sum {
	uint64_t hash, day;
	uint64_t caller, first_ns, last_ns;
	struct principal who;
	char provider[48], endpoint[24], model[96], host[128], reason[256];
	int64_t exchanges, blocked, redacted, spliced, seen;
	int64_t bytes_out, bytes_in, tokens_in, tokens_out, cost_microusd;
	bool sanctioned, distrust, judged;
};

struct find_sum {
	uint64_t caller, day;
	char provider[48], type[32], place[10], action[8];
	int64_t n, exchanges;
};

struct inventory {
	size_t n, n_findings;
	struct sum *sums[BATCH_MAX];
	uint16_t bucket[BUCKETS]; /* index + 1; 0 empty */
	struct find_sum finding[FINDINGS_MAX];
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS inventory("
	" caller INTEGER NOT NULL, provider TEXT NOT NULL, endpoint TEXT NOT NULL,"
	" model TEXT NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL, exe TEXT NOT NULL,"
	" digest TEXT NOT NULL, unit TEXT NOT NULL, slice TEXT NOT NULL, container TEXT NOT NULL,"
	" first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, exchanges INTEGER NOT NULL,"
	" blocked INTEGER NOT NULL, redacted INTEGER NOT NULL, spliced INTEGER NOT NULL,"
	" seen INTEGER NOT NULL, bytes_out INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
	" tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, cost_microusd INTEGER NOT NULL,"
	" sanctioned INTEGER NOT NULL, distrust INTEGER NOT NULL, hosts TEXT NOT NULL,"
	" reason TEXT NOT NULL, pid INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY(caller, provider, endpoint, model)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS inventory_last ON inventory(last_ns);"
	"CREATE TABLE IF NOT EXISTS inventory_days("
	" day INTEGER NOT NULL, caller INTEGER NOT NULL, provider TEXT NOT NULL,"
	" exchanges INTEGER NOT NULL, blocked INTEGER NOT NULL, redacted INTEGER NOT NULL,"
	" spliced INTEGER NOT NULL, seen INTEGER NOT NULL, bytes_out INTEGER NOT NULL,"
	" bytes_in INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,"
	" cost_microusd INTEGER NOT NULL, PRIMARY KEY(day, caller, provider)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS inventory_findings("
	" day INTEGER NOT NULL, caller INTEGER NOT NULL, provider TEXT NOT NULL,"
	" type TEXT NOT NULL, place TEXT NOT NULL, action TEXT NOT NULL, n INTEGER NOT NULL,"
	" exchanges INTEGER NOT NULL,"
	" PRIMARY KEY(day, caller, provider, type, place, action)) WITHOUT ROWID;";

static const char prune_days[] = "DELETE FROM inventory_days WHERE day < strftime('%s')/86400 - ?";
static const char prune_findings[] =
	"DELETE FROM inventory_findings WHERE day < strftime('%s')/86400 - ?";

/* One host a row of the batch, so that the list of hosts grows here without a read before. */
static const char upsert[] =
	"INSERT INTO inventory SELECT ?1, ?2, ?3, CASE WHEN"
	"  EXISTS(SELECT 1 FROM inventory WHERE caller=?1 AND provider=?2 AND endpoint=?3 AND model=?4)"
	"  OR (SELECT count(*) FROM inventory WHERE caller=?1) < ?5 THEN ?4 ELSE '(other)' END,"
	" ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,"
	" ?25, ?26, ?27, ?28, ?30 WHERE true"
	" ON CONFLICT(caller, provider, endpoint, model) DO UPDATE SET"
	" user=excluded.user, exe=excluded.exe, digest=excluded.digest, unit=excluded.unit,"
	" slice=excluded.slice, container=excluded.container, pid=excluded.pid,"
	" first_ns=min(first_ns, excluded.first_ns), last_ns=max(last_ns, excluded.last_ns),"
	" exchanges=exchanges+excluded.exchanges, blocked=blocked+excluded.blocked,"
	" redacted=redacted+excluded.redacted, spliced=spliced+excluded.spliced,"
	" seen=seen+excluded.seen, bytes_out=bytes_out+excluded.bytes_out,"
	" bytes_in=bytes_in+excluded.bytes_in, tokens_in=tokens_in+excluded.tokens_in,"
	" tokens_out=tokens_out+excluded.tokens_out,"
	" cost_microusd=cost_microusd+excluded.cost_microusd,"
	" sanctioned=CASE WHEN ?29 THEN excluded.sanctioned ELSE sanctioned END,"
	" distrust=CASE WHEN ?29 THEN excluded.distrust ELSE distrust END,"
	" hosts=CASE WHEN excluded.hosts='' OR length(hosts)>1000"
	"  OR instr(','||hosts||',', ','||excluded.hosts||',')>0 THEN hosts"
	"  WHEN hosts='' THEN excluded.hosts ELSE hosts||','||excluded.hosts END,"
	" reason=CASE WHEN excluded.reason='' THEN reason ELSE excluded.reason END";

static const char upsert_day[] =
	"INSERT INTO inventory_days VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	" ON CONFLICT(day, caller, provider) DO UPDATE SET exchanges=exchanges+excluded.exchanges,"
	" blocked=blocked+excluded.blocked, redacted=redacted+excluded.redacted,"
	" spliced=spliced+excluded.spliced, seen=seen+excluded.seen,"
	" bytes_out=bytes_out+excluded.bytes_out, bytes_in=bytes_in+excluded.bytes_in,"
	" tokens_in=tokens_in+excluded.tokens_in, tokens_out=tokens_out+excluded.tokens_out,"
	" cost_microusd=cost_microusd+excluded.cost_microusd";

static const char upsert_finding[] =
	"INSERT INTO inventory_findings VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
	" ON CONFLICT(day, caller, provider, type, place, action) DO UPDATE SET"
	" n=n+excluded.n, exchanges=exchanges+excluded.exchanges";

/* A table of before the process id was kept. */
static int upgrade(struct db *d)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(d, &q, "SELECT 1 FROM pragma_table_info('inventory') WHERE name='pid'", NULL);

	if (r == 0)
		r = db_next(q);
	if (r != 0)
		return MIN(r, 0);
	return db_exec(d, "ALTER TABLE inventory ADD COLUMN pid INTEGER NOT NULL DEFAULT 0");
}

int inventory_init(struct db *d)
{
	int r = db_exec(d, schema);

	if (r == 0)
		r = upgrade(d);
	if (r == 0)
		r = db_run(d, prune_days, "i", (int64_t)INVENTORY_DAYS_KEPT);
	return r < 0 ? r : db_run(d, prune_findings, "i", (int64_t)INVENTORY_DAYS_KEPT);
}

struct inventory *inventory_new(void)
{
	return calloc(1, sizeof(struct inventory));
}

void inventory_free(struct inventory *i)
{
	if (i)
		inventory_clear(i);
	free(i);
}

void inventory_clear(struct inventory *i)
{
	while (i->n)
		free(i->sums[--i->n]);
	i->n_findings = 0;
	memset(i->bucket, 0, sizeof(i->bucket));
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	do {
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	} while (*s++);
	return h;
}

static bool is_same(const struct sum *s, uint64_t hash, const struct inventory_note *n)
{
	return s->hash == hash && s->caller == n->caller &&
	       s->day == n->time_ns / INVENTORY_DAY_NS && strcmp(s->provider, n->provider) == 0 &&
	       strcmp(s->endpoint, n->endpoint) == 0 && strcmp(s->model, n->model) == 0 &&
	       strcmp(s->host, n->host) == 0;
}

#define COPY(to, from) slice_copy(to, sizeof(to), slice_str(from))

/* The row of the batch, made when it is not there. */
static int sum_get(struct inventory *i, const struct inventory_note *n, struct sum **out)
{
	uint64_t day = n->time_ns / INVENTORY_DAY_NS;
	uint64_t h = hash_text(n->caller ^ day ^ 0xcbf29ce484222325ULL, n->provider);
	size_t at;
	struct sum *s;

	h = hash_text(hash_text(hash_text(h, n->endpoint), n->model), n->host);
	for (at = (h ^ h >> 32) % BUCKETS; i->bucket[at]; at = (at + 1) % BUCKETS) {
		s = i->sums[i->bucket[at] - 1];
		if (is_same(s, h, n)) {
			*out = s;
			return 0;
		}
	}
	if (i->n == BATCH_MAX)
		return -ENOBUFS;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->hash = h;
	s->day = day;
	s->caller = n->caller;
	s->who = *n->who;
	s->first_ns = n->time_ns;
	COPY(s->provider, n->provider);
	COPY(s->endpoint, n->endpoint);
	COPY(s->model, n->model);
	COPY(s->host, n->host);
	i->sums[i->n] = s;
	i->bucket[at] = (uint16_t)++i->n;
	*out = s;
	return 0;
}

bool inventory_full(const struct inventory *i)
{
	return i->n == BATCH_MAX || i->n_findings + INVENTORY_FINDINGS > FINDINGS_MAX;
}

/* There is room: inventory_note() saw to it. */
static void finding_add(struct inventory *i, const struct inventory_note *n,
			const struct inventory_finding *f)
{
	struct find_sum one = { .caller = n->caller, .day = n->time_ns / INVENTORY_DAY_NS }, *s;
	size_t k = 0;

	COPY(one.provider, n->provider);
	COPY(one.type, f->type);
	COPY(one.place, f->place);
	COPY(one.action, f->action);
	for (s = i->finding; k < i->n_findings; k++, s++)
		if (s->caller == one.caller && s->day == one.day && !strcmp(s->type, one.type) &&
		    !strcmp(s->place, one.place) && !strcmp(s->action, one.action) &&
		    !strcmp(s->provider, one.provider))
			break;
	if (k == i->n_findings)
		i->finding[i->n_findings++] = one;
	s->n += f->count;
	s->exchanges++;
}

static int64_t known(int64_t n)
{
	return n < 0 ? 0 : n;
}

int inventory_note(struct inventory *i, const struct inventory_note *n)
{
	struct sum *s;
	int r = n->n_findings && inventory_full(i) ? -ENOBUFS : sum_get(i, n, &s);

	if (r < 0)
		return r;
	for (size_t k = 0; k < MIN(n->n_findings, (size_t)INVENTORY_FINDINGS); k++)
		finding_add(i, n, &n->finding[k]);
	s->first_ns = MIN(s->first_ns, n->time_ns);
	s->last_ns = MAX(s->last_ns, n->time_ns);
	s->exchanges += n->exchange;
	s->blocked += n->blocked;
	s->redacted += n->redacted;
	s->spliced += n->spliced;
	s->seen += n->seen;
	s->bytes_out += (int64_t)n->bytes_out;
	s->bytes_in += (int64_t)n->bytes_in;
	s->tokens_in += known(n->tokens_in);
	s->tokens_out += known(n->tokens_out);
	s->cost_microusd += known(n->cost_microusd);
	/* What the kernel saw went by no rule, so it does not unsay what a rule said. */
	if (!n->seen) {
		s->sanctioned = n->sanctioned;
		s->distrust = n->distrust;
		s->judged = true;
	}
	if (n->reason[0])
		COPY(s->reason, n->reason);
	return 0;
}

/* What goes into reports: no control characters, valid UTF-8. */
static void clean(char *text)
{
	for (struct slice s = slice_str(text); s.len;) {
		uint32_t cp = 0;
		size_t n = text_utf8_next(s, &cp);

		if (!n || cp < 0x20 || cp == 0x7f)
			*(char *)s.ptr = '?';
		s = slice_from(s, n ? n : 1);
	}
}

static int sum_store(const struct sum *from, struct db *d)
{
	char digest[DIGEST_HEX_LEN] = "";
	struct sum copy = *from, *s = &copy;
	int r;

	clean(s->provider), clean(s->endpoint), clean(s->model), clean(s->host), clean(s->reason);
	clean(s->who.exe), clean(s->who.unit), clean(s->who.slice), clean(s->who.container);
	if (s->who.digest_known)
		text_hex(s->who.digest, DIGEST_LEN, digest);
	r = db_run(d, upsert_day, "iisiiiiiiiiii", (int64_t)s->day, (int64_t)s->caller, s->provider,
		   s->exchanges, s->blocked, s->redacted, s->spliced, s->seen, s->bytes_out,
		   s->bytes_in, s->tokens_in, s->tokens_out, s->cost_microusd);
	if (r < 0)
		return r;
	return db_run(d, upsert, "isssiissssssiiiiiiiiiiiiiissii", (int64_t)s->caller,
		      s->provider, s->endpoint, s->model, (int64_t)INVENTORY_ROWS_PER_CALLER,
		      (int64_t)s->who.uid, s->who.user, s->who.exe, digest, s->who.unit,
		      s->who.slice, s->who.container, (int64_t)s->first_ns, (int64_t)s->last_ns,
		      s->exchanges, s->blocked, s->redacted, s->spliced, s->seen, s->bytes_out,
		      s->bytes_in, s->tokens_in, s->tokens_out, s->cost_microusd,
		      (int64_t)s->sanctioned, (int64_t)s->distrust, s->host, s->reason,
		      (int64_t)s->judged, (int64_t)s->who.pid);
}

static int finding_store(const struct find_sum *from, struct db *d)
{
	struct find_sum s = *from;

	clean(s.provider), clean(s.type), clean(s.place), clean(s.action);
	return db_run(d, upsert_finding, "iissssii", (int64_t)s.day, (int64_t)s.caller, s.provider,
		      s.type, s.place, s.action, s.n, s.exchanges);
}

int inventory_store(const struct inventory *i, struct db *d)
{
	for (size_t n = 0; n < i->n; n++) {
		int r = sum_store(i->sums[n], d);

		if (r < 0)
			return r;
	}
	for (size_t n = 0; n < i->n_findings; n++) {
		int r = finding_store(&i->finding[n], d);

		if (r < 0)
			return r;
	}
	return 0;
}

int inventory_rows(struct db *d, uint64_t since_ns,
		   int (*each)(void *arg, const struct inventory_row *row), void *arg)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(d, &q,
			 "SELECT caller, provider, endpoint, model, uid, user, exe, digest, unit,"
			 " slice, container, first_ns, last_ns, exchanges, blocked, redacted,"
			 " spliced, seen, bytes_out, bytes_in, tokens_in, tokens_out, cost_microusd,"
			 " sanctioned, distrust, hosts, reason, pid FROM inventory WHERE last_ns >= ?"
			 " ORDER BY last_ns DESC, caller, provider, endpoint, model",
			 "i", (int64_t)since_ns);

	while (r == 0 && (r = db_next(q)) == 1) {
		struct inventory_row row = {
			.caller = (uint64_t)db_int(q, 0), .provider = db_text(q, 1),
			.endpoint = db_text(q, 2),	  .model = db_text(q, 3),
			.uid = (uint32_t)db_int(q, 4),	  .user = db_text(q, 5),
			.exe = db_text(q, 6),		  .digest = db_text(q, 7),
			.unit = db_text(q, 8),		  .slice = db_text(q, 9),
			.container = db_text(q, 10),	  .first_ns = (uint64_t)db_int(q, 11),
			.last_ns = (uint64_t)db_int(q, 12), .exchanges = db_int(q, 13),
			.blocked = db_int(q, 14),	  .redacted = db_int(q, 15),
			.spliced = db_int(q, 16),	  .seen = db_int(q, 17),
			.bytes_out = db_int(q, 18),	  .bytes_in = db_int(q, 19),
			.tokens_in = db_int(q, 20),	  .tokens_out = db_int(q, 21),
			.cost_microusd = db_int(q, 22),	  .sanctioned = db_int(q, 23) != 0,
			.distrust = db_int(q, 24) != 0,	  .hosts = db_text(q, 25),
			.reason = db_text(q, 26),	  .pid = (uint32_t)db_int(q, 27),
		};

		r = each(arg, &row);
	}
	return r;
}
