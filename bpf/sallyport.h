/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The ABI between the kernel programs and user space: map keys, map values, events. The one header
 * that both sides include. Fixed-width types, host byte order unless a comment says otherwise.
 * Addresses are canonical everywhere: 16 bytes, IPv4 as ::ffff:a.b.c.d, network byte order.
 */
#ifndef SALLYPORT_BPF_H
#define SALLYPORT_BPF_H

#include <linux/types.h>

#define SP_NAME_LEN 128 /* a host name with its NUL; longer DNS names are reported cut */
#define SP_COMM_LEN 16
#define SP_EXE_LEN 128
#define SP_ANCESTORS 4
#define SP_ABI 1 /* part of the pinned directory's name; raised when a layout below changes */

/* The mode of a rule, in the order of what it may do. */
enum sp_mode { SP_MODE_OBSERVE = 0, SP_MODE_MONITOR = 1, SP_MODE_ENFORCE = 2 };

/* Who called connect(), as the kernel knows it at that moment; part of origins and of events. */
struct sp_task {
	__u64 start_boot_ns;  /* start of the process (group leader), CLOCK_BOOTTIME */
	__u64 cgroup;         /* cgroup v2 id of the task */
	__u64 exe_ino;        /* inode of /proc/<tgid>/exe; 0 unknown */
	__u32 exe_dev;        /* its s_dev as in stat(2) major:minor, kernel encoding */
	__u32 tgid;
	__u32 uid;
	__u32 gid;
	__u32 loginuid;       /* ~0 when unset */
	__u32 flags;          /* SP_TASK_* */
	char comm[SP_COMM_LEN];   /* for display only, never identity */
	char exe[SP_EXE_LEN];     /* as given to execve(), when it was seen; "" otherwise */
	struct {
		__u64 start_boot_ns;
		__u32 tgid;
		__u32 pad;
		char comm[SP_COMM_LEN];
	} ancestor[SP_ANCESTORS]; /* parent first; tgid 0 ends the list */
};
#define SP_TASK_KTHREAD 1U

/* Map sp_origins: where the application wanted to connect. */
struct sp_origin_key {
	__u64 netns;    /* netns cookie */
	__u8 addr[16];  /* local address of the application's socket */
	__u32 port;     /* its local port */
	__u32 pad;
};

struct sp_origin {
	struct sp_task task;
	__u64 cookie;      /* socket cookie */
	__u64 netns;       /* netns cookie */
	__u64 sk_cgroup;   /* cgroup the socket was created in; 0 unknown */
	__u64 time_ns;     /* CLOCK_MONOTONIC of the connect */
	__u8 addr[16];     /* what was dialled */
	__u32 port;
	__u32 provider;    /* number in the catalogue, from 1; 0 unknown */
	__u32 mode;        /* enum sp_mode that led to the redirect */
	__u32 flags;       /* SP_ORIGIN_* */
	char host[SP_NAME_LEN]; /* the name that answered with this address; "" unknown */
};
#define SP_ORIGIN_MAPPED 1U /* dialled as a v4-mapped IPv6 address */

/* Map sp_hosts: address -> provider. */
struct sp_host {
	__u64 expires_ns;  /* CLOCK_MONOTONIC; ~0 never. Kept past expiry for a grace of one hour */
	__u32 provider;
	__u32 flags;       /* SP_HOST_* */
	char name[SP_NAME_LEN];
};
#define SP_HOST_DNS 1U     /* learned from an answer in the kernel */
#define SP_HOST_STATIC 2U  /* put by user space: prefetch, /etc/hosts, published ranges */
#define SP_HOST_HELLO 4U   /* learned from a server name in a ClientHello */

/* Map sp_modes: first of {task's cgroup or one of its ancestors, uid, any} that is there wins. */
enum sp_scope_kind { SP_SCOPE_ANY = 0, SP_SCOPE_UID = 1, SP_SCOPE_CGROUP = 2 };
struct sp_scope {
	__u64 id;        /* uid or cgroup id; 0 for ANY */
	__u32 kind;      /* enum sp_scope_kind */
	__u32 provider;  /* 0 = every provider; looked up after the exact one */
};
struct sp_mode_entry {
	__u32 mode;        /* enum sp_mode */
	__u32 fail_closed; /* proxy not there: 1 refuse with ECONNREFUSED, 0 pass and count */
};

/* Map sp_config, index 0. */
struct sp_config {
	__u64 heartbeat_ns;       /* CLOCK_MONOTONIC of the daemon's last sign of life */
	__u64 heartbeat_stale_ns; /* older than this: the daemon counts as dead */
	__u32 listener_port;      /* same in every namespace, on 127.0.0.1 and ::1; 0 none */
	__u32 refuse_quic;        /* 1: UDP to a provider's port 443 is refused where the mode enforces */
};

/* Map sp_counters: per CPU array, index = enum. Names in kern/counters.def order. */
enum sp_counter {
	SP_COUNT_CONNECTS,        /* TCP connects to a provider's address */
	SP_COUNT_REDIRECTED,
	SP_COUNT_OBSERVED,        /* passed: the mode is observe */
	SP_COUNT_FAILED_OPEN,     /* passed: proxy absent and the rule fails open */
	SP_COUNT_REFUSED,         /* ECONNREFUSED: proxy absent and the rule fails closed */
	SP_COUNT_OWN,             /* our own marked sockets */
	SP_COUNT_LISTENER_DIALLED,/* direct connects to our listener, refused */
	SP_COUNT_QUIC_REFUSED,
	SP_COUNT_DNS_ANSWERS,     /* answers parsed */
	SP_COUNT_DNS_MATCHED,     /* addresses learned from them */
	SP_COUNT_HELLOS,          /* ClientHellos read at egress */
	SP_COUNT_HELLO_LATE,      /* a provider's name on an address not known until then */
	SP_COUNT_EVENTS_LOST,
	SP_COUNT_MAP_FULL,
	SP_COUNT_N,
};

/* Ring buffer sp_events. */
enum sp_event_kind {
	SP_EVENT_CONNECT = 1, /* verdict says what happened to it */
	SP_EVENT_CLOSE = 2,   /* of an observed or passed connection: bytes both ways */
	SP_EVENT_HELLO = 3,   /* a provider's server name on an unknown address */
	SP_EVENT_QUIC = 4,    /* UDP datagram to a provider's port 443 */
	SP_EVENT_DIALLED = 5, /* direct connect to the listener */
};
enum sp_verdict {
	SP_PASSED_OBSERVE = 1,
	SP_REDIRECTED = 2,
	SP_PASSED_OPEN = 3,
	SP_REFUSED = 4,
};
struct sp_event {
	__u32 kind;      /* enum sp_event_kind */
	__u32 verdict;   /* enum sp_verdict */
	__u64 time_ns;   /* CLOCK_MONOTONIC */
	__u64 netns;
	__u64 cookie;
	__u64 bytes_out; /* CLOSE: sent by the application and acknowledged */
	__u64 bytes_in;
	__u64 opened_ns; /* CLOSE: time of the connect */
	__u8 addr[16];
	__u32 port;
	__u32 provider;
	struct sp_task task;
	char host[SP_NAME_LEN];
};

_Static_assert(sizeof(struct sp_task) == 192 + SP_ANCESTORS * 32, "sp_task layout");
_Static_assert(sizeof(struct sp_origin_key) == 32, "sp_origin_key layout");
_Static_assert(sizeof(struct sp_origin) == sizeof(struct sp_task) + 64 + SP_NAME_LEN, "sp_origin layout");
_Static_assert(sizeof(struct sp_host) == 16 + SP_NAME_LEN, "sp_host layout");
_Static_assert(sizeof(struct sp_scope) == 16, "sp_scope layout");
_Static_assert(sizeof(struct sp_event) == 80 + sizeof(struct sp_task) + SP_NAME_LEN, "sp_event layout");

#endif
