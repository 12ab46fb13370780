/* audit verify and search, tail and callers on a log that the recorder wrote. */
#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/logview.h"
#include "daemon/booking.h"
#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/cli_test.XXXXXX";
static char log_path[64], printed[64 << 10];
static struct booking *booking;

/* Runs a command with its output in `printed`; its exit status. */
#define RUN(cmd, ...) run(cmd, (const char *const[]){ #cmd, __VA_ARGS__, NULL })
static int run(int (*cmd)(int, char **), const char *const *args)
{
	char out[64], *argv[16];
	int argc = 0, fd, status, saved, saved_err, null;
	ssize_t n;

	while (args[argc]) {
		argv[argc] = strdup(args[argc]);
		argc++;
	}
	argv[argc] = NULL;
	snprintf(out, sizeof(out), "%s/out", dir);
	fflush(stdout);
	fd = open(out, O_CREAT | O_TRUNC | O_RDWR, 0600);
	null = open("/dev/null", O_WRONLY);
	saved = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
	dup2(fd, STDOUT_FILENO), dup2(null, STDERR_FILENO);
	status = cmd(argc, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO), dup2(saved_err, STDERR_FILENO);
	close(saved), close(saved_err), close(null);
	n = pread(fd, printed, sizeof(printed) - 1, 0);
	printed[n < 0 ? 0 : n] = '\0';
	close(fd);
	unlink(out);
	while (argc)
		free(argv[--argc]);
	return status;
}

static void record(const char *user, const char *model, uint32_t action, uint64_t ago_s)
{
	struct record r = { .kind = RECORD_EXCHANGE, .action = action, .would = action, .mode = 2 };

	r.start_ns = clock_wall_ns() - ago_s * 1000000000U;
	r.who.pid = 812;
	r.who.uid = strcmp(user, "root") == 0 ? 0 : 1000;
	r.who.loginuid = UINT32_MAX;
	strcpy(r.who.user, user);
	strcpy(r.who.exe, "/usr/bin/python3");
	strcpy(r.who.unit, "billing.service");
	strcpy(r.provider, "openai");
	strcpy(r.host, "api.openai.com");
	strcpy(r.endpoint, "chat");
	strcpy(r.model, model);
	r.input_tokens = 1204;
	r.output_tokens = 85;
	r.cached_tokens = r.cache_write_tokens = r.reasoning_tokens = -1;
	r.cost_microusd = 4200;
	r.priced = true;
	t_int(booking_record(booking, &r), 0, "recorded");
}

static int lines(void)
{
	int n = 0;

	for (const char *p = printed; *p; p++)
		n += *p == '\n';
	return n;
}

static void search(void)
{
	t_int(RUN(cmd_audit, "search", "--state", dir), 0, "search");
	t_int(lines(), 4, "all of it");
	t_ok(strstr(printed, "billing.service python3 (alice, pid 812) -> openai gpt-4o"), "a story");
	t_ok(!strchr(printed, '\033'), "without colours, as it goes into a file");
	t_int(RUN(cmd_audit, "search", "--state", dir, "--action", "blocked", "--json"), 0, "blocked");
	t_int(lines(), 1, "one");
	t_ok(printed[0] == '{' && strstr(printed, "\"hash\":\"") && strstr(printed, "\"model\":\"o3\""),
	     "the line as it stands");
	t_int(RUN(cmd_audit, "search", "--state", dir, "--user", "root"), 0, "by user");
	t_int(lines(), 1, "one");
	t_int(RUN(cmd_audit, "search", "--state", dir, "--user", "1000"), 0, "by number");
	t_int(lines(), 3, "three");
	t_int(RUN(cmd_audit, "search", "--state", dir, "--since", "1d"), 0, "by time");
	t_int(lines(), 3, "three");
	t_int(RUN(cmd_audit, "search", "--state", dir, "--model", "gpt*", "--limit", "1"), 0, "limit");
	t_int(lines(), 1, "one");
	t_int(RUN(cmd_audit, "search", "--state", dir, "--model", "none"), 1, "nothing: 1");
	t_int(RUN(cmd_audit, "search", "--since", "soon"), 2, "usage: 2");
	t_int(RUN(cmd_audit, "search", "--state", "/nonexistent"), 3, "no log: 3");
}

static void tail(void)
{
	t_int(RUN(cmd_tail, "--no-follow", "-n", "2", "--state", dir), 0, "tail");
	t_int(lines(), 2, "the last two");
	t_int(RUN(cmd_tail, "--no-follow", "-n", "0", "--state", dir), 0, "none");
	t_int(lines(), 0, "none");
	t_int(RUN(cmd_tail, "--no-follow", "--state", "/nonexistent"), 3, "no log: 3");
}

/* Follows through rotation and removal. */
static void tail_follows(void)
{
	char out[64], moved[80];
	int fd, seen = 0;
	pid_t pid;

	snprintf(out, sizeof(out), "%s/tail", dir);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		char *argv[] = { "tail", "-n", "1", "--json", "--state", dir, NULL };

		fd = open(out, O_CREAT | O_TRUNC | O_WRONLY, 0600);
		dup2(fd, STDOUT_FILENO);
		_exit(cmd_tail(6, argv));
	}
	usleep(300000);
	for (int i = 0; i < 3; i++) {
		record("alice", i == 0 ? "follow-0" : i == 1 ? "follow-1" : "follow-2", ACTION_ALLOWED, 0);
		t_int(booking_commit(booking), 0, "committed");
		usleep(250000);
		snprintf(moved, sizeof(moved), "%s/audit-00000000000000%d.jsonl", dir, i + 1);
		if (i == 0)
			t_int(rename(log_path, moved), 0, "moved away");
		else if (i == 1)
			t_int(unlink(log_path), 0, "removed");
	}
	usleep(300000);
	kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	fd = open(out, O_RDONLY);
	t_ok(read(fd, printed, sizeof(printed) - 1) > 0, "it wrote");
	close(fd);
	for (int i = 0; i < 3; i++) {
		char model[32], *at;

		snprintf(model, sizeof(model), "follow-%d\"", i);
		at = strstr(printed, model);
		t_ok(at && !strstr(at + 1, model), "record %d was shown once", i);
		seen += at != NULL;
	}
	t_int(seen, 3, "all");
	unlink(out);
	unlink(moved);
}

static void callers(void)
{
	t_int(RUN(cmd_callers, "--state", dir), 0, "callers");
	t_ok(strstr(printed, "billing.service python3") && strstr(printed, "gpt-4o"), "a table");
	t_int(RUN(cmd_callers, "--state", dir, "--json"), 0, "as JSON");
	t_int(lines(), 3, "a line a caller and model");
	t_ok(strstr(printed, "\"cost_microusd\":8400"), "added up");
	t_int(RUN(cmd_callers, "--state", "/nonexistent"), 3, "no ledger: 3");
}

static void verify(void)
{
	char line[16];
	int fd;

	t_int(RUN(cmd_audit, "verify", "--state", dir), 0, "verify");
	t_ok(strstr(printed, "good, 4 lines"), "good");
	t_int(RUN(cmd_audit, "verify", log_path, "--json"), 0, "a file");
	t_ok(strstr(printed, "\"good\":true"), "as JSON");
	fd = open(log_path, O_RDWR);
	t_ok(pread(fd, line, 1, 20) == 1 && pwrite(fd, "Z", 1, 20) == 1, "a byte is changed");
	t_int(RUN(cmd_audit, "verify", "--state", dir), 1, "verify says no");
	t_ok(strstr(printed, "audit.jsonl:1: "), "and names the line");
	t_ok(pwrite(fd, line, 1, 20) == 1, "put back");
	close(fd);
	t_int(RUN(cmd_audit, "verify", "/nonexistent"), 3, "no file: 3");
	t_int(RUN(cmd_audit, "vrfy", "x"), 2, "usage: 2");
}

/* A cut at the end keeps the chain whole; the ledger knows better. */
static void cut(void)
{
	struct stat st;
	char text[64 << 10], *nl;
	int fd = open(log_path, O_RDWR);
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	t_ok(n > 0 && fstat(fd, &st) == 0, "read");
	nl = memrchr(text, '\n', (size_t)n - 1);
	t_ok(nl && ftruncate(fd, nl + 1 - text) == 0, "the last line is cut off");
	t_int(RUN(cmd_audit, "verify", "--state", dir), 1, "verify says no");
	t_ok(strstr(printed, "missing at the end"), "and why");
	t_ok(pwrite(fd, text, (size_t)n, 0) == n, "put back");
	close(fd);
	t_int(RUN(cmd_audit, "verify", "--state", dir), 0, "good again");
}

int main(void)
{
	char cmd[64];

	if (!mkdtemp(dir))
		return 1;
	log_init("test", LOG_LEVEL_ERROR);
	snprintf(log_path, sizeof(log_path), "%s/audit.jsonl", dir);
	t_int(booking_open(dir, 0, &booking), 0, "opened");
	record("alice", "gpt-4o", ACTION_ALLOWED, 3 * 86400);
	record("alice", "gpt-4o", ACTION_REDACTED, 60);
	record("alice", "o3", ACTION_BLOCKED, 30);
	record("root", "claude", ACTION_ALLOWED, 0);
	t_int(booking_commit(booking), 0, "committed");
	search();
	tail();
	callers();
	verify();
	cut();
	tail_follows();
	booking_close(booking);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd) == 0 ? t_done() : 1;
}
