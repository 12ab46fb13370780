/* Redirect, hand-over of the origin, marks and fail modes, against the running kernel. */
#include "tests/bpf/lab.h"

#include <bpf/bpf.h>

#define AI4 "203.0.113.9"
#define AI6 "2001:db8::9"

struct set {
	struct kern *k;
	int l4, l6;
	uint16_t port;
};

static bool set_up(struct set *s)
{
	memset(s, 0, sizeof(*s));
	s->k = lab_open(lab_cgroup, NULL, true);
	if (!s->k)
		return false;
	s->l4 = lab_listen("127.0.0.1", &s->port);
	s->l6 = lab_listen("::1", &s->port);
	t_ok(s->l4 >= 0 && s->l6 >= 0, "listeners");
	t_int(mark_socket(kern_marks_fd(s->k), s->l4), 0, "the v4 listener is marked");
	t_int(mark_socket(kern_marks_fd(s->k), s->l6), 0, "the v6 listener is marked");
	kern_listener_port_set(s->k, s->port);
	kern_heartbeat(s->k, clock_mono_ns());
	lab_mode(s->k, SP_MODE_ENFORCE, 1);
	lab_host(s->k, AI4, 7, "api.example.ai");
	lab_host(s->k, AI6, 7, "api.example.ai");
	return true;
}

static void redirected(struct set *s, const char *why, const char *dst, bool mapped, int listener)
{
	struct sp_origin_key key;
	struct sp_origin o;
	const struct sp_event *e;
	uint8_t want[16];
	union lab_addr peer;
	socklen_t len = sizeof(peer);
	int c = lab_connect(dst, 8443, mapped), a;

	t_ok(c >= 0, "%s: connects (%s)", why, strerror(c < 0 ? -c : 0));
	a = lab_accept(listener);
	t_ok(a >= 0, "%s: our listener accepts it", why);
	if (c < 0 || a < 0)
		return;
	lab_origin_key(a, &key);
	t_int(origin_take(kern_origins_fd(s->k), &key, &o), 0, "%s: origin found", why);
	lab_canonical(dst, want);
	t_ok(memcmp(o.addr, want, 16) == 0 && o.port == 8443, "%s: origin is what was dialled",
	     why);
	t_int(o.provider, 7, "%s: provider", why);
	t_str(o.host, "api.example.ai", "%s: host", why);
	t_int(o.flags, mapped ? SP_ORIGIN_MAPPED : 0, "%s: mapped flag", why);
	t_int(o.mode, SP_MODE_ENFORCE, "%s: mode", why);
	t_int(o.task.tgid, getpid(), "%s: tgid", why);
	t_ok(o.task.uid == getuid() && o.task.gid == getgid(), "%s: uid and gid", why);
	t_int(o.task.ancestor[0].tgid, getppid(), "%s: parent", why);
	t_int(o.netns, lab_netns_cookie(c), "%s: netns cookie", why);
	t_int(origin_take(kern_origins_fd(s->k), &key, &o), -ENOENT, "%s: origin is given once",
	      why);
	t_int(getpeername(c, &peer.sa, &len), 0, "%s: getpeername", why);
	t_int(ntohs(peer.v4.sin_port), 8443, "%s: getpeername tells the dialled port", why);
	if (peer.sa.sa_family == AF_INET)
		t_ok(memcmp(&peer.v4.sin_addr, want + 12, 4) == 0, "%s: getpeername address", why);
	else
		t_ok(memcmp(&peer.v6.sin6_addr, want, 16) == 0, "%s: getpeername address", why);
	lab_drain(s->k);
	e = lab_last(SP_EVENT_CONNECT);
	t_ok(e && e->verdict == SP_REDIRECTED && e->task.tgid == (uint32_t)getpid() &&
		     e->port == 8443,
	     "%s: event", why);
	close(c);
	close(a);
}

static void task_facts(struct set *s)
{
	struct sp_origin_key key;
	struct sp_origin o = { 0 };
	struct stat exe, cg;
	unsigned loginuid = 0;
	char path[64], stat_line[1024];
	unsigned long long start = 0;
	int c = lab_connect(AI4, 443, false), a = lab_accept(s->l4);
	FILE *f;

	lab_origin_key(a, &key);
	t_int(origin_take(kern_origins_fd(s->k), &key, &o), 0, "origin");
	t_ok(stat("/proc/self/exe", &exe) == 0 && o.task.exe_ino == exe.st_ino, "inode of the exe");
	t_int(o.task.exe_dev >> 20, exe.st_dev >> 8 & 0xfff, "device of the exe (major)");
	t_ok(stat(lab_cgroup, &cg) == 0 && o.task.cgroup == cg.st_ino, "cgroup of the task");
	t_int(o.sk_cgroup, cg.st_ino, "cgroup of the socket");
	f = fopen("/proc/self/loginuid", "re");
	if (f && fscanf(f, "%u", &loginuid) == 1)
		t_int(o.task.loginuid, loginuid, "login uid");
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/stat", getpid());
	f = fopen(path, "re");
	if (f && fgets(stat_line, sizeof(stat_line), f)) {
		char *p = strrchr(stat_line, ')');

		for (int i = 0; p && i < 20; i++)
			p = strchr(p + 1, ' ');
		start = p ? strtoull(p + 1, NULL, 10) : 0;
		t_int(o.task.start_boot_ns /
			      (1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK)),
		      start, "start time is /proc/pid/stat's");
	}
	if (f)
		fclose(f);
	t_ok(o.task.flags == 0, "no kernel thread");
	close(c);
	close(a);
}

static void marks(struct set *s)
{
	union lab_addr a;
	socklen_t len = lab_addr(&a, AI4, 8443);
	int fd = socket(AF_INET, SOCK_STREAM, 0), srv;
	uint16_t port = 8443;

	srv = lab_listen(AI4, &port);
	t_ok(srv >= 0, "the provider listens");
	t_int(mark_socket(kern_marks_fd(s->k), fd), 0, "an upstream socket is marked");
	t_int(connect(fd, &a.sa, len), 0, "and connects");
	int got = lab_accept(srv);

	t_ok(got >= 0, "to the provider itself");
	close(got);
	close(fd);
	close(srv);
}

static void fail_modes(struct set *s)
{
	uint64_t before = lab_count(s->k, SP_COUNT_REFUSED), open_before;
	uint16_t port = 8443;
	int srv = lab_listen(AI4, &port), c, fd;

	kern_heartbeat(s->k, clock_mono_ns() - 10000000000ULL);
	t_int(lab_connect(AI4, 8443, false), -ECONNREFUSED,
	      "stale heartbeat, fail closed: refused");
	t_int(lab_connect(AI4, 8443, true), -ECONNREFUSED, "mapped too");
	t_int(lab_connect(AI6, 8443, false), -ECONNREFUSED, "IPv6 too");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	union lab_addr a;
	socklen_t len = lab_addr(&a, AI4, 8443);

	t_ok(connect(fd, &a.sa, len) < 0 && errno == ECONNREFUSED, "non-blocking too");
	close(fd);
	t_int(lab_count(s->k, SP_COUNT_REFUSED) - before, 4, "and counted");
	lab_mode(s->k, SP_MODE_MONITOR, 0);
	open_before = lab_count(s->k, SP_COUNT_FAILED_OPEN);
	lab_drain(s->k);
	c = lab_connect(AI4, 8443, false);
	t_ok(c >= 0, "stale heartbeat, fail open: passes");
	int got = lab_accept(srv);

	t_ok(got >= 0, "to the provider itself");
	t_int(lab_count(s->k, SP_COUNT_FAILED_OPEN) - open_before, 1, "and is counted");
	t_ok(write(c, "0123456789", 10) == 10 && read(got, (char[16]){ 0 }, 16) == 10,
	     "10 bytes out");
	t_ok(write(got, "abc", 3) == 3 && read(c, (char[16]){ 0 }, 16) == 3, "3 bytes in");
	close(c);
	usleep(20000);
	close(got);
	usleep(50000);
	lab_drain(s->k);
	const struct sp_event *e = lab_last(SP_EVENT_CLOSE);

	t_ok(e && e->verdict == SP_PASSED_OPEN, "its end is reported");
	if (e) {
		t_int(e->bytes_out, 10, "with bytes sent");
		t_ok(e->bytes_in == 3 || e->bytes_in == 4, "and received (%llu)",
		     (unsigned long long)e->bytes_in);
		t_ok(e->opened_ns && e->time_ns > e->opened_ns, "and its length");
	}
	close(srv);
	kern_heartbeat(s->k, clock_mono_ns());
	lab_mode(s->k, SP_MODE_ENFORCE, 1);
}

static void impostor(struct set *s)
{
	uint16_t port = s->port;

	close(s->l4);
	close(s->l6);
	int fake = lab_listen("127.0.0.1", &port);

	t_ok(fake >= 0, "somebody else binds our port");
	t_int(lab_connect(AI4, 443, false), -ECONNREFUSED, "it gets no redirected connection");
	int c = lab_connect("127.0.0.1", port, false);

	t_ok(c >= 0, "what is not ours may be dialled");
	close(c);
	close(fake);
	t_int(lab_connect(AI6, 443, false), -ECONNREFUSED, "no listener at all, fail closed");
	port = s->port;
	s->l4 = lab_listen("127.0.0.1", &port);
	s->l6 = lab_listen("::1", &port);
	mark_socket(kern_marks_fd(s->k), s->l4);
	mark_socket(kern_marks_fd(s->k), s->l6);
}

static void dialled(struct set *s)
{
	static const struct {
		const char *addr;
		bool mapped;
	} rows[] = { { "127.0.0.1", false }, { "127.0.0.2", false }, { "0.0.0.0", false },
		     { "127.0.0.1", true },  { "0.0.0.0", true },    { "::1", false },
		     { "::", false } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		t_int(lab_connect(rows[i].addr, s->port, rows[i].mapped), -ECONNREFUSED,
		      "dialling the listener as %s%s", rows[i].mapped ? "::ffff:" : "",
		      rows[i].addr);
	lab_drain(s->k);
	t_ok(lab_last(SP_EVENT_DIALLED) != NULL, "is reported");
	t_int(lab_count(s->k, SP_COUNT_LISTENER_DIALLED), ARRAY_LEN(rows), "and counted");
}

static void one_mode(struct set *s, const char *why, const struct kern_mode *m, size_t n,
		     int verdict)
{
	t_int(kern_modes_set(s->k, m, n), 0, "%s: set", why);
	lab_drain(s->k);
	kern_heartbeat(s->k, 1);
	int c = lab_connect(AI4, 8443, false);

	if (c >= 0)
		close(c);
	lab_drain(s->k);
	const struct sp_event *e = lab_last(SP_EVENT_CONNECT);

	t_int(e ? e->verdict : 0, verdict, "%s", why);
	kern_heartbeat(s->k, clock_mono_ns());
}

/* The heartbeat is stale throughout, so the entry that won shows in its fail mode. */
static void precedence(struct set *s)
{
	uint16_t port = 8443;
	struct stat outer;
	char sub[PATH_MAX];
	uint64_t inner = lab_subgroup("deep", sub);
	int srv = lab_listen(AI4, &port);

	t_ok(inner && stat(lab_cgroup, &outer) == 0 && lab_join(sub) == 0, "in a nested cgroup");
#define ANY(p, m, f) { { 0, SP_SCOPE_ANY, p }, { m, f } }
#define UID(p, m, f) { { 0, SP_SCOPE_UID, p }, { m, f } }
#define CG(id, p, m, f) { { id, SP_SCOPE_CGROUP, p }, { m, f } }
	one_mode(s, "no entry: observed", NULL, 0, SP_PASSED_OBSERVE);
	one_mode(s, "any", (struct kern_mode[]){ ANY(0, 2, 1) }, 1, SP_REFUSED);
	one_mode(s, "another provider's entry does not count",
		 (struct kern_mode[]){ ANY(8, 2, 1) }, 1, SP_PASSED_OBSERVE);
	one_mode(s, "exact provider before every provider",
		 (struct kern_mode[]){ ANY(0, 2, 1), ANY(7, 1, 0) }, 2, SP_PASSED_OPEN);
	one_mode(s, "uid before any", (struct kern_mode[]){ ANY(7, 2, 1), UID(0, 0, 0) }, 2,
		 SP_PASSED_OBSERVE);
	one_mode(s, "ancestor's cgroup before uid",
		 (struct kern_mode[]){ UID(7, 0, 0), CG(outer.st_ino, 0, 2, 1) }, 2, SP_REFUSED);
	one_mode(s, "nearest cgroup first",
		 (struct kern_mode[]){ CG(outer.st_ino, 7, 2, 1), CG(inner, 0, 1, 0) }, 2,
		 SP_PASSED_OPEN);
	close(srv);
	t_int(lab_join(lab_cgroup), 0, "back");
	lab_mode(s->k, SP_MODE_ENFORCE, 1);
}

static void bound(struct set *s)
{
	union lab_addr a;
	socklen_t len = lab_addr(&a, AI4, 443);
	int fd = socket(AF_INET, SOCK_STREAM, 0), got;

	t_ok(lab_write("/proc/sys/net/ipv4/conf/all/forwarding", "0") == 0, "in our own netns");
	(void)!system("ip link add d0 type dummy 2>/dev/null && ip link set d0 up");
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "d0", 3) < 0) {
		t_skip("no dummy interface: %s", strerror(errno));
		close(fd);
		return;
	}
	t_int(connect(fd, &a.sa, len), 0, "a socket bound to a device is redirected");
	got = lab_accept(s->l4);
	t_ok(got >= 0, "and arrives");
	close(got);
	close(fd);
}

/* AF_UNSPEC and again: the second destination counts, not the first. */
static void again(struct set *s)
{
	struct sockaddr un = { .sa_family = AF_UNSPEC };
	struct sp_origin_key key;
	struct sp_origin o = { 0 };
	uint8_t want[16];
	union lab_addr a;
	socklen_t len = lab_addr(&a, AI4, 443);
	int fd = socket(AF_INET, SOCK_STREAM, 0), got;

	lab_host(s->k, "203.0.113.10", 8, "second.example.ai");
	t_int(connect(fd, &a.sa, len), 0, "first");
	got = lab_accept(s->l4);
	close(got);
	t_int(connect(fd, &un, sizeof(un)), 0, "disconnected");
	len = lab_addr(&a, "203.0.113.10", 444);
	t_int(connect(fd, &a.sa, len), 0, "second");
	got = lab_accept(s->l4);
	lab_origin_key(got, &key);
	lab_canonical("203.0.113.10", want);
	t_ok(origin_take(kern_origins_fd(s->k), &key, &o) == 0 && memcmp(o.addr, want, 16) == 0 &&
		     o.port == 444 && o.provider == 8,
	     "the socket carries its new origin");
	close(fd);
	close(got);
}

/* Never accepted: its entry is gone with the socket, the port's next user does not get it. */
static void forgotten(struct set *s)
{
	struct sp_origin_key key;
	struct sp_origin o;
	int c = lab_connect(AI4, 443, false), a = lab_accept(s->l4);

	lab_origin_key(a, &key);
	close(a);
	usleep(20000);
	close(c);
	usleep(50000);
	t_int(origin_take(kern_origins_fd(s->k), &key, &o), -ENOENT,
	      "the entry left with the socket");
}

static void others(struct set *s)
{
	uint64_t before = lab_count(s->k, SP_COUNT_CONNECTS);
	uint16_t port = 0;
	int srv = lab_listen("127.0.0.1", &port), c = lab_connect("127.0.0.1", port, false);

	t_ok(c >= 0, "what is no provider's is left alone");
	t_int(lab_count(s->k, SP_COUNT_CONNECTS), before, "and not counted");
	close(c);
	close(srv);
}

static void quic(struct set *s)
{
	union lab_addr a;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = lab_addr(&a, AI4, 443);

	t_ok(connect(fd, &a.sa, len) < 0 && errno == ECONNREFUSED,
	     "UDP connect to port 443 is refused");
	lab_drain(s->k);
	t_ok(!lab_last(SP_EVENT_QUIC), "and not reported: getaddrinfo does this");
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	len = lab_addr(&a, AI4, 53);
	t_int(connect(fd, &a.sa, len), 0, "other UDP ports are left alone");
	close(fd);
	lab_mode(s->k, SP_MODE_MONITOR, 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	len = lab_addr(&a, AI4, 443);
	t_int(connect(fd, &a.sa, len), 0, "not refused where the mode does not enforce");
	close(fd);
	lab_mode(s->k, SP_MODE_ENFORCE, 1);
}

/* As the worker runs: nobody, no capability, the two descriptors inherited. */
static void unprivileged(struct set *s)
{
	int c = lab_connect(AI4, 443, false), status;
	uint64_t own = lab_count(s->k, SP_COUNT_OWN); /* before the child can add to it */

	pid_t pid = fork();

	if (pid == 0) {
		int a = lab_accept(s->l4), fd = socket(AF_INET, SOCK_STREAM, 0), r;
		struct sp_origin_key key;
		struct sp_origin o;
		union lab_addr to;
		socklen_t len = lab_addr(&to, AI4, 8444);

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		lab_origin_key(a, &key);
		r = origin_take(kern_origins_fd(s->k), &key, &o);
		if (r < 0 || o.provider != 7)
			_exit(2);
		if (mark_socket(kern_marks_fd(s->k), fd) < 0)
			_exit(3);
		/* Nobody listens there: refused by the address itself, and counted as ours. */
		_exit(connect(fd, &to.sa, len) < 0 && errno == ECONNREFUSED ? 0 : 4);
	}
	waitpid(pid, &status, 0);
	t_int(WEXITSTATUS(status), 0, "nobody takes origins and marks sockets by descriptor");
	t_int(lab_count(s->k, SP_COUNT_OWN) - own, 1, "its marked socket is left alone");
	close(c);
}

/* A caller that connects and exits at once: path and inode are the kernel's. */
static void short_lived(struct set *s)
{
	const struct sp_event *e;
	char self[PATH_MAX] = "";
	struct stat st;
	int status;
	pid_t pid;

	t_ok(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && stat(self, &st) == 0,
	     "self");
	lab_drain(s->k);
	pid = fork();
	if (pid == 0) {
		execl(self, "renamed", "dial", NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	lab_drain(s->k);
	e = lab_last(SP_EVENT_CONNECT);
	t_ok(e && e->task.tgid == (uint32_t)pid && e->task.exe_ino == st.st_ino, "who it was");
	t_ok(e && strncmp(e->task.exe, self, SP_EXE_LEN - 1) == 0, "the path it was started by");
	t_ok(e && e->task.ancestor[0].tgid == (uint32_t)getpid() &&
		     e->task.ancestor[1].tgid == (uint32_t)getppid(),
	     "and its ancestry");
	close(lab_accept(s->l4));
}

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void mptcp(struct set *s)
{
	union lab_addr a, peer;
	socklen_t len = lab_addr(&a, AI4, 8443), plen = sizeof(peer);
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), got;
	struct sp_origin_key key;
	struct sp_origin o;

	if (fd < 0) {
		t_skip("no MPTCP: %s", strerror(errno));
		return;
	}
	t_int(connect(fd, &a.sa, len), 0, "MPTCP is redirected");
	got = lab_accept(s->l4);
	lab_origin_key(got, &key);
	t_ok(origin_take(kern_origins_fd(s->k), &key, &o) == 0 && o.port == 8443,
	     "MPTCP has an origin");
	t_ok(getpeername(fd, &peer.sa, &plen) == 0 &&
		     peer.v4.sin_addr.s_addr == a.v4.sin_addr.s_addr,
	     "getpeername of an MPTCP socket");
	close(fd);
	close(got);
}

/* A program attached without sharing keeps us out: say whose it is. */
static void held(void)
{
	char sub[PATH_MAX];
	struct kern_options o = { sub, NULL, true };
	struct kern *k = NULL;
	struct buf why;

	t_ok(lab_subgroup("held", sub) != 0, "a cgroup somebody else holds");
	int cg = open(sub, O_RDONLY | O_DIRECTORY);
	struct bpf_insn prog[] = { { .code = 0xb7, .imm = 1 }, { .code = 0x95 } };
	LIBBPF_OPTS(bpf_prog_load_opts, lo, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
	int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "squatter", "GPL", prog, 2, &lo);

	t_int(bpf_prog_attach(fd, cg, BPF_CGROUP_INET4_CONNECT, 0), 0, "without BPF_F_ALLOW_MULTI");
	buf_init(&why, 4096);
	t_int(kern_open(&o, &k, &why), -EPERM, "we cannot attach");
	t_ok(slice_find(buf_slice(&why), SLICE("squatter")) > 0, "and name it: %.*s",
	     SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	bpf_prog_detach2(fd, cg, BPF_CGROUP_INET4_CONNECT);
	close(fd);
	close(cg);
}

static void test(void)
{
	struct set s;

	if (!set_up(&s))
		return;
	t_ok(lab_address4(AI4) == 0 && lab_address6(AI6) == 0, "the provider's addresses");
	redirected(&s, "IPv4", AI4, false, s.l4);
	redirected(&s, "IPv6", AI6, false, s.l6);
	redirected(&s, "v4-mapped", AI4, true, s.l4);
	task_facts(&s);
	unprivileged(&s);
	short_lived(&s);
	mptcp(&s);
	held();
	others(&s);
	marks(&s);
	dialled(&s);
	again(&s);
	forgotten(&s);
	bound(&s);
	quic(&s);
	fail_modes(&s);
	precedence(&s);
	impostor(&s);
	redirected(&s, "IPv4 again", AI4, false, s.l4);
	kern_close(s.k);
	t_ok(lab_connect("127.0.0.1", 1, false) == -ECONNREFUSED, "detached");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "dial") == 0)
		return lab_connect(AI4, 443, false) < 0;
	return lab_run(test);
}
