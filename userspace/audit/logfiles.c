/* The files of the log, and their last lines. */
#include "audit/writer.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".jsonl"

/* "…/audit.jsonl" -> folder and "audit". */
static int split(const char *path, char dir[PATH_MAX], struct slice *stem)
{
	const char *slash = strrchr(path, '/');
	struct slice name = slice_str(slash ? slash + 1 : path);

	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	slice_copy(dir, PATH_MAX, slash ? slice_of(path, (size_t)(slash - path)) : SLICE("."));
	if (slash == path)
		slice_copy(dir, PATH_MAX, SLICE("/"));
	*stem = slice_ends(name, SLICE(SUFFIX)) ? slice_sub(name, 0, name.len - sizeof(SUFFIX) + 1) :
						 name;
	return 0;
}

static bool is_rotated(const char *name, struct slice stem)
{
	struct slice n = slice_str(name);

	if (!slice_starts(n, stem) || !slice_ends(n, SLICE(SUFFIX)) ||
	    n.len < stem.len + 2 + sizeof(SUFFIX) - 1 || n.ptr[stem.len] != '-')
		return false;
	n = slice_sub(n, stem.len + 1, n.len - sizeof(SUFFIX) + 1);
	for (size_t i = 0; i < n.len; i++)
		if (n.ptr[i] < '0' || n.ptr[i] > '9')
			return false;
	return true;
}

static int add(struct log_files *f, const char *dir, const char *name)
{
	char (*p)[PATH_MAX] = realloc(f->path, (f->n + 1) * sizeof(*f->path));

	if (!p)
		return -ENOMEM;
	f->path = p;
	if ((size_t)snprintf(f->path[f->n], PATH_MAX, "%s%s%s", dir, *dir ? "/" : "", name) >= PATH_MAX)
		return -ENAMETOOLONG;
	f->n++;
	return 0;
}

/* Numbers are padded with zeroes, so names sort as numbers do. */
static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int log_files_list(const char *path, struct log_files *out)
{
	struct log_files f = { 0 };
	char dir[PATH_MAX];
	const struct dirent *e;
	struct slice stem;
	int r = split(path, dir, &stem);
	DIR *d = r < 0 ? NULL : opendir(dir);

	if (!d)
		return r < 0 ? r : -errno;
	while (r == 0 && (e = readdir(d)))
		if (is_rotated(e->d_name, stem))
			r = add(&f, dir, e->d_name);
	(void)closedir(d);
	if (r == 0 && f.n)
		qsort(f.path, f.n, sizeof(*f.path), by_name);
	if (r == 0 && access(path, F_OK) == 0)
		r = add(&f, "", path);
	if (r < 0) {
		log_files_done(&f);
		return r;
	}
	*out = f;
	return 0;
}

void log_files_done(struct log_files *f)
{
	free(f->path);
	*f = (struct log_files){ 0 };
}

/* Where the lines above seq begin in a file, looking back from its end. */
static size_t begin_of(const char *text, size_t len, uint64_t seq)
{
	size_t at = len;

	while (at) {
		const char *nl = memrchr(text, '\n', at - 1);
		size_t begin = nl ? (size_t)(nl - text) + 1 : 0;
		struct chain_link l;

		if (text[at - 1] == '\n' &&
		    chain_parse(slice_of(text + begin, at - 1 - begin), &l) == 0 && l.seq <= seq)
			return at;
		at = begin;
	}
	return 0;
}

/* 1 when the file begins above seq, so that the one before it counts as well. */
static int file_since(const char *path, uint64_t seq, bool call,
		      void (*each)(void *arg, const struct chain_link *line), void *arg)
{
	cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const char *text, *nl;
	size_t at, begin, len;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return 1;
	len = (size_t)st.st_size;
	text = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	begin = begin_of(text, len, seq);
	for (at = begin; call && at < len && (nl = memchr(text + at, '\n', len - at));) {
		size_t end = (size_t)(nl - text);
		struct chain_link l;

		if (chain_parse(slice_of(text + at, end - at), &l) == 0)
			each(arg, &l);
		at = end + 1;
	}
	(void)munmap((void *)text, len);
	return begin == 0;
}

int log_since(const char *path, uint64_t seq,
	      void (*each)(void *arg, const struct chain_link *line), void *arg)
{
	struct log_files f = { 0 };
	int r = log_files_list(path, &f);
	size_t from;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (from = f.n; from > 0;) {
		r = file_since(f.path[--from], seq, false, each, arg);
		if (r <= 0)
			break;
	}
	for (; r >= 0 && from < f.n; from++)
		r = file_since(f.path[from], seq, true, each, arg);
	log_files_done(&f);
	return MIN(r, 0);
}
