/*
 * The kernel side as user space sees it: load, attach, fill, read. The only room that knows libbpf.
 *
 * Everything here is called by the monitor (root), but for origin_take() and mark_socket(), which
 * the unprivileged worker calls with descriptors that the monitor handed it.
 */
#ifndef KERN_KERN_H
#define KERN_KERN_H

#include "base/buf.h"
#include "base/slice.h"
#include "bpf/sallyport.h"

#include <stdint.h>

struct kern;

struct kern_options {
	const char *cgroup_path; /* cgroup v2 directory to attach to; NULL: the v2 root */
	const char *pin_dir;     /* below a bpffs: links and maps outlive us; NULL: they do not */
	bool redirect;           /* false: observe only; no program that can change a connection is
				  * attached (connect programs then only watch) */
};

/*
 * Loads and attaches every program of programs.def. With pin_dir, maps and links that are already
 * pinned there are adopted and their programs replaced atomically.
 *
 * 0, or -errno with `why` telling which program or feature failed and the remedy, one line:
 * -EPERM not root or another program holds the hook, -ENOTSUP kernel too old, -ENOENT no cgroup v2.
 */
int kern_open(const struct kern_options *o, struct kern **out, struct buf *why);
/* Detaches what is not pinned. NULL is fine. */
void kern_close(struct kern *k);
/* Removes pinned links and maps: the host is as before. 0 also when there is nothing. */
int kern_disarm(const char *pin_dir);

/* A host pattern of the catalogue for the kernel's tables. provider: number from 1. */
struct kern_name {
	const char *pattern; /* lower case; exact "api.openai.com", or with "*" for one or more of
			      * [a-z0-9-] ("*-aiplatform.googleapis.com", "bedrock.*.api.aws") */
	bool suffix;         /* the host and every subdomain */
	uint32_t provider;
};
/* Replaces the whole table. 0, -E2BIG, -errno. */
int kern_names_set(struct kern *k, const struct kern_name *names, size_t n);
/* What the kernel would answer for this DNS name: a provider's number or 0. Same table. */
uint32_t kern_name_match(struct kern *k, struct slice host);

/* expires_ns 0 = never. */
int kern_host_put(struct kern *k, const uint8_t addr[16], uint32_t provider, struct slice name,
		  uint64_t expires_ns);
/* -ENOENT when unknown. */
int kern_host_find(struct kern *k, const uint8_t addr[16], struct sp_host *out);

struct kern_mode {
	struct sp_scope scope;
	struct sp_mode_entry entry;
};
/* Replaces the whole table; entries not in the list are removed after the new ones are in. */
int kern_modes_set(struct kern *k, const struct kern_mode *modes, size_t n);

/* port 0: nothing is redirected, the fail modes decide. */
int kern_listener_port_set(struct kern *k, uint16_t port);
/* Also says that the daemon lives: older than 2 s, and the fail modes decide. */
int kern_heartbeat(struct kern *k, uint64_t now_ns);
/* UDP to a provider's port 443 is refused where the mode enforces; on when redirecting. */
int kern_quic_refuse_set(struct kern *k, bool refuse);

/* Descriptors for origin_take() and mark_socket(), to be sent to the worker; owned by k. */
int kern_origins_fd(const struct kern *k);
int kern_marks_fd(const struct kern *k);

/* Readable when events wait. Borrowed. */
int kern_events_fd(const struct kern *k);
/* Hands out all that wait, without blocking; how many, or -errno. */
int kern_events(struct kern *k, void (*fn)(void *ctx, const struct sp_event *e), void *ctx);

/* Sums over CPUs. */
int kern_counters(struct kern *k, uint64_t out[SP_COUNT_N]);
extern const char *const kern_counter_names[SP_COUNT_N]; /* "connects", "redirected", ... */

/*
 * In the worker. Looks up and deletes the origin of an accepted connection; `key` is made from
 * SO_NETNS_COOKIE and the peer's address. 0, -ENOENT (somebody dialled the listener), -errno.
 */
int origin_take(int origins_fd, const struct sp_origin_key *key, struct sp_origin *out);
/* Marks a socket of ours (listener or upstream, before connect) so that no hook touches it. */
int mark_socket(int marks_fd, int socket_fd);

/* Mount point of cgroup v2 into out. 0, -ENOENT (none), -errno. */
int kern_cgroup_root(char *out, size_t size);

/* What this kernel can do, for `sallyport doctor`: a line a feature, with what is lost without. */
struct kern_feature {
	const char *name;    /* "cgroup/connect4" */
	bool there;
	bool required;       /* for redirect; false: degraded without */
	const char *without; /* "IPv4 connections cannot be redirected" */
};
/* How many of out were filled, or -errno. Loads every program, attaches none. */
int kern_features(struct kern_feature *out, size_t max);

/* A program on one of our hooks. */
struct kern_attached {
	const char *hook;
	uint32_t id;
	char name[16];
	bool ours;   /* by its name: for display */
	bool alone;  /* attached without BPF_F_ALLOW_MULTI: keeps every other one out */
};
/* Who holds our hooks on `cgroup` (NULL: the root). How many of out were filled, or -errno. */
int kern_attached(const char *cgroup, struct kern_attached *out, size_t max);

struct kern_pins {
	size_t links;
	uint64_t heartbeat_age_ns; /* of the daemon's last sign of life; ~0 never */
	uint32_t listener_port;
};
/* What is pinned below pin_dir. -ENOENT when nothing is. */
int kern_pins(const char *pin_dir, struct kern_pins *out);

#endif
