/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Every map, once. Each object carries the whole list; the loader makes a map for the first object
 * that names it and hands the same one to the others (and to the next daemon, when pinned).
 */
#ifndef SALLYPORT_MAPS_BPF_H
#define SALLYPORT_MAPS_BPF_H

#include "bpf/kernel.bpf.h"
#include "bpf/names.h"
#include "bpf/sallyport.h"

/* What a socket of an AI connection carries from connect() to its end. */
struct conn {
	struct sp_origin origin;
	__u32 verdict; /* enum sp_verdict */
	__u32 pad;
};

/* What getpeername() answers; kept apart from sp_origins, which accept() empties. */
struct peer {
	__u8 addr[16];
	__u64 cookie;
	__u32 port;
	__u32 pad;
};

struct exec_seen {
	__u64 start_boot_ns; /* of the process: a reused tgid does not inherit the path */
	char exe[SP_EXE_LEN];
};

/* Too big for the 512 bytes of a BPF stack; a CPU has one a hook. */
#define SCRATCH_PACKET 4096 /* power of two: offsets are masked with it */
#define SCRATCH_NAME 256    /* a DNS name is at most 253 characters (RFC 1035 2.3.4) */
/*
 * A parser's position lives in memory, not in registers: the verifier then sees the same state in
 * every round of a loop and stops after one, instead of following each value it could have.
 */
struct cursor {
	volatile __u32 off;   /* next byte */
	volatile __u32 left;  /* bytes of the label, or extensions */
	volatile __u32 n;     /* characters of the name so far */
	volatile __u32 after; /* behind the first pointer; 0 none yet */
	volatile __u32 low;   /* a pointer must go below */
	volatile __u32 pad;
};

/* One DNS record; data is an offset. */
struct record {
	__u32 type, ttl, data, len;
};

struct scratch {
	__u64 token; /* changed when another packet took the scratch under us: do not believe it */
	struct cursor at;
	struct record record;
	__u32 name_len;
	__u32 len; /* bytes in packet */
	__u8 addr[16];
	struct sp_host host;
	__u8 name[SCRATCH_NAME];
	__u8 packet[SCRATCH_PACKET];
};
enum { SCRATCH_DNS = 0, SCRATCH_EGRESS = 1, SCRATCH_N };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sp_config);
} sp_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_COUNT_N);
	__type(key, __u32);
	__type(value, __u64);
} sp_counters SEC(".maps");

/* Ours, by file descriptor: listeners and upstream sockets. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} sp_marks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} sp_conns SEC(".maps");

/* A socket whose ClientHello was held back: no data segment of it may leave. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} sp_held SEC(".maps");

/* When a UDP socket was last reported (CLOCK_MONOTONIC): an event a socket, not a packet. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} sp_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sp_origin_key);
	__type(value, struct sp_origin);
} sp_origins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct sp_origin_key);
	__type(value, struct peer);
} sp_peers SEC(".maps");

/* Learned: DNS answers and ClientHellos. Evicts what was used least. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__uint(key_size, 16);
	__uint(value_size, sizeof(struct sp_host));
} sp_hosts SEC(".maps");

/* Put by user space; read first, so that no forged answer moves or evicts such an address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 16);
	__uint(value_size, sizeof(struct sp_host));
} sp_static SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sp_scope);
	__type(value, struct sp_mode_entry);
} sp_modes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} sp_events SEC(".maps");

/* tgid -> the path given to execve(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct exec_seen);
} sp_execs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_N);
	__type(key, __u32);
	__type(value, struct scratch);
} sp_scratch SEC(".maps");

/* Slot 0: the automaton of bpf/names.h. A new one replaces the old in one store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 1);
			__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct names_row));
		});
} sp_names SEC(".maps");

#endif
