/* A caller is the process that connected: recorded trees, and the real kernel. */
#include "base/clock.h"
#include "base/def.h"
#include "ident/cgroup.h"
#include "ident/proc.h"
#include "ident/whois.h"
#include "tests/t.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define TREE "tests/data/proc"
#define TICK 10000000ULL

static char dir[] = "/tmp/whois_test.XXXXXX";

static struct sp_task task_of(uint32_t pid, uint64_t ticks)
{
	struct sp_task t = { .tgid = pid, .start_boot_ns = ticks * TICK + 1234567, .uid = 0,
			     .loginuid = UINT32_MAX };

	strcpy(t.comm, "kernelcomm");
	return t;
}

static void recorded(void)
{
	struct whois_options o = { .proc = TREE, .cgroupfs = "/nonexistent", .cache_max = 4 };
	struct sp_task t = task_of(812, 500000);
	struct principal p;
	struct whois *w = NULL;

	t_int(whois_new(&o, &w), 0, "made");
	whois_resolve(w, &t, &p);
	t_str(p.exe, "/opt/billing/bin/python3", "executable");
	t_str(p.unit, "billing.service", "unit");
	t_ok(!p.exited && p.pid == 812, "alive");
	t_str(p.user, "root", "user by the kernel's uid");
	t_str(p.comm, "kernelcomm", "the kernel's comm");
	t_int(p.n_ancestors, 2, "two ancestors");
	t_str(p.ancestor[0].exe, "/usr/bin/bash", "parent first");
	t_str(p.ancestor[1].comm, "systemd", "then init");

	t = task_of(812, 500001);
	whois_resolve(w, &t, &p);
	t_ok(p.exited && !p.exe[0] && !p.n_ancestors, "another start time: the pid was given away");

	t = task_of(900, 600000);
	whois_resolve(w, &t, &p);
	t_str(p.exe, "/tmp/evil", "a name with brackets does not hide the fields behind it");
	t_str(p.unit, "user@1000.service/billing.service", "a user's unit is his");
	t_str(p.ancestor[0].comm, "bash", "and neither hides the parent");

	t = task_of(901, 700000);
	whois_resolve(w, &t, &p);
	t_str(p.exe, "/opt/agent/bin/agent", "removed executable");
	t_ok(p.exe_deleted, "said to be removed");
	t_int(strlen(p.container), 64, "container");

	t = task_of(4242, 1);
	strcpy(t.exe, "/usr/bin/gone");
	t.ancestor[0].tgid = 77;
	t.ancestor[0].start_boot_ns = 400000 * TICK;
	strcpy(t.ancestor[0].comm, "sh");
	t.ancestor[1].tgid = 1;
	t.ancestor[1].start_boot_ns = 11 * TICK;
	whois_resolve(w, &t, &p);
	t_ok(p.exited, "no such process: exited");
	t_str(p.exe, "/usr/bin/gone", "the kernel's path");
	t_ok(!p.digest_known, "no digest of a file that is not known to be the one");
	t_int(p.n_ancestors, 2, "the kernel's parents");
	t_str(p.ancestor[0].exe, "/usr/bin/bash", "one of which lives");
	t_str(p.ancestor[1].exe, "", "and one has another start time");
	for (uint32_t i = 0; i < 50; i++) {
		t = task_of(5000 + i, i);
		whois_resolve(w, &t, &p);
	}
	t = task_of(812, 500000);
	whois_resolve(w, &t, &p);
	t_str(p.unit, "billing.service", "the cache is bounded and forgets the oldest");
	whois_free(w);
}

static void mounts(void)
{
	char at[256];

	t_int(cgroup_mount_find(TREE, at, sizeof(at)), 0, "cgroup v2 is found on a hybrid host");
	t_str(at, "/sys/fs/cgroup/unified", "the whole tree, not a part of it");
}

static void keys(void)
{
	struct principal a = { .uid = 1000, .pid = 1 }, b;

	strcpy(a.exe, "/usr/bin/python3");
	strcpy(a.unit, "billing.service");
	b = a;
	b.pid = 2;
	b.start_ns = 99;
	t_ok(principal_key(&a) == principal_key(&b), "the pid does not count");
	b.uid = 0;
	t_ok(principal_key(&a) != principal_key(&b), "the user does");
	b = a;
	strcpy(b.unit, "other.service");
	t_ok(principal_key(&a) != principal_key(&b), "the unit does");
	strcpy(a.unit, "session-3.scope");
	strcpy(a.slice, "user-1000.slice");
	b = a;
	strcpy(b.unit, "session-4.scope");
	t_ok(principal_key(&a) == principal_key(&b), "the next login is the same caller");
	b = a;
	b.digest_known = true;
	t_ok(principal_key(&a) != principal_key(&b), "the digest counts where it is known");
}

/* ---- the real kernel ---- */

static struct sp_task task_real(pid_t pid)
{
	struct sp_task t = { .tgid = (uint32_t)pid, .loginuid = UINT32_MAX };
	struct proc_stat st;
	int fd = proc_open("/proc", (uint32_t)pid, 0, &st);

	t_ok(fd >= 0, "its directory opens");
	close(fd);
	t.start_boot_ns = proc_start_ns(&st) + 5;
	return t;
}

static pid_t sleeper(const char *exe)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		execl(exe, "sleeper", "1000", (char *)NULL);
		_exit(1);
	}
	close(ready[1]);
	(void)!read(ready[0], &c, 1); /* closed by the execve */
	close(ready[0]);
	return pid;
}

static void copy(const char *from, const char *to)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "cp %s %s", from, to);
	t_int(system(cmd), 0, "copied");
}

static void real(void)
{
	struct whois_options o = { .proc = "/proc", .cache_max = 16 };
	char exe[128], other[128];
	struct principal p, q;
	struct whois *w = NULL;
	struct sp_task t;
	struct stat st;
	pid_t pid;

	snprintf(exe, sizeof(exe), "%s/agent", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	copy("/usr/bin/sleep", exe);
	t_int(whois_new(&o, &w), 0, "made");
	pid = sleeper(exe);
	t = task_real(pid);
	t_int(stat(exe, &st), 0, "stat");
	t.exe_ino = st.st_ino;
	t.exe_dev = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev));
	whois_resolve(w, &t, &p);
	t_str(p.exe, exe, "executable");
	t_ok(p.digest_known && !p.exited, "with its digest");
	t_ok(p.n_ancestors > 0 && p.ancestor[0].pid == (uint32_t)getpid(), "we are its parent");

	t_int(unlink(exe), 0, "its file is removed");
	whois_free(w);
	t_int(whois_new(&o, &w), 0, "a new cache");
	whois_resolve(w, &t, &q);
	t_ok(q.exe_deleted && strcmp(q.exe, exe) == 0, "removed, and said so");
	t_ok(q.digest_known && memcmp(p.digest, q.digest, DIGEST_LEN) == 0,
	     "the digest is still of the file that runs");

	/* The kernel saw another file at the connect: it has called execve since. */
	copy("/usr/bin/sleep", exe);
	t.exe_ino += 1000003; /* no file that this test makes */
	strcpy(t.exe, "/opt/before");
	whois_resolve(w, &t, &q);
	t_str(q.exe, "/opt/before", "an executable taken on after the connect is not believed");
	t_ok(!q.digest_known, "nor its digest");

	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	strcpy(t.exe, exe);
	t_int(stat(exe, &st), 0, "stat");
	t.exe_ino = st.st_ino;
	whois_resolve(w, &t, &q);
	t_ok(q.exited && q.digest_known, "gone, the file is the same: digest known");
	copy("/usr/bin/true", other);
	t_int(rename(other, exe), 0, "the file is replaced");
	t.uid = 1; /* not from the cache */
	whois_resolve(w, &t, &q);
	t_ok(q.exited && !q.digest_known, "gone, another file at its path: no digest");
	unlink(exe);
	whois_free(w);
}

/* The same size, and the old mtime put back: the content decides. */
static void digest_cache(void)
{
	struct whois_options o = { .proc = "/proc", .cache_max = 16 };
	struct sp_task t = { .tgid = 4000000, .start_boot_ns = 1, .loginuid = UINT32_MAX };
	struct timespec times[2];
	struct principal p, q;
	struct whois *w = NULL;
	struct stat st;
	int fd;

	snprintf(t.exe, sizeof(t.exe), "%s/prog", dir);
	fd = open(t.exe, O_CREAT | O_RDWR, 0700);
	t_ok(write(fd, "approved", 8) == 8 && fstat(fd, &st) == 0, "an approved program");
	t.exe_ino = st.st_ino;
	t_int(whois_new(&o, &w), 0, "made");
	whois_resolve(w, &t, &p);
	t_ok(p.digest_known, "its digest");
	usleep(20000);
	t_ok(pwrite(fd, "replaced", 8, 0) == 8, "its owner writes another of the same size");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	t_int(futimens(fd, times), 0, "and puts the time back");
	t.start_boot_ns++;
	whois_resolve(w, &t, &q);
	t_ok(q.digest_known && memcmp(p.digest, q.digest, DIGEST_LEN) != 0,
	     "the old digest is not believed");
	close(fd);
	unlink(t.exe);
	whois_free(w);
}

static void cgroups(void)
{
	char mount[256], group[400], inner[500], path[256];
	struct whois_options o = { .proc = "/proc", .cache_max = 16 };
	struct whois *w = NULL;
	uint64_t ids[4];
	struct stat st;

	if (cgroup_mount_find("/proc", mount, sizeof(mount)) < 0 || geteuid() != 0) {
		t_skip("cgroups need root and cgroup v2");
		return;
	}
	snprintf(group, sizeof(group), "%s/whois-test-%d.service", mount, (int)getpid());
	snprintf(inner, sizeof(inner), "%s/fake-%d.service", group, (int)getpid());
	if (mkdir(group, 0755) < 0 || mkdir(inner, 0755) < 0) {
		t_skip("cannot make a cgroup");
		(void)rmdir(group);
		return;
	}
	t_int(stat(group, &st), 0, "stat");
	t_int(cgroup_path(mount, st.st_ino, path, sizeof(path)), 0, "id to path");
	t_str(path, strrchr(group, '/'), "the path");
	t_int(whois_new(&o, &w), 0, "made");
	t_int(whois_unit_cgroups(w, "whois-test-*.service", ids, 4), 1, "found by its unit");
	t_ok(ids[0] == st.st_ino, "with its id");
	snprintf(path, sizeof(path), "fake-%d.service", (int)getpid());
	t_int(whois_unit_cgroups(w, path, ids, 4), 0, "a name chosen inside a unit is none");
	snprintf(path, sizeof(path), "/whois-test-%d.service/*", (int)getpid());
	t_int(whois_unit_cgroups(w, path, ids, 4), 1, "found by its path");
	t_int(rmdir(inner) | rmdir(group), 0, "removed");
	t_ok(cgroup_path(mount, st.st_ino, path, sizeof(path)) < 0, "a removed one has no path");
	whois_free(w);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	recorded();
	mounts();
	keys();
	real();
	digest_cache();
	cgroups();
	rmdir(dir);
	return t_done();
}
