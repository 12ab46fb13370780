/*
 * sp_task -> principal, in the monitor: /proc, cgroupfs, user database; cached by (pid, start time),
 * so that a pid that was given to another process is never believed.
 *
 * uid, gid, login uid, cgroup and parents are the kernel's words of the moment of connect(), also when
 * the process has changed since; /proc adds names, the executable and further ancestors. An executable
 * that the process took on after the connect (execve) is not believed either.
 * Paths are those of the caller's mount namespace, which who owns that can arrange: trust a path only
 * together with a unit or a digest. Container ids in a user's delegated tree: see ident/container.h.
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
 * pid belongs to another start time): then exe, ancestors and cgroup come from the kernel's record, and
 * the digest is of the file at that path if it still is the same inode.
 * The executable's digest is computed once per (dev, inode, mtime, ctime, size), off a file of at most
 * 1 GiB: its owner can put an old mtime back, but not the ctime.
 */
void whois_resolve(struct whois *w, const struct sp_task *task, struct principal *out);

/* cgroup id of a systemd unit or cgroup path pattern (glob): up to max ids; how many there are. */
size_t whois_unit_cgroups(struct whois *w, const char *unit_glob, uint64_t *ids, size_t max);

#endif
