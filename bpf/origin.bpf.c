// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Hands the origin of a redirected connection to whoever accepts it, and says how a connection that
 * was only watched ended.
 *
 * hook     sockops: TCP_CONNECT_CB (source port chosen, SYN not sent yet: the entry is always there
 *          before accept() returns) and STATE_CB
 * maps     sp_conns read; sp_origins, sp_peers, sp_events written
 * verdict  none: it cannot stop a connection
 * failing  no entry: the worker sees a connection without origin and closes it
 */
#include "bpf/decide.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void origin_key(struct sp_origin_key *k, struct bpf_sock_ops *ctx,
				       const struct conn *conn)
{
	__u32 *w = (__u32 *)k->addr;

	/* The netns cookie comes from connect(): sockops has no helper for it before 5.15. */
	k->netns = conn->origin.netns;
	k->port = ctx->local_port;
	k->pad = 0;
	if (ctx->family == AF_INET) {
		canonical4(k->addr, ctx->local_ip4);
		return;
	}
	w[0] = ctx->local_ip6[0];
	w[1] = ctx->local_ip6[1];
	w[2] = ctx->local_ip6[2];
	w[3] = ctx->local_ip6[3];
}

static __always_inline void origin_publish(struct bpf_sock_ops *ctx, struct conn *conn)
{
	struct sp_origin_key k;
	struct peer p = { .cookie = conn->origin.cookie, .port = conn->origin.port };

	origin_key(&k, ctx, conn);
	__builtin_memcpy(p.addr, conn->origin.addr, 16);
	if (bpf_map_update_elem(&sp_origins, &k, &conn->origin, BPF_ANY) ||
	    bpf_map_update_elem(&sp_peers, &k, &p, BPF_ANY))
		count(SP_COUNT_MAP_FULL);
}

/* Never accepted, or accepted and over: a reused port must not find it. */
static __always_inline void origin_forget(struct bpf_sock_ops *ctx, struct conn *conn)
{
	struct sp_origin_key k;
	struct sp_origin *o;
	struct peer *p;

	origin_key(&k, ctx, conn);
	o = bpf_map_lookup_elem(&sp_origins, &k);
	if (o && o->cookie == conn->origin.cookie)
		bpf_map_delete_elem(&sp_origins, &k);
	p = bpf_map_lookup_elem(&sp_peers, &k);
	if (p && p->cookie == conn->origin.cookie)
		bpf_map_delete_elem(&sp_peers, &k);
}

static __always_inline bool fin_received(__u32 state)
{
	return state == BPF_TCP_CLOSE_WAIT || state == BPF_TCP_LAST_ACK || state == BPF_TCP_CLOSING;
}

static __always_inline bool fin_acked(__u32 state)
{
	return state == BPF_TCP_FIN_WAIT2 || state == BPF_TCP_LAST_ACK || state == BPF_TCP_CLOSING;
}

static __always_inline void close_event(struct bpf_sock_ops *ctx, const struct conn *conn)
{
	__u64 in = ctx->bytes_received, out = ctx->bytes_acked;
	/* The counters are of sequence space: SYN and FIN each count as a byte. */
	__u64 in_extra = fin_received(ctx->args[0]), out_extra = 1 + fin_acked(ctx->args[0]);
	struct sp_event *e = event_new();

	if (!e)
		return;
	event_fill(e, SP_EVENT_CLOSE, conn->verdict, conn->origin.addr, conn->origin.port);
	e->netns = conn->origin.netns;
	e->cookie = conn->origin.cookie;
	e->bytes_in = in > in_extra ? in - in_extra : 0;
	e->bytes_out = out > out_extra ? out - out_extra : 0;
	e->opened_ns = conn->origin.time_ns;
	e->provider = conn->origin.provider;
	__builtin_memcpy(&e->task, &conn->origin.task, sizeof(e->task));
	__builtin_memcpy(e->host, conn->origin.host, SP_NAME_LEN);
	bpf_ringbuf_submit(e, 0);
}

SEC("sockops")
int sp_origin(struct bpf_sock_ops *ctx)
{
	struct conn *conn;
	struct bpf_sock *sk;

	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ctx->op != BPF_SOCK_OPS_STATE_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	conn = bpf_sk_storage_get(&sp_conns, sk, NULL, 0);
	if (!conn)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		if (conn->verdict == SP_REDIRECTED)
			origin_publish(ctx, conn);
		(void)bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags |
							     BPF_SOCK_OPS_STATE_CB_FLAG);
	} else if (ctx->args[1] == BPF_TCP_CLOSE) {
		if (conn->verdict == SP_REDIRECTED)
			origin_forget(ctx, conn);
		else
			close_event(ctx, conn);
	}
	return 1;
}
