/* The inventory adds up what was noted, in batches, across restarts. */
#include "discover/inventory.h"
#include "base/def.h"
#include "ident/principal.h"
#include "tests/t.h"

#include <errno.h>
#include <unistd.h>

static char dir[] = "/tmp/inventory_test.XXXXXX";

static struct inventory_note note_of(const struct principal *who, const char *model)
{
	return (struct inventory_note){ .caller = 42, .who = who, .provider = "openai",
					.endpoint = "chat", .model = model, .host = "api.openai.com",
					.time_ns = 1000, .exchange = true, .reason = "",
					.tokens_in = 10, .tokens_out = 5, .cost_microusd = 7,
					.bytes_out = 100, .bytes_in = 200 };
}

struct seen {
	int n;
	struct inventory_row first;
	char hosts[256], reason[128], model[64];
};

static int row_take(void *arg, const struct inventory_row *row)
{
	struct seen *s = arg;

	if (s->n++ == 0) {
		s->first = *row;
		slice_copy(s->hosts, sizeof(s->hosts), slice_str(row->hosts));
		slice_copy(s->reason, sizeof(s->reason), slice_str(row->reason));
		slice_copy(s->model, sizeof(s->model), slice_str(row->model));
	}
	return 0;
}

static void store(struct inventory *i, struct db *d)
{
	t_int(db_exec(d, "BEGIN"), 0, "begin");
	t_int(inventory_store(i, d), 0, "stored");
	t_int(db_exec(d, "COMMIT"), 0, "commit");
	inventory_clear(i);
}

static void sums(struct db *d)
{
	struct principal who = { .uid = 1000 };
	struct inventory *i = inventory_new();
	struct inventory_note n = note_of(&who, "gpt-4o");
	struct seen s = { 0 };

	strcpy(who.user, "alice");
	strcpy(who.exe, "/usr/bin/python3");
	t_int(inventory_note(i, &n), 0, "one");
	n.time_ns = 3000;
	n.sanctioned = true;
	n.redacted = true;
	n.tokens_in = -1;
	t_int(inventory_note(i, &n), 0, "two");
	store(i, d);
	n.time_ns = 2000;
	n.host = "eu.api.openai.com";
	n.blocked = true;
	n.reason = "not approved";
	t_int(inventory_note(i, &n), 0, "three, after a commit, by another host");
	n = note_of(&who, "gpt-4o");
	n.exchange = false;
	n.seen = true;
	n.time_ns = 4000;
	t_int(inventory_note(i, &n), 0, "and seen by the kernel");
	store(i, d);
	t_int(inventory_rows(d, 0, row_take, &s), 0, "rows");
	t_int(s.n, 1, "one row");
	t_int(s.first.exchanges, 3, "exchanges");
	t_int(s.first.redacted, 2, "redacted");
	t_int(s.first.blocked, 1, "blocked");
	t_int(s.first.seen, 1, "seen");
	t_int(s.first.tokens_in, 20, "unknown tokens count as none");
	t_int(s.first.cost_microusd, 28, "cost");
	t_int(s.first.first_ns, 1000, "first seen");
	t_int(s.first.last_ns, 4000, "last seen");
	t_ok(s.first.sanctioned, "what the kernel saw does not unsay what a rule said");
	t_str(s.hosts, "api.openai.com,eu.api.openai.com", "hosts, each once");
	t_str(s.reason, "not approved", "the last reason");
	s.n = 0;
	t_int(inventory_rows(d, 5000, row_take, &s), 0, "rows since");
	t_int(s.n, 0, "none that late");
	inventory_free(i);
}

/* A caller that makes up models cannot fill the disk. */
static void bounded(struct db *d)
{
	struct principal who = { .uid = 1001 };
	struct inventory *i = inventory_new();
	struct seen s = { 0 };
	int full = 0;

	for (int k = 0; k < 3000; k++) {
		char model[64];
		struct inventory_note n;

		snprintf(model, sizeof(model), "made-up-%d\x1b[31m\xff", k);
		n = note_of(&who, model);
		n.caller = 43;
		n.time_ns = 10000;
		if (inventory_note(i, &n) == -ENOBUFS) {
			full++;
			t_ok(inventory_full(i), "it says that it is full");
			store(i, d);
			t_int(inventory_note(i, &n), 0, "and goes on");
		}
	}
	store(i, d);
	t_ok(full == 2, "the batch is bounded");
	t_int(inventory_rows(d, 9000, row_take, &s), 0, "rows");
	t_int(s.n, INVENTORY_ROWS_PER_CALLER + 1, "so is the table");
	t_str(s.model, "(other)", "the rest is added up");
	t_int(s.first.exchanges, 2000, "completely");
	inventory_free(i);
}

int main(void)
{
	char path[64];
	struct db *d = NULL;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/l.db", dir);
	t_int(db_open(path, false, &d), 0, "opened");
	t_int(inventory_init(d), 0, "made");
	t_int(inventory_init(d), 0, "made again");
	sums(d);
	bounded(d);
	db_close(d);
	unlink(path);
	rmdir(dir);
	return t_done();
}
