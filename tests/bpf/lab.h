/*
 * A place where hooks may be armed: a child cgroup and a network namespace of the test's own. The
 * test runs in a child process; the parent removes the cgroup whatever happened to it.
 */
#ifndef TESTS_BPF_LAB_H
#define TESTS_BPF_LAB_H

#include "base/clock.h"
#include "base/def.h"
#include "kern/kern.h"
#include "tests/t.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/ipv6.h>
#include <linux/limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static char lab_cgroup[PATH_MAX];

static inline int lab_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = -1;

	if (fd >= 0) {
		r = write(fd, text, strlen(text)) < 0 ? -1 : 0;
		close(fd);
	}
	return r;
}

static inline int lab_join(const char *cgroup)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	return lab_write(path, "0");
}

/* A child of the lab's cgroup; `out` gets its path. Returns its id. */
static inline uint64_t lab_subgroup(const char *name, char out[PATH_MAX])
{
	struct stat st = { 0 };

	snprintf(out, PATH_MAX, "%.3800s/%s", lab_cgroup, name);
	if (mkdir(out, 0755) < 0 || stat(out, &st) < 0)
		return 0;
	return st.st_ino;
}

static inline int lab_address4(const char *text)
{
	static int alias;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;
	struct ifreq ifr = { 0 };
	struct sockaddr_in *a = (struct sockaddr_in *)&ifr.ifr_addr;

	snprintf(ifr.ifr_name, IFNAMSIZ, alias ? "lo:%d" : "lo:0", alias);
	alias++;
	a->sin_family = AF_INET;
	inet_pton(AF_INET, text, &a->sin_addr);
	r = ioctl(fd, SIOCSIFADDR, &ifr);
	close(fd);
	return r;
}

static inline int lab_address6(const char *text)
{
	struct {
		struct in6_addr addr;
		uint32_t prefix;
		int ifindex;
	} req = { .prefix = 128, .ifindex = 1 };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	inet_pton(AF_INET6, text, &req.addr);
	r = ioctl(fd, SIOCSIFADDR, &req);
	close(fd);
	usleep(100000); /* tentative until a kernel worker came by, even on lo */
	return r;
}

/* The calling process gets a network namespace of its own with lo up. */
static inline int lab_netns(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd, r;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return r;
}

/* A bpffs only this process sees: pins vanish with it. */
static inline int lab_bpffs(const char *dir)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return mount("bpf", dir, "bpf", 0, "mode=0700");
}

static inline void lab_remove(const char *cgroup)
{
	char cmd[2 * PATH_MAX];

	/* Children first. Its processes are ours: whoever still sits there is told to go. */
	snprintf(cmd, sizeof(cmd), "%s/cgroup.kill", cgroup);
	(void)lab_write(cmd, "1");
	for (int i = 0; i < 100; i++) {
		snprintf(cmd, sizeof(cmd),
			 "find '%s' -mindepth 1 -type d -exec rmdir {} + 2>/dev/null", cgroup);
		(void)!system(cmd);
		if (rmdir(cgroup) == 0 || errno == ENOENT)
			return;
		usleep(20000);
	}
	printf("# left behind: %s\n", cgroup);
}

/* Runs the test; the exit status for main(). */
static inline int lab_run(void (*test)(void))
{
	int status = 0;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		t_skip("not root");
		return 0;
	}
	if (kern_cgroup_root(lab_cgroup, sizeof(lab_cgroup) - 64) < 0) {
		t_skip("no cgroup v2 mount");
		return 0;
	}
	snprintf(lab_cgroup + strlen(lab_cgroup), 64, "/sallyport-test-%d", getpid());
	if (mkdir(lab_cgroup, 0755) < 0) {
		perror(lab_cgroup);
		return 1;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (lab_join(lab_cgroup) < 0 || lab_netns() < 0) {
			perror("lab");
			_exit(1);
		}
		test();
		fflush(stdout);
		int bad = t_done();

		fflush(stdout);
		_exit(bad);
	}
	waitpid(pid, &status, 0);
	lab_remove(lab_cgroup);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

union lab_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline socklen_t lab_addr(union lab_addr *a, const char *text, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (strchr(text, ':')) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons(port);
		inet_pton(AF_INET6, text, &a->v6.sin6_addr);
		return sizeof(a->v6);
	}
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = htons(port);
	inet_pton(AF_INET, text, &a->v4.sin_addr);
	return sizeof(a->v4);
}

/* Canonical form of bpf/sallyport.h. */
static inline void lab_canonical(const char *text, uint8_t out[16])
{
	char mapped[64];

	snprintf(mapped, sizeof(mapped), strchr(text, ':') ? "%s" : "::ffff:%s", text);
	inet_pton(AF_INET6, mapped, out);
}

static inline int lab_listen(const char *text, uint16_t *port)
{
	int fd = socket(strchr(text, ':') ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    on = 1;
	union lab_addr a;
	socklen_t len = lab_addr(&a, text, *port);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (strchr(text, ':'))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &a.sa, len) < 0 || listen(fd, 64) < 0) {
		close(fd);
		return -1;
	}
	len = sizeof(a);
	getsockname(fd, &a.sa, &len);
	*port = ntohs(a.v4.sin_port); /* at the same place in both */
	return fd;
}

/* Connects; the descriptor or -errno. A v4 address on an AF_INET6 socket when `mapped`. */
static inline int lab_connect(const char *text, uint16_t port, bool mapped)
{
	char name[64];
	union lab_addr a;
	int fd, r;

	snprintf(name, sizeof(name), mapped ? "::ffff:%s" : "%s", text);
	socklen_t len = lab_addr(&a, name, port);

	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, &a.sa, len) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static inline uint64_t lab_netns_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
	return cookie;
}

/* What a worker does after accept(). */
static inline void lab_origin_key(int accepted, struct sp_origin_key *k)
{
	union lab_addr a;
	socklen_t len = sizeof(a);
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

	memset(k, 0, sizeof(*k));
	getpeername(accepted, &a.sa, &len);
	k->netns = lab_netns_cookie(accepted);
	k->port = ntohs(a.v4.sin_port);
	if (a.sa.sa_family == AF_INET) {
		memcpy(k->addr, mapped, 12);
		memcpy(k->addr + 12, &a.v4.sin_addr, 4);
	} else {
		memcpy(k->addr, &a.v6.sin6_addr, 16);
	}
}

/* accept() that gives up after 2 s. */
static inline int lab_accept(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	return poll(&p, 1, 2000) == 1 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
}

static inline struct kern *lab_open(const char *cgroup, const char *pin_dir, bool redirect)
{
	struct kern_options o = { cgroup, pin_dir, redirect };
	struct kern *k = NULL;
	struct buf why;
	int r;

	buf_init(&why, 4096);
	r = kern_open(&o, &k, &why);
	if (r < 0)
		printf("# kern_open: %s: %.*s\n", strerror(-r), SLICE_FMT(buf_slice(&why)));
	t_ok(r == 0, "the programs load and attach");
	buf_done(&why);
	return k;
}

static inline void lab_mode(struct kern *k, uint32_t mode, uint32_t fail_closed)
{
	struct kern_mode m = { { 0, SP_SCOPE_ANY, 0 }, { mode, fail_closed } };

	(void)kern_modes_set(k, &m, 1);
}

static inline void lab_host(struct kern *k, const char *addr, uint32_t provider, const char *name)
{
	uint8_t a[16];

	lab_canonical(addr, a);
	t_int(kern_host_put(k, a, provider, slice_str(name), 0), 0, "host %s is put", addr);
}

static inline uint64_t lab_count(struct kern *k, enum sp_counter c)
{
	uint64_t n[SP_COUNT_N] = { 0 };

	(void)kern_counters(k, n);
	return n[c];
}

/* The events that waited, newest last. */
static struct sp_event lab_events[64];
static size_t lab_events_n;

static inline void lab_event(void *ctx UNUSED, const struct sp_event *e)
{
	if (lab_events_n < ARRAY_LEN(lab_events))
		lab_events[lab_events_n++] = *e;
}

static inline size_t lab_drain(struct kern *k)
{
	lab_events_n = 0;
	(void)kern_events(k, lab_event, NULL);
	return lab_events_n;
}

/* The last event of this kind among those drained, or NULL. */
static inline const struct sp_event *lab_last(uint32_t kind)
{
	for (size_t i = lab_events_n; i > 0; i--)
		if (lab_events[i - 1].kind == kind)
			return &lab_events[i - 1];
	return NULL;
}

#endif
