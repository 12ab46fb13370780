/* fork and exec of ourselves. */
#include "daemon/child.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/def.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FD_CHANNEL 3
#define ARGS_MAX 40
#define STEADY_NS (10ULL * 1000000000) /* running this long, a child counts as healthy again */

static size_t arguments(const struct child *c, const struct options *o, const char **argv,
			char numbers[4][16])
{
	static const char *const modes[] = { "observe", "monitor", "enforce" };
	size_t n = 0;

	argv[n++] = "sallyport";
	argv[n++] = "daemon";
	argv[n++] = "--role";
	argv[n++] = c->role;
	argv[n++] = "--fd";
	argv[n++] = "3";
	argv[n++] = "--state";
	argv[n++] = o->state;
	argv[n++] = "--run";
	argv[n++] = o->run;
	(void)snprintf(numbers[0], 16, "%u", o->workers);
	argv[n++] = "--workers";
	argv[n++] = numbers[0];
	(void)snprintf(numbers[1], 16, "%u", o->upstream_timeout_s);
	argv[n++] = "--upstream-timeout";
	argv[n++] = numbers[1];
	if (o->policy) {
		argv[n++] = "--policy";
		argv[n++] = o->policy;
	}
	if (o->policies) {
		argv[n++] = "--policies";
		argv[n++] = o->policies;
	}
	if (o->upstream_ca) {
		argv[n++] = "--upstream-ca";
		argv[n++] = o->upstream_ca;
	}
	if (o->mode >= 0) {
		argv[n++] = "--mode";
		argv[n++] = modes[o->mode];
	}
	if (o->verbose)
		argv[n++] = "--verbose";
	argv[n] = NULL;
	return n;
}

/* In the child: descriptors to their places, then exec. Only async-signal-safe calls. */
static void become(int channel, const int *fds, size_t n_fds, const char **argv, pid_t parent)
{
	sigset_t none;
	int high[16];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* First out of the way of each other's places, then into them. */
	for (size_t i = 0; i < n_fds + 1; i++)
		high[i] = fcntl(i ? fds[i - 1] : channel, F_DUPFD_CLOEXEC, 64);
	for (size_t i = 0; i < n_fds + 1; i++)
		if (high[i] < 0 || dup2(high[i], FD_CHANNEL + (int)i) < 0)
			_exit(127);
	/* Libraries open some without CLOEXEC (libbpf: maps that anyone holding them may write). 5.9 */
	if (close_range(FD_CHANNEL + (unsigned)n_fds + 1, ~0U, 0) < 0)
		_exit(127);
	(void)execv("/proc/self/exe", (char *const *)argv);
	_exit(127);
}

int child_start(struct child *c, const struct options *o, const int *fds, size_t n_fds)
{
	const char *argv[ARGS_MAX];
	char numbers[4][16];
	pid_t parent = getpid();
	int pair[2], r;

	if (n_fds > 8)
		return -E2BIG;
	r = channel_pair(pair);
	if (r < 0)
		return r;
	(void)arguments(c, o, argv, numbers);
	c->pid = fork();
	if (c->pid == 0)
		become(pair[1], fds, n_fds, argv, parent);
	(void)close(pair[1]);
	if (c->pid < 0) {
		c->pid = 0;
		(void)close(pair[0]);
		return -errno;
	}
	c->channel = pair[0];
	c->started_ns = clock_mono_ns();
	log_debug("started %s pid=%d", c->role, (int)c->pid);
	return 0;
}

void child_ended(struct child *c, int status)
{
	if (WIFSIGNALED(status))
		log_error("%s ended by signal %d (%s); starting it again", c->role, WTERMSIG(status),
			  strsignal(WTERMSIG(status)));
	else
		log_error("%s ended with status %d; starting it again", c->role, WEXITSTATUS(status));
	c->failures = clock_mono_ns() - c->started_ns > STEADY_NS ? 1 : c->failures + 1;
	c->pid = 0;
	if (c->channel >= 0)
		(void)close(c->channel);
	c->channel = -1;
}

unsigned child_delay_ms(const struct child *c)
{
	unsigned shift = MIN(c->failures, 8U);

	return c->failures <= 1 ? 10 : 20U << shift;
}

void child_stop(struct child *c, int timeout_ms)
{
	static const struct timespec step = { 0, 5 * 1000000 };

	if (!c->pid)
		return;
	(void)kill(c->pid, SIGTERM);
	for (int waited = 0; waitpid(c->pid, NULL, WNOHANG) == 0; waited += 5) {
		if (waited > timeout_ms) {
			log_warn("%s did not end in %d ms; killing it", c->role, timeout_ms);
			(void)kill(c->pid, SIGKILL);
			(void)waitpid(c->pid, NULL, 0);
			break;
		}
		(void)nanosleep(&step, NULL);
	}
	c->pid = 0;
	if (c->channel >= 0)
		(void)close(c->channel);
	c->channel = -1;
}
