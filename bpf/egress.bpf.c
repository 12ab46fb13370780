// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The safety net for names that no DNS answer told: reads the server name (RFC 6066 3) in the first
 * data segment of every TCP connection that was not redirected. The hook runs before segmentation,
 * so a ClientHello above the MTU is whole here.
 *
 * hook     cgroup_skb/egress
 * maps     sp_marks, sp_conns, sp_names, sp_modes, sp_config read; sp_hosts, sp_held, sp_told,
 *          sp_events written
 * verdict  pass; where the mode enforces: learn the address and hold the connection back (this and
 *          all its later data), so that the client's retry is redirected. UDP to a provider's port
 *          443: reported once a socket, dropped where the mode enforces
 * failing  optional: without it, connections by names no DNS answer told are not seen
 */
#include "bpf/names.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define LEARNED_S 3600 /* a ClientHello has no TTL */
#define EXTENSIONS 64

/*
 * Server name of the ClientHello in the scratch (RFC 8446 4.1.2) into scratch->name. 0 when there
 * is none in what the first segment holds.
 */
__noinline __u32 hello_name(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u32 i;

	/* handshake record, TLS 1.x, client_hello */
	if (!s || s->len < 64 || byte_at(s, 0) != 22 || byte_at(s, 1) != 3 || byte_at(s, 5) != 1)
		return 0;
	s->at.off = 43;
	s->at.off += 1 + byte_at(s, s->at.off); /* legacy_session_id */
	s->at.off += 2 + be16_at(s, s->at.off); /* cipher_suites */
	s->at.off += 1 + byte_at(s, s->at.off); /* legacy_compression_methods */
	s->at.off += 2;				/* extensions */
	for (i = 0; i < EXTENSIONS; i++) {
		if (s->at.off + 9 > s->len)
			return 0;
		if (be16_at(s, s->at.off) == 0)
			break;
		s->at.off += 4 + be16_at(s, s->at.off + 2);
	}
	if (s->at.off + 9 > s->len || be16_at(s, s->at.off) != 0 || byte_at(s, s->at.off + 6) != 0)
		return 0; /* no server_name, or not a host_name */
	s->at.left = be16_at(s, s->at.off + 7);
	s->at.off += 9;
	if (!s->at.left || s->at.left > 253 || s->at.off + s->at.left > s->len)
		return 0;
	__builtin_memset(s->name, 0, sizeof(s->name));
	s->at.n = 0;
	for (i = 0; i < SCRATCH_NAME - 1; i++) {
		if (i >= s->at.left)
			break;
		name_put(s, byte_at(s, s->at.off + i));
	}
	s->name_len = s->at.n;
	return 1;
}

static __always_inline bool remote_address(struct __sk_buff *skb, __u8 addr[16])
{
	__u32 ip4;

	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return bpf_skb_load_bytes(skb, 24, addr, 16) == 0;
	if (bpf_skb_load_bytes(skb, 16, &ip4, sizeof(ip4)))
		return false;
	canonical4(addr, ip4);
	return true;
}

/*
 * The sender, if the current task is plausibly it: a segment may leave in a softirq that stopped a
 * stranger, but the first data of a connection nearly always leaves in send(). NULL otherwise.
 */
static __always_inline struct task_struct *sender(struct __sk_buff *skb, struct cgroup *made_in)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (BPF_CORE_READ(task, flags) & PF_KTHREAD ||
	    BPF_CORE_READ(task, cred, uid.val) != bpf_get_socket_uid(skb) ||
	    (made_in && BPF_CORE_READ(task, cgroups, dfl_cgrp) != made_in))
		return NULL;
	return task;
}

static __always_inline void egress_event(struct __sk_buff *skb, __u32 kind, __u32 verdict,
					 const struct scratch *s, __u32 port, __u32 provider,
					 struct task_struct *task, struct cgroup *made_in,
					 __u64 netns)
{
	struct sp_event *e = event_new();

	if (!e)
		return;
	event_fill(e, kind, verdict, s->addr, port);
	e->netns = netns;
	e->cookie = bpf_get_socket_cookie(skb);
	e->provider = provider;
	__builtin_memcpy(e->host, s->host.name, SP_NAME_LEN);
	if (task) {
		task_fill(&e->task, task);
	} else {
		__builtin_memset(&e->task, 0, sizeof(e->task));
		e->task.cgroup = cgroup_id(made_in);
		e->task.uid = bpf_get_socket_uid(skb);
		e->task.loginuid = ~0U;
	}
	bpf_ringbuf_submit(e, 0);
}

/* A provider's name on a connection nobody knew for one. 0: hold it back. */
static __always_inline int hello_late(struct __sk_buff *skb, struct bpf_sock *sk, struct scratch *s,
				      __u32 provider, __u32 port)
{
	struct sock *k = (struct sock *)bpf_skc_to_tcp_sock(sk);
	struct cgroup *made_in = NULL;
	struct sp_config *c = config();
	struct task_struct *task;
	struct sp_mode_entry *m;
	struct sp_host *fixed;
	__u64 netns = 0;
	bool hold;

	if (k && bpf_core_field_exists(k->sk_cgrp_data.cgroup))
		made_in = BPF_CORE_READ(k, sk_cgrp_data.cgroup);
	if (k && bpf_core_field_exists(struct net, net_cookie))
		netns = BPF_CORE_READ(k, __sk_common.skc_net.net, net_cookie);
	task = sender(skb, made_in);
	m = mode_find(task ? BPF_CORE_READ(task, cgroups, dfl_cgrp) : made_in,
		      bpf_get_socket_uid(skb), provider);
	hold = !watch_only && c && m && m->mode == SP_MODE_ENFORCE &&
	       (m->fail_closed || heartbeat_fresh(c));
	count(SP_COUNT_HELLO_LATE);
	host_learn(s, provider, SP_HOST_HELLO, LEARNED_S);
	/* User space had it as another provider's (a shared address): the retry must see it. */
	fixed = hold ? bpf_map_lookup_elem(&sp_static, s->addr) : NULL;
	if (fixed && fixed->provider != provider)
		fixed->provider = provider;
	egress_event(skb, SP_EVENT_HELLO, hold ? SP_REFUSED : SP_PASSED_OBSERVE, s, port, provider,
		     task, made_in, netns);
	if (!hold)
		return 1;
	(void)bpf_sk_storage_get(&sp_held, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	return 0;
}

static __always_inline int egress_tcp(struct __sk_buff *skb, struct bpf_sock *sk)
{
	__u32 tcp = transport_offset(skb, IPPROTO_TCP), provider, payload, token_ok;
	struct scratch *s = scratch_get(SCRATCH_EGRESS);
	struct conn *conn;
	__u16 port = 0;
	__u64 token;
	__u8 doff;

	if (!tcp || !s || bpf_skb_load_bytes(skb, tcp + 12, &doff, 1))
		return 1;
	payload = tcp + (doff >> 4) * 4;
	if (skb->len <= payload)
		return 1; /* no data yet */
	if (!watch_only && bpf_sk_storage_get(&sp_held, sk, NULL, 0))
		return 0;
	conn = bpf_sk_storage_get(&sp_conns, sk, NULL, 0);
	if ((conn && conn->verdict == SP_REDIRECTED) || bpf_sk_storage_get(&sp_marks, sk, NULL, 0))
		return 1;
	if (!scratch_load(s, skb, payload, skb->len - payload, &token) ||
	    !hello_name(SCRATCH_EGRESS))
		return 1;
	count(SP_COUNT_HELLOS);
	provider = names_match(SCRATCH_EGRESS);
	if (!provider || (conn && conn->origin.provider == provider))
		return 1; /* nobody's, or connect() knew and let it pass */
	__builtin_memcpy(s->host.name, s->name, SP_NAME_LEN);
	s->host.name[SP_NAME_LEN - 1] = '\0';
	token_ok = remote_address(skb, s->addr) && s->token == token;
	/* A name sent to this very machine makes no provider of the loopback. */
	if (!token_ok || is_local((__u32 *)s->addr) ||
	    bpf_skb_load_bytes(skb, tcp + 2, &port, sizeof(port)))
		return 1;
	return hello_late(skb, sk, s, provider, bpf_ntohs(port));
}

static __always_inline int egress_udp(struct __sk_buff *skb, struct bpf_sock *sk)
{
	__u32 udp = transport_offset(skb, IPPROTO_UDP);
	struct scratch *s = scratch_get(SCRATCH_EGRESS);
	struct sp_config *c = config();
	struct task_struct *task;
	struct sp_mode_entry *m;
	struct sp_host *h;
	__u16 port = 0;
	bool no;

	if (!udp || bpf_skb_load_bytes(skb, udp + 2, &port, sizeof(port)) || port != bpf_htons(443))
		return 1;
	if (!s || !c || !remote_address(skb, s->addr))
		return 1;
	h = host_find(s->addr);
	if (!h)
		return 1;
	task = sender(skb, NULL);
	m = mode_find(task ? BPF_CORE_READ(task, cgroups, dfl_cgrp) : NULL, bpf_get_socket_uid(skb),
		      h->provider);
	no = !watch_only && m && m->mode == SP_MODE_ENFORCE && c->refuse_quic;
	if (no)
		count(SP_COUNT_QUIC_REFUSED);
	if (tell_once(sk)) {
		__builtin_memcpy(s->host.name, h->name, SP_NAME_LEN);
		egress_event(skb, SP_EVENT_QUIC, no ? SP_REFUSED : SP_PASSED_OBSERVE, s, 443,
			     h->provider, task, NULL, 0);
	}
	return !no;
}

SEC("cgroup_skb/egress")
int sp_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tp;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	if (sk->protocol == IPPROTO_UDP)
		return egress_udp(skb, sk);
	if (sk->protocol != IPPROTO_TCP)
		return 1;
	tp = bpf_tcp_sock(sk);
	if (!tp || !tp->data_segs_out)
		return 1;
	/* The counter includes this packet: only a connection's first data segment goes on. */
	if (tp->data_segs_out > (skb->gso_segs > 1 ? skb->gso_segs : 1) &&
	    (watch_only || !bpf_sk_storage_get(&sp_held, sk, NULL, 0)))
		return 1;
	return egress_tcp(skb, sk);
}
