// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * QUIC on unconnected sockets: a datagram to a provider's UDP port 443 cannot be inspected; refused
 * at once, the client falls back to TCP. (Connected ones: connect.bpf.c refuses, egress.bpf.c
 * reports.)
 *
 * hook     cgroup/sendmsg4, sendmsg6
 * maps     sp_static, sp_hosts, sp_modes, sp_config read; sp_told, sp_events written
 * verdict  pass; ECONNREFUSED where the mode enforces and config.refuse_quic is set
 * failing  optional: such datagrams pass unseen
 */
#include "bpf/decide.bpf.h"
#include "bpf/refuse.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int quic_send(struct bpf_sock_addr *ctx, const __u32 dst[4])
{
	struct sp_config *c = config();
	struct sp_mode_entry *m;
	struct task_struct *task;
	struct sp_host *h;
	struct sp_event *e;
	bool no;

	h = c ? host_find(dst) : NULL;
	if (!h || !ctx->sk)
		return 1;
	task = (struct task_struct *)bpf_get_current_task();
	m = mode_find(BPF_CORE_READ(task, cgroups, dfl_cgrp), BPF_CORE_READ(task, cred, uid.val),
		      h->provider);
	no = !watch_only && m && m->mode == SP_MODE_ENFORCE && c->refuse_quic;
	if (no)
		count(SP_COUNT_QUIC_REFUSED);
	e = tell_once(ctx->sk) ? event_new() : NULL;
	if (e) {
		event_fill(e, SP_EVENT_QUIC, no ? SP_REFUSED : SP_PASSED_OBSERVE, dst, 443);
		e->netns = bpf_get_netns_cookie(ctx);
		e->cookie = bpf_get_socket_cookie(ctx);
		e->provider = h->provider;
		task_fill(&e->task, task);
		__builtin_memcpy(e->host, h->name, SP_NAME_LEN);
		bpf_ringbuf_submit(e, 0);
	}
	return no ? refuse(ctx) : 1;
}

SEC("cgroup/sendmsg4")
int sp_sendmsg4(struct bpf_sock_addr *ctx)
{
	__u32 dst[4];

	if (ctx->user_port != bpf_htons(443))
		return 1;
	canonical4((__u8 *)dst, ctx->user_ip4);
	return quic_send(ctx, dst);
}

SEC("cgroup/sendmsg6")
int sp_sendmsg6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port != bpf_htons(443))
		return 1;
	__u32 dst[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };

	return quic_send(ctx, dst);
}
