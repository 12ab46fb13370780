/*
 * cgroup path -> container and pod: Docker, containerd (CRI, nerdctl), CRI-O, Podman, Kubernetes with
 * both cgroup drivers, LXC, systemd-nspawn. In a tree that is delegated to a user (user@.service) he
 * chose the id himself: select such callers by uid as well.
 */
#ifndef IDENT_CONTAINER_H
#define IDENT_CONTAINER_H

#include "base/slice.h"

#define CONTAINER_ID_LEN 72
#define CONTAINER_POD_LEN 40

/* "" where there is none. True when a container was found. */
bool container_find(struct slice cgroup_path, char id[CONTAINER_ID_LEN], char pod[CONTAINER_POD_LEN]);

#endif
