/*
 * Who is calling, in the kernel's words. Plain data of fixed size: it crosses processes in messages
 * and is copied into records. comm is for display and never part of identity.
 */
#ifndef IDENT_PRINCIPAL_H
#define IDENT_PRINCIPAL_H

#include "base/digest.h"

#include <stdbool.h>
#include <stdint.h>

#define PRINCIPAL_ANCESTORS 8

struct principal {
	uint64_t start_ns;     /* CLOCK_BOOTTIME */
	uint64_t cgroup_id;
	uint32_t pid;          /* thread group */
	uint32_t uid, gid;
	uint32_t loginuid;     /* ~0 unset */
	bool exited;           /* gone before /proc could be read: kernel facts only */
	bool digest_known;
	bool exe_deleted;      /* the file was removed or replaced under the running process */
	uint8_t n_ancestors;
	unsigned char digest[DIGEST_LEN]; /* SHA-256 of the executable */
	char user[33], login_user[33], group[33];
	char comm[16];
	char exe[256];         /* path as in the caller's mount namespace; "" unknown */
	char cgroup[256];      /* path below the cgroup v2 root */
	/* systemd unit: "billing.service", "session-3.scope"; of a user's own manager, who may name it as
	 * he likes, "user@1000.service/billing.service"; "" none */
	char unit[128];
	char slice[128];       /* "user-1000.slice" */
	char container[72];    /* container id; "" none */
	char pod[40];          /* Kubernetes pod uid; "" none */
	struct {
		uint64_t start_ns;
		uint32_t pid;
		char comm[16];
		char exe[128];
	} ancestor[PRINCIPAL_ANCESTORS]; /* parent first */
};

/*
 * A stable name for "the same caller": uid, executable digest (or path), unit or container; not the
 * pid, and of a scope (made anew for each session or run) only its slice. The key of the inventory and
 * of per-caller budgets. Never 0.
 */
uint64_t principal_key(const struct principal *p);

/* One readable line: "billing.service python3 (alice, pid 812)". */
void principal_text(const struct principal *p, char *out, size_t size);

#endif
