/*
 * One process out of /proc, safe against pid reuse: everything is read through one descriptor of its
 * directory (which goes dead with the process) and the start time is compared before and after.
 */
#ifndef IDENT_PROC_H
#define IDENT_PROC_H

#include "ident/principal.h"

#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	uint64_t start_ticks; /* field 22 of /proc/pid/stat: clock ticks since boot */
	uint32_t ppid;
	char comm[16];
};

/* A kernel start time (task->start_boottime) in the ticks that /proc shows. */
uint64_t proc_ticks(uint64_t start_boot_ns);
/* And back, to the tick. */
uint64_t proc_start_ns(const struct proc_stat *st);

/*
 * Opens /proc/<pid> when it still is the process that began at start_boot_ns (0: whoever it is now).
 * A descriptor, -ESRCH (gone, or the pid has another owner), -errno.
 */
int proc_open(const char *proc, uint32_t pid, uint64_t start_boot_ns, struct proc_stat *out);
/* The same process still? 0 or -ESRCH. */
int proc_still(int dir, const struct proc_stat *was);

/* /proc/pid/exe: the path, and a descriptor of the very file for its digest (-1 when it cannot be
 * opened; the caller closes it). *deleted: no longer there under that name. 0 or -errno. */
int proc_exe(int dir, char *path, size_t size, int *fd, bool *deleted);

/* cgroup v2 path of the process: the "0::" line. 0, -ENOENT, -errno. */
int proc_cgroup(int dir, char *path, size_t size);

#endif
