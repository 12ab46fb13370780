/* Opening and closing: which programs are wanted, what a missing one means, what stays pinned. */
#include "kern/load.h"

#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STALE_NS 2000000000ULL /* a daemon that is silent for 2 s counts as dead */
#define ROOT_CGROUP_INO 1      /* kernfs numbers the true root 1, a cgroup namespace's not */

static bool is_wanted(const struct program_def *def, bool redirect)
{
	return redirect || def->need != LIKE_REDIRECT;
}

static bool is_required(const struct program_def *def, bool redirect)
{
	return def->need == NEED_WATCH || (def->need == NEED_REDIRECT && redirect);
}

int kern_cgroup_root(char *out, size_t size)
{
	cleanup(freep) char *line = NULL;
	size_t cap = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int r = -ENOENT;

	if (!f)
		return -errno;
	while (r < 0 && getline(&line, &cap, f) > 0) {
		char at[PATH_MAX], *sep = strstr(line, " - cgroup2 ");

		if (sep && sscanf(line, "%*s %*s %*s %*s %4095s", at) == 1 &&
		    (size_t)snprintf(out, size, "%s", at) < size)
			r = 0;
	}
	(void)fclose(f);
	return r;
}

static int cgroup_open(struct kern *k, const char *path, struct buf *why)
{
	struct statfs fs;
	struct stat st;

	if (path)
		snprintf(k->cgroup, sizeof(k->cgroup), "%s", path);
	else if (kern_cgroup_root(k->cgroup, sizeof(k->cgroup)) < 0) {
		(void)buf_str(why, "no cgroup v2 mount: mount -t cgroup2 none /sys/fs/cgroup");
		return -ENOENT;
	}
	k->cgroup_fd = open(k->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->cgroup_fd < 0 || fstatfs(k->cgroup_fd, &fs) < 0 || fstat(k->cgroup_fd, &st) < 0) {
		int r = -errno;

		(void)buf_printf(why, "%s: %s", k->cgroup, strerror(-r));
		return r;
	}
	if (fs.f_type != CGROUP2_SUPER_MAGIC) {
		(void)buf_printf(why, "%s: not a cgroup v2 directory; give one with --cgroup",
				 k->cgroup);
		return -ENOENT;
	}
	/* Programs on a container's virtual root would cover the container and claim the host. */
	if (!path && st.st_ino != ROOT_CGROUP_INO) {
		(void)buf_printf(why,
				 "%s: this is the root of a cgroup namespace, not of the host; "
				 "run in the host's, or name a cgroup with --cgroup",
				 k->cgroup);
		return -EPERM;
	}
	return 0;
}

/* Links of a binary with another map layout: two generations at once would redirect twice. */
static void remove_other_versions(const char *pin_dir, const char *keep)
{
	DIR *d = opendir(pin_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[PATH_MAX];

		if (e->d_name[0] != 'v' || (keep && strcmp(e->d_name, keep) == 0))
			continue;
		snprintf(path, sizeof(path), "%.3000s/%.255s", pin_dir, e->d_name);
		cleanup(freep) struct dirent **names = NULL;
		int n = scandir(path, &names, NULL, NULL);

		for (int i = 0; i < n; i++) {
			char pin[PATH_MAX];

			snprintf(pin, sizeof(pin), "%.3400s/%.255s", path, names[i]->d_name);
			if (strncmp(names[i]->d_name, "link_", 5) == 0)
				attach_unpin(pin);
			else if (names[i]->d_name[0] != '.')
				(void)unlink(pin);
			free(names[i]);
		}
		(void)rmdir(path);
	}
	if (d)
		(void)closedir(d);
}

int kern_disarm(const char *pin_dir)
{
	if (access(pin_dir, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	remove_other_versions(pin_dir, NULL);
	return rmdir(pin_dir) < 0 && errno != ENOENT ? -errno : 0;
}

static int pins_open(struct kern *k, const char *dir, struct buf *why)
{
	char version[16];
	struct statfs fs;
	int r;

	snprintf(version, sizeof(version), "v%d", SP_ABI);
	if (snprintf(k->pins, sizeof(k->pins), "%.3000s/%s", dir, version) >= 3000)
		return -ENAMETOOLONG;
	r = file_mkdirs(k->pins, 0700);
	if (r == 0 && statfs(k->pins, &fs) < 0)
		r = -errno;
	if (r == 0 && fs.f_type != BPF_FS_MAGIC) {
		(void)rmdir(k->pins);
		(void)buf_printf(why, "%s: not below a bpffs; mount -t bpf bpf /sys/fs/bpf", dir);
		return -EINVAL;
	}
	if (r < 0) {
		(void)buf_printf(why, "%s: %s", k->pins, strerror(-r));
		return r;
	}
	remove_other_versions(dir, version);
	return maps_adopt(&k->maps, k->pins);
}

static int config_map(struct kern *k, bool redirect)
{
	void *p;

	k->config_len = (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, k->config_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		 maps_fd(&k->maps, "sp_config"), 0);
	if (p == MAP_FAILED)
		return -errno;
	k->config = p;
	if (!k->config->heartbeat_stale_ns)
		k->config->heartbeat_stale_ns = STALE_NS;
	k->config->refuse_quic = redirect;
	if (!redirect)
		k->config->listener_port = 0;
	return 0;
}

static int event_handle(void *ctx, void *data, size_t size)
{
	struct kern *k = ctx;

	if (size >= sizeof(struct sp_event) && k->event)
		k->event(k->event_ctx, data);
	return 0;
}

int kern_events_fd(const struct kern *k)
{
	return ring_buffer__epoll_fd(k->ring);
}

int kern_events(struct kern *k, void (*fn)(void *ctx, const struct sp_event *e), void *ctx)
{
	k->event = fn;
	k->event_ctx = ctx;
	return ring_buffer__consume(k->ring);
}

/* Loads what is wanted. objects[i] stays NULL for an optional one this kernel does not take. */
static int load_all(struct kern *k, bool redirect, struct bpf_object **objects, struct buf *why)
{
	for (size_t i = 0; i < load_programs_n; i++) {
		const struct program_def *def = &load_programs[i];
		char said[768];
		struct buf text;
		int r;

		if (!is_wanted(def, redirect) ||
		    (i && strcmp(def->object, load_programs[i - 1].object) == 0))
			continue;
		buf_init(&text, sizeof(said));
		r = load_object(def->object, !redirect, &k->maps, &objects[i], &text);
		slice_copy(said, sizeof(said), buf_slice(&text));
		buf_done(&text);
		if (r < 0 && is_required(def, redirect)) {
			(void)buf_printf(why,
					 "%s (lost: %s); sallyport doctor lists what is missing",
					 said, def->without);
			return r;
		}
		if (r < 0)
			log_info("went on without program=%s lost=\"%s\" reason=\"%s\"", def->hook,
				 def->without, said);
	}
	return 0;
}

static int attach_all(struct kern *k, bool redirect, struct bpf_object **objects, struct buf *why)
{
	struct bpf_object *obj = NULL;

	for (size_t i = 0; i < load_programs_n; i++) {
		const struct program_def *def = &load_programs[i];
		char path[PATH_MAX];
		size_t had = buf_size(why);
		int r;

		if (i == 0 || strcmp(def->object, load_programs[i - 1].object) != 0)
			obj = objects[i];
		if (!obj || !is_wanted(def, redirect)) {
			attach_pin(k->pins, def, path);
			if (k->pins[0])
				attach_unpin(path);
			continue;
		}
		r = attach_program(k, def, bpf_object__find_program_by_name(obj, def->function),
				   &k->links[i], why);
		if (r < 0 && is_required(def, redirect))
			return r;
		if (r < 0) {
			struct slice said = slice_from(buf_slice(why), had);

			log_info("went on without program=%s lost=\"%s\" reason=\"%.*s\"",
				 def->hook, def->without, SLICE_FMT(said));
			why->len -= said.len;
		}
	}
	return 0;
}

static bool has_pinned_links(const struct kern *k)
{
	for (size_t i = 0; k->pins[0] && i < load_programs_n; i++) {
		char path[PATH_MAX];

		attach_pin(k->pins, &load_programs[i], path);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static int open_all(struct kern *k, const struct kern_options *o, struct bpf_object **objects,
		    struct buf *why)
{
	int r = cgroup_open(k, o->cgroup_path, why);

	if (r == 0 && o->pin_dir)
		r = pins_open(k, o->pin_dir, why);
	if (r < 0)
		return r;
	bool armed = has_pinned_links(k);

	r = load_all(k, o->redirect, objects, why);
	if (r == 0 && k->pins[0] && (r = maps_pin(&k->maps, k->pins)) < 0)
		(void)buf_printf(why, "%s: cannot pin the maps: %s", k->pins, strerror(-r));
	if (r == 0 && (r = config_map(k, o->redirect)) < 0)
		(void)buf_printf(why, "sp_config: mmap: %s; kernel 5.5 or later is needed",
				 strerror(-r));
	if (r == 0) {
		k->ring = ring_buffer__new(maps_fd(&k->maps, "sp_events"), event_handle, k, NULL);
		if (!k->ring) {
			r = -errno;
			(void)buf_printf(why, "sp_events: %s", strerror(-r));
		}
	}
	if (r == 0)
		r = attach_all(k, o->redirect, objects, why);
	/* A start that failed leaves no half of the hooks behind; an armed host stays as it was. */
	if (r < 0 && o->pin_dir && !armed)
		(void)kern_disarm(o->pin_dir);
	return r;
}

static void kern_closep(struct kern **k)
{
	kern_close(*k);
}

int kern_open(const struct kern_options *o, struct kern **out, struct buf *why)
{
	cleanup(freep) struct bpf_object **objects = calloc(load_programs_n, sizeof(*objects));
	cleanup(kern_closep) struct kern *k = calloc(1, sizeof(*k));
	int r;

	if (!k || !objects)
		return -ENOMEM;
	k->cgroup_fd = -1;
	k->links = calloc(load_programs_n, sizeof(*k->links));
	if (!k->links)
		return -ENOMEM;
	if (geteuid() != 0) {
		(void)buf_str(why, "loading BPF programs needs root");
		return -EPERM;
	}
	r = open_all(k, o, objects, why);
	/* The links keep the programs; the objects are ELF and BTF nobody needs any more. */
	for (size_t i = 0; i < load_programs_n; i++)
		bpf_object__close(objects[i]);
	if (r == 0)
		*out = take(k);
	return r;
}

void kern_close(struct kern *k)
{
	if (!k)
		return;
	for (size_t i = 0; k->links && i < load_programs_n; i++)
		(void)bpf_link__destroy(k->links[i]);
	free(k->links);
	ring_buffer__free(k->ring);
	if (k->config)
		(void)munmap(k->config, k->config_len);
	names_unmap(k);
	maps_done(&k->maps);
	if (k->cgroup_fd >= 0)
		close(k->cgroup_fd);
	free(k);
}
