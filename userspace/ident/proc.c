/* /proc/pid. */
#include "ident/proc.h"

#include "base/buf.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAT_MAX 4096U
#define STAT_PPID 4   /* proc(5) */
#define STAT_START 22
#define DELETED " (deleted)"

static uint64_t tick_ns(void)
{
	static long hz;

	if (hz <= 0)
		hz = sysconf(_SC_CLK_TCK);
	return 1000000000U / (uint64_t)(hz > 0 ? hz : 100);
}

uint64_t proc_ticks(uint64_t start_boot_ns)
{
	return start_boot_ns / tick_ns();
}

uint64_t proc_start_ns(const struct proc_stat *st)
{
	return st->start_ticks * tick_ns();
}

static int read_at(int dir, const char *name, char *text, size_t size)
{
	cleanup(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t got = read(fd, text + n, size - 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		n += (size_t)got;
		if (got == 0 || n == size - 1)
			break;
	}
	text[n] = '\0';
	return 0;
}

/* comm may hold blanks and parentheses: the last ')' ends it. */
static int stat_parse(char *text, struct proc_stat *out)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')'), *save = NULL, *word;
	int field = 2;

	if (!open || !close || close < open)
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	slice_copy(out->comm, sizeof(out->comm), slice_of(open + 1, (size_t)(close - open - 1)));
	for (word = strtok_r(close + 1, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		field++;
		if (field == STAT_PPID)
			out->ppid = (uint32_t)strtoul(word, NULL, 10);
		if (field == STAT_START) {
			out->start_ticks = strtoull(word, NULL, 10);
			return 0;
		}
	}
	return -EBADMSG;
}

static int stat_read(int dir, struct proc_stat *out)
{
	char text[STAT_MAX];
	int r = read_at(dir, "stat", text, sizeof(text));

	return r < 0 ? r : stat_parse(text, out);
}

int proc_open(const char *proc, uint32_t pid, uint64_t start_boot_ns, struct proc_stat *out)
{
	char path[PATH_MAX];
	struct proc_stat st;
	int dir, r;

	(void)snprintf(path, sizeof(path), "%s/%u", proc, pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = stat_read(dir, &st);
	if (r == 0 && start_boot_ns && st.start_ticks != proc_ticks(start_boot_ns))
		r = -ESRCH;
	if (r < 0) {
		(void)close(dir);
		return r == -ENOENT ? -ESRCH : r;
	}
	*out = st;
	return dir;
}

int proc_still(int dir, const struct proc_stat *was)
{
	struct proc_stat now;

	return stat_read(dir, &now) == 0 && now.start_ticks == was->start_ticks ? 0 : -ESRCH;
}

/* A file may really be called "x (deleted)": then it is there under that name. */
static bool really_called(int dir, struct slice name, int fd)
{
	char path[PATH_MAX + 8];
	struct stat is, was;

	(void)snprintf(path, sizeof(path), "root%.*s", SLICE_FMT(name));
	return fd >= 0 && fstat(fd, &was) == 0 && fstatat(dir, path, &is, 0) == 0 &&
	       is.st_ino == was.st_ino && is.st_dev == was.st_dev;
}

int proc_exe(int dir, char *path, size_t size, int *fd, bool *deleted)
{
	char link[PATH_MAX];
	ssize_t n = readlinkat(dir, "exe", link, sizeof(link) - 1);
	struct slice text;

	if (n < 0)
		return -errno;
	text = slice_of(link, (size_t)n);
	*fd = openat(dir, "exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	*deleted = slice_ends(text, SLICE(DELETED)) && !really_called(dir, text, *fd);
	if (*deleted)
		text = slice_sub(text, 0, text.len - sizeof(DELETED) + 1);
	slice_copy(path, size, text);
	return 0;
}

int proc_cgroup(int dir, char *path, size_t size)
{
	char text[STAT_MAX], *line, *save = NULL;
	int r = read_at(dir, "cgroup", text, sizeof(text));

	if (r < 0)
		return r;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		slice_copy(path, size, slice_str(line + 3));
		return 0;
	}
	return -ENOENT;
}
