/* Spools in, log and ledger out. */
#include "daemon/booking.h"

#include "audit/anchor.h"
#include "audit/writer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/books.h"
#include "daemon/opens.h"
#include "daemon/replay.h"
#include "spend/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAIN_MAX 4096U          /* entries in one go */
#define BATCH_BYTES (4U << 20)   /* of lines that wait for the disk: read no further */
#define SLOT_NONE UINT32_MAX
#define DONE_SLOTS 64U

struct ring {
	struct ring *next;
	struct spool *spool;
	uint64_t id;
	uint32_t slot;
	uint64_t committed, read; /* positions: in the ledger, in the log */
	uint64_t logged;          /* found in the log at start, may be ahead of committed */
	struct opens opens;
	bool gone;     /* its worker is dead */
	bool finished; /* and all of it is read and its open exchanges are closed */
};

struct booking {
	char dir[PATH_MAX];
	struct books *books;
	struct writer *writer;
	struct budget_table *budgets; /* NULL until booking_budgets() */
	uint64_t done_slots;          /* bits: finished, the monitor has not been told */
	struct ring *rings;
	struct replay replay;
	uint64_t committed_seq;
	uint64_t *forget; /* spools whose file is gone: rows to delete */
	size_t n_forget;
	struct buf members;
	struct record record; /* the entry at hand, in our own memory */
	struct booking_counts counts;
	bool failing; /* the last commit failed and was logged */
};

static int path_in(const struct booking *b, const char *name, char out[PATH_MAX])
{
	return (size_t)snprintf(out, PATH_MAX, "%s/%s", b->dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* ---- open, close ---- */

int booking_open(const char *state_dir, uint64_t rotate_bytes, struct booking **out)
{
	struct booking *b = calloc(1, sizeof(*b));
	struct chain known;
	char path[PATH_MAX];
	int r;

	if (!b)
		return -ENOMEM;
	slice_copy(b->dir, sizeof(b->dir), slice_str(state_dir));
	buf_init(&b->members, RECORD_JSON_MAX + 128);
	r = path_in(b, "ledger.db", path);
	if (r == 0)
		r = books_open(path, &b->books);
	if (r == 0)
		r = anchor_get(books_db(b->books), &known);
	if (r == 0)
		r = path_in(b, "audit.jsonl", path);
	if (r == 0)
		r = replay_read(path, known.seq, &b->replay);
	if (r == 0)
		r = writer_open(path, rotate_bytes, &known, &b->writer);
	if (r < 0) {
		log_error("cannot open the recorder's files error=%s place=%s; the folder must belong "
			  "to the recorder's user", strerror(-r), b->dir);
		booking_close(b);
		return r;
	}
	b->committed_seq = known.seq;
	*out = b;
	return 0;
}

static void ring_free(struct ring *g)
{
	spool_close(g->spool);
	opens_done(&g->opens);
	free(g);
}

void booking_close(struct booking *b)
{
	if (!b)
		return;
	for (struct ring *g = b->rings, *next; g; g = next) {
		next = g->next;
		ring_free(g);
	}
	writer_free(b->writer);
	budget_table_close(b->budgets);
	books_close(b->books);
	buf_done(&b->members);
	replay_done(&b->replay);
	free(b->forget);
	free(b);
}

/* ---- rings ---- */

struct load {
	struct ring *ring;
	int error;
};

static int open_load(void *arg, uint64_t position, uint64_t id)
{
	struct load *l = arg;

	l->error = opens_add(&l->ring->opens, id, position, slice_of(NULL, 0));
	return l->error;
}

static int ring_add(struct booking *b, uint32_t slot, struct spool *s)
{
	struct ring *g = calloc(1, sizeof(*g));
	struct load load = { .ring = g };
	int r;

	if (!g)
		return -ENOMEM;
	g->id = spool_id(s);
	g->slot = slot;
	r = opens_init(&g->opens);
	if (r == 0)
		r = books_position(b->books, g->id, &g->committed);
	if (r == 0)
		r = books_opens(b->books, g->id, open_load, &load);
	if (r < 0) {
		ring_free(g);
		return r;
	}
	g->spool = s;
	g->read = g->committed;
	g->logged = replay_last(&b->replay, g->id);
	g->next = b->rings;
	b->rings = g;
	return 0;
}

static struct ring *ring_find(const struct booking *b, uint64_t id)
{
	struct ring *g = b->rings;

	while (g && g->id != id)
		g = g->next;
	return g;
}

int booking_add(struct booking *b, uint32_t slot, int fd)
{
	struct spool *s = NULL;
	int r = spool_map(fd, &s);

	if (r < 0)
		return r;
	if (ring_find(b, spool_id(s))) {
		spool_close(s);
		return 0;
	}
	(void)booking_gone(b, slot);
	r = ring_add(b, slot, s);
	if (r < 0)
		spool_close(s);
	return r;
}

int booking_gone(struct booking *b, uint32_t slot)
{
	int n = 0;

	for (struct ring *g = b->rings; g; g = g->next) {
		if (g->slot != slot || g->gone)
			continue;
		g->gone = true;
		n++;
	}
	return n ? 0 : -ENOENT;
}

static int forget_add(struct booking *b, uint64_t spool)
{
	uint64_t *p = realloc(b->forget, (b->n_forget + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	b->forget = p;
	b->forget[b->n_forget++] = spool;
	return 0;
}

static int stale_spool(void *arg, uint64_t spool)
{
	struct booking *b = arg;

	return ring_find(b, spool) ? 0 : forget_add(b, spool);
}

int booking_orphans(struct booking *b)
{
	char dir[PATH_MAX], path[PATH_MAX];
	const struct dirent *e;
	DIR *d;
	int r = path_in(b, "spool", dir);

	if (r < 0)
		return r;
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		cleanup(closep) int fd = -1;
		struct spool *s = NULL;

		if (!slice_ends(slice_str(e->d_name), SLICE(".ring")) ||
		    (size_t)snprintf(path, sizeof(path), "%.3800s/%s", dir, e->d_name) >= sizeof(path))
			continue;
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		r = fd < 0 ? -errno : spool_map(fd, &s);
		if (r < 0) {
			log_warn("a spool cannot be read error=%s place=%s; remove it if it is not needed",
				 strerror(-r), path);
			continue;
		}
		if (ring_find(b, spool_id(s)) || ring_add(b, SLOT_NONE, s) < 0)
			spool_close(s);
		else
			b->rings->gone = true;
	}
	if (d)
		(void)closedir(d);
	return books_spools(b->books, stale_spool, b);
}

int booking_budgets(struct booking *b, bool fresh, struct budget_table **out)
{
	char path[PATH_MAX];
	int r = path_in(b, "budgets.shm", path);

	if (r == 0 && !b->budgets)
		r = budget_table_open(path, &b->budgets);
	if (r == 0 && fresh)
		r = budget_table_reset(b->budgets);
	if (r == 0)
		r = ledger_restore(books_db(b->books), b->budgets, clock_wall_ns() / 1000000000U);
	if (r == 0)
		*out = b->budgets;
	return r;
}

bool booking_done(struct booking *b, uint32_t *slot)
{
	for (uint32_t i = 0; i < DONE_SLOTS; i++) {
		if (!(b->done_slots & 1ULL << i))
			continue;
		b->done_slots &= ~(1ULL << i);
		*slot = i;
		return true;
	}
	return false;
}

/* ---- entries ---- */

/* A line for b->record; from_ring: of that entry. -ENOBUFS: the batch is full. */
static int line_add(struct booking *b, const struct record *r, const struct ring *g,
		    uint64_t position, bool lost)
{
	int e;

	buf_clear(&b->members);
	e = record_json(r, &b->members);
	if (e == 0 && g)
		e = replay_tag(&b->members, g->id, position, lost);
	if (e == 0)
		e = writer_add(b->writer, buf_slice(&b->members));
	if (e == 0)
		b->counts.lines++;
	return e;
}

/* An exchange whose end never came: what was reserved for it counts as spent. */
static int lost_take(struct booking *b, struct ring *g, const struct open_one *o, const char *why)
{
	struct record *r = &b->record;
	int e = 0;

	if (o->entry.ptr) {
		e = record_unpack(o->entry, r);
		record_sane(r);
	} else {
		e = books_open_read(b->books, g->id, o->position, r);
	}
	if (e == -ENOMEM || e == -EIO || e == -EBUSY)
		return e;
	if (e == 0) {
		r->kind = RECORD_EXCHANGE;
		r->action = r->would = ACTION_FAILED;
		slice_copy(r->reason, sizeof(r->reason), slice_str(why));
		r->estimated = true;
		r->priced = r->reserved_microusd > 0;
		r->cost_microusd = r->reserved_microusd;
		r->input_tokens = r->reserved_tokens;
		r->output_tokens = r->cached_tokens = r->cache_write_tokens = r->reasoning_tokens = -1;
		if (!replay_has_lost(&b->replay, g->id, o->position))
			e = line_add(b, r, g, o->position, true);
		if (e == 0)
			e = books_note(b->books, r);
	} else {
		b->counts.damaged++;
		e = 0;
	}
	if (e == 0) {
		b->counts.lost++;
		(void)opens_end(&g->opens, o->id);
	}
	return e;
}

static int open_take(struct booking *b, struct ring *g, struct slice entry, uint64_t position)
{
	struct open_one too_many = { .id = b->record.id, .position = position, .entry = entry };
	int e = opens_add(&g->opens, b->record.id, position, entry);

	if (e != -ENOBUFS)
		return e;
	return lost_take(b, g, &too_many, "too many exchanges open at once");
}

static int entry_take(struct booking *b, struct ring *g, struct slice entry, uint64_t position)
{
	struct record *r = &b->record;
	int e = 0;

	if (record_unpack(entry, r) < 0) {
		b->counts.damaged++;
		log_error("an entry of a spool is damaged or of another version and is not recorded "
			  "bytes=%zu slot=%u", entry.len, g->slot);
		return 0;
	}
	record_sane(r);
	if (r->kind == RECORD_OPEN)
		return open_take(b, g, entry, position);
	if (position > g->logged)
		e = line_add(b, r, g, position, false);
	if (e == 0)
		e = books_note(b->books, r);
	if (e == 0 && r->kind == RECORD_EXCHANGE)
		(void)opens_end(&g->opens, r->id);
	return e;
}

/* How many entries were taken, at most max; -errno. */
static int ring_drain(struct booking *b, struct ring *g, unsigned max)
{
	struct slice entry = { NULL, 0 };
	uint64_t position = 0;
	unsigned n = 0;
	int r = 0;

	while (n < max && books_room(b->books) && writer_pending(b->writer) < BATCH_BYTES &&
	       (r = spool_peek(g->spool, &entry, &position)) == 0) {
		r = position > g->read ? entry_take(b, g, entry, position) : 0;
		if (r < 0)
			break;
		spool_step(g->spool);
		b->counts.entries += position > g->read;
		g->read = MAX(g->read, position);
		n++;
	}
	if (r == -EBADMSG) {
		log_error("a spool is damaged; what was in it is lost slot=%u", g->slot);
		b->counts.damaged++;
		spool_reset(g->spool);
		r = -ENOENT;
	}
	return r < 0 && r != -ENOENT && r != -ENOBUFS ? r : (int)n;
}

/* The ring of a dead worker: to its end, then its open exchanges. How many, or -errno. */
static int ring_finish(struct booking *b, struct ring *g)
{
	struct open_one *o = NULL;
	struct slice entry = { NULL, 0 };
	uint64_t position = 0;
	size_t at = 0;
	int n = 0, r;

	if (spool_peek(g->spool, &entry, &position) != -ENOENT)
		return 0;
	while ((o = opens_each(&g->opens, &at, NULL)) && books_room(b->books) &&
	       writer_pending(b->writer) < BATCH_BYTES) {
		r = lost_take(b, g, o, "worker died in mid-flight");
		if (r < 0)
			return r == -ENOBUFS ? n : r;
		n++;
	}
	g->finished = g->opens.n == 0;
	return n + g->finished;
}

int booking_drain(struct booking *b)
{
	int n = 0, r = 0;

	/* Lines that wait for the disk first: nothing new is read until they are out. */
	if (writer_pending(b->writer) >= BATCH_BYTES)
		r = writer_flush(b->writer);
	for (struct ring *g = b->rings; g && r >= 0; g = g->next) {
		if (g->finished)
			continue;
		r = ring_drain(b, g, DRAIN_MAX);
		n += MAX(r, 0);
		if (r >= 0 && g->gone) {
			r = ring_finish(b, g);
			n += MAX(r, 0);
		}
	}
	if (r >= 0)
		r = writer_flush(b->writer);
	if (r < 0)
		b->counts.write_failures++;
	return r < 0 ? r : n;
}

int booking_record(struct booking *b, const struct record *r)
{
	int e;

	b->record = *r;
	record_sane(&b->record);
	if (!books_room(b->books) || writer_pending(b->writer) >= BATCH_BYTES) {
		e = booking_commit(b);
		if (e < 0)
			return e;
	}
	e = line_add(b, &b->record, NULL, 0, false);
	return e < 0 ? e : books_note(b->books, &b->record);
}

/* ---- commit ---- */

bool booking_dirty(const struct booking *b)
{
	if (!books_empty(b->books) || b->n_forget || writer_pending(b->writer) ||
	    writer_chain(b->writer).seq != b->committed_seq)
		return true;
	for (const struct ring *g = b->rings; g; g = g->next)
		if (g->read != g->committed || g->opens.fresh || g->opens.gone || g->finished)
			return true;
	return false;
}

bool booking_pressed(const struct booking *b)
{
	if (!books_room(b->books) || writer_pending(b->writer) >= BATCH_BYTES)
		return true;
	for (const struct ring *g = b->rings; g; g = g->next)
		if (g->read != g->committed && spool_free_percent(g->spool) < 50)
			return true;
	return false;
}

static int ring_store(struct booking *b, struct ring *g)
{
	int r = 0;

	if (g->read != g->committed)
		r = books_put_position(b->books, g->id, g->read);
	for (struct open_one *o = g->opens.fresh; o && r == 0; o = o->fresh_next) {
		if (o->ended)
			continue;
		if (record_unpack(o->entry, &b->record) < 0)
			memset(&b->record, 0, sizeof(b->record)); /* its writer scribbled over it */
		record_sane(&b->record);
		b->record.id = o->id;
		r = books_put_open(b->books, g->id, o->position, &b->record);
	}
	for (struct open_one *o = g->opens.gone; o && r == 0; o = o->fresh_next)
		r = books_delete_open(b->books, g->id, o->position);
	return r;
}

static int commit(struct booking *b)
{
	struct chain chain = writer_chain(b->writer);
	int r = books_begin(b->books), end;

	if (r < 0)
		return r;
	for (struct ring *g = b->rings; g && r == 0; g = g->next)
		r = ring_store(b, g);
	for (size_t i = 0; i < b->n_forget && r == 0; i++)
		r = books_forget(b->books, b->forget[i]);
	if (r == 0)
		r = anchor_put(books_db(b->books), &chain);
	end = books_end(b->books, r == 0);
	return r < 0 ? r : end;
}

/* The lost exchanges are in the ledger now, so the budgets may swap reservation for sum. */
static void ring_done(struct booking *b, struct ring *g)
{
	if (b->budgets) {
		int r = ledger_restore(books_db(b->books), b->budgets,
				       clock_wall_ns() / 1000000000U);

		if (r < 0)
			log_warn("cannot bring the budgets up to the ledger error=%s slot=%u; its "
				 "reservations stay", strerror(-r), g->slot);
		else if (g->slot < BUDGET_WORKERS)
			budget_release_worker(b->budgets, g->slot);
	}
	if (g->slot < DONE_SLOTS)
		b->done_slots |= 1ULL << g->slot;
	booking_spool_remove(g->spool);
	(void)forget_add(b, g->id);
}

static void committed(struct booking *b)
{
	b->n_forget = 0;
	b->committed_seq = writer_chain(b->writer).seq;
	for (struct ring **at = &b->rings, *g; (g = *at);) {
		opens_committed(&g->opens);
		g->committed = g->read;
		spool_release(g->spool);
		if (!g->finished) {
			at = &g->next;
			continue;
		}
		ring_done(b, g);
		*at = g->next;
		ring_free(g);
	}
}

int booking_commit(struct booking *b)
{
	int r = writer_flush(b->writer);

	if (r < 0) {
		b->counts.write_failures++;
		return r;
	}
	r = commit(b);
	if (r < 0) {
		b->counts.commit_failures++;
		if (!b->failing)
			log_error("cannot write the ledger error=%s (%s) place=%s/ledger.db; records wait "
				  "in the spool: free space or mend the file, and they are booked",
				  strerror(-r), books_error(b->books), b->dir);
		b->failing = true;
		return r;
	}
	if (b->failing)
		log_info("the ledger can be written again place=%s/ledger.db", b->dir);
	b->failing = false;
	b->counts.commits++;
	committed(b);
	return 0;
}

void booking_sync(struct booking *b)
{
	writer_sync(b->writer);
}

void booking_counts(const struct booking *b, struct booking_counts *out)
{
	*out = b->counts;
	out->seq = writer_chain(b->writer).seq;
	for (const struct ring *g = b->rings; g; g = g->next) {
		out->spools++;
		out->open += g->opens.n;
	}
}
