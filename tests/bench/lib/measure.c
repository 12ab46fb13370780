/* CPU and memory of a cgroup's processes; percentiles. */
#include "tests/bench/lib/measure.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*each_pid)(int pid);
static uint64_t sum, sum_pss;

static int each_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + ftw->base;
	FILE *f;
	int pid;

	(void)st;
	if (type != FTW_F || strcmp(name, "cgroup.procs") != 0)
		return 0;
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		each_pid(pid);
	if (f)
		fclose(f);
	return 0;
}

static uint64_t sum_over(const char *cgroup, void (*each)(int pid))
{
	sum = sum_pss = 0;
	each_pid = each;
	(void)nftw(cgroup, each_file, 16, FTW_PHYS);
	return sum;
}

static void add_cpu(int pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char file[400];
		unsigned long long ns;
		FILE *f;

		snprintf(file, sizeof(file), "%s/%s/schedstat", path, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(file, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &ns) == 1)
			sum += ns;
		fclose(f);
	}
	if (d)
		closedir(d);
}

static void add_rss(int pid)
{
	char path[64], line[256];
	unsigned long long kb;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Rss: %llu", &kb) == 1)
			sum += kb;
		if (sscanf(line, "Pss: %llu", &kb) == 1)
			sum_pss += kb;
	}
	if (f)
		fclose(f);
}

uint64_t measure_cpu_ns(const char *cgroup)
{
	return sum_over(cgroup, add_cpu);
}

uint64_t measure_rss_kb(const char *cgroup, uint64_t *pss_kb)
{
	uint64_t rss = sum_over(cgroup, add_rss);

	if (pss_kb)
		*pss_kb = sum_pss;
	return rss;
}

void samples_add(struct samples *s, uint64_t ns)
{
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 4096;
		uint32_t *p = reallocarray(s->ns, room, sizeof(*p));

		if (!p)
			abort();
		s->ns = p;
		s->room = room;
	}
	s->ns[s->n++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

double samples_at(struct samples *s, double fraction)
{
	size_t i = (size_t)((double)s->n * fraction);

	if (!s->n)
		return 0;
	qsort(s->ns, s->n, sizeof(*s->ns), by_value);
	return s->ns[i < s->n ? i : s->n - 1] / 1000.0;
}

void samples_done(struct samples *s)
{
	free(s->ns);
	memset(s, 0, sizeof(*s));
}
