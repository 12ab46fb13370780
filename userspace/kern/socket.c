/* What the unprivileged worker may do with the two descriptors it was handed; no capability. */
#include "kern/kern.h"

#include <bpf/bpf.h>
#include <errno.h>

int origin_take(int origins_fd, const struct sp_origin_key *key, struct sp_origin *out)
{
	struct sp_origin o;

	if (bpf_map_lookup_and_delete_elem(origins_fd, key, &o) < 0) {
		/* No lookup-and-delete on an LRU map before 5.14 (ENOTSUPP, 524). */
		if (errno != 524 && errno != EOPNOTSUPP && errno != EINVAL)
			return -errno;
		if (bpf_map_lookup_elem(origins_fd, key, &o) < 0)
			return -errno;
		(void)bpf_map_delete_elem(origins_fd, key);
	}
	*out = o;
	return 0;
}

int mark_socket(int marks_fd, int socket_fd)
{
	uint32_t ours = 1;

	return bpf_map_update_elem(marks_fd, &socket_fd, &ours, BPF_ANY) < 0 ? -errno : 0;
}
