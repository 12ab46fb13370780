/* The monitor's life: start everything in order, watch, stop in the reverse order. */
#include "daemon/monitor.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define HEARTBEAT_MS 250
#define SCOPES_MS 500        /* units come and go: the mode table follows */
#define BPF_FS 0xcafe4a11
#define LISTED_CACHE 4096

static void signal_event(struct watch *w, uint32_t events)
{
	struct monitor *m = container_of(w, struct monitor, signals);
	struct signalfd_siginfo i;

	(void)events;
	while (read(w->fd, &i, sizeof(i)) == sizeof(i)) {
		switch (i.ssi_signo) {
		case SIGCHLD:
			processes_reaped(m);
			break;
		case SIGHUP:
			(void)sd_notify(0, "RELOADING=1");
			json_decref(control_reload(m));
			(void)sd_notify(0, "READY=1");
			break;
		default:
			log_info("stopping on signal %u", i.ssi_signo);
			loop_stop(m->loop);
		}
	}
}

static int signals_init(struct monitor *m)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	m->signals = (struct watch){ .fd = fd, .fn = signal_event };
	return loop_watch(m->loop, &m->signals, EPOLLIN);
}

static void kernel_event(struct watch *w, uint32_t events)
{
	struct monitor *m = container_of(w, struct monitor, events);

	(void)events;
	(void)kern_events(m->kern, seen_event, m);
}

void monitor_beat(struct monitor *m)
{
	if (m->kern && m->data_path && m->worker.pid)
		(void)kern_heartbeat(m->kern, clock_mono_ns());
	(void)sd_notify(0, "WATCHDOG=1");
}

/* A sign of life for the kernel only while the whole data path lives: else the fail modes decide. */
static void heartbeat(struct timer *t)
{
	struct monitor *m = container_of(t, struct monitor, heartbeat);

	if (workers_alive(m)) {
		(void)kern_heartbeat(m->kern, clock_mono_ns());
		if (!m->ready_said)
			log_info("the data path is up port=%u workers=%u", m->port, m->o.workers);
		m->ready_said = true;
	}
	if (m->ready_said)
		(void)sd_notify(0, "READY=1\nWATCHDOG=1");
	(void)timer_arm(m->loop, t, HEARTBEAT_MS);
}

static void scopes_tick(struct timer *t)
{
	struct monitor *m = container_of(t, struct monitor, scopes_timer);

	(void)monitor_units_follow(m);
	(void)timer_arm(m->loop, t, SCOPES_MS);
}

/*
 * The folder goes to the recorder's user; if it was another's (the users were made after a first start),
 * its files do too. Only plain files under one name: who owned the folder before is not trusted.
 */
static int state_give(const char *path, uid_t uid, gid_t gid)
{
	cleanup(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (fchown(fd, uid, gid) < 0)
		return -errno;
	if (st.st_uid == uid || st.st_uid == 0)
		return 0;
	d = fdopendir(dup(fd));
	while (d && (e = readdir(d))) {
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    st.st_nlink == 1 && fchownat(fd, e->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
			log_warn("cannot give %s/%s to the recorder: %s", path, e->d_name, strerror(errno));
	}
	if (d)
		(void)closedir(d);
	return 0;
}

/* State belongs to the recorder, the CA to nobody but root (the signer opens it before it drops root). */
static int directories(const struct options *o)
{
	const struct passwd *recorder = getpwnam("sallyport-recorder");
	uid_t uid = recorder ? recorder->pw_uid : 65534;
	gid_t gid = recorder ? recorder->pw_gid : 65534;
	char path[PATH_MAX];
	int r = file_mkdirs(o->run, 0755);

	if (r == 0)
		r = file_mkdirs(o->state, 0755);
	if (r == 0)
		r = state_give(o->state, uid, gid);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "%s/ca", o->state);
		r = file_mkdirs(path, 0700);
	}
	if (r < 0)
		log_error("cannot make %s or %s: %s", o->state, o->run, strerror(-r));
	return r;
}

/* Where pins can be kept, or NULL with the reason logged. */
static const char *pin_dir(const struct options *o)
{
	char parent[PATH_MAX], *slash;
	struct statfs fs;

	if (!*o->pin)
		return NULL;
	(void)snprintf(parent, sizeof(parent), "%s", o->pin);
	slash = strrchr(parent, '/');
	if (slash && slash != parent)
		*slash = '\0';
	if (statfs(parent, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS)
		return o->pin;
	log_warn("%s is not on a bpffs: rules that fail closed end with the daemon; mount -t bpf bpf "
		 "/sys/fs/bpf", o->pin);
	return NULL;
}

static int kernel_start(struct monitor *m)
{
	struct kern_options k = { .cgroup_path = m->o.cgroup,
				  .pin_dir = pin_dir(&m->o),
				  .redirect = true };
	struct buf why;
	int r;

	buf_init(&why, 4096);
	r = kern_open(&k, &m->kern, &why);
	if (r < 0)
		log_error("the kernel programs could not be attached: %.*s", SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	if (r < 0)
		return r;
	m->events = (struct watch){ .fd = kern_events_fd(m->kern), .fn = kernel_event };
	return loop_watch(m->loop, &m->events, EPOLLIN);
}

static int rules_start(struct monitor *m)
{
	struct buf why;
	int r;

	buf_init(&why, 64U << 10);
	r = monitor_rules_load(m, &why);
	if (r < 0)
		log_error("the rules were not taken: %s", strerror(-r));
	if (r < 0)
		fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	return r;
}

/* One daemon a run directory: a second one would fight over the same hooks and pins. */
static int alone(struct monitor *m)
{
	char path[PATH_MAX];
	int r = file_mkdirs(m->o.run, 0755);

	(void)snprintf(path, sizeof(path), "%s/daemon.lock", m->o.run);
	m->lock_fd = r < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->lock_fd < 0) {
		r = r < 0 ? r : -errno;
		log_error("cannot lock %s: %s", path, strerror(-r));
		return r;
	}
	if (flock(m->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	log_error("another daemon runs with %s; stop it first (systemctl stop sallyport)", m->o.run);
	return -EBUSY;
}

static int start(struct monitor *m)
{
	struct whois_options w = { .proc = "/proc", .cache_max = LISTED_CACHE };
	int r;

	m->ca_fd = -1;
	for (size_t i = 0; i < SNAPSHOT_FILES; i++)
		m->rules_fd[i] = -1;
	r = alone(m);
	if (r == 0)
		r = directories(&m->o);
	/* Before the kernel is touched: a mistake in a file must not change what an earlier daemon left. */
	if (r == 0)
		r = rules_start(m);
	if (r == 0)
		r = loop_new(&m->loop);
	if (r == 0)
		r = signals_init(m);
	if (r == 0)
		r = processes_init(m);
	if (r == 0)
		r = whois_new(&w, &m->whois);
	if (r == 0)
		r = kernel_start(m);
	if (r == 0)
		r = monitor_rules_apply(m);
	if (r == 0)
		r = seen_init(m);
	if (r == 0)
		r = recorder_start(m);
	if (r == 0 && m->strictest > SP_MODE_OBSERVE)
		r = data_path_start(m);
	if (r == 0)
		r = control_init(m);
	return r;
}

static void stop(struct monitor *m)
{
	bool hold = m->any_closed && *m->o.pin;

	(void)sd_notify(0, "STOPPING=1");
	control_free(m);
	if (m->kern)
		(void)kern_listener_port_set(m->kern, 0);
	processes_stop(m);
	kern_close(m->kern);
	/* When kern_open() failed it cleaned up after itself: what is pinned is an earlier daemon's. */
	if (m->kern && !hold && *m->o.pin)
		(void)kern_disarm(m->o.pin);
	if (m->kern && hold)
		log_info("stopped; rules that fail closed still hold (sallyport disarm lifts them)");
	monitor_rules_free(m);
	catalog_unref(m->catalog);
	whois_free(m->whois);
	loop_free(m->loop);
}

int monitor_main(const struct options *o)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return EXIT_SYSTEM;
	if (geteuid() != 0) {
		log_error("must be root: loading eBPF programs and reading other users' /proc needs it");
		free(m);
		return EXIT_SYSTEM;
	}
	m->o = *o;
	m->started_ns = clock_wall_ns();
	r = start(m);
	if (r == 0) {
		static const char *const modes[] = { "observe", "monitor", "enforce" };

		log_info("started mode=%s policy=%s cgroup=%s", modes[m->strictest],
			 m->o.data_file[SNAPSHOT_POLICY], m->o.cgroup ? m->o.cgroup : "root");
		memory_settle();
		monitor_note(m, "daemon started, strictest mode %s", modes[m->strictest]);
		prefetch_hosts_file(m);
		(void)prefetch_start(m);
		m->ready_said = !m->data_path;
		m->heartbeat.fn = heartbeat;
		m->scopes_timer.fn = scopes_tick;
		heartbeat(&m->heartbeat);
		(void)monitor_scopes_apply(m);
		scopes_tick(&m->scopes_timer);
		r = loop_run(m->loop);
	}
	if (m->loop)
		stop(m);
	free(m);
	return r < 0 ? EXIT_SYSTEM : EXIT_FINE;
}
