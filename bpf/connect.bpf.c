// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Where a connection to an AI provider is decided.
 *
 * hook     cgroup/connect4, connect6 (TCP and UDP)
 * maps     sp_marks, sp_static and sp_hosts, sp_modes, sp_config read; sp_conns, sp_events written
 * verdict  pass; rewrite to our listener in the caller's namespace; ECONNREFUSED
 * failing  no marked listener or a stale heartbeat: what the mode's fail_closed says. Anything this
 *          program does not know passes.
 */
#include "bpf/decide.bpf.h"
#include "bpf/refuse.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum act { ACT_PASS, ACT_REFUSE, ACT_REDIRECT4, ACT_REDIRECT6 };

/* Our listener, by its mark: whoever else bound the port is not used. */
static __always_inline bool is_listener(struct bpf_sock *sk)
{
	bool ours = sk->state == BPF_TCP_LISTEN && bpf_sk_storage_get(&sp_marks, sk, NULL, 0);

	bpf_sk_release(sk);
	return ours;
}

static __always_inline bool listener4(struct bpf_sock_addr *ctx, __u32 port)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;

	t.ipv4.daddr = bpf_htonl(0x7f000001);
	t.ipv4.dport = bpf_htons(port);
	sk = bpf_sk_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	return sk && is_listener(sk);
}

static __always_inline bool listener6(struct bpf_sock_addr *ctx, __u32 port)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;

	t.ipv6.daddr[3] = bpf_htonl(1);
	t.ipv6.dport = bpf_htons(port);
	sk = bpf_sk_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	return sk && is_listener(sk);
}

/* The cgroup the socket was made in; the policy's cgroup when a kernel worker connects (MPTCP). */
static __always_inline struct cgroup *sk_cgroup(struct bpf_sock_addr *ctx)
{
	struct sock *sk = (struct sock *)bpf_skc_to_tcp_sock(ctx->sk);

	/* Before 5.16 the field is a tagged word; then only the task's cgroup is known. */
	if (!sk || !bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return NULL;
	return BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
}

static __always_inline void connect_event(struct bpf_sock_addr *ctx, __u32 kind, __u32 verdict,
					  const struct sp_origin *o)
{
	struct sp_event *e = event_new();

	if (!e)
		return;
	event_fill(e, kind, verdict, o->addr, o->port);
	e->netns = o->netns;
	e->cookie = o->cookie;
	e->provider = o->provider;
	__builtin_memcpy(&e->task, &o->task, sizeof(e->task));
	__builtin_memcpy(e->host, o->host, SP_NAME_LEN);
	bpf_ringbuf_submit(e, 0);
}

static __always_inline void origin_fill(struct bpf_sock_addr *ctx, struct sp_origin *o,
					struct task_struct *task, struct cgroup *made_in,
					const __u32 dst[4], __u32 port)
{
	task_fill(&o->task, task);
	o->cookie = bpf_get_socket_cookie(ctx);
	o->netns = bpf_get_netns_cookie(ctx);
	o->sk_cgroup = cgroup_id(made_in);
	o->time_ns = bpf_ktime_get_ns();
	__builtin_memcpy(o->addr, dst, 16);
	o->port = port;
	o->provider = 0;
	o->mode = SP_MODE_OBSERVE;
	o->flags = 0;
}

static __always_inline int redirect(struct bpf_sock_addr *ctx, const struct sp_config *c,
				    const __u32 dst[4], bool v6)
{
	/* A v6 socket dialling a v4 address reaches the v4 listener as ::ffff:127.0.0.1. */
	if (!heartbeat_fresh(c))
		return ACT_REFUSE;
	if (v6 && !is_mapped(dst) && listener6(ctx, c->listener_port))
		return ACT_REDIRECT6;
	return listener4(ctx, c->listener_port) ? ACT_REDIRECT4 : ACT_REFUSE;
}

/* One provider connection: record it on the socket, decide, report. */
static __always_inline int connect_provider(struct bpf_sock_addr *ctx, const struct sp_config *c,
					    const struct sp_host *h, const __u32 dst[4],
					    __u32 port, bool v6)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct cgroup *made_in = sk_cgroup(ctx);
	struct sp_mode_entry *m;
	struct conn *conn;
	int act = ACT_PASS;

	count(SP_COUNT_CONNECTS);
	conn = bpf_sk_storage_get(&sp_conns, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!conn) { /* no memory: without a record it cannot be redirected */
		count(SP_COUNT_EVENTS_LOST);
		m = mode_find(BPF_CORE_READ(task, cgroups, dfl_cgrp),
			      BPF_CORE_READ(task, cred, uid.val), h->provider);
		if (watch_only || !m || m->mode == SP_MODE_OBSERVE || !m->fail_closed) {
			count(m && m->mode != SP_MODE_OBSERVE ? SP_COUNT_FAILED_OPEN
							      : SP_COUNT_OBSERVED);
			return ACT_PASS;
		}
		count(SP_COUNT_REFUSED);
		return ACT_REFUSE;
	}
	origin_fill(ctx, &conn->origin, task, made_in, dst, port);
	conn->origin.provider = h->provider;
	__builtin_memcpy(conn->origin.host, h->name, SP_NAME_LEN);
	if (v6 && is_mapped(dst))
		conn->origin.flags = SP_ORIGIN_MAPPED;
	m = mode_find(conn->origin.task.flags & SP_TASK_KTHREAD && made_in ?
			      made_in : BPF_CORE_READ(task, cgroups, dfl_cgrp),
		      conn->origin.task.uid, h->provider);
	conn->verdict = SP_PASSED_OBSERVE;
	if (!watch_only && m && m->mode != SP_MODE_OBSERVE) {
		conn->origin.mode = m->mode;
		act = redirect(ctx, c, dst, v6);
		if (act != ACT_REFUSE) {
			conn->verdict = SP_REDIRECTED;
		} else if (m->fail_closed) {
			conn->verdict = SP_REFUSED;
		} else {
			conn->verdict = SP_PASSED_OPEN;
			act = ACT_PASS;
		}
	}
	count(conn->verdict == SP_REDIRECTED	? SP_COUNT_REDIRECTED
	      : conn->verdict == SP_REFUSED	? SP_COUNT_REFUSED
	      : conn->verdict == SP_PASSED_OPEN ? SP_COUNT_FAILED_OPEN
						: SP_COUNT_OBSERVED);
	connect_event(ctx, SP_EVENT_CONNECT, conn->verdict, &conn->origin);
	return act;
}

/* Nobody but a redirected connection may reach our listener: whoever dials it is told no. */
static __always_inline int connect_dialled(struct bpf_sock_addr *ctx, const __u32 dst[4],
					   __u32 port)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct sp_event *e;

	if (!listener4(ctx, port) && !listener6(ctx, port))
		return ACT_PASS;
	count(SP_COUNT_LISTENER_DIALLED);
	e = event_new();
	if (e) {
		event_fill(e, SP_EVENT_DIALLED, SP_REFUSED, dst, port);
		e->netns = bpf_get_netns_cookie(ctx);
		e->cookie = bpf_get_socket_cookie(ctx);
		task_fill(&e->task, task);
		__builtin_memset(e->host, 0, SP_NAME_LEN);
		bpf_ringbuf_submit(e, 0);
	}
	return ACT_REFUSE;
}

/*
 * UDP to a provider's port 443 is QUIC, or getaddrinfo() sorting addresses (it connects a socket to
 * each): refused alike where the mode enforces, never counted or reported as QUIC here.
 */
static __always_inline int connect_udp(const struct sp_config *c, const __u32 dst[4], __u32 port)
{
	struct task_struct *task;
	struct sp_mode_entry *m;
	struct sp_host *h;

	if (watch_only || port != 443 || !c->refuse_quic)
		return ACT_PASS;
	h = host_find(dst);
	if (!h)
		return ACT_PASS;
	task = (struct task_struct *)bpf_get_current_task();
	m = mode_find(BPF_CORE_READ(task, cgroups, dfl_cgrp), BPF_CORE_READ(task, cred, uid.val),
		      h->provider);
	return m && m->mode == SP_MODE_ENFORCE ? ACT_REFUSE : ACT_PASS;
}

static __always_inline int connect_decide(struct bpf_sock_addr *ctx, const __u32 dst[4], bool v6)
{
	__u32 port = bpf_ntohs((__u16)ctx->user_port);
	struct bpf_sock *sk = ctx->sk;
	struct sp_config *c = config();
	struct sp_host *h;
	struct conn *conn;

	if (!c || !sk)
		return ACT_PASS;
	if (ctx->type == SOCK_DGRAM)
		return connect_udp(c, dst, port);
	if (ctx->protocol != IPPROTO_TCP)
		return ACT_PASS;
	if (bpf_sk_storage_get(&sp_marks, sk, NULL, 0)) {
		count(SP_COUNT_OWN);
		return ACT_PASS;
	}
	if (!watch_only && port == c->listener_port && port && is_local(dst))
		return connect_dialled(ctx, dst, port);
	h = host_find(dst);
	if (h)
		return connect_provider(ctx, c, h, dst, port, v6);
	/* A socket used again after AF_UNSPEC: what it was before must not speak for it now. */
	conn = bpf_sk_storage_get(&sp_conns, sk, NULL, 0);
	if (conn)
		bpf_sk_storage_delete(&sp_conns, sk);
	return ACT_PASS;
}

/* Our listener is on the loopback: a socket bound to another device would never reach it. */
static __always_inline void unbind_device(struct bpf_sock_addr *ctx)
{
	char none[4] = {};

	if (ctx->sk && ctx->sk->bound_dev_if)
		(void)bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, none, sizeof(none));
}

SEC("cgroup/connect4")
int sp_connect4(struct bpf_sock_addr *ctx)
{
	struct sp_config *c = config();
	__u32 dst[4];
	int act;

	canonical4((__u8 *)dst, ctx->user_ip4);
	act = connect_decide(ctx, dst, false);
	if (act == ACT_REFUSE)
		return refuse(ctx);
	if (watch_only || act == ACT_PASS || !c)
		return 1;
	unbind_device(ctx);
	ctx->user_ip4 = bpf_htonl(0x7f000001);
	ctx->user_port = bpf_htons(c->listener_port);
	return 1;
}

SEC("cgroup/connect6")
int sp_connect6(struct bpf_sock_addr *ctx)
{
	struct sp_config *c = config();
	__u32 dst[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };
	int act = connect_decide(ctx, dst, true);
	bool v4 = act == ACT_REDIRECT4;

	if (act == ACT_REFUSE)
		return refuse(ctx);
	if (watch_only || act == ACT_PASS || !c)
		return 1;
	unbind_device(ctx);
	ctx->user_ip6[0] = 0;
	ctx->user_ip6[1] = 0;
	ctx->user_ip6[2] = v4 ? bpf_htonl(0xffff) : 0;
	ctx->user_ip6[3] = v4 ? bpf_htonl(0x7f000001) : bpf_htonl(1);
	ctx->user_port = bpf_htons(c->listener_port);
	return 1;
}
