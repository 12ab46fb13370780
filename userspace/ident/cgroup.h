/*
 * cgroup v2: id (the inode number of its directory) -> path -> systemd unit and slice
 * (systemd.unit(5), systemd.slice(5), CGROUP_DELEGATION.md).
 */
#ifndef IDENT_CGROUP_H
#define IDENT_CGROUP_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Where cgroup v2 is mounted (/proc/self/mountinfo; "unified" below it on a hybrid host). The mount
 * of the whole tree is preferred to one of a part. 0, -ENOENT, -ENAMETOOLONG. */
int cgroup_mount_find(const char *proc, char *out, size_t size);

/* Path below the mount, "/system.slice/ssh.service". By file handle where the kernel lets us, by a
 * walk otherwise. 0, -ENOENT (gone), -ENAMETOOLONG, -errno. */
int cgroup_path(const char *mount, uint64_t id, char *out, size_t size);

/*
 * The outermost unit of a path: what runs in a delegated tree cannot name itself after another unit.
 * For a user's own manager both: "user@1000.service/app.service". Cut to size; "" none.
 * Returns the length of the path up to the end of the unit's own directory, 0 none.
 */
size_t cgroup_unit(struct slice path, char *unit, size_t unit_size, char *slice, size_t slice_size);

/*
 * Ids of the cgroups of units (or whole paths, when the pattern holds a '/' first) that match a glob;
 * the topmost of each branch. How many there are, also when more than max.
 */
size_t cgroup_find(const char *mount, const char *glob, uint64_t *ids, size_t max);

#endif
