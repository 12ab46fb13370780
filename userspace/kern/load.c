/* Objects and the maps they share; knows libbpf's loading, not where programs are attached. */
#include "kern/load.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OBJECT(file)
#define PROGRAM(object, function, hook, type, need, without)                                       \
	{ #object, #function, hook, type, need, without },
const struct program_def load_programs[] = {
#include "kern/programs.def"
};
const size_t load_programs_n = ARRAY_LEN(load_programs);
#undef OBJECT
#undef PROGRAM

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "skels.h"
#pragma GCC diagnostic pop

static const struct {
	const char *name;
	const void *(*elf)(size_t *size);
} objects[] = {
#define OBJECT(file) { #file, file##_bpf__elf_bytes },
#define PROGRAM(object, function, hook, type, need, without)
#include "kern/programs.def"
#undef OBJECT
#undef PROGRAM
};

/* libbpf tells the reason only through its logger: the last warning is kept for `why`. */
static char last_warning[512];

static int printer(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[512];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (n <= 0 || level == LIBBPF_DEBUG)
		return 0;
	line[strcspn(line, "\n")] = '\0';
	log_debug("libbpf says=\"%s\"", line);
	if (level == LIBBPF_WARN && strstr(line, "prog '"))
		memcpy(last_warning, line, sizeof(line));
	return 0;
}

void maps_done(struct maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		close(m->at[i].fd);
	m->n = 0;
}

int maps_fd(const struct maps *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->at[i].name, name) == 0)
			return m->at[i].fd;
	return -1;
}

/* Takes the descriptor over. */
static int maps_add(struct maps *m, const char *name, int fd)
{
	if (m->n == ARRAY_LEN(m->at)) {
		close(fd);
		return -E2BIG;
	}
	snprintf(m->at[m->n].name, sizeof(m->at[0].name), "%s", name);
	m->at[m->n++].fd = fd;
	return 0;
}

static bool same_layout(int fd, const struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return false;
	/* A ring buffer's pages and a mapped array keep the size they were made with. */
	return info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

static struct bpf_object *object_open(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		LIBBPF_OPTS(bpf_object_open_opts, o, .object_name = name);
		size_t size;
		const void *elf = objects[i].elf(&size);

		if (strcmp(objects[i].name, name) == 0)
			return bpf_object__open_mem(elf, size, &o);
	}
	errno = ENOENT;
	return NULL;
}

void load_objectp(struct bpf_object **o)
{
	bpf_object__close(*o);
}

int maps_adopt(struct maps *m, const char *dir)
{
	cleanup(load_objectp) struct bpf_object *obj = object_open(objects[0].name);
	struct bpf_map *map;

	if (!obj)
		return -errno;
	bpf_object__for_each_map(map, obj) {
		char path[PATH_MAX];
		int fd, r;

		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, bpf_map__name(map));
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		if (!same_layout(fd, map)) {
			log_warn("pinned map has another layout, made new map=%s", path);
			close(fd);
			(void)unlink(path);
			continue;
		}
		r = maps_add(m, bpf_map__name(map), fd);
		if (r < 0)
			return r;
	}
	return 0;
}

int maps_pin(const struct maps *m, const char *dir)
{
	for (size_t i = 0; i < m->n; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", dir, m->at[i].name);
		if (bpf_obj_pin(m->at[i].fd, path) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int maps_share(struct bpf_object *obj, const struct maps *m, bool watch_only)
{
	__u32 yes = watch_only;
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);
		int fd = maps_fd(m, name), r = 0;

		if (bpf_map__is_internal(map)) {
			if (strstr(name, ".rodata.config"))
				r = bpf_map__set_initial_value(map, &yes, sizeof(yes));
		} else if (fd >= 0) {
			r = bpf_map__reuse_fd(map, fd);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int maps_collect(struct bpf_object *obj, struct maps *m)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		int fd, r;

		if (bpf_map__is_internal(map) || maps_fd(m, bpf_map__name(map)) >= 0)
			continue;
		fd = dup(bpf_map__fd(map));
		if (fd < 0)
			return -errno;
		r = maps_add(m, bpf_map__name(map), fd);
		if (r < 0)
			return r;
	}
	return 0;
}

int load_object(const char *object, bool watch_only, struct maps *m, struct bpf_object **out,
		struct buf *why)
{
	cleanup(load_objectp) struct bpf_object *obj = NULL;
	int r;

	libbpf_set_print(printer);
	last_warning[0] = '\0';
	obj = object_open(object);
	r = obj ? maps_share(obj, m, watch_only) : -errno;
	if (r == 0)
		r = bpf_object__load(obj);
	if (r == 0)
		r = maps_collect(obj, m);
	if (r < 0) {
		(void)buf_printf(why, "bpf/%s.bpf.c: the kernel did not load it: %s%s%s", object,
				 strerror(-r), last_warning[0] ? ": " : "", last_warning);
		return r == -EINVAL || r == -EACCES || r == -ESRCH ? -ENOTSUP : r;
	}
	*out = take(obj);
	return 0;
}
