/*
 * Nothing acknowledged is lost and nothing is counted twice: a worker and the recorder are killed at
 * random moments, over and over, and then log, ledger and inventory must say the same.
 */
#include "audit/chain.h"
#include "audit/writer.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/recorder.h"
#include "discover/inventory.h"
#include "spend/ledger.h"
#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING (512U << 10)
#define IDS (1U << 20)

static char dir[] = "/tmp/recorder_test.XXXXXX";
static char log_path[PATH_MAX + 32], db_path[PATH_MAX];
static uint64_t window_s;

/* What a worker was told is handed over; shared with it. */
struct told {
	_Atomic uint64_t next;             /* id */
	_Atomic uint8_t opened[IDS], ended[IDS];
};
static struct told *told;

static void fill(struct record *r, uint64_t id, uint32_t kind)
{
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->id = id;
	r->start_ns = clock_wall_ns();
	r->mode = 2;
	r->who.pid = 812;
	r->who.uid = 1000;
	r->who.loginuid = UINT32_MAX;
	strcpy(r->who.user, "alice");
	strcpy(r->who.exe, "/usr/bin/python3");
	strcpy(r->who.unit, "billing.service");
	strcpy(r->provider, "openai");
	strcpy(r->host, "api.openai.com");
	strcpy(r->model, "gpt-4o-mini");
	strcpy(r->endpoint, "chat");
	r->input_tokens = r->output_tokens = r->cached_tokens = -1;
	r->cache_write_tokens = r->reasoning_tokens = -1;
	strcpy(r->budget[0].id, "team");
	r->budget[0].window_s = window_s;
	r->n_budgets = 1;
	if (kind == RECORD_OPEN) {
		r->reserved_microusd = 1000;
		r->reserved_tokens = 100;
	} else {
		r->input_tokens = 7;
		r->output_tokens = 3;
		r->cost_microusd = 5;
		r->priced = true;
	}
}

static void put(struct spool *s, const struct record *r, int wake)
{
	uint64_t one = 1;

	while (record_put(s, r) == -ENOSPC) {
		if (write(wake, &one, sizeof(one)) < 0)
			_exit(1);
		usleep(100);
	}
}

/* Several exchanges in flight, ended out of order. */
static pid_t worker_start(struct spool *s, int wake)
{
	pid_t pid = fork();
	struct record r;

	if (pid)
		return pid;
	srand((unsigned)getpid());
	for (;;) {
		uint64_t id[4];

		for (int i = 0; i < 4; i++) {
			id[i] = atomic_fetch_add(&told->next, 1);
			if (id[i] >= IDS)
				_exit(0);
			fill(&r, id[i], RECORD_OPEN);
			put(s, &r, wake);
			atomic_store(&told->opened[id[i]], 1);
		}
		for (int i = 3; i >= 0; i--) {
			if (i == 2 && rand() % 4 == 0)
				usleep((useconds_t)(rand() % 3000));
			fill(&r, id[i], RECORD_EXCHANGE);
			put(s, &r, wake);
			atomic_store(&told->ended[id[i]], 1);
		}
	}
}

static pid_t recorder_start(int *control)
{
	struct recorder_options o = { .state_dir = dir, .rotate_bytes = 300000 };
	int pair[2];
	pid_t pid;

	if (channel_pair(pair) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		(void)close(pair[0]);
		_exit(recorder_main(pair[1], &o));
	}
	(void)close(pair[1]);
	*control = pair[0];
	return pid;
}

static void tell(int control, uint32_t kind, uint32_t slot, bool fresh, const int *fds, size_t n)
{
	struct recorder_message m = { .kind = kind, .slot = slot, .fresh = fresh };

	if (channel_send(control, &m, RECORDER_SHORT, fds, n) < 0)
		printf("# a message could not be sent: %u\n", kind);
}

static bool wait_for(int control, uint32_t kind, struct recorder_message *out)
{
	uint64_t until = clock_mono_ns() + 20000000000ULL;

	while (clock_mono_ns() < until) {
		int fds[CHANNEL_FDS];
		size_t n = 0;
		ssize_t len;

		if (channel_wait(control, 1000) < 0)
			continue;
		len = channel_recv(control, out, sizeof(*out), fds, &n);
		for (size_t i = 0; i < n; i++)
			(void)close(fds[i]);
		if (len <= 0)
			return false;
		if (out->kind == kind)
			return true;
	}
	return false;
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static uint8_t in_log[IDS], lost_in_log[IDS];
static uint64_t log_tokens, log_microusd, log_exchanges, log_lost, log_notes;

static void count_line(void *arg, const struct chain_link *l)
{
	static char text[CHAIN_LINE_MAX + 3];
	static struct record r;
	json_t *j;

	(void)arg;
	snprintf(text, sizeof(text), "{%.*s}", SLICE_FMT(l->members));
	j = json_loads(text, 0, NULL);
	if (record_read(j, &r) == 0 && r.kind == RECORD_EXCHANGE && r.id < IDS) {
		in_log[r.id]++;
		lost_in_log[r.id] += r.action == ACTION_FAILED;
		log_lost += r.action == ACTION_FAILED;
		log_exchanges++;
		log_tokens += (uint64_t)(MAX(r.input_tokens, 0) + MAX(r.output_tokens, 0));
		log_microusd += (uint64_t)r.cost_microusd;
	} else {
		log_notes++;
	}
	json_decref(j);
}

static int sum_row(void *arg, const struct inventory_row *row)
{
	*(int64_t *)arg += row->exchanges;
	return 0;
}

static void verify_log(const char *why)
{
	struct log_files f;
	struct chain end = { 0 };

	t_int(log_files_list(log_path, &f), 0, "%s: the log's files", why);
	for (size_t i = 0; i < f.n; i++) {
		struct chain_verdict v = { 0 };
		int r = chain_verify(f.path[i], &end, &v);

		t_ok(r == 0, "%s: %s verifies (line %llu: %s)", why, f.path[i],
		     (unsigned long long)v.first_bad, v.what ? v.what : "good");
		end = v.end;
	}
	log_files_done(&f);
}

static void verify_all(void)
{
	struct budget_account a = { .id = "team", .window_s = window_s };
	int64_t microusd = 0, tokens = 0, requests = 0, inventory = 0;
	uint64_t missing = 0, twice = 0, ended_lost = 0, n = atomic_load(&told->next);
	struct budget_table *t = NULL;
	struct budget_state state = { 0 };
	char shm[PATH_MAX];
	struct db *db = NULL;

	verify_log("after all kills");
	t_int(log_since(log_path, 0, count_line, NULL), 0, "the log is read");
	for (uint64_t id = 0; id < MIN(n, (uint64_t)IDS); id++) {
		missing += told->opened[id] && !in_log[id];
		twice += in_log[id] > 1;
		ended_lost += told->ended[id] && lost_in_log[id];
	}
	t_int(missing, 0, "every acknowledged exchange is in the log");
	t_int(twice, 0, "none is there twice");
	t_int(ended_lost, 0, "none that ended is called lost");
	printf("# %llu exchanges, %llu lost with their worker\n", (unsigned long long)log_exchanges,
	       (unsigned long long)log_lost);
	t_ok(log_lost > 0 && log_exchanges > 1000, "the test did something");
	t_int(db_open(db_path, true, &db), 0, "the ledger opens");
	t_int(ledger_read(db, &a, &microusd, &tokens, &requests), 0, "it has the account");
	t_int(requests, log_exchanges, "as many requests in the ledger as in the log");
	t_int(tokens, log_tokens, "as many tokens");
	t_int(microusd, log_microusd, "as much money");
	(void)inventory_rows(db, 0, sum_row, &inventory);
	t_int(inventory, log_exchanges, "as many exchanges in the inventory");
	db_close(db);
	snprintf(shm, sizeof(shm), "%s/budgets.shm", dir);
	t_int(budget_table_open(shm, &t), 0, "the shared budgets open");
	t_int(budget_read(t, &a, &state), 0, "they have the account");
	t_int(state.spent_microusd, log_microusd, "and say the same");
	budget_table_close(t);
}

static void kills(int rounds)
{
	struct recorder_message m;
	struct spool *s = NULL;
	int control = -1, wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), fds[2];
	pid_t recorder = 0, worker = 0;

	for (int round = 0; round < rounds; round++) {
		if (!recorder) {
			recorder = recorder_start(&control);
			if (worker) {
				fds[0] = spool_fd(s), fds[1] = wake;
				tell(control, RECORDER_ADD_SPOOL, 0, false, fds, 2);
			}
			tell(control, RECORDER_START, 0, round == 0, NULL, 0);
			t_ok(wait_for(control, RECORDER_STARTED, &m) && m.status == 0,
			     "round %d: the recorder starts", round);
		}
		if (!worker) {
			t_int(booking_spool_new(dir, 0, RING, &s), 0, "a ring for a new worker");
			fds[0] = spool_fd(s), fds[1] = wake;
			tell(control, RECORDER_ADD_SPOOL, 0, false, fds, 2);
			worker = worker_start(s, wake);
		}
		usleep((useconds_t)(1000 + rand() % 40000));
		if (rand() % 3 != 0) {
			reap(recorder);
			recorder = 0;
			(void)close(control);
		}
		if (rand() % 3 == 0) {
			reap(worker);
			worker = 0;
			spool_close(take(s));
			if (recorder) {
				tell(control, RECORDER_WORKER_GONE, 0, false, NULL, 0);
				t_ok(wait_for(control, RECORDER_WORKER_DONE, &m),
				     "round %d: the dead worker is booked", round);
			}
		}
	}
	if (worker)
		reap(worker);
	if (recorder)
		reap(recorder);
	spool_close(s);
	/* The daemon begins anew: all rings are orphans. */
	recorder = recorder_start(&control);
	tell(control, RECORDER_START, 0, true, NULL, 0);
	t_ok(wait_for(control, RECORDER_STARTED, &m) && m.status == 0, "a fresh start");
	tell(control, RECORDER_FLUSH, 0, false, NULL, 0);
	t_ok(wait_for(control, RECORDER_FLUSHED, &m) && m.status == 0, "flushed");
	tell(control, RECORDER_STATUS, 0, false, NULL, 0);
	t_ok(wait_for(control, RECORDER_COUNTS, &m), "counts");
	t_int(m.counts.open, 0, "no exchange is left open");
	t_int(m.counts.spools, 0, "no ring is left");
	t_int(m.counts.damaged, 0, "nothing was damaged");
	(void)close(control);
	(void)waitpid(recorder, NULL, 0);
	(void)close(wake);
}

static void drain(struct booking *b)
{
	while (booking_drain(b) > 0)
		;
}

static void put_one(struct spool *s, uint64_t id, uint32_t kind)
{
	struct record r;

	fill(&r, id, kind);
	t_int(record_put(s, &r), 0, "handed over");
}

/* The two gaps that a random kill seldom meets: log written but not booked, booked but not released. */
static void gaps(void)
{
	uint64_t zero = 0, seen_before = log_exchanges;
	struct budget_account a = { .id = "team", .window_s = window_s };
	int64_t microusd, tokens, before = 0, requests = 0;
	struct booking_counts counts;
	struct booking *b = NULL;
	struct spool *s = NULL;
	struct db *db = NULL;

	t_int(db_open(db_path, true, &db), 0, "the ledger");
	t_int(ledger_read(db, &a, &microusd, &tokens, &before), 0, "before");
	memset(in_log, 0, sizeof(in_log));
	t_int(booking_open(dir, 0, &b), 0, "opened");
	t_int(booking_spool_new(dir, 2, RING, &s), 0, "a ring");
	t_int(booking_add(b, 2, spool_fd(s)), 0, "added");
	put_one(s, IDS - 1, RECORD_OPEN);
	put_one(s, IDS - 2, RECORD_OPEN);
	put_one(s, IDS - 1, RECORD_EXCHANGE);
	t_int(booking_gone(b, 2), 0, "the worker died");
	drain(b);
	booking_close(b); /* killed: lines of an end and of a lost one in the log, nothing booked */
	t_int(booking_open(dir, 0, &b), 0, "opened again");
	t_int(booking_add(b, 2, spool_fd(s)), 0, "added");
	t_int(booking_gone(b, 2), 0, "gone");
	drain(b);
	t_int(booking_commit(b), 0, "committed");
	spool_close(take(s));

	t_int(booking_spool_new(dir, 3, RING, &s), 0, "a ring");
	t_int(booking_add(b, 3, spool_fd(s)), 0, "added");
	put_one(s, IDS - 3, RECORD_EXCHANGE);
	put_one(s, IDS - 4, RECORD_OPEN);
	drain(b);
	t_int(booking_commit(b), 0, "committed");
	t_ok(pwrite(spool_fd(s), &zero, 8, 128) == 8, "killed before the ring got its room back");
	booking_close(b);
	t_int(booking_open(dir, 0, &b), 0, "opened again");
	t_int(booking_add(b, 3, spool_fd(s)), 0, "added");
	drain(b);
	booking_counts(b, &counts);
	t_int(counts.open, 1, "the open exchange is known from the ledger");
	put_one(s, IDS - 4, RECORD_EXCHANGE);
	drain(b);
	t_int(booking_gone(b, 3), 0, "gone");
	drain(b);
	t_int(booking_commit(b), 0, "committed");
	booking_counts(b, &counts);
	t_int(counts.open + counts.spools + counts.lost, 0, "nothing is open or lost");
	booking_close(b);
	spool_close(s);

	t_int(log_since(log_path, 0, count_line, NULL), 0, "the log");
	for (uint64_t i = 1; i <= 4; i++)
		t_int(in_log[IDS - i], 1, "exchange %llu is in the log once", (unsigned long long)i);
	t_int(ledger_read(db, &a, &microusd, &tokens, &requests), 0, "after");
	t_int(requests - before, 4, "and booked once");
	db_close(db);
	log_exchanges = seen_before;
}

/* The log is removed, moved and cut under the recorder. */
static void tampered(void)
{
	struct recorder_message m = { .kind = RECORDER_RECORD };
	char moved[PATH_MAX];
	uint64_t before;
	int control;
	pid_t pid = recorder_start(&control);

	snprintf(moved, sizeof(moved), "%s/moved", dir);
	tell(control, RECORDER_START, 0, true, NULL, 0);
	t_ok(wait_for(control, RECORDER_STARTED, &m), "started");
	for (int i = 0; i < 3; i++) {
		struct chain_verdict v = { 0 };
		struct record *r = &m.record;

		before = log_notes;
		if (i == 0)
			(void)unlink(log_path);
		else if (i == 1)
			(void)rename(log_path, moved);
		else
			t_int(truncate(log_path, 0), 0, "emptied");
		m.kind = RECORDER_RECORD;
		fill(r, 0, RECORD_ADMIN);
		strcpy(r->note, "reloaded");
		(void)channel_send(control, &m, sizeof(m), NULL, 0);
		tell(control, RECORDER_FLUSH, 0, false, NULL, 0);
		t_ok(wait_for(control, RECORDER_FLUSHED, &m) && m.status == 0, "flushed");
		t_int(chain_verify(log_path, NULL, &v), 0, "row %d: there is a log again", i);
		log_notes = 0;
		(void)log_since(log_path, v.end.seq - 2, count_line, NULL);
		t_int(log_notes, 2, "row %d: the record and a line that says what happened", i);
		log_notes = before;
	}
	(void)close(control);
	(void)waitpid(pid, NULL, 0);
	(void)unlink(moved);
}

/* A full disk: records wait in the spool and come out when there is room again. */
static void full_disk(void)
{
	static char text[CHAIN_LINE_MAX];
	struct recorder_message m;
	struct spool *s = NULL;
	char state[PATH_MAX], ballast[PATH_MAX + 32], *shown = text;
	int control, fd, n = 0;
	struct record r;
	struct stat st;
	pid_t pid;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		t_skip("the full disk needs root for a private mount");
		return;
	}
	snprintf(state, sizeof(state), "%s/small", dir);
	snprintf(ballast, sizeof(ballast), "%s/small/ballast", dir);
	(void)mkdir(state, 0700);
	t_int(mount("tmpfs", state, "tmpfs", 0, "size=6m"), 0, "a small disk");
	slice_copy(dir, sizeof(dir), SLICE("/")); /* nobody may use it from here on */
	pid = fork();
	if (pid == 0)
		_exit(0);
	(void)waitpid(pid, NULL, 0);
	{
		struct recorder_options o = { .state_dir = state };
		int pair[2];

		if (channel_pair(pair) < 0)
			exit(1);
		pid = fork();
		if (pid == 0) {
			(void)close(pair[0]);
			_exit(recorder_main(pair[1], &o));
		}
		(void)close(pair[1]);
		control = pair[0];
	}
	tell(control, RECORDER_START, 0, true, NULL, 0);
	t_ok(wait_for(control, RECORDER_STARTED, &m) && m.status == 0, "started");
	t_int(booking_spool_new(state, 0, 2 << 20, &s), 0, "a ring");
	fd = spool_fd(s);
	tell(control, RECORDER_ADD_SPOOL, 0, false, &fd, 1);
	/* Fill the disk to the last byte. */
	fd = open(ballast, O_CREAT | O_WRONLY, 0600);
	memset(text, 'x', sizeof(text));
	while (write(fd, shown, 4096) > 0)
		;
	while (write(fd, shown, 1) > 0)
		;
	(void)close(fd);
	for (; n < 100; n++) {
		fill(&r, (uint64_t)n + 1, RECORD_EXCHANGE);
		t_ok(record_put(s, &r) == 0, "a record is taken on a full disk");
	}
	tell(control, RECORDER_FLUSH, 0, false, NULL, 0);
	t_ok(wait_for(control, RECORDER_FLUSHED, &m), "the recorder lives");
	t_int(m.status, -ENOSPC, "and says what is wrong");
	t_int(unlink(ballast), 0, "room again");
	tell(control, RECORDER_FLUSH, 0, false, NULL, 0);
	t_ok(wait_for(control, RECORDER_FLUSHED, &m) && m.status == 0, "now it is written");
	snprintf(log_path, sizeof(log_path), "%s/audit.jsonl", state);
	memset(in_log, 0, sizeof(in_log));
	verify_log("after the full disk");
	(void)log_since(log_path, 0, count_line, NULL);
	fd = 0;
	for (int i = 1; i <= n; i++)
		fd += in_log[i] == 1;
	t_int(fd, n, "each record is there once");
	t_ok(stat(log_path, &st) == 0 && st.st_size > 0, "in the file");
	(void)close(control);
	(void)waitpid(pid, NULL, 0);
	spool_close(s);
	(void)umount2(state, MNT_DETACH);
	(void)rmdir(state);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* What the recorder costs a record: it counts toward the proxy's budget. */
static void speed(void)
{
	enum { N = 40000, IN_BATCH = 500 };
	uint64_t put = 0, drained = 0, committed = 0, at;
	struct booking *b = NULL;
	struct spool *s = NULL;
	struct record open, end;

	t_int(booking_open(dir, 0, &b), 0, "opened");
	t_int(booking_spool_new(dir, 1, 8 << 20, &s), 0, "a ring");
	t_int(booking_add(b, 1, spool_fd(s)), 0, "added");
	fill(&open, 0, RECORD_OPEN);
	fill(&end, 0, RECORD_EXCHANGE);
	for (int i = 0; i < N; i += IN_BATCH) {
		at = cpu_ns();
		for (int k = 0; k < IN_BATCH; k++) {
			open.id = end.id = (uint64_t)(i + k) + 1;
			(void)record_put(s, &open);
			(void)record_put(s, &end);
		}
		put += cpu_ns() - at;
		at = cpu_ns();
		drain(b);
		drained += cpu_ns() - at;
		at = cpu_ns();
		(void)booking_commit(b);
		committed += cpu_ns() - at;
	}
	printf("# an exchange (open and end): worker's put %.2f us, recorder's drain %.2f us, commit %.2f us"
	       " of CPU, %d a batch\n", (double)put / N / 1000, (double)drained / N / 1000,
	       (double)committed / N / 1000, IN_BATCH);
	t_int(booking_gone(b, 1), 0, "gone");
	drain(b);
	t_int(booking_commit(b), 0, "committed");
	spool_close(s);
	booking_close(b);
}

int main(void)
{
	char cmd[PATH_MAX];

	if (!mkdtemp(dir))
		return 1;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	log_init("recorder", getenv("T_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	srand(getenv("T_SEED") ? (unsigned)atoi(getenv("T_SEED")) : (unsigned)getpid());
	window_s = budget_window_s(false, clock_wall_ns() / 1000000000U);
	snprintf(log_path, sizeof(log_path), "%s/audit.jsonl", dir);
	snprintf(db_path, sizeof(db_path), "%s/ledger.db", dir);
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	kills(80);
	verify_all();
	gaps();
	speed();
	tampered();
	full_disk();
	if (system(cmd) != 0)
		printf("# the folder stays\n");
	return t_done();
}
