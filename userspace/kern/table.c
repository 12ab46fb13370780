/* The maps user space fills and reads: addresses, modes, configuration, counters. */
#include "kern/load.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define HOST_GRACE_NS 3600000000000ULL /* as in bpf/decide.bpf.h */

const char *const kern_counter_names[SP_COUNT_N] = {
	[SP_COUNT_CONNECTS] = "connects",
	[SP_COUNT_REDIRECTED] = "redirected",
	[SP_COUNT_OBSERVED] = "observed",
	[SP_COUNT_FAILED_OPEN] = "failed_open",
	[SP_COUNT_REFUSED] = "refused",
	[SP_COUNT_OWN] = "own",
	[SP_COUNT_LISTENER_DIALLED] = "listener_dialled",
	[SP_COUNT_QUIC_REFUSED] = "quic_refused",
	[SP_COUNT_DNS_ANSWERS] = "dns_answers",
	[SP_COUNT_DNS_MATCHED] = "dns_matched",
	[SP_COUNT_HELLOS] = "hellos",
	[SP_COUNT_HELLO_LATE] = "hello_late",
	[SP_COUNT_EVENTS_LOST] = "events_lost",
	[SP_COUNT_MAP_FULL] = "map_full",
};

static bool is_expired(const struct sp_host *h, uint64_t now)
{
	return h->expires_ns < UINT64_MAX - HOST_GRACE_NS && h->expires_ns + HOST_GRACE_NS <= now;
}

/* Removes what the kernel no longer believes; how many. Addresses of a provider rotate for ever. */
static size_t hosts_purge(int fd)
{
	uint8_t key[16], next[16];
	uint64_t now = clock_mono_ns();
	size_t removed = 0;
	int more = bpf_map_get_next_key(fd, NULL, next);

	while (more == 0) {
		struct sp_host h;

		memcpy(key, next, sizeof(key));
		more = bpf_map_get_next_key(fd, key, next);
		if (bpf_map_lookup_elem(fd, key, &h) == 0 && is_expired(&h, now) &&
		    bpf_map_delete_elem(fd, key) == 0)
			removed++;
	}
	return removed;
}

int kern_host_put(struct kern *k, const uint8_t addr[16], uint32_t provider, struct slice name,
		  uint64_t expires_ns)
{
	struct sp_host h = { .expires_ns = expires_ns ? expires_ns : UINT64_MAX,
			     .provider = provider,
			     .flags = SP_HOST_STATIC };
	int fd = maps_fd(&k->maps, "sp_static");

	slice_copy(h.name, sizeof(h.name), name);
	if (bpf_map_update_elem(fd, addr, &h, BPF_ANY) == 0)
		return 0;
	if (errno != E2BIG || hosts_purge(fd) == 0)
		return -errno;
	return bpf_map_update_elem(fd, addr, &h, BPF_ANY) == 0 ? 0 : -errno;
}

int kern_host_find(struct kern *k, const uint8_t addr[16], struct sp_host *out)
{
	static const char *const order[] = { "sp_static", "sp_hosts" }; /* as host_find() of bpf/ */
	uint64_t now = clock_mono_ns();
	struct sp_host h;

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (bpf_map_lookup_elem(maps_fd(&k->maps, order[i]), addr, &h) == 0 &&
		    !is_expired(&h, now)) {
			*out = h;
			return 0;
		}
	return -ENOENT;
}

static bool is_listed(const struct sp_scope *s, const struct kern_mode *modes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(s, &modes[i].scope, sizeof(*s)) == 0)
			return true;
	return false;
}

int kern_modes_set(struct kern *k, const struct kern_mode *modes, size_t n)
{
	int fd = maps_fd(&k->maps, "sp_modes");
	struct sp_scope key, next;
	int more;

	for (size_t i = 0; i < n; i++)
		if (bpf_map_update_elem(fd, &modes[i].scope, &modes[i].entry, BPF_ANY) < 0)
			return -errno;
	more = bpf_map_get_next_key(fd, NULL, &next);
	while (more == 0) {
		key = next;
		more = bpf_map_get_next_key(fd, &key, &next);
		if (!is_listed(&key, modes, n))
			(void)bpf_map_delete_elem(fd, &key);
	}
	return 0;
}

int kern_listener_port_set(struct kern *k, uint16_t port)
{
	__atomic_store_n(&k->config->listener_port, port, __ATOMIC_RELEASE);
	return 0;
}

int kern_quic_refuse_set(struct kern *k, bool refuse)
{
	__atomic_store_n(&k->config->refuse_quic, refuse, __ATOMIC_RELEASE);
	return 0;
}

int kern_heartbeat(struct kern *k, uint64_t now_ns)
{
	__atomic_store_n(&k->config->heartbeat_ns, now_ns, __ATOMIC_RELEASE);
	return 0;
}

int kern_origins_fd(const struct kern *k)
{
	return maps_fd(&k->maps, "sp_origins");
}

int kern_marks_fd(const struct kern *k)
{
	return maps_fd(&k->maps, "sp_marks");
}

int kern_counters(struct kern *k, uint64_t out[SP_COUNT_N])
{
	int cpus = libbpf_num_possible_cpus(), fd = maps_fd(&k->maps, "sp_counters");

	if (cpus < 0)
		return cpus;
	cleanup(freep) uint64_t *each = calloc((size_t)cpus, sizeof(*each));
	uint64_t sums[SP_COUNT_N] = { 0 };

	if (!each)
		return -ENOMEM;
	for (uint32_t c = 0; c < SP_COUNT_N; c++) {
		if (bpf_map_lookup_elem(fd, &c, each) < 0)
			return -errno;
		for (int i = 0; i < cpus; i++)
			sums[c] += each[i];
	}
	memcpy(out, sums, sizeof(sums));
	return 0;
}
