/* The table of budgets: exact under threads and processes, alive after kill -9. */
#include "spend/budget.h"

#include "base/clock.h"
#include "base/def.h"
#include "base/slice.h"
#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY 86400ULL
#define TODAY (20000 * DAY) /* 2024-10-04 */
#define THREADS 8

static char path[64];

static struct budget_table *table_new(void)
{
	struct budget_table *t = NULL;

	(void)unlink(path);
	t_int(budget_table_open(path, &t), 0, "a table opens");
	return t;
}

static struct budget_claim claim(const char *id, uint64_t caller, int64_t microusd, int64_t tokens)
{
	struct budget_claim c = { .account = { .caller = caller, .window_s = TODAY },
				  .limit_microusd = microusd,
				  .limit_tokens = tokens,
				  .warn_percent = 80 };

	slice_copy(c.account.id, sizeof(c.account.id), slice_str(id));
	return c;
}

static void test_windows(void)
{
	static const struct {
		const char *why;
		bool monthly;
		uint64_t now, start, end;
	} rows[] = {
		{ "a day", false, TODAY + 5, TODAY, TODAY + DAY },
		{ "the first second of a day", false, TODAY, TODAY, TODAY + DAY },
		{ "October 2024", true, TODAY + 5, 1727740800, 1730419200 },
		{ "the last second of a leap February", true, 1709251199, 1706745600, 1709251200 },
		{ "December runs into the next year", true, 1735600000, 1733011200, 1735689600 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		t_int(budget_window_s(rows[i].monthly, rows[i].now), rows[i].start, "%s: start",
		      rows[i].why);
		t_int(budget_window_end_s(rows[i].monthly, rows[i].start), rows[i].end, "%s: end",
		      rows[i].why);
	}
}

static void test_one_account(void)
{
	struct budget_table *t = table_new();
	struct budget_claim c = claim("a", 0, 1000, 100);
	struct budget_state s;
	struct reservation r, r2;
	int which, warn;

	t_int(budget_read(t, &c.account, &s), -ENOENT, "an account nobody used is not there");
	t_int(budget_reserve(t, &c, 1, 600, 10, &r, &which, &warn), 0, "under the limit");
	t_int(warn, -1, "60 %% does not warn");
	t_int(budget_reserve(t, &c, 1, 401, 10, &r2, &which, &warn), -EDQUOT, "one over the rest");
	t_int(which, 0, "the claim is named");
	t_int(budget_reserve(t, &c, 1, 400, 10, &r2, &which, &warn), 0, "exactly the rest");
	t_int(warn, 0, "100 %% warns");
	budget_settle(t, &r2, 0, 0);
	t_int(budget_reserve(t, &c, 1, 400, 10, &r2, &which, &warn), 0, "what was given back is there");
	t_int(warn, -1, "a window warns once");
	budget_settle(t, &r, 700, 11);
	budget_settle(t, &r2, 300, 10);
	t_int(budget_read(t, &c.account, &s), 0, "reads");
	t_int(s.spent_microusd, 1000, "settled money");
	t_int(s.spent_tokens, 21, "settled tokens");
	t_int(s.reserved_microusd + s.reserved_tokens, 0, "nothing in flight");
	t_int(budget_reserve(t, &c, 1, 0, 0, &r, &which, &warn), -EDQUOT,
	      "a spent budget blocks what costs nothing too");
	c.limit_microusd = -1;
	t_int(budget_reserve(t, &c, 1, 5000, 79, &r, &which, &warn), 0, "no limit of money");
	t_int(budget_reserve(t, &c, 1, 0, 1, &r2, &which, &warn), -EDQUOT, "the tokens are used up");
	budget_settle(t, &r, 9000, 500);
	t_int(budget_read(t, &c.account, &s), 0, "reads");
	t_int(s.spent_microusd, 10000, "a settlement may exceed its reservation");
	budget_table_close(t);
}

static void test_all_or_nothing(void)
{
	struct budget_table *t = table_new();
	struct budget_claim c[3] = { claim("a", 0, 1000, -1), claim("b", 7, 1000, -1),
				     claim("c", 0, 100, -1) };
	struct reservation r;
	struct budget_state s;
	int which, warn;

	t_int(budget_reserve(t, c, 3, 101, 0, &r, &which, &warn), -EDQUOT, "the third refuses");
	t_int(which, 2, "and is named");
	for (int i = 0; i < 2; i++) {
		t_int(budget_read(t, &c[i].account, &s), 0, "account %d was entered", i);
		t_int(s.reserved_microusd, 0, "and holds nothing");
	}
	t_int(budget_reserve(t, c, 3, 90, 0, &r, &which, &warn), 0, "all three");
	t_int(warn, 2, "the third is over its 80 %%");
	t_int(budget_reserve(t, c, BUDGETS_MAX + 1, 1, 0, &r, &which, &warn), -EINVAL,
	      "more claims than an exchange can hold");
	budget_table_close(t);
}

/* ---- exactness ---- */

static struct budget_table *shared;
static _Atomic int64_t admitted_usd, admitted_tokens;

static unsigned next(unsigned *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

/* Reserves until refused again and again; never settles, so the sum of what was admitted must fit. */
static void *reserve_only(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct budget_claim c[2] = { claim("tight", 0, 1000000, 300000), claim("wide", 1, 1500000, -1) };
	struct reservation r;
	int which, warn;

	for (int refused = 0; refused < 2000;) {
		int64_t usd = next(&seed) % 50, tokens = next(&seed) % 20;

		if (budget_reserve(shared, c, 2, usd, tokens, &r, &which, &warn) == 0) {
			atomic_fetch_add(&admitted_usd, usd);
			atomic_fetch_add(&admitted_tokens, tokens);
		} else {
			refused++;
		}
	}
	return NULL;
}

static void test_threads_exact(void)
{
	pthread_t threads[THREADS];
	struct budget_claim c = claim("tight", 0, 0, 0);
	struct budget_state s;

	shared = table_new();
	for (uintptr_t i = 0; i < THREADS; i++)
		(void)pthread_create(&threads[i], NULL, reserve_only, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	t_ok(admitted_usd <= 1000000, "money admitted by %d threads stays in the cap", THREADS);
	t_ok(admitted_tokens <= 300000, "tokens too");
	t_ok(admitted_usd > 990000 || admitted_tokens > 299900, "and one of them is used up");
	t_int(budget_read(shared, &c.account, &s), 0, "reads");
	t_int(s.reserved_microusd, admitted_usd, "the table holds what was admitted: money");
	t_int(s.reserved_tokens, admitted_tokens, "tokens");
	budget_table_close(shared);
}

/* What children report through shared memory, stored before the call it announces. */
struct report {
	_Atomic int64_t settled_usd, over;
};

/* Reserve, settle to at most the reservation: at no moment may settled + reserved exceed the cap. */
static void child_loop(int fd, unsigned worker, int rounds, struct report *out)
{
	struct budget_table *t = NULL;
	unsigned seed = worker * 77 + 1;

	if (budget_table_map(fd, &t) < 0 || budget_table_worker(t, worker) < 0)
		_exit(1);
	for (int i = 0; i < rounds; i++) {
		struct budget_claim c = claim("proc", next(&seed) % 3, 40000000, 5000);
		struct reservation r;
		struct budget_state s;
		int which, warn;

		if (budget_reserve(t, &c, 1, next(&seed) % 1000, next(&seed) % 1000, &r, &which,
				   &warn) == 0) {
			budget_settle(t, &r, r.microusd / 2, 0);
			atomic_fetch_add(&out->settled_usd, r.microusd / 2);
		}
		if (budget_read(t, &c.account, &s) == 0 &&
		    (s.reserved_tokens > 5000 || s.spent_microusd + s.reserved_microusd > 40001000))
			atomic_fetch_add(&out->over, 1);
	}
	_exit(0);
}

static struct report *report_new(void)
{
	return mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
}

static void sum_proc(const struct budget_table *t, struct budget_state *all)
{
	memset(all, 0, sizeof(*all));
	for (uint64_t caller = 0; caller < 3; caller++) {
		struct budget_claim c = claim("proc", caller, 0, 0);
		struct budget_state s;

		if (budget_read(t, &c.account, &s) < 0)
			continue;
		all->spent_microusd += s.spent_microusd;
		all->reserved_microusd += s.reserved_microusd;
		all->reserved_tokens += s.reserved_tokens;
	}
}

static void test_processes_exact(void)
{
	struct budget_table *t = table_new();
	struct report *r = report_new();
	struct budget_state all;
	pid_t pids[4];

	for (unsigned i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			child_loop(budget_table_fd(t), i, 50000, r);
	}
	for (int i = 0; i < 4; i++)
		(void)waitpid(pids[i], NULL, 0);
	sum_proc(t, &all);
	t_int(r->over, 0, "no process ever saw the cap exceeded");
	t_int(all.spent_microusd, r->settled_usd, "every settlement of 4 processes is in the table");
	t_int(all.reserved_microusd + all.reserved_tokens, 0, "and nothing stays reserved");
	(void)munmap(r, sizeof(*r));
	budget_table_close(t);
}

/* Workers killed at random moments while they hammer the table. */
static void test_kill(void)
{
	struct budget_table *t = table_new();
	struct report *r = report_new();
	struct budget_state all;
	int64_t leaked = 0;
	unsigned seed = 42;
	int kills = 150;

	for (int i = 0; i < kills; i++) {
		pid_t victim = fork(), other;

		if (victim == 0)
			child_loop(budget_table_fd(t), 1, 1 << 30, r);
		other = fork();
		if (other == 0)
			child_loop(budget_table_fd(t), 2, 1 << 30, r);
		(void)usleep(500 + next(&seed) % 3000);
		(void)kill(victim, SIGKILL);
		(void)kill(other, SIGKILL);
		(void)waitpid(victim, NULL, 0);
		(void)waitpid(other, NULL, 0);
		budget_release_worker(t, 1);
		budget_release_worker(t, 2);
	}
	sum_proc(t, &all);
	leaked = all.reserved_microusd;
	t_ok(all.spent_microusd >= r->settled_usd, "no settlement that was acknowledged is lost");
	t_ok(leaked >= 0 && leaked <= 2LL * kills * 1000,
	     "what %d kills left over is at most a reservation each", 2 * kills);
	t_int(r->over, 0, "no survivor ever saw the cap exceeded");
	printf("# %d kills: %lld micro-USD settled, %lld left reserved\n", 2 * kills,
	       (long long)all.spent_microusd, (long long)leaked);
	t_int(budget_table_reset(t), 0, "no lock is left held");
	sum_proc(t, &all);
	t_int(all.reserved_microusd + all.spent_microusd, 0, "a reset forgets all");
	(void)munmap(r, sizeof(*r));
	budget_table_close(t);
}

/* Killed while it enters new accounts: the lock and half-filled slots come free. */
static void test_kill_entering(void)
{
	struct budget_table *t = table_new();
	struct budget_account a;
	struct budget_state s;
	unsigned seed = 7;
	uint32_t at = 0;
	size_t n = 0, doubles = 0;

	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (uint64_t c = (uint64_t)i * 50;; c++) {
				struct budget_claim cl = claim("new", c % 3000, 1000, -1);
				struct reservation r;
				int which, warn;

				(void)budget_reserve(t, &cl, 1, 0, 0, &r, &which, &warn);
			}
		}
		(void)usleep(200 + next(&seed) % 1500);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	for (uint64_t c = 0; c < 3000; c++) {
		struct budget_claim cl = claim("new", c, 1000, -1);
		struct reservation r;
		int which, warn;

		if (budget_reserve(t, &cl, 1, 1, 0, &r, &which, &warn) != 0)
			doubles++;
	}
	t_int(doubles, 0, "after 60 kills every account can be entered and used");
	while (budget_next(t, &at, &a, &s)) {
		n++;
		doubles += s.reserved_microusd != 1;
	}
	t_int(n, 3000, "each account has one slot");
	t_int(doubles, 0, "and that slot holds its reservation");
	budget_table_close(t);
}

/* ---- windows end, tables fill, recorders restart ---- */

static void test_expiry(void)
{
	struct budget_table *t = table_new();
	struct budget_claim c = claim("x", 0, 1000, -1);
	struct budget_state s;
	struct reservation old, r;
	int which, warn, full = 0, n = 0;

	t_int(budget_reserve(t, &c, 1, 10, 0, &old, &which, &warn), 0, "one that outlives its day");
	for (uint64_t i = 1; i < 5000 && !full; i++) {
		c = claim("x", i, 1000, -1);
		full = budget_reserve(t, &c, 1, 1, 0, &r, &which, &warn);
		n += full == 0;
	}
	t_int(full, -ENOSPC, "a full table says so");
	t_ok(n >= 3000, "after thousands of accounts (%d)", n);
	c.account.window_s = TODAY + DAY;
	t_int(budget_reserve(t, &c, 1, 1, 0, &r, &which, &warn), -ENOSPC,
	      "yesterday's accounts may still settle");
	for (uint64_t i = 1; i < 3000; i++) {
		c = claim("x", i, 1000, -1);
		c.account.window_s = TODAY + 2 * DAY;
		if (budget_reserve(t, &c, 1, 1, 0, &r, &which, &warn) < 0)
			break;
		budget_settle(t, &r, 1, 0);
	}
	t_int(c.account.caller, 2999, "a day later their slots serve again");
	budget_settle(t, &old, 500, 0);
	c = claim("x", 0, 1000, -1);
	if (budget_read(t, &c.account, &s) == 0)
		t_ok(s.spent_microusd == 500, "a late settlement reaches its own account");
	else
		t_ok(true, "or nobody's");
	budget_table_close(t);
}

static void test_restart(void)
{
	struct budget_table *t = table_new(), *again = NULL, *reader = NULL;
	struct budget_claim c = claim("r", 0, 1000, -1);
	struct reservation r, r2;
	struct budget_state s;
	int which, warn, fd;

	t_int(budget_reserve(t, &c, 1, 300, 0, &r, &which, &warn), 0, "a live worker's reservation");
	t_int(budget_reserve(t, &c, 1, 100, 0, &r2, &which, &warn), 0, "another");
	budget_settle(t, &r2, 100, 0);
	/* the recorder comes back and knows of less than the workers */
	t_int(budget_table_open(path, &again), 0, "the same file opens again");
	t_int(budget_put(again, &c.account, 60, 0), 0, "the ledger lags by what is in the spool");
	t_int(budget_read(t, &c.account, &s), 0, "reads");
	t_int(s.spent_microusd, 100, "a restore never lowers");
	t_int(s.reserved_microusd, 300, "reservations of live workers stay");
	t_int(budget_put(again, &c.account, 250, 0), 0, "the ledger is ahead: booked, not settled");
	budget_settle(t, &r, 10, 0);
	t_int(budget_read(t, &c.account, &s), 0, "reads");
	t_int(s.spent_microusd, 260, "raised, and the settlement on top");
	t_int(s.reserved_microusd, 0, "and released");

	t_int(budget_reserve(t, &c, 1, 300, 0, &r, &which, &warn), 0, "a worker that will die");
	budget_release_worker(t, 3);
	t_int((budget_read(t, &c.account, &s), s.reserved_microusd), 300, "another's death is not its");
	budget_release_worker(t, 0);
	t_int((budget_read(t, &c.account, &s), s.reserved_microusd), 0, "its own gives it back");
	t_int(budget_table_worker(t, BUDGET_WORKERS), -EINVAL, "no such worker");

	fd = open(path, O_RDONLY | O_CLOEXEC);
	t_int(budget_table_map(fd, &reader), 0, "the CLI maps it to read");
	t_int(budget_reserve(reader, &c, 1, 1, 0, &r, &which, &warn), -EINVAL, "and only to read");
	(void)close(fd);
	budget_table_close(reader);
	budget_table_close(again);
	budget_table_close(t);
}

static void test_damaged(void)
{
	struct budget_table *t = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	t_int(write(fd, "garbage", 7), 7, "a damaged file");
	t_int(budget_table_map(fd, &t), -EBADMSG, "is not mapped");
	t_int(budget_table_open(path, &t), 0, "and started afresh by its owner");
	budget_table_close(t);
	(void)close(fd);
	t_ok(budget_table_open("/nowhere/budgets.shm", &t) == -ENOENT, "no folder, no table");
}

static void print_speed(void)
{
	struct budget_table *t = table_new();
	struct budget_claim c[3] = { claim("a", 0, INT64_MAX / 4, -1), claim("b", 1, INT64_MAX / 4, -1),
				     claim("c", 2, -1, INT64_MAX / 4) };
	struct reservation r;
	int which, warn, n = 300000;
	uint64_t start = clock_mono_ns();

	for (int i = 0; i < n; i++) {
		(void)budget_reserve(t, c, 3, 10, 10, &r, &which, &warn);
		budget_settle(t, &r, 5, 5);
	}
	printf("# reserve and settle under 3 accounts: %.0f ns\n",
	       (double)(clock_mono_ns() - start) / n);
	budget_table_close(t);
}

int main(void)
{
	(void)snprintf(path, sizeof(path), "/tmp/sallyport-budget-%d.shm", getpid());
	test_windows();
	test_one_account();
	test_all_or_nothing();
	test_threads_exact();
	test_processes_exact();
	test_kill();
	test_kill_entering();
	test_expiry();
	test_restart();
	test_damaged();
	print_speed();
	(void)unlink(path);
	return t_done();
}
