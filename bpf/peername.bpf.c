// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * An application that asks where it is connected to is told where it wanted to go.
 *
 * hook     cgroup/getpeername4, getpeername6
 * maps     sp_peers read (by tuple: an MPTCP socket, whose subflow was redirected, is found too)
 * verdict  rewrites the answer, never refuses
 * failing  optional: without it getpeername() answers 127.0.0.1
 */
#include "bpf/decide.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline struct peer *peer_find(struct bpf_sock_addr *ctx, __u32 port)
{
	struct sp_config *c = config();
	struct sp_origin_key k = {};
	struct bpf_sock *sk = ctx->sk;
	__u32 *w = (__u32 *)k.addr;

	/* Only connections that end at our listener were redirected. */
	if (!c || !sk || !port || bpf_ntohs((__u16)port) != c->listener_port)
		return NULL;
	k.netns = bpf_get_netns_cookie(ctx);
	k.port = sk->src_port;
	if (sk->family == AF_INET) {
		canonical4(k.addr, sk->src_ip4);
	} else {
		w[0] = sk->src_ip6[0];
		w[1] = sk->src_ip6[1];
		w[2] = sk->src_ip6[2];
		w[3] = sk->src_ip6[3];
	}
	return bpf_map_lookup_elem(&sp_peers, &k);
}

SEC("cgroup/getpeername4")
int sp_getpeername4(struct bpf_sock_addr *ctx)
{
	struct peer *p;

	if (ctx->user_ip4 != bpf_htonl(0x7f000001))
		return 1;
	p = peer_find(ctx, ctx->user_port);
	if (!p)
		return 1;
	ctx->user_ip4 = ((__u32 *)p->addr)[3];
	ctx->user_port = bpf_htons(p->port);
	return 1;
}

SEC("cgroup/getpeername6")
int sp_getpeername6(struct bpf_sock_addr *ctx)
{
	__u32 dst[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };
	struct peer *p;

	if (!is_local(dst))
		return 1;
	p = peer_find(ctx, ctx->user_port);
	if (!p)
		return 1;
	ctx->user_ip6[0] = ((__u32 *)p->addr)[0];
	ctx->user_ip6[1] = ((__u32 *)p->addr)[1];
	ctx->user_ip6[2] = ((__u32 *)p->addr)[2];
	ctx->user_ip6[3] = ((__u32 *)p->addr)[3];
	ctx->user_port = bpf_htons(p->port);
	return 1;
}
