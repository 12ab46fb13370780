// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Learns providers' addresses from DNS answers before the application sees them (RFC 1035; EDNS,
 * RFC 6891, is a record like any other here and skipped).
 *
 * hook     cgroup_skb/ingress: UDP from port 53
 * maps     sp_names read; sp_hosts, sp_counters written
 * verdict  none: every packet passes
 * failing  optional: without it, addresses come from user space's own look-ups only
 *
 * The question's name or any CNAME on the way may match; every A and AAAA then belongs to the
 * provider, under the name that was asked.
 */
#include "bpf/names.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DNS_HEADER 12
#define DNS_RECORDS 32
#define DNS_NAME_STEPS 288 /* 255 bytes of a name and up to 16 pointers, two bytes each */
#define DNS_TTL_MAX (7 * 86400)
#define TYPE_A 1
#define TYPE_CNAME 5
#define TYPE_AAAA 28
#define CLASS_IN 1

/*
 * Reads the name at `off` into scratch->name, lower-cased, dotted, zero-filled. Returns the offset
 * behind it (behind the first pointer, if any), or 0 when it is malformed. Pointers must go back
 * (RFC 1035 4.1.4: "a prior occurrence"), so there are no loops.
 */
__noinline __u32 dns_name(__u32 off)
{
	struct scratch *s = scratch_get(SCRATCH_DNS);
	__u32 i;

	if (!s)
		return 0;
	__builtin_memset(s->name, 0, sizeof(s->name));
	s->name_len = 0;
	s->at.off = off;
	s->at.low = off;
	s->at.left = 0;
	s->at.n = 0;
	s->at.after = 0;
	for (i = 0; i < DNS_NAME_STEPS; i++) {
		__u32 at = s->at.off, c;

		if (at >= s->len || s->at.n > 253)
			return 0;
		c = byte_at(s, at);
		s->at.off = ++at;
		if (s->at.left) {
			s->at.left--;
			/* A dot inside a label must not look like the border of one. */
			name_put(s, c == '.' ? 0 : c);
			continue;
		}
		if (c == 0) {
			s->name_len = s->at.n;
			return s->at.after ? s->at.after : at;
		}
		if (c < 0x40) {
			if (s->at.n)
				name_put(s, '.');
			s->at.left = c;
			continue;
		}
		if (c < 0xc0 || at >= s->len)
			return 0;
		c = (c & 0x3f) << 8 | byte_at(s, at);
		if (c >= s->at.low)
			return 0;
		if (!s->at.after)
			s->at.after = at + 1;
		s->at.low = c;
		s->at.off = c;
	}
	return 0;
}

/* The record at `off` into scratch->record. Returns the offset behind it, 0 when malformed. */
__noinline __u32 dns_record(__u32 off)
{
	struct scratch *s = scratch_get(SCRATCH_DNS);
	struct record *r;
	__u32 i;

	if (!s)
		return 0;
	r = &s->record;
	s->at.off = off;
	for (i = 0; i < 128; i++) { /* the owner's name is not needed */
		__u32 c;

		off = s->at.off;
		if (off >= s->len)
			return 0;
		c = byte_at(s, off);
		s->at.off = off + 1 + (c >= 0xc0 ? 1 : c);
		if (c == 0 || c >= 0xc0)
			break;
	}
	off = s->at.off;
	if (off + 10 > s->len)
		return 0;
	r->type = be16_at(s, off);
	if (be16_at(s, off + 2) != CLASS_IN)
		r->type = 0; /* OPT has the UDP size here */
	r->ttl = be16_at(s, off + 4) << 16 | be16_at(s, off + 6);
	r->len = be16_at(s, off + 8);
	r->data = off + 10;
	off = r->data + r->len;
	return off > s->len ? 0 : off;
}

/* Learns the address of scratch->record. 1 when it did. */
__noinline __u32 dns_learn(__u32 provider, __u32 ttl)
{
	struct scratch *s = scratch_get(SCRATCH_DNS);
	struct record *r;
	__u32 i, skip;

	if (!s)
		return 0;
	r = &s->record;
	if (r->type == TYPE_A && r->len == 4)
		skip = 12;
	else if (r->type == TYPE_AAAA && r->len == 16)
		skip = 0;
	else
		return 0;
	canonical4(s->addr, 0);
	for (i = 0; i < 16; i++)
		if (i >= skip)
			s->addr[i] = byte_at(s, r->data + i - skip);
	/* Filters answer 0.0.0.0 or 127.0.0.1 for what they block: those are nobody's. */
	if (is_local((__u32 *)s->addr))
		return 0;
	host_learn(s, provider, SP_HOST_DNS, ttl);
	return 1;
}

static __always_inline __u32 ttl_min(__u32 a, __u32 b)
{
	if (b >> 31) /* RFC 2181 8: treat as zero */
		b = 0;
	return a < b ? a : b;
}

/* Which provider the question or a CNAME names. */
static __always_inline __u32 dns_provider(__u32 off, __u32 records, const struct record *r)
{
	__u32 provider = names_match(SCRATCH_DNS), i;

	for (i = 0; i < DNS_RECORDS && i < records && !provider; i++) {
		off = dns_record(off);
		if (!off)
			break;
		if (r->type == TYPE_CNAME && dns_name(r->data))
			provider = names_match(SCRATCH_DNS);
	}
	return provider;
}

static __always_inline void dns_answer(struct scratch *s, __u64 token)
{
	__u32 records = be16_at(s, 6), off, provider, ttl = DNS_TTL_MAX, i;
	const struct record *r = &s->record;

	/* An answer to a standard query, no error, one question. */
	if ((byte_at(s, 2) & 0xf8) != 0x80 || byte_at(s, 3) & 0x0f || be16_at(s, 4) != 1 ||
	    !records)
		return;
	off = dns_name(DNS_HEADER);
	if (!off)
		return;
	count(SP_COUNT_DNS_ANSWERS);
	__builtin_memcpy(s->host.name, s->name, SP_NAME_LEN);
	s->host.name[SP_NAME_LEN - 1] = '\0';
	off += 4;
	provider = dns_provider(off, records, r);
	if (!provider)
		return;
	for (i = 0; i < DNS_RECORDS && i < records; i++) {
		off = dns_record(off);
		if (!off || s->token != token)
			break;
		if (r->type == TYPE_CNAME)
			ttl = ttl_min(ttl, r->ttl);
		else if (dns_learn(provider, ttl_min(ttl, r->ttl)))
			count(SP_COUNT_DNS_MATCHED);
	}
}

SEC("cgroup_skb/ingress")
int sp_dns(struct __sk_buff *skb)
{
	const __u8 *ip = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct scratch *s;
	__u16 sport = 0;
	__u64 token;
	__u32 udp;

	/* Every received packet comes by: leave without a helper call where it can be seen. */
	if (ip + 20 <= end && (ip[0] >> 4 == 4 ? ip[9] : ip[6]) != IPPROTO_UDP)
		return 1;
	udp = transport_offset(skb, IPPROTO_UDP);
	if (!udp || bpf_skb_load_bytes(skb, udp, &sport, sizeof(sport)) || sport != bpf_htons(53))
		return 1;
	if (skb->len < udp + 8 + DNS_HEADER)
		return 1;
	s = scratch_get(SCRATCH_DNS);
	if (s && scratch_load(s, skb, udp + 8, skb->len - udp - 8, &token))
		dns_answer(s, token);
	return 1;
}
