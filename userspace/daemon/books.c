/* Sums in memory, SQL at the end of a batch. */
#include "daemon/books.h"

#include "audit/anchor.h"
#include "base/json.h"
#include "discover/inventory.h"
#include "spend/ledger.h"

#include <errno.h>
#include <stdlib.h>

#define ACCOUNTS_MAX 1024U
#define BUCKETS 4096U
#define CALLERS 64U

struct account_sum {
	struct budget_account account;
	int64_t microusd, tokens, requests;
};

/* The key of a caller costs a digest; the same few call again and again. */
struct caller {
	uint64_t key;
	uint32_t pid;
	struct principal who;
};

struct books {
	struct db *db;
	struct inventory *inventory;
	size_t inventory_notes; /* since the last commit: an upper bound of its rows */
	struct account_sum account[ACCOUNTS_MAX];
	uint16_t bucket[BUCKETS]; /* index + 1 */
	size_t n_accounts;
	struct caller caller[CALLERS];
	bool full;
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS recorder_spools("
	" spool INTEGER PRIMARY KEY, position INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS recorder_opens("
	" spool INTEGER NOT NULL, position INTEGER NOT NULL, id INTEGER NOT NULL,"
	" record TEXT NOT NULL, PRIMARY KEY(spool, position)) WITHOUT ROWID;";

int books_open(const char *path, struct books **out)
{
	struct books *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->inventory = inventory_new();
	r = b->inventory ? db_open(path, false, &b->db) : -ENOMEM;
	if (r == 0)
		r = db_exec(b->db, schema);
	if (r == 0)
		r = anchor_init(b->db);
	if (r == 0)
		r = ledger_init(b->db);
	if (r == 0)
		r = inventory_init(b->db);
	if (r < 0) {
		books_close(b);
		return r;
	}
	*out = b;
	return 0;
}

void books_close(struct books *b)
{
	if (!b)
		return;
	inventory_free(b->inventory);
	db_close(b->db);
	free(b);
}

struct db *books_db(struct books *b)
{
	return b->db;
}

const char *books_error(const struct books *b)
{
	return db_error(b->db);
}

bool books_room(const struct books *b)
{
	return !b->full && b->n_accounts + RECORD_BUDGETS <= ACCOUNTS_MAX;
}

bool books_empty(const struct books *b)
{
	return !b->n_accounts && !b->inventory_notes;
}

static int account_add(struct books *b, const struct budget_account *a, int64_t microusd,
		       int64_t tokens)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ a->caller ^ a->window_s;
	struct account_sum *s;
	size_t at;

	for (const char *p = a->id; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
	for (at = (h ^ h >> 32) % BUCKETS; b->bucket[at]; at = (at + 1) % BUCKETS) {
		s = &b->account[b->bucket[at] - 1];
		if (s->account.caller == a->caller && s->account.window_s == a->window_s &&
		    strcmp(s->account.id, a->id) == 0)
			goto add;
	}
	if (b->n_accounts == ACCOUNTS_MAX)
		return -ENOBUFS;
	s = &b->account[b->n_accounts++];
	*s = (struct account_sum){ .account = *a };
	b->bucket[at] = (uint16_t)b->n_accounts;
add:
	s->microusd += microusd;
	s->tokens += tokens;
	s->requests++;
	return 0;
}

static int accounts_note(struct books *b, const struct record *r)
{
	int64_t tokens = MAX(r->input_tokens, (int64_t)0) + MAX(r->output_tokens, (int64_t)0);
	int64_t microusd = r->priced ? MAX(r->cost_microusd, (int64_t)0) : 0;
	int e = 0;

	if (r->action == ACTION_BLOCKED && !tokens && !microusd)
		return 0; /* it never left */
	for (uint32_t i = 0; i < MIN(r->n_budgets, (uint32_t)RECORD_BUDGETS) && e == 0; i++) {
		struct budget_account a = { .caller = r->budget[i].caller,
					    .window_s = r->budget[i].window_s };

		slice_copy(a.id, sizeof(a.id), slice_str(r->budget[i].id));
		e = account_add(b, &a, microusd, tokens);
	}
	return e;
}

static uint64_t caller_key(struct books *b, const struct principal *p)
{
	struct caller *c = &b->caller[(p->pid ^ p->start_ns >> 20) % CALLERS];

	if (!c->key || memcmp(&c->who, p, sizeof(*p)) != 0) {
		c->key = principal_key(p);
		memcpy(&c->who, p, sizeof(*p));
	}
	return c->key;
}

static int inventory_add(struct books *b, const struct record *r)
{
	bool again = r->kind == RECORD_SEEN && strcmp(r->reason, RECORD_CLOSED) == 0;
	struct inventory_note n = {
		.caller = caller_key(b, &r->who),
		.who = &r->who,
		.provider = r->provider,
		.endpoint = r->endpoint,
		.model = r->model,
		.host = r->host,
		.time_ns = r->start_ns,
		.exchange = r->kind == RECORD_EXCHANGE,
		.blocked = r->kind == RECORD_REFUSED || r->action == ACTION_BLOCKED ||
			   r->action == ACTION_CUT,
		.redacted = r->action == ACTION_REDACTED,
		.spliced = r->kind == RECORD_SPLICED,
		.seen = r->kind == RECORD_SEEN && !again,
		.sanctioned = r->sanctioned,
		.distrust = r->distrust,
		.reason = again ? "" : r->reason,
		.bytes_out = r->bytes_out,
		.bytes_in = r->bytes_in,
		.tokens_in = r->input_tokens,
		.tokens_out = r->output_tokens,
		.cost_microusd = r->priced ? r->cost_microusd : 0,
	};

	for (uint32_t i = 0; i < MIN(r->n_findings, (uint32_t)INVENTORY_FINDINGS); i++)
		n.finding[n.n_findings++] = (struct inventory_finding){
			r->finding[i].type, r->finding[i].where, r->finding[i].action,
			r->finding[i].count };
	return inventory_note(b->inventory, &n);
}

int books_note(struct books *b, const struct record *r)
{
	int e;

	if (r->kind == RECORD_ADMIN || r->kind == RECORD_OPEN)
		return 0;
	e = r->kind == RECORD_EXCHANGE ? accounts_note(b, r) : 0;
	if (e == 0)
		e = inventory_add(b, r);
	b->inventory_notes++;
	b->full = b->full || inventory_full(b->inventory);
	return e;
}

int books_begin(struct books *b)
{
	return db_exec(b->db, "BEGIN IMMEDIATE");
}

static int sums_store(struct books *b)
{
	int r = 0;

	for (size_t i = 0; i < b->n_accounts && r == 0; i++) {
		const struct account_sum *s = &b->account[i];

		r = ledger_add(b->db, &s->account, s->microusd, s->tokens, s->requests);
	}
	return r < 0 ? r : inventory_store(b->inventory, b->db);
}

int books_end(struct books *b, bool good)
{
	int r = good ? sums_store(b) : -ECANCELED;

	if (r == 0)
		r = db_exec(b->db, "COMMIT");
	if (r < 0) {
		(void)db_exec(b->db, "ROLLBACK");
		return r;
	}
	b->n_accounts = b->inventory_notes = 0;
	memset(b->bucket, 0, sizeof(b->bucket));
	inventory_clear(b->inventory);
	b->full = false;
	return 0;
}

int books_position(struct books *b, uint64_t spool, uint64_t *out)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(b->db, &q, "SELECT position FROM recorder_spools WHERE spool = ?", "i",
			 (int64_t)spool);

	if (r == 0)
		r = db_next(q);
	*out = r == 1 ? (uint64_t)db_int(q, 0) : 0;
	return MIN(r, 0);
}

int books_put_position(struct books *b, uint64_t spool, uint64_t position)
{
	return db_run(b->db, "INSERT INTO recorder_spools VALUES(?1, ?2)"
			     " ON CONFLICT DO UPDATE SET position = ?2", "ii",
		      (int64_t)spool, (int64_t)position);
}

int books_forget(struct books *b, uint64_t spool)
{
	int r = db_run(b->db, "DELETE FROM recorder_spools WHERE spool = ?", "i", (int64_t)spool);

	return r < 0 ? r : db_run(b->db, "DELETE FROM recorder_opens WHERE spool = ?", "i",
				  (int64_t)spool);
}

int books_spools(struct books *b, int (*each)(void *arg, uint64_t spool), void *arg)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(b->db, &q, "SELECT spool FROM recorder_spools", NULL);

	while (r == 0 && (r = db_next(q)) == 1)
		r = each(arg, (uint64_t)db_int(q, 0));
	return MIN(r, 0);
}

int books_put_open(struct books *b, uint64_t spool, uint64_t position, const struct record *r)
{
	struct buf text;
	int e;

	/* As JSON, so that a recorder of another version reads it too. */
	buf_init(&text, RECORD_JSON_MAX + 2);
	e = buf_str(&text, "{");
	if (e == 0)
		e = record_json(r, &text);
	if (e == 0)
		e = buf_str(&text, "}");
	if (e == 0)
		e = db_run(b->db, "INSERT OR REPLACE INTO recorder_opens VALUES(?, ?, ?, ?)", "iiit",
			   (int64_t)spool, (int64_t)position, (int64_t)r->id, buf_slice(&text));
	buf_done(&text);
	return e;
}

int books_delete_open(struct books *b, uint64_t spool, uint64_t position)
{
	return db_run(b->db, "DELETE FROM recorder_opens WHERE spool = ? AND position = ?", "ii",
		      (int64_t)spool, (int64_t)position);
}

int books_opens(struct books *b, uint64_t spool,
		int (*each)(void *arg, uint64_t position, uint64_t id), void *arg)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(b->db, &q, "SELECT position, id FROM recorder_opens WHERE spool = ?", "i",
			 (int64_t)spool);

	while (r == 0 && (r = db_next(q)) == 1)
		r = each(arg, (uint64_t)db_int(q, 0), (uint64_t)db_int(q, 1));
	return MIN(r, 0);
}

int books_open_read(struct books *b, uint64_t spool, uint64_t position, struct record *out)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(b->db, &q,
			 "SELECT record FROM recorder_opens WHERE spool = ? AND position = ?", "ii",
			 (int64_t)spool, (int64_t)position);
	json_t *j;

	if (r == 0)
		r = db_next(q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	j = json_loads(db_text(q, 0), JSON_REJECT_DUPLICATES, NULL);
	r = record_read(j, out);
	json_decref(j);
	return r;
}
