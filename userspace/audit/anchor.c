/* The end of the chain, in SQLite. */
#include "audit/anchor.h"

#include "base/def.h"

int anchor_init(struct db *d)
{
	return db_exec(d, "CREATE TABLE IF NOT EXISTS audit_anchor("
			  " one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL,"
			  " hash TEXT NOT NULL)");
}

int anchor_put(struct db *d, const struct chain *c)
{
	return db_run(d, "INSERT INTO audit_anchor VALUES(1, ?1, ?2)"
			 " ON CONFLICT DO UPDATE SET seq = ?1, hash = ?2", "is", (int64_t)c->seq,
		      c->hash);
}

int anchor_get(struct db *d, struct chain *out)
{
	cleanup(db_query_freep) struct db_query *q = NULL;
	int r = db_query(d, &q, "SELECT seq, hash FROM audit_anchor", NULL);

	memset(out, 0, sizeof(*out));
	if (r == 0)
		r = db_next(q);
	if (r == 1) {
		out->seq = (uint64_t)db_int(q, 0);
		slice_copy(out->hash, sizeof(out->hash), slice_str(db_text(q, 1)));
	}
	return MIN(r, 0);
}
