/* Container ids in cgroup paths. The outermost one counts: what runs inside chooses the rest. */
#include "ident/container.h"

#include "base/def.h"

#define HEX_ID_LEN 64

static bool is_hex_id(struct slice s)
{
	if (s.len != HEX_ID_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
			return false;
	return true;
}

/* What stands between prefix and suffix; absent when the part is not of that form. */
static struct slice between(struct slice part, const char *prefix, const char *suffix)
{
	struct slice a = slice_str(prefix), b = slice_str(suffix);

	if (part.len <= a.len + b.len || !slice_starts(part, a) || !slice_ends(part, b))
		return (struct slice){ NULL, 0 };
	return slice_sub(part, a.len, part.len - b.len);
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* systemd's unit names carry "\x2d" for '-'. */
static void unescape(char *to, size_t size, struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len && n + 1 < size; i++) {
		if (i + 3 < s.len && s.ptr[i] == '\\' && s.ptr[i + 1] == 'x' &&
		    hex_value(s.ptr[i + 2]) >= 0 && hex_value(s.ptr[i + 3]) >= 0) {
			to[n++] = (char)(hex_value(s.ptr[i + 2]) << 4 | hex_value(s.ptr[i + 3]));
			i += 3;
		} else {
			to[n++] = s.ptr[i];
		}
	}
	to[n] = '\0';
}

/* "pod<uid>", "kubepods-burstable-pod<uid with _>.slice" */
static bool pod_of(struct slice part, char pod[CONTAINER_POD_LEN])
{
	struct slice uid = between(part, "pod", "");
	long at;

	if (slice_starts(part, SLICE("kubepods")) && slice_ends(part, SLICE(".slice"))) {
		at = slice_find(part, SLICE("-pod"));
		if (at < 0)
			return false;
		uid = slice_sub(part, (size_t)at + 4, part.len - 6);
	}
	if (!uid.ptr || uid.len < 32 || uid.len >= CONTAINER_POD_LEN)
		return false;
	slice_copy(pod, CONTAINER_POD_LEN, uid);
	for (char *p = pod; *p; p++)
		if (*p == '_')
			*p = '-';
	return true;
}

/* <runtime>-<64 hex>.scope, or with podman's cgroupfs driver without ".scope". */
static bool runtime_id(struct slice part, char id[CONTAINER_ID_LEN])
{
	static const char *const prefixes[] = { "docker-",  "cri-containerd-", "crio-",
						"libpod-", "nerdctl-",		"containerd-" };
	long colon;

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct slice hex = between(part, prefixes[i], ".scope");

		if (!is_hex_id(hex))
			hex = between(part, prefixes[i], "");
		if (is_hex_id(hex)) {
			slice_copy(id, CONTAINER_ID_LEN, hex);
			return true;
		}
	}
	/* runc without the systemd driver: "kubepods-pod….slice:cri-containerd:<64 hex>" */
	colon = part.len > HEX_ID_LEN ? (long)(part.len - HEX_ID_LEN) - 1 : -1;
	if (colon > 0 && part.ptr[colon] == ':' && is_hex_id(slice_from(part, (size_t)colon + 1))) {
		slice_copy(id, CONTAINER_ID_LEN, slice_from(part, (size_t)colon + 1));
		return true;
	}
	return false;
}

/* Named ones: LXC and systemd-nspawn. */
static bool named(struct slice before, struct slice part, char id[CONTAINER_ID_LEN])
{
	struct slice name = between(part, "lxc.payload.", "");

	if (!name.ptr && (slice_is(before, "lxc") || slice_is(before, "lxc.payload")))
		name = part;
	if (!name.ptr)
		name = between(part, "systemd-nspawn@", ".service");
	if (!name.ptr && slice_is(before, "machine.slice")) {
		name = between(part, "machine-", ".scope");
		if (slice_starts(name, SLICE("qemu"))) /* a virtual machine: libvirt's scope */
			return false;
	}
	if (!name.ptr || name.len == 0)
		return false;
	unescape(id, CONTAINER_ID_LEN, name);
	return true;
}

/* A bare id below a runtime's own folder; elsewhere 64 hex digits are somebody's folder name. */
static bool bare(struct slice before, struct slice part, bool in_pod, char id[CONTAINER_ID_LEN])
{
	if (!is_hex_id(part) || !(in_pod || slice_is(before, "docker") ||
				  slice_is(before, "default") || slice_is(before, "libpod_parent")))
		return false;
	slice_copy(id, CONTAINER_ID_LEN, part);
	return true;
}

bool container_find(struct slice path, char id[CONTAINER_ID_LEN], char pod[CONTAINER_POD_LEN])
{
	struct slice before = { "", 0 };

	id[0] = pod[0] = '\0';
	while (path.len) {
		const char *slash = memchr(path.ptr, '/', path.len);
		struct slice part = slice_sub(path, 0, slash ? (size_t)(slash - path.ptr) : path.len);
		char here[CONTAINER_POD_LEN];

		path = slice_from(path, part.len + (slash ? 1 : 0));
		if (!part.len)
			continue;
		if (!pod[0] && pod_of(part, here))
			memcpy(pod, here, sizeof(here));
		if (runtime_id(part, id) || named(before, part, id) ||
		    bare(before, part, pod[0] != '\0', id)) {
			if (pod[0] == '\0' && slice_find(part, SLICE("-pod")) >= 0) {
				long colon = slice_find(part, SLICE(":"));

				if (colon > 0)
					(void)pod_of(slice_sub(part, 0, (size_t)colon), pod);
			}
			return true;
		}
		before = part;
	}
	/* A pod's own cgroup without a container, or a folder that only looked like a pod's. */
	return false;
}
