/* What the load generator measures besides time: CPU and memory of a cgroup's processes, percentiles. */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds on a CPU of all threads of all processes in the cgroup folder (and below it), from
 * /proc/PID/task/TID/schedstat: the exact sum behind utime + stime. */
uint64_t measure_cpu_ns(const char *cgroup);
/* Sum of the processes' resident sets, KB; shared pages count once a process. *pss_kb: shared ones
 * divided (NULL: not wanted). */
uint64_t measure_rss_kb(const char *cgroup, uint64_t *pss_kb);

struct samples {
	uint32_t *ns; /* capped at 4.29 s */
	size_t n, room;
};
void samples_add(struct samples *s, uint64_t ns);
/* Sorts; microseconds at the fraction (0.5, 0.99), 0 when empty. */
double samples_at(struct samples *s, double fraction);
void samples_done(struct samples *s);

#endif
