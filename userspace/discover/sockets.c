/* Netlink's dump of TCP sockets, and a walk over /proc. */
#include "discover/sockets.h"

#include "base/def.h"
#include "base/file.h"
#include "ident/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TCP_ESTABLISHED_BIT (1U << 1)

typedef void each_fn(void *ctx, const struct socket_seen *s);

static int ask(int fd, uint8_t family)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 ask;
	} q = {
		.head = { .nlmsg_len = sizeof(q),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.ask = { .sdiag_family = family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_ext = 1U << (INET_DIAG_INFO - 1),
			 .idiag_states = TCP_ESTABLISHED_BIT },
	};

	return send(fd, &q, sizeof(q), 0) == sizeof(q) ? 0 : -errno;
}

static void socket_of(const struct inet_diag_msg *m, size_t len, struct socket_seen *s)
{
	const struct rtattr *a = (const struct rtattr *)(m + 1);
	size_t left = len - sizeof(*m);
	struct tcp_info info = { 0 };

	*s = (struct socket_seen){ .port = ntohs(m->id.idiag_dport),
				   .uid = m->idiag_uid,
				   .inode = m->idiag_inode };
	s->cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	if (m->idiag_family == AF_INET) {
		s->addr[10] = s->addr[11] = 0xff;
		memcpy(s->addr + 12, m->id.idiag_dst, 4);
	} else {
		memcpy(s->addr, m->id.idiag_dst, 16);
	}
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_INFO)
			memcpy(&info, RTA_DATA(a), MIN((size_t)RTA_PAYLOAD(a), sizeof(info)));
	s->bytes_out =
		info.tcpi_bytes_acked ? info.tcpi_bytes_acked - 1 : 0; /* the SYN counts as one */
	s->bytes_in = info.tcpi_bytes_received;
}

/* 1 the dump is at its end, 0 more to come, -errno. */
static int answer(int fd, each_fn *fn, void *ctx)
{
	static _Alignas(struct nlmsghdr) char text[32768];
	ssize_t got = recv(fd, text, sizeof(text), 0);
	size_t left = got > 0 ? (size_t)got : 0;

	if (got < 0)
		return errno == EINTR ? 0 : -errno;
	for (const struct nlmsghdr *h = (void *)text; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		struct socket_seen s;

		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error ?: -EPROTO;
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    NLMSG_PAYLOAD(h, 0) < sizeof(struct inet_diag_msg))
			continue;
		socket_of(NLMSG_DATA(h), NLMSG_PAYLOAD(h, 0), &s);
		fn(ctx, &s);
	}
	return got == 0;
}

int sockets_each(each_fn *fn, void *ctx)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	cleanup(closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r = fd < 0 ? -errno : 0;

	for (size_t i = 0; i < ARRAY_LEN(families) && r >= 0; i++) {
		r = ask(fd, families[i]);
		while (r == 0)
			r = answer(fd, fn, ctx);
	}
	return MIN(r, 0);
}

/* ---- the process ---- */

static bool has_socket(int proc, uint64_t inode)
{
	char want[40], is[40];
	const struct dirent *e;
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	bool found = false;

	(void)snprintf(want, sizeof(want), "socket:[%llu]", (unsigned long long)inode);
	while (d && !found && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, is, sizeof(is) - 1);

		if (n > 0) {
			is[n] = '\0';
			found = strcmp(is, want) == 0;
		}
	}
	if (d)
		(void)closedir(d);
	else if (fd >= 0)
		(void)close(fd);
	return found;
}

static uint32_t number_in(int proc, const char *name, uint32_t absent)
{
	cleanup(closep) int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
	char text[16];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return absent;
	text[n] = '\0';
	return (uint32_t)strtoul(text, NULL, 10);
}

/* A cgroup's id is the inode of its directory. */
static uint64_t cgroup_id(int proc, const char *cgroupfs)
{
	char path[256], dir[600];
	struct stat st;

	if (proc_cgroup(proc, path, sizeof(path)) < 0)
		return 0;
	(void)snprintf(dir, sizeof(dir), "%.300s%s", cgroupfs, path);
	return stat(dir, &st) == 0 ? st.st_ino : 0;
}

static void task_of(int proc, uint32_t pid, const struct proc_stat *ps, const char *cgroupfs,
		    struct sp_task *t)
{
	struct stat st;

	*t = (struct sp_task){ .start_boot_ns = proc_start_ns(ps),
			       .tgid = pid,
			       .cgroup = cgroup_id(proc, cgroupfs),
			       .loginuid = number_in(proc, "loginuid", ~0U) };
	memcpy(t->comm, ps->comm, MIN(sizeof(t->comm), sizeof(ps->comm)));
	if (fstat(proc, &st) == 0) {
		t->uid = st.st_uid;
		t->gid = st.st_gid;
	}
	if (fstatat(proc, "exe", &st, 0) == 0) {
		t->exe_ino = st.st_ino;
		t->exe_dev = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev));
	}
}

int sockets_owner(const struct socket_seen *s, const char *cgroupfs, struct sp_task *out)
{
	const struct dirent *e;
	DIR *d = opendir("/proc");
	int r = d ? -ENOENT : -errno;

	while (d && r == -ENOENT && (e = readdir(d))) {
		uint32_t pid = (uint32_t)strtoul(e->d_name, NULL, 10);
		cleanup(closep) int proc = -1;
		struct proc_stat ps;

		if (!pid)
			continue;
		proc = proc_open("/proc", pid, 0, &ps);
		if (proc < 0 || !has_socket(proc, s->inode))
			continue;
		task_of(proc, pid, &ps, cgroupfs, out);
		if (proc_still(proc, &ps) == 0)
			r = 0;
	}
	if (d)
		(void)closedir(d);
	return r;
}
