/*
 * sp_task -> principal, in the monitor: /proc, cgroupfs, user database; cached by (pid, start time),
 * so that a pid that was given to another process is never believed.
 */
#ifndef IDENT_WHOIS_H
#define IDENT_WHOIS_H

#include "bpf/sallyport.h"
#include "ident/principal.h"

#include <stddef.h>

struct whois;

struct whois_options {
	const char *proc;     /* "/proc"; tests give a recorded tree */
	const char *cgroupfs; /* "/sys/fs/cgroup": mount point of cgroup v2 (…/unified on a hybrid host); NULL: find it */
	size_t cache_max;     /* principals kept */
};

int whois_new(const struct whois_options *o, struct whois **out);
void whois_free(struct whois *w);

/*
 * Never fails: what cannot be read stays empty and `exited` is set when the process was gone (or its
 * pid belongs to another start time): then exe, ancestors and cgroup come from the kernel's record.
 * The executable's digest is computed once per (dev, inode, mtime, size), off a file of at most 1 GiB.
 */
void whois_resolve(struct whois *w, const struct sp_task *task, struct principal *out);

/* cgroup id of a systemd unit or cgroup path pattern (glob): up to max ids; how many there are. */
size_t whois_unit_cgroups(struct whois *w, const char *unit_glob, uint64_t *ids, size_t max);

#endif
