/* What spool_put() took is there for the reader, whoever is killed; what is damaged is noticed. */
#include "audit/spool.h"
#include "base/def.h"
#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/spool_test.XXXXXX";
static char path[64];

static struct spool *fresh(void)
{
	struct spool *s = NULL;

	(void)unlink(path);
	t_int(spool_create(path, 64 << 10, &s), 0, "a spool is made");
	return s;
}

static void order_and_wrap(void)
{
	cleanup(spool_closep) struct spool *s = fresh();
	cleanup(spool_closep) struct spool *reader = NULL;
	uint64_t position, last = 0, want = 0, put = 0;
	struct slice e;
	char entry[3000];
	bool same = true, grows = true;

	t_int(spool_map(spool_fd(s), &reader), 0, "the reader maps the descriptor");
	t_int(spool_peek(reader, &e, &position), -ENOENT, "an empty ring has no entry");
	for (int round = 0; round < 500; round++) {
		for (;;) {
			size_t len = 8 + (put * 131) % (sizeof(entry) - 8);

			memset(entry, (int)put, len);
			memcpy(entry, &put, sizeof(put));
			if (spool_put(s, entry, len) == -ENOSPC)
				break;
			put++;
		}
		for (int i = 0; i < 7 && spool_peek(reader, &e, &position) == 0; i++) {
			uint64_t n;

			memcpy(&n, e.ptr, sizeof(n));
			same = same && n == want && e.len == 8 + (n * 131) % (sizeof(entry) - 8) &&
			       (e.len == 8 || e.ptr[e.len - 1] == (char)n);
			want++;
			grows = grows && position > last;
			last = position;
			spool_drop(reader);
		}
	}
	t_ok(same, "entries come in order and whole through %llu puts",
	     (unsigned long long)put);
	t_ok(grows, "positions grow");
	t_int(spool_put(s, entry, (64 << 10) / 4 + 1), -EMSGSIZE, "over a quarter is refused");
	t_ok(spool_free_percent(s) < 20, "a full ring says so");
}

static void steps(void)
{
	cleanup(spool_closep) struct spool *s = fresh();
	cleanup(spool_closep) struct spool *again = NULL;
	uint64_t p1, p2, p;
	struct slice e;

	(void)spool_put(s, "one", 3);
	(void)spool_put(s, "two", 3);
	t_int(spool_peek(s, &e, &p1), 0, "first");
	spool_step(s);
	t_ok(spool_peek(s, &e, &p2) == 0 && slice_is(e, "two"), "a step goes on");
	t_int(spool_map(spool_fd(s), &again), 0, "a second reader");
	t_ok(spool_peek(again, &e, &p) == 0 && slice_is(e, "one") && p == p1,
	     "what was stepped over but not released is there after a restart, same position");
	spool_release(s);
	spool_close(take(again));
	t_int(spool_create(path, 1 << 20, &again), 0, "an old ring is opened as it is");
	t_ok(spool_id(again) == spool_id(s), "and is the same");
	t_ok(spool_peek(again, &e, &p) == 0 && slice_is(e, "two"), "released entries are gone");
}

static void damage(void)
{
	cleanup(spool_closep) struct spool *s = fresh();
	cleanup(spool_closep) struct spool *other = NULL;
	struct slice e;
	uint64_t p, garbage = 12345678901ULL;
	char byte = 0x55;
	int fd = open(path, O_RDWR);

	(void)spool_put(s, "hello", 5);
	t_ok(pwrite(fd, &byte, 1, 4096 + 5) > 0, "scribbled");
	t_int(spool_peek(s, &e, &p), -EBADMSG, "a scribbled entry is damage");
	spool_reset(s);
	t_int(spool_peek(s, &e, &p), -ENOENT, "reset gives it up");
	(void)spool_put(s, "again", 5);
	t_ok(spool_peek(s, &e, &p) == 0 && slice_is(e, "again"), "and goes on after it");
	t_ok(pwrite(fd, &garbage, 8, 64) > 0, "scribbled");
	t_int(spool_peek(s, &e, &p), -EBADMSG, "a head far away is damage");
	t_ok(pwrite(fd, "x", 1, 0) > 0, "scribbled");
	t_int(spool_map(fd, &other), -EBADMSG, "another magic is no spool");
	t_int(ftruncate(fd, 8192), 0, "cut short");
	t_int(spool_create(path, 64 << 10, &other), -EBADMSG, "a short file is no spool");
	close(fd);
}

/* A writer killed at random moments; a pipe tells what it was told is in. */
static void killed_writer(void)
{
	cleanup(spool_closep) struct spool *s = fresh();
	uint64_t acknowledged = 0, want = 0, lost = 0, odd = 0;
	int rounds = 60;

	for (int round = 0; round < rounds; round++) {
		uint64_t *told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				      -1, 0);
		uint64_t position;
		struct slice e;
		pid_t pid;

		*told = acknowledged;
		pid = fork();
		if (pid == 0) {
			struct spool *w = NULL;
			char entry[700];

			if (spool_create(path, 64 << 10, &w) < 0)
				_exit(1);
			/* An entry that was put but not told may be there: go on after it. */
			for (uint64_t n = *told;; n++) {
				memset(entry, (int)n, sizeof(entry));
				memcpy(entry, &n, sizeof(n));
				while (spool_put(w, entry, 100 + n % 600) < 0)
					usleep(50);
				__atomic_store_n(told, n + 1, __ATOMIC_RELEASE);
			}
		}
		for (int i = 0; i < 20 + rand() % 200; i++) {
			while (spool_peek(s, &e, &position) == 0) {
				uint64_t n;

				memcpy(&n, e.ptr, sizeof(n));
				odd += e.len != 100 + n % 600 || e.ptr[e.len - 1] != (char)n;
				lost += n > want;
				want = MAX(want, n + 1);
				spool_drop(s);
			}
			usleep(20);
		}
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		while (spool_peek(s, &e, &position) == 0) {
			uint64_t n;

			memcpy(&n, e.ptr, sizeof(n));
			odd += e.len != 100 + n % 600 || e.ptr[e.len - 1] != (char)n;
			lost += n > want;
			want = MAX(want, n + 1);
			spool_drop(s);
		}
		lost += want < *told;
		acknowledged = MAX(want, *told);
		munmap(told, 4096);
	}
	t_int(lost, 0, "nothing acknowledged is lost (%llu entries, %d kills)",
	      (unsigned long long)acknowledged, rounds);
	t_int(odd, 0, "no entry is half written");
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/ring", dir);
	order_and_wrap();
	steps();
	damage();
	killed_writer();
	unlink(path);
	rmdir(dir);
	return t_done();
}
