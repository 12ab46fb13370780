/* Callers, resolved and kept. Least recently used goes first. */
#include "ident/whois.h"

#include "base/def.h"
#include "base/digest.h"
#include "ident/cgroup.h"
#include "ident/container.h"
#include "ident/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 1024U
#define DIGESTS 256U
#define NAMES 256U
#define NAME_TTL_S 300
#define DIGEST_FILE_MAX (1U << 30)
#define UNSET UINT32_MAX

struct known {
	struct known *next;            /* in the bucket */
	struct known *newer, *older;   /* by use */
	uint64_t exe_ino;              /* of the task that was resolved: an execve makes another */
	uint32_t exe_dev;
	struct principal who;
};

struct known_digest {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	bool used;
	unsigned char digest[DIGEST_LEN];
};

struct known_name {
	uint32_t id;
	bool used, group;
	time_t until;
	char name[33];
};

struct whois {
	char proc[PATH_MAX], cgroupfs[PATH_MAX];
	size_t n, max;
	struct known *bucket[BUCKETS], *newest, *oldest;
	struct known_digest digest[DIGESTS];
	struct known_name name[NAMES];
};

int whois_new(const struct whois_options *o, struct whois **out)
{
	struct whois *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	slice_copy(w->proc, sizeof(w->proc), slice_str(o->proc ? o->proc : "/proc"));
	w->max = o->cache_max ? o->cache_max : 1;
	if (o->cgroupfs)
		slice_copy(w->cgroupfs, sizeof(w->cgroupfs), slice_str(o->cgroupfs));
	else if (cgroup_mount_find(w->proc, w->cgroupfs, sizeof(w->cgroupfs)) < 0)
		w->cgroupfs[0] = '\0';
	*out = w;
	return 0;
}

void whois_free(struct whois *w)
{
	if (!w)
		return;
	for (struct known *k = w->newest, *older; k; k = older) {
		older = k->older;
		free(k);
	}
	free(w);
}

static size_t bucket_of(uint32_t pid, uint64_t start_ns)
{
	return (size_t)(((start_ns ^ pid) * 0x9e3779b97f4a7c15ULL) >> 54) % BUCKETS;
}

static void use_unlink(struct whois *w, struct known *k)
{
	*(k->newer ? &k->newer->older : &w->newest) = k->older;
	*(k->older ? &k->older->newer : &w->oldest) = k->newer;
	k->newer = k->older = NULL;
}

static void use_first(struct whois *w, struct known *k)
{
	k->older = w->newest;
	*(w->newest ? &w->newest->newer : &w->oldest) = k;
	w->newest = k;
}

static void known_drop(struct whois *w, struct known *k)
{
	struct known **at = &w->bucket[bucket_of(k->who.pid, k->who.start_ns)];

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	use_unlink(w, k);
	w->n--;
	free(k);
}

static struct known *known_find(struct whois *w, const struct sp_task *t)
{
	struct known *k = w->bucket[bucket_of(t->tgid, t->start_boot_ns)];

	while (k && !(k->who.pid == t->tgid && k->who.start_ns == t->start_boot_ns))
		k = k->next;
	return k;
}

/* The same process can have changed user, group of processes or program since. */
static bool known_holds(const struct known *k, const struct sp_task *t)
{
	return k->who.uid == t->uid && k->who.gid == t->gid && k->who.loginuid == t->loginuid &&
	       k->who.cgroup_id == t->cgroup && k->exe_ino == t->exe_ino &&
	       k->exe_dev == t->exe_dev;
}

static void known_add(struct whois *w, const struct sp_task *t, const struct principal *who)
{
	struct known *k = w->n >= w->max ? w->oldest : NULL, **at;

	if (k)
		known_drop(w, k);
	k = calloc(1, sizeof(*k));
	if (!k)
		return;
	k->who = *who;
	k->exe_ino = t->exe_ino;
	k->exe_dev = t->exe_dev;
	at = &w->bucket[bucket_of(t->tgid, t->start_boot_ns)];
	k->next = *at;
	*at = k;
	use_first(w, k);
	w->n++;
}

/* User and group names; a database on the network is asked at most once in five minutes an id. */
static void name_of(struct whois *w, uint32_t id, bool group, char out[33])
{
	struct known_name *n = &w->name[(id * 2654435761U + group) % NAMES];
	time_t now = time(NULL);
	char room[4096];

	if (!n->used || n->id != id || n->group != group || n->until < now) {
		struct passwd pw, *p = NULL;
		struct group gr, *g = NULL;

		*n = (struct known_name){ .id = id, .used = true, .group = group,
					  .until = now + NAME_TTL_S };
		if (group && getgrgid_r(id, &gr, room, sizeof(room), &g) == 0 && g)
			slice_copy(n->name, sizeof(n->name), slice_str(g->gr_name));
		if (!group && getpwuid_r(id, &pw, room, sizeof(room), &p) == 0 && p)
			slice_copy(n->name, sizeof(n->name), slice_str(p->pw_name));
	}
	memcpy(out, n->name, sizeof(n->name));
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void digest_file(struct whois *w, int fd, struct principal *out)
{
	struct known_digest *d, now = { .used = true };
	struct stat st, after;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	d = &w->digest[((uint64_t)st.st_ino * 0x9e3779b97f4a7c15ULL ^ st.st_dev) % DIGESTS];
	if (d->used && d->dev == st.st_dev && d->ino == st.st_ino && d->size == st.st_size &&
	    same_time(d->mtime, st.st_mtim) && same_time(d->ctime, st.st_ctim)) {
		memcpy(out->digest, d->digest, DIGEST_LEN);
		out->digest_known = true;
		return;
	}
	if (digest_fd(fd, DIGEST_FILE_MAX, now.digest) < 0 || fstat(fd, &after) < 0)
		return;
	memcpy(out->digest, now.digest, DIGEST_LEN);
	out->digest_known = true;
	if (after.st_size != st.st_size || !same_time(after.st_ctim, st.st_ctim))
		return; /* written to meanwhile: true of that moment, not to be kept */
	now.dev = st.st_dev;
	now.ino = st.st_ino;
	now.size = st.st_size;
	now.mtime = st.st_mtim;
	now.ctime = st.st_ctim;
	*d = now;
}

/*
 * Is this the file the kernel saw at connect()? overlayfs may show stat(2) another inode than the
 * kernel has, and btrfs another device, so there a difference proves nothing.
 */
static bool same_file(int fd, const struct sp_task *t)
{
	struct statfs fs;
	struct stat st;
	uint32_t dev;

	if (!t->exe_ino)
		return true;
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return false;
	if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
		return true;
	dev = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev));
	return st.st_ino == t->exe_ino &&
	       (dev == t->exe_dev || !t->exe_dev || fs.f_type == BTRFS_SUPER_MAGIC);
}

/* The kernel's record of the path; the digest only if the file is still that one, by its inode. */
static void exe_from_task(struct whois *w, const struct sp_task *t, struct principal *out)
{
	cleanup(closep) int fd = -1;

	slice_copy(out->exe, sizeof(out->exe),
		   slice_of(t->exe, strnlen(t->exe, sizeof(t->exe))));
	if (out->exe[0] != '/' || !t->exe_ino)
		return;
	fd = open(out->exe, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && same_file(fd, t))
		digest_file(w, fd, out);
}

static void exe_from_proc(struct whois *w, int dir, const struct sp_task *t, struct principal *out)
{
	cleanup(closep) int fd = -1;
	char path[sizeof(out->exe)];
	bool deleted = false;

	if (proc_exe(dir, path, sizeof(path), &fd, &deleted) < 0 ||
	    (fd >= 0 && !same_file(fd, t))) {
		exe_from_task(w, t, out);
		return;
	}
	memcpy(out->exe, path, sizeof(path));
	out->exe_deleted = deleted;
	if (fd >= 0)
		digest_file(w, fd, out);
}

static void ancestor_add(struct whois *w, struct principal *out, uint32_t pid, uint64_t start_ns,
			 const char *comm, uint32_t *next)
{
	struct proc_stat st = { 0 };
	size_t i = out->n_ancestors++;
	cleanup(closep) int fd = -1;
	cleanup(closep) int dir = proc_open(w->proc, pid, start_ns, &st);
	bool deleted;

	out->ancestor[i].pid = pid;
	out->ancestor[i].start_ns = start_ns;
	slice_copy(out->ancestor[i].comm, sizeof(out->ancestor[i].comm),
		   comm ? slice_of(comm, strnlen(comm, SP_COMM_LEN)) : slice_str(st.comm));
	*next = 0;
	if (dir < 0)
		return;
	*next = st.ppid;
	if (!start_ns)
		out->ancestor[i].start_ns = proc_start_ns(&st);
	(void)proc_exe(dir, out->ancestor[i].exe, sizeof(out->ancestor[i].exe), &fd, &deleted);
	if (proc_still(dir, &st) < 0)
		out->ancestor[i].exe[0] = '\0';
}

/* The kernel's chain of the moment of connect(), then on from its end as /proc has it. */
static void ancestors(struct whois *w, const struct sp_task *t, uint32_t ppid,
		      struct principal *out)
{
	uint32_t next = ppid;

	for (size_t i = 0; i < SP_ANCESTORS && t->ancestor[i].tgid; i++) {
		ancestor_add(w, out, t->ancestor[i].tgid, t->ancestor[i].start_boot_ns,
			     t->ancestor[i].comm, &next);
		if (t->ancestor[i].tgid == 1)
			next = 0;
	}
	while (next && out->n_ancestors < PRINCIPAL_ANCESTORS)
		ancestor_add(w, out, next, 0, NULL, &next);
}

static void where(struct whois *w, int dir, const struct sp_task *t, struct principal *out)
{
	struct slice path;
	int r = -ENOENT;

	if (t->cgroup && w->cgroupfs[0])
		r = cgroup_path(w->cgroupfs, t->cgroup, out->cgroup, sizeof(out->cgroup));
	if (r < 0 && dir >= 0)
		r = proc_cgroup(dir, out->cgroup, sizeof(out->cgroup));
	if (r < 0) {
		out->cgroup[0] = '\0';
		return;
	}
	path = slice_str(out->cgroup);
	(void)cgroup_unit(path, out->unit, sizeof(out->unit), out->slice, sizeof(out->slice));
	(void)container_find(path, out->container, out->pod);
}

static void from_task(struct whois *w, const struct sp_task *t, struct principal *out)
{
	memset(out, 0, sizeof(*out));
	out->start_ns = t->start_boot_ns;
	out->cgroup_id = t->cgroup;
	out->pid = t->tgid;
	out->uid = t->uid;
	out->gid = t->gid;
	out->loginuid = t->loginuid;
	slice_copy(out->comm, sizeof(out->comm),
		   slice_of(t->comm, strnlen(t->comm, sizeof(t->comm))));
	name_of(w, t->uid, false, out->user);
	name_of(w, t->gid, true, out->group);
	if (t->loginuid != UNSET)
		name_of(w, t->loginuid, false, out->login_user);
}

static void resolve(struct whois *w, const struct sp_task *t, struct principal *out)
{
	struct proc_stat st = { 0 };
	cleanup(closep) int dir = proc_open(w->proc, t->tgid, t->start_boot_ns, &st);

	from_task(w, t, out);
	if (dir >= 0) {
		exe_from_proc(w, dir, t, out);
		ancestors(w, t, st.ppid, out);
		where(w, dir, t, out);
		if (proc_still(dir, &st) == 0)
			return;
		from_task(w, t, out); /* it went away in the middle: nothing of it is believed */
	}
	out->exited = true;
	exe_from_task(w, t, out);
	ancestors(w, t, 0, out);
	where(w, -1, t, out);
}

void whois_resolve(struct whois *w, const struct sp_task *task, struct principal *out)
{
	struct known *k = known_find(w, task);

	if (k && known_holds(k, task)) {
		use_unlink(w, k);
		use_first(w, k);
		*out = k->who;
		return;
	}
	if (k)
		known_drop(w, k);
	resolve(w, task, out);
	known_add(w, task, out);
}

size_t whois_unit_cgroups(struct whois *w, const char *unit_glob, uint64_t *ids, size_t max)
{
	return w->cgroupfs[0] ? cgroup_find(w->cgroupfs, unit_glob, ids, max) : 0;
}
