/* cgroup ids, paths and units. */
#include "ident/cgroup.h"

#include "base/def.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WALK_DEPTH 32
#define WALK_MAX 65536U      /* directories looked at in one walk */
#define HANDLE_KERNFS 0xfe   /* FILEID_KERNFS of linux/exportfs.h: the handle is the 64-bit id */

int cgroup_mount_find(const char *proc, char *out, size_t size)
{
	cleanup(freep) char *line = NULL;
	char path[PATH_MAX];
	bool found = false;
	size_t cap = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/self/mountinfo", proc);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0) {
		char root[256], at[256];
		const char *type = strstr(line, " - ");

		if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0 ||
		    sscanf(line, "%*d %*d %*s %255s %255s", root, at) != 2)
			continue;
		if (found && strcmp(root, "/") != 0)
			continue;
		if (strlen(at) >= size)
			continue;
		memcpy(out, at, strlen(at) + 1);
		found = true;
		if (strcmp(root, "/") == 0)
			break;
	}
	(void)fclose(f);
	return found ? 0 : -ENOENT;
}

static int path_by_handle(const char *mount, uint64_t id, char *out, size_t size)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} u = { .h = { .handle_bytes = sizeof(id), .handle_type = HANDLE_KERNFS } };
	cleanup(closep) int top = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(closep) int fd = -1;
	char link[64], full[PATH_MAX], real[PATH_MAX];
	struct statfs fs;
	size_t skip;
	ssize_t n;

	if (top < 0 || fstatfs(top, &fs) < 0)
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EOPNOTSUPP;
	memcpy(u.room + offsetof(struct file_handle, f_handle), &id, sizeof(id));
	fd = open_by_handle_at(top, &u.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, full, sizeof(full) - 1);
	if (n < 0 || !realpath(mount, real))
		return -errno;
	full[n] = '\0';
	skip = strcmp(real, "/") == 0 ? 0 : strlen(real);
	if (strncmp(full, real, skip) != 0 || (full[skip] != '/' && full[skip] != '\0') ||
	    slice_ends(slice_str(full), SLICE(" (deleted)")))
		return -ENOENT;
	if (strlen(full + skip) + 2 > size)
		return -ENAMETOOLONG;
	(void)snprintf(out, size, "%s", full[skip] ? full + skip : "/");
	return 0;
}

/* visit: 0 go on below, 1 not below this one, 2 stop. */
struct walk {
	int (*visit)(struct walk *w, const char *path, uint64_t id);
	size_t left;
	char path[PATH_MAX]; /* below the mount */
	const void *in;
	uint64_t id;
	uint64_t *ids;
	size_t n, max;
};

static int walk_below(struct walk *w, int dir, size_t len, int depth)
{
	DIR *d = fdopendir(dir);
	const struct dirent *e;
	int stop = 0;

	if (!d) {
		(void)close(dir);
		return 0;
	}
	while (!stop && (e = readdir(d))) {
		size_t name = strlen(e->d_name);
		struct stat st;
		int fd, r;

		if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) ||
		    len + name + 2 > sizeof(w->path) || w->left == 0)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		w->left--;
		w->path[len] = '/';
		memcpy(w->path + len + 1, e->d_name, name + 1);
		r = fstat(fd, &st) < 0 ? 1 : w->visit(w, w->path, st.st_ino);
		stop = r == 2;
		if (r == 0 && depth < WALK_DEPTH)
			stop = walk_below(w, fd, len + 1 + name, depth + 1);
		else
			(void)close(fd);
		if (!stop)
			w->path[len] = '\0';
	}
	(void)closedir(d);
	return stop;
}

static int walk_all(struct walk *w, const char *mount)
{
	int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	w->left = WALK_MAX;
	w->path[0] = '\0';
	return walk_below(w, fd, 0, 0);
}

static int visit_id(struct walk *w, const char *path UNUSED, uint64_t id)
{
	return id == w->id ? 2 : 0;
}

int cgroup_path(const char *mount, uint64_t id, char *out, size_t size)
{
	int r = path_by_handle(mount, id, out, size);
	struct walk w = { .visit = visit_id, .id = id };
	struct stat st;

	if (r != -EPERM && r != -EOPNOTSUPP && r != -EINVAL)
		return r;
	if (stat(mount, &st) == 0 && st.st_ino == id) {
		(void)snprintf(out, size, "/");
		return 0;
	}
	r = walk_all(&w, mount);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	if (strlen(w.path) >= size)
		return -ENAMETOOLONG;
	memcpy(out, w.path, strlen(w.path) + 1);
	return 0;
}

/* systemd puts '_' before names that the kernel could take for its own files. */
static struct slice part_next(struct slice *rest)
{
	const char *slash;
	struct slice part;

	while (rest->len && rest->ptr[0] == '/')
		*rest = slice_from(*rest, 1);
	slash = memchr(rest->ptr ? rest->ptr : "", '/', rest->len);
	part = slice_sub(*rest, 0, slash ? (size_t)(slash - rest->ptr) : rest->len);
	*rest = slice_from(*rest, part.len);
	return part.len && part.ptr[0] == '_' ? slice_from(part, 1) : part;
}

static bool is_unit(struct slice s)
{
	static const char *const kinds[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (s.len > strlen(kinds[i]) && slice_ends(s, slice_str(kinds[i])))
			return true;
	return false;
}

static bool is_slice(struct slice s)
{
	return s.len > 6 && slice_ends(s, SLICE(".slice"));
}

/* The first unit behind any slices; *last_slice the last of those. */
static struct slice unit_next(struct slice *rest, struct slice *last_slice)
{
	struct slice part;

	while ((part = part_next(rest)).len && is_slice(part))
		*last_slice = part;
	return is_unit(part) ? part : (struct slice){ NULL, 0 };
}

size_t cgroup_unit(struct slice path, char *unit, size_t unit_size, char *slice, size_t slice_size)
{
	struct slice rest = path, in_slice = { NULL, 0 }, ignored = { NULL, 0 }, own, inner;
	size_t end;

	unit[0] = slice[0] = '\0';
	own = unit_next(&rest, &in_slice);
	end = own.len ? path.len - rest.len : 0;
	if (in_slice.len)
		slice_copy(slice, slice_size, in_slice);
	if (!own.len)
		return 0;
	if (!in_slice.len)
		slice_copy(slice, slice_size, SLICE("-.slice"));
	slice_copy(unit, unit_size, own);
	if (slice_starts(own, SLICE("user@")) && slice_ends(own, SLICE(".service"))) {
		inner = unit_next(&rest, &ignored);
		if (inner.len && own.len + 1 + inner.len < unit_size) {
			unit[own.len] = '/';
			slice_copy(unit + own.len + 1, unit_size - own.len - 1, inner);
			end = path.len - rest.len;
		}
	}
	return end;
}

static int visit_glob(struct walk *w, const char *path, uint64_t id)
{
	const char *glob = w->in;
	char unit[256], slice[256];
	struct slice p = slice_str(path);
	bool own = cgroup_unit(p, unit, sizeof(unit), slice, sizeof(slice)) == p.len;
	const char *slash = strrchr(path, '/');
	bool hit;

	if (glob[0] == '/')
		hit = text_glob(glob, p);
	else if (own && unit[0])
		hit = text_glob(glob, slice_str(unit));
	else /* a slice's own directory: all before it are slices too, so nobody else made it */
		hit = !unit[0] && slash && strcmp(slash + 1, slice) == 0 &&
		      text_glob(glob, slice_str(slice));
	if (!hit)
		return 0;
	if (w->n < w->max)
		w->ids[w->n] = id;
	w->n++;
	return 1;
}

size_t cgroup_find(const char *mount, const char *glob, uint64_t *ids, size_t max)
{
	struct walk w = { .visit = visit_glob, .in = glob, .ids = ids, .max = max };

	(void)walk_all(&w, mount);
	return w.n;
}
