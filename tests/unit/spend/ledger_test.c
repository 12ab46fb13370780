/* The ledger: what was booked is there after a crash, and fills the table again. */
#include "spend/ledger.h"

#include "base/def.h"
#include "tests/t.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY 86400ULL
#define TODAY (20000 * DAY + 3600) /* 2024-10-04 01:00 */

static char db_path[64], shm_path[64];

static struct budget_account account(const char *id, uint64_t caller, bool monthly, uint64_t now_s)
{
	struct budget_account a = { .caller = caller, .window_s = budget_window_s(monthly, now_s) };

	slice_copy(a.id, sizeof(a.id), slice_str(id));
	return a;
}

static void files_remove(void)
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	char name[96];

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", db_path, tails[i]);
		(void)unlink(name);
	}
	(void)unlink(shm_path);
}

static void test_booking(void)
{
	cleanup(db_closep) struct db *d = NULL;
	struct budget_account a[2] = { account("day", 0, false, TODAY),
				       account("month", ~0ULL - 5, true, TODAY) };
	int64_t usd, tokens, requests;

	t_int(db_open(db_path, false, &d), 0, "a ledger opens");
	t_int(ledger_init(d), 0, "and gets its tables");
	t_int(ledger_init(d), 0, "twice is no harm");
	t_int(ledger_read(d, &a[0], &usd, &tokens, &requests), -ENOENT, "nothing booked yet");
	t_int(ledger_book(d, a, 2, 100, 7), 0, "an exchange under two accounts");
	t_int(ledger_book(d, a, 1, 50, 3), 0, "another under one");
	t_int(ledger_book(d, a, 1, -50, -3), 0, "a negative sum books a request and no money");
	t_int(ledger_read(d, &a[0], &usd, &tokens, &requests), 0, "the first");
	t_ok(usd == 150 && tokens == 10 && requests == 3, "adds up: %lld, %lld, %lld", (long long)usd,
	     (long long)tokens, (long long)requests);
	t_int(ledger_read(d, &a[1], &usd, &tokens, &requests), 0, "the second, of a caller above 2^63");
	t_ok(usd == 100 && tokens == 7 && requests == 1, "has its one");

	t_int(db_exec(d, "BEGIN"), 0, "a transaction of the caller");
	t_int(ledger_book(d, a, 2, 1000, 1000), 0, "books");
	t_int(db_exec(d, "ROLLBACK"), 0, "and is undone as a whole");
	t_int(ledger_read(d, &a[0], &usd, &tokens, &requests), 0, "reads");
	t_int(usd, 150, "nothing of it stays");
	t_int(db_exec(d, "UPDATE ledger_version SET version = 99"), 0, "a newer sallyport's ledger");
	t_int(ledger_init(d), -EPROTO, "is refused, not damaged");
	files_remove();
}

static int note(void *ctx, const struct budget_account *a, int64_t usd, int64_t tokens, int64_t n)
{
	char *text = ctx;

	(void)snprintf(text + strlen(text), 64, "%llu:%lld/%lld/%lld ", (unsigned long long)a->caller,
		       (long long)usd, (long long)tokens, (long long)n);
	return 0;
}

static void test_restore(void)
{
	cleanup(db_closep) struct db *d = NULL;
	struct budget_table *t = NULL;
	struct budget_account today = account("day", 1, false, TODAY);
	struct budget_account other = account("day", 2, false, TODAY);
	struct budget_account yesterday = account("day", 1, false, TODAY - DAY);
	struct budget_account month = account("month", 0, true, TODAY);
	struct budget_state s;
	char text[256] = "";

	t_int(db_open(db_path, false, &d), 0, "a ledger opens");
	t_int(ledger_init(d), 0, "with tables");
	(void)ledger_book(d, &today, 1, 5, 50);
	(void)ledger_book(d, &other, 1, 6, 60);
	(void)ledger_book(d, &yesterday, 1, 7, 70);
	(void)ledger_book(d, &month, 1, 8, 80);
	t_int(budget_table_open(shm_path, &t), 0, "an empty table");
	for (int i = 0; i < 2; i++)
		t_int(ledger_restore(d, t, TODAY), 0, "restored; twice is no harm");
	t_ok(budget_read(t, &today, &s) == 0 && s.spent_microusd == 5 && s.spent_tokens == 50,
	     "today's account is back");
	t_ok(budget_read(t, &month, &s) == 0 && s.spent_microusd == 8, "so is the month's");
	t_int(budget_read(t, &yesterday, &s), -ENOENT, "a window that ended is not");
	t_int(ledger_each(d, "day", today.window_s, note, text), 0, "lists a budget's callers");
	t_str(text, "2:6/60/1 1:5/50/1 ", "the biggest first");
	budget_table_close(t);
	files_remove();
}

/* Commits, each with its position as the recorder does, until it is killed. */
static void book_until_killed(int report)
{
	struct budget_account a = account("k", 0, false, TODAY);
	struct db *d = NULL;

	if (db_open(db_path, false, &d) < 0)
		_exit(1);
	for (int64_t i = 1;; i++) {
		if (db_exec(d, "BEGIN IMMEDIATE") < 0 || ledger_book(d, &a, 1, 10, 1) < 0 ||
		    db_run(d, "UPDATE position SET at = at + 1", NULL) < 0 || db_exec(d, "COMMIT") < 0)
			_exit(1);
		(void)!write(report, &i, sizeof(i));
	}
}

static void test_kill(void)
{
	struct budget_account a = account("k", 0, false, TODAY);
	int64_t usd = 0, tokens, requests, seen = 0, at = -1;

	{
		cleanup(db_closep) struct db *d = NULL;

		t_int(db_open(db_path, false, &d), 0, "a ledger opens");
		t_int(ledger_init(d), 0, "with tables");
		t_int(db_exec(d, "CREATE TABLE position(at INTEGER); INSERT INTO position VALUES(0)"), 0,
		      "and the recorder's position");
	}
	for (int i = 0; i < 15; i++) {
		int64_t one, last = 0;
		int fds[2];
		pid_t pid;

		if (pipe(fds) < 0 || (pid = fork()) < 0)
			break;
		if (pid == 0)
			book_until_killed(fds[1]);
		(void)close(fds[1]);
		(void)usleep(3000 + 1777 * (unsigned)i);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		while (read(fds[0], &one, sizeof(one)) == (ssize_t)sizeof(one))
			last = one;
		(void)close(fds[0]);
		seen += last;
	}
	cleanup(db_closep) struct db *d = NULL;
	cleanup(db_query_freep) struct db_query *q = NULL;

	t_int(db_open(db_path, false, &d), 0, "opens after 15 kills");
	t_ok(seen > 0, "%lld bookings were acknowledged", (long long)seen);
	t_int(ledger_read(d, &a, &usd, &tokens, &requests), 0, "reads");
	t_ok(requests >= seen && requests <= seen + 15, "no acknowledged booking is lost: %lld of %lld",
	     (long long)requests, (long long)seen);
	t_int(usd, requests * 10, "none is half booked");
	if (db_query(d, &q, "SELECT at FROM position", NULL) == 0 && db_next(q) == 1)
		at = db_int(q, 0);
	t_int(at, requests, "and the position says exactly what was booked");
	files_remove();
}

int main(void)
{
	(void)snprintf(db_path, sizeof(db_path), "/tmp/sallyport-ledger-%d.db", getpid());
	(void)snprintf(shm_path, sizeof(shm_path), "/tmp/sallyport-ledger-%d.shm", getpid());
	files_remove();
	test_booking();
	test_restore();
	test_kill();
	return t_done();
}
