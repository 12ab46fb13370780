/* Links: attach to the cgroup, adopt what an earlier daemon pinned, say who is in the way. */
#include "kern/load.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static void linkp(struct bpf_link **l)
{
	if (*l)
		(void)bpf_link__destroy(*l);
}

void attach_pin(const char *dir, const struct program_def *def, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.4000s/link_%s", dir, def->function);
}

void attach_unpin(const char *path)
{
	cleanup(linkp) struct bpf_link *old = bpf_link__open(path);

	/* A running daemon may hold the link open: unlinking alone would leave it attached. Tracing
	 * links know no detach; for them the last descriptor decides. */
	if (old)
		(void)bpf_link__detach(old);
	(void)unlink(path);
}

/* Names the program that sits on `cgroup` alone, if the kernel tells. */
static bool holder_at(const char *cgroup, enum bpf_attach_type type, struct buf *why)
{
	cleanup(closep) int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info), ids[8], n = ARRAY_LEN(ids), flags = 0;
	int prog;

	if (fd < 0 || bpf_prog_query(fd, type, 0, &flags, ids, &n) < 0 || n == 0 ||
	    flags & BPF_F_ALLOW_MULTI)
		return false;
	prog = bpf_prog_get_fd_by_id(ids[0]);
	if (prog >= 0) {
		(void)bpf_obj_get_info_by_fd(prog, &info, &len);
		close(prog);
	}
	(void)buf_printf(why, "; program %u \"%s\" holds the hook alone on %s: stop its owner",
			 ids[0], info.name, cgroup);
	return true;
}

/* A program attached without BPF_F_ALLOW_MULTI here or above keeps every other one out. */
static void holder_find(const char *cgroup, enum bpf_attach_type type, struct buf *why)
{
	char path[PATH_MAX];
	struct statfs fs;

	snprintf(path, sizeof(path), "%s", cgroup);
	while (path[0] && statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
		char *slash = strrchr(path, '/');

		if (holder_at(path, type, why) || !slash)
			return;
		*slash = '\0';
	}
}

static bool is_ours(struct kern *k, const struct program_def *def, const struct bpf_link *link)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	struct stat st;

	/* The link of a removed cgroup stays pinned and attached to nothing: its id is 0. */
	return bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) == 0 &&
	       info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.attach_type == def->type &&
	       fstat(k->cgroup_fd, &st) == 0 && info.cgroup.cgroup_id == st.st_ino;
}

static struct bpf_link *adopt(struct kern *k, const struct program_def *def,
			      struct bpf_program *prog, const char *path)
{
	cleanup(linkp) struct bpf_link *old = bpf_link__open(path);

	if (!old || def->type == BPF_TRACE_RAW_TP) /* a tracing link cannot be updated */
		return NULL;
	if (is_ours(k, def, old) && bpf_link__update_program(old, prog) == 0)
		return take(old);
	log_info("pinned link replaced hook=%s pin=%s", def->hook, path);
	return NULL;
}

int attach_program(struct kern *k, const struct program_def *def, struct bpf_program *prog,
		   struct bpf_link **out, struct buf *why)
{
	cleanup(linkp) struct bpf_link *link = NULL;
	char path[PATH_MAX] = "";

	if (k->pins[0]) {
		attach_pin(k->pins, def, path);
		link = adopt(k, def, prog, path);
		if (link) {
			*out = take(link);
			return 0;
		}
		attach_unpin(path);
	}
	link = def->type == BPF_TRACE_RAW_TP ? bpf_program__attach(prog) :
					       bpf_program__attach_cgroup(prog, k->cgroup_fd);
	if (!link) {
		int r = -errno;

		(void)buf_printf(why, "%s: cannot attach to %s: %s", def->hook,
				 def->type == BPF_TRACE_RAW_TP ? "the kernel" : k->cgroup,
				 strerror(-r));
		if (r == -EPERM && def->type != BPF_TRACE_RAW_TP)
			holder_find(k->cgroup, def->type, why);
		return r;
	}
	if (path[0] && bpf_link__pin(link, path) < 0) {
		int r = -errno;

		(void)buf_printf(why, "%s: cannot pin %s: %s; is it below a bpffs?", def->hook,
				 path, strerror(-r));
		return r;
	}
	*out = take(link);
	return 0;
}
