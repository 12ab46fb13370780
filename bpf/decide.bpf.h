/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What every hook asks: whose address is it, which mode applies, is the proxy alive; and counts. */
#ifndef SALLYPORT_DECIDE_BPF_H
#define SALLYPORT_DECIDE_BPF_H

#include "bpf/task.bpf.h"

#define SECOND_NS 1000000000ULL
#define HOST_GRACE_NS (3600 * SECOND_NS) /* applications use addresses past their TTL */
#define CGROUP_LEVELS 8

/* Set by the loader before load; true: the verifier drops every path that changes a connection. */
const volatile __u32 watch_only SEC(".rodata.config") = 0;

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&sp_counters, &what);

	if (n)
		*n += 1; /* per CPU; a softirq between load and store loses one, seldom */
}

static __always_inline struct sp_config *config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sp_config, &zero);
}

static __always_inline void canonical4(__u8 addr[16], __u32 ip4)
{
	__u32 *w = (__u32 *)addr;

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = ip4;
}

static __always_inline bool is_mapped(const __u32 w[4])
{
	return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

/* 127/8, 0.0.0.0/8, their mapped forms, :: and ::1: this machine, whatever it is written as. */
static __always_inline bool is_local(const __u32 w[4])
{
	__u32 top = bpf_ntohl(w[3]) >> 24;

	if (is_mapped(w))
		return top == 127 || top == 0;
	return !w[0] && !w[1] && !w[2] && bpf_ntohl(w[3]) <= 1;
}

static __always_inline bool host_fresh(const struct sp_host *h)
{
	return h->expires_ns > ~0ULL - HOST_GRACE_NS ||
	       h->expires_ns + HOST_GRACE_NS > bpf_ktime_get_ns();
}

static __always_inline struct sp_host *host_find(const void *addr)
{
	struct sp_host *h = bpf_map_lookup_elem(&sp_static, addr);

	if (h && host_fresh(h))
		return h;
	h = bpf_map_lookup_elem(&sp_hosts, addr);
	return h && host_fresh(h) ? h : NULL;
}

static __always_inline struct sp_mode_entry *mode_at(__u32 kind, __u64 id, __u32 provider)
{
	struct sp_scope s = { .id = id, .kind = kind, .provider = provider };
	struct sp_mode_entry *m = bpf_map_lookup_elem(&sp_modes, &s);

	if (m)
		return m;
	s.provider = 0;
	return bpf_map_lookup_elem(&sp_modes, &s);
}

/* Nearest cgroup first, then the uid, then everybody. NULL: no entry, which means observe. */
static __always_inline struct sp_mode_entry *mode_find(struct cgroup *cg, __u32 uid, __u32 provider)
{
	struct sp_mode_entry *m;

	for (int i = 0; i < CGROUP_LEVELS && cg; i++) {
		m = mode_at(SP_SCOPE_CGROUP, cgroup_id(cg), provider);
		if (m)
			return m;
		cg = (struct cgroup *)BPF_CORE_READ(cg, self.parent);
	}
	m = mode_at(SP_SCOPE_UID, uid, provider);
	return m ? m : mode_at(SP_SCOPE_ANY, 0, provider);
}

static __always_inline bool heartbeat_fresh(const struct sp_config *c)
{
	return c->listener_port && c->heartbeat_ns + c->heartbeat_stale_ns > bpf_ktime_get_ns();
}

/* True at most every 10 s for a socket. */
static __always_inline bool tell_once(struct bpf_sock *sk)
{
	__u64 *at = bpf_sk_storage_get(&sp_told, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	__u64 now = bpf_ktime_get_ns();

	if (!at || (*at && now - *at < 10 * SECOND_NS))
		return false;
	*at = now;
	return true;
}

static __always_inline void event_fill(struct sp_event *e, __u32 kind, __u32 verdict,
				       const void *addr, __u32 port)
{
	e->kind = kind;
	e->verdict = verdict;
	e->time_ns = bpf_ktime_get_ns();
	e->netns = 0;
	e->cookie = 0;
	e->bytes_out = 0;
	e->bytes_in = 0;
	e->opened_ns = 0;
	__builtin_memcpy(e->addr, addr, 16);
	e->port = port;
	e->provider = 0;
}

static __always_inline struct sp_event *event_new(void)
{
	struct sp_event *e = bpf_ringbuf_reserve(&sp_events, sizeof(*e), 0);

	if (!e)
		count(SP_COUNT_EVENTS_LOST);
	return e;
}

#endif
