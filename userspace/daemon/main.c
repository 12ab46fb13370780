/* `sallyport daemon`: which process of the daemon this one is. */
#include "cli/cli.h"

#include "base/channel.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/monitor.h"
#include "daemon/recorder.h"
#include "daemon/sandbox.h"
#include "daemon/signer.h"
#include "relay/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORKER_USER "sallyport"
#define RECORDER_USER "sallyport-recorder"

/* ---- worker ---- */

/* Rights are the process's: the threads wait for each other's set-up, then the last one drops them. */
struct workers {
	pthread_barrier_t set_up, ended;
	int dropped;
};

struct worker_thread {
	pthread_t thread;
	int channel;
	struct workers *all;
	int result;
};

static int workers_ready(void *ctx)
{
	struct workers *w = ctx;
	int last = pthread_barrier_wait(&w->set_up);

	if (last == PTHREAD_BARRIER_SERIAL_THREAD) {
		w->dropped = sandbox_user(WORKER_USER);
		if (w->dropped == 0)
			w->dropped = sandbox_worker_calls();
		if (w->dropped < 0)
			log_error("cannot set up the sandbox: %s", strerror(-w->dropped));
	}
	(void)pthread_barrier_wait(&w->set_up);
	return w->dropped;
}

static void *worker_thread(void *arg)
{
	struct worker_thread *t = arg;

	t->result = worker_run(t->channel, workers_ready, t->all);
	/* Told to stop, each ends what it has under way first. Else one thread alone is no worker: the
	 * monitor starts the process again. */
	if (t->result == 0)
		(void)pthread_barrier_wait(&t->all->ended);
	exit(t->result < 0 ? 1 : 0);
}

static int worker_main(const struct options *o)
{
	struct worker_thread *t = calloc(o->workers, sizeof(*t));
	struct rlimit files = { 65536, 65536 };
	struct workers all = { 0 };

	if (!t)
		return 1;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)pthread_barrier_init(&all.set_up, NULL, o->workers);
	(void)pthread_barrier_init(&all.ended, NULL, o->workers);
	for (unsigned i = 0; i < o->workers; i++) {
		t[i].channel = o->fd + (int)i;
		t[i].all = &all;
	}
	for (unsigned i = 1; i < o->workers; i++)
		if (pthread_create(&t[i].thread, NULL, worker_thread, &t[i]) != 0)
			return 1;
	(void)worker_thread(&t[0]);
	return 1;
}

/* ---- recorder ---- */

static int recorder_role(const struct options *o)
{
	const struct recorder_options r = { .state_dir = o->state, .rotate_bytes = 256ULL << 20 };
	int e = sandbox_user(RECORDER_USER);

	if (e < 0) {
		log_error("cannot become %s: %s", RECORDER_USER, strerror(-e));
		return 1;
	}
	return recorder_main(o->fd, &r);
}

/* ---- signer ---- */

/* What the CA may name: the catalogue's exact names and suffixes; of a pattern the part after its
 * last wildcard. */
static const char *permitted_of(const struct catalog_host *h)
{
	const char *star = strrchr(h->pattern, '*'), *dot = star ? strchr(star, '.') : NULL;

	return star ? (dot ? dot + 1 : NULL) : h->pattern;
}

static int signer_role(const struct options *o)
{
	const char **permitted = NULL, *name;
	const struct catalog_host *h;
	struct catalog *c = NULL;
	struct mistakes bad;
	char dir[PATH_MAX];
	struct buf text;
	size_t n, k = 0;
	int r;

	buf_init(&text, 16U << 20);
	mistakes_init(&bad, o->data_file[SNAPSHOT_CATALOG]);
	r = file_read(o->data_file[SNAPSHOT_CATALOG], &text);
	if (r == 0)
		r = catalog_load(buf_slice(&text), &bad, &c);
	if (r < 0) {
		log_error("%s: %s", o->data_file[SNAPSHOT_CATALOG], strerror(-r));
		return 1;
	}
	n = catalog_hosts(c, &h);
	permitted = calloc(n + 1, sizeof(*permitted));
	for (size_t i = 0; permitted && i < n; i++) {
		name = permitted_of(&h[i]);
		if (name && *name)
			permitted[k++] = name;
	}
	(void)snprintf(dir, sizeof(dir), "%s/ca", o->state);
	mistakes_done(&bad);
	buf_done(&text);
	return permitted ? signer_main(o->fd, dir, permitted, k) : 1;
}

int cmd_daemon(int argc, char **argv)
{
	struct options o;
	bool help;
	int r = options_parse(argc, argv, &o, &help);

	if (r != EXIT_FINE || help)
		return r;
	log_init(o.role ? o.role : "monitor", o.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	if (!o.role)
		return monitor_main(&o);
	/* Signals are for the monitor: it tells its children over their channels. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	/* systemd sends this one to all of the unit. These two end when they are told, with everything done. */
	if (strcmp(o.role, "worker") == 0 || strcmp(o.role, "recorder") == 0)
		(void)signal(SIGTERM, SIG_IGN);
	if (strcmp(o.role, "worker") == 0)
		return worker_main(&o);
	if (strcmp(o.role, "signer") == 0)
		return signer_role(&o);
	if (strcmp(o.role, "recorder") == 0)
		return recorder_role(&o);
	if (strcmp(o.role, "resolver") == 0)
		return prefetch_main(o.fd, &o);
	return cli_usage("daemon", "--role is not for people");
}
