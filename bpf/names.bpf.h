/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The scratch of a hook and the walk over the automaton. The functions with loops are global: the
 * verifier checks each once, by itself, instead of once a caller's path.
 */
#ifndef SALLYPORT_NAMES_BPF_H
#define SALLYPORT_NAMES_BPF_H

#include "bpf/decide.bpf.h"

static __always_inline struct scratch *scratch_get(__u32 slot)
{
	return bpf_map_lookup_elem(&sp_scratch, &slot);
}

/*
 * Loads `len` bytes (1 to SCRATCH_PACKET) of the packet and stamps the scratch; the caller compares
 * the stamp before it believes what was parsed: a preempting task or softirq may have come between.
 */
static __always_inline bool scratch_load(struct scratch *s, struct __sk_buff *skb, __u32 off,
					 __u32 len, __u64 *token)
{
	__u32 n = len > SCRATCH_PACKET ? SCRATCH_PACKET : len;

	/* The verifier must see 1..4096 in the very register that is passed. */
	asm volatile("" : "+r"(n));
	n = ((n - 1) & (SCRATCH_PACKET - 1)) + 1;
	*token = bpf_ktime_get_ns() ^ (__u64)bpf_get_prandom_u32() << 32;
	s->token = *token;
	s->len = n;
	return bpf_skb_load_bytes(skb, off, s->packet, n) == 0;
}

static __always_inline __u32 byte_at(const struct scratch *s, __u32 off)
{
	asm volatile("" : "+r"(off));
	return s->packet[off & (SCRATCH_PACKET - 1)];
}

static __always_inline __u32 be16_at(const struct scratch *s, __u32 off)
{
	return byte_at(s, off) << 8 | byte_at(s, off + 1);
}

/* Appends a character as we keep it: lower case; what no host name contains is '?'. */
static __always_inline void name_put(struct scratch *s, __u32 c)
{
	__u32 cls = names_class[c & 255], n = s->at.n;

	asm volatile("" : "+r"(cls), "+r"(n));
	s->name[n & (SCRATCH_NAME - 1)] = names_text[cls & 63];
	s->at.n = n + 1;
}

/* The provider of scratch->name, 0 for none. */
__noinline __u32 names_match(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	__u32 zero = 0, state = NAMES_START, i;
	struct names_row *row;
	void *rows = bpf_map_lookup_elem(&sp_names, &zero);

	if (!s || !rows)
		return 0;
	for (i = 0; i < SCRATCH_NAME; i++) {
		__u32 len = s->name_len, at = len - 1 - i, cls;

		row = bpf_map_lookup_elem(rows, &state);
		if (!row)
			return 0;
		if (i >= len)
			return row->provider;
		asm volatile("" : "+r"(at));
		cls = names_class[s->name[at & (SCRATCH_NAME - 1)]];
		asm volatile("" : "+r"(cls));
		if (cls >= NAMES_CLASSES)
			return 0;
		state = row->next[cls];
		if (!state)
			return 0;
	}
	return 0;
}

/* Puts scratch->host for scratch->addr: the address belongs to `provider` for `ttl_s` seconds. */
static __always_inline void host_learn(struct scratch *s, __u32 provider, __u32 flags, __u64 ttl_s)
{
	s->host.expires_ns = bpf_ktime_get_ns() + ttl_s * SECOND_NS;
	s->host.provider = provider;
	s->host.flags = flags;
	if (bpf_map_update_elem(&sp_hosts, s->addr, &s->host, BPF_ANY))
		count(SP_COUNT_MAP_FULL);
}

/* Offset of the transport header when the packet carries `protocol`, 0 otherwise. */
static __always_inline __u32 transport_offset(struct __sk_buff *skb, __u32 protocol)
{
	__u8 head[10];

	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return head[9] == protocol ? (head[0] & 15) * 4 : 0;
	/* Extension headers do not occur on what resolvers and TLS clients send. */
	return skb->protocol == bpf_htons(ETH_P_IPV6) && head[6] == protocol ? 40 : 0;
}

#endif
