/* What this kernel can do and who else uses its hooks: for `sallyport doctor`. */
#include "kern/load.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define NOBODY 65534

static bool has_btf(void)
{
	return access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

static bool has_cgroup2(void)
{
	char path[PATH_MAX];

	return kern_cgroup_root(path, sizeof(path)) == 0;
}

static bool has_retval(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval, NULL) ==
	       1;
}

static bool has_netns_cookie(void)
{
	cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0;
}

/* bpf() on a descriptor at hand, as nobody: refused before 5.19 where unprivileged bpf is off. */
static bool has_unprivileged_use(void)
{
	cleanup(closep) int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "sp_probe", 4, 4, 1, NULL);
	int status = 1;
	pid_t pid;

	if (fd < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		uint32_t key = 0, value;

		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		_exit(bpf_map_lookup_elem(fd, &key, &value) < 0 && errno == ENOENT ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static const struct {
	const char *name;
	bool (*probe)(void);
	bool required;
	const char *without;
} probes[] = {
	{ "BTF (/sys/kernel/btf/vmlinux)", has_btf, true,
	  "no program loads; use a kernel with CONFIG_DEBUG_INFO_BTF" },
	{ "cgroup v2 mount", has_cgroup2, true,
	  "nothing to attach to; mount -t cgroup2 none /sys/fs/cgroup" },
	{ "SO_NETNS_COOKIE (5.14)", has_netns_cookie, true,
	  "the worker cannot find the origin of a connection" },
	{ "bpf() on inherited descriptors (5.19)", has_unprivileged_use, true,
	  "the unprivileged worker cannot read origins; sysctl "
	  "kernel.unprivileged_bpf_disabled=0" },
	{ "bpf_set_retval (5.18)", has_retval, false,
	  "refused connections fail with EPERM instead of ECONNREFUSED" },
};

static bool object_loads(const char *object)
{
	cleanup(load_objectp) struct bpf_object *obj = NULL;
	struct maps maps = { 0 };
	struct buf why;
	int r;

	buf_init(&why, 2048);
	r = load_object(object, false, &maps, &obj, &why);
	if (r < 0)
		log_debug("object=%s reason=\"%.*s\"", object, SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	maps_done(&maps);
	return r == 0;
}

int kern_features(struct kern_feature *out, size_t max)
{
	bool there = false;
	size_t n = 0;

	if (geteuid() != 0)
		return -EPERM;
	for (size_t i = 0; i < ARRAY_LEN(probes) && n < max; i++)
		out[n++] = (struct kern_feature){ probes[i].name, probes[i].probe(),
						  probes[i].required, probes[i].without };
	for (size_t i = 0; i < load_programs_n && n < max; i++) {
		const struct program_def *def = &load_programs[i];

		if (i == 0 || strcmp(def->object, load_programs[i - 1].object) != 0)
			there = object_loads(def->object);
		out[n++] = (struct kern_feature){ def->hook, there,
						  def->need == NEED_WATCH ||
							  def->need == NEED_REDIRECT,
						  def->without };
	}
	return (int)n;
}

static void name_program(struct kern_attached *a)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	cleanup(closep) int fd = bpf_prog_get_fd_by_id(a->id);

	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		snprintf(a->name, sizeof(a->name), "%.15s", info.name);
	for (size_t i = 0; i < load_programs_n; i++)
		if (strcmp(a->name, load_programs[i].function) == 0)
			a->ours = true;
}

int kern_attached(const char *cgroup, struct kern_attached *out, size_t max)
{
	char root[PATH_MAX];
	size_t n = 0;
	int r = cgroup ? 0 : kern_cgroup_root(root, sizeof(root));

	if (r < 0)
		return r;
	cleanup(closep) int fd = open(cgroup ? cgroup : root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < load_programs_n; i++) {
		__u32 ids[64], count = ARRAY_LEN(ids), flags = 0;

		if (load_programs[i].type == BPF_TRACE_RAW_TP)
			continue;
		if (bpf_prog_query(fd, load_programs[i].type, 0, &flags, ids, &count) < 0) {
			if (errno == EPERM)
				return -EPERM;
			continue;
		}
		for (__u32 p = 0; p < count && n < max; p++) {
			out[n] = (struct kern_attached){ .hook = load_programs[i].hook,
							 .id = ids[p],
							 .alone = !(flags & BPF_F_ALLOW_MULTI) };
			name_program(&out[n++]);
		}
	}
	return (int)n;
}

int kern_pins(const char *pin_dir, struct kern_pins *out)
{
	struct kern_pins p = { .heartbeat_age_ns = UINT64_MAX };
	char dir[PATH_MAX], path[PATH_MAX];
	struct sp_config c = { 0 };
	uint32_t zero = 0;

	snprintf(dir, sizeof(dir), "%.3000s/v%d", pin_dir, SP_ABI);
	for (size_t i = 0; i < load_programs_n; i++) {
		attach_pin(dir, &load_programs[i], path);
		p.links += access(path, F_OK) == 0;
	}
	if (p.links == 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "%.3100s/sp_config", dir);
	cleanup(closep) int fd = bpf_obj_get(path);

	if (fd >= 0 && bpf_map_lookup_elem(fd, &zero, &c) == 0) {
		uint64_t now = clock_mono_ns();

		p.listener_port = c.listener_port;
		if (c.heartbeat_ns)
			p.heartbeat_age_ns = now > c.heartbeat_ns ? now - c.heartbeat_ns : 0;
	}
	*out = p;
	return 0;
}
