/* cgroup paths as runtimes really make them. */
#include "base/def.h"
#include "ident/cgroup.h"
#include "ident/container.h"
#include "tests/t.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD "1b3c9a4e-5d6f-4a7b-8c9d-0e1f2a3b4c5d"
#define POD_ "1b3c9a4e_5d6f_4a7b_8c9d_0e1f2a3b4c5d"

static const struct {
	const char *why, *path, *id, *pod, *unit, *slice;
} rows[] = {
	{ "service", "/system.slice/billing.service", "", "", "billing.service", "system.slice" },
	{ "service's own children", "/system.slice/billing.service/worker/a.service", "", "",
	  "billing.service", "system.slice" },
	{ "template in its slice", "/system.slice/system-getty.slice/getty@tty1.service", "", "",
	  "getty@tty1.service", "system-getty.slice" },
	{ "login session", "/user.slice/user-1000.slice/session-3.scope", "", "", "session-3.scope",
	  "user-1000.slice" },
	{ "user unit", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-code.service", "",
	  "", "user@1000.service/app-code.service", "user-1000.slice" },
	{ "a user's unit called as the system's",
	  "/user.slice/user-1000.slice/user@1000.service/billing.service", "", "",
	  "user@1000.service/billing.service", "user-1000.slice" },
	{ "init", "/init.scope", "", "", "init.scope", "-.slice" },
	{ "root", "/", "", "", "", "" },
	{ "escaped name", "/system.slice/_cgroup.service", "", "", "cgroup.service", "system.slice" },
	{ "docker, systemd", "/system.slice/docker-" ID ".scope", ID, "", "docker-" ID ".scope",
	  "system.slice" },
	{ "docker, cgroupfs", "/docker/" ID, ID, "", "", "" },
	{ "systemd inside docker", "/system.slice/docker-" ID ".scope/system.slice/billing.service", ID,
	  "", "docker-" ID ".scope", "system.slice" },
	{ "kubernetes, systemd",
	  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_
	  ".slice/cri-containerd-" ID ".scope", ID, POD, "cri-containerd-" ID ".scope",
	  "kubepods-burstable-pod" POD_ ".slice" },
	{ "kubernetes, cgroupfs", "/kubepods/besteffort/pod" POD "/" ID, ID, POD, "", "" },
	{ "kubernetes, guaranteed, cri-o",
	  "/kubepods.slice/kubepods-pod" POD_ ".slice/crio-" ID ".scope", ID, POD,
	  "crio-" ID ".scope", "kubepods-pod" POD_ ".slice" },
	{ "containerd, colons", "/system.slice/containerd.service/kubepods-pod" POD_
	  ".slice:cri-containerd:" ID, ID, POD, "containerd.service", "system.slice" },
	{ "podman, rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
	  ".scope/container", ID, "", "user@1000.service/libpod-" ID ".scope", "user-1000.slice" },
	{ "podman, cgroupfs", "/libpod_parent/libpod-" ID, ID, "", "", "" },
	{ "podman's monitor is no container", "/machine.slice/libpod-conmon-" ID ".scope", "", "",
	  "libpod-conmon-" ID ".scope", "machine.slice" },
	{ "lxc", "/lxc.payload.web1/system.slice/ssh.service", "web1", "", "", "" },
	{ "lxc's monitor is no container", "/lxc.monitor.web1", "", "", "", "" },
	{ "old lxc", "/lxc/web1", "web1", "", "", "" },
	{ "nspawn", "/machine.slice/machine-my\\x2dbox.scope", "my-box", "", "machine-my\\x2dbox.scope",
	  "machine.slice" },
	{ "nspawn service", "/machine.slice/systemd-nspawn@box.service/payload", "box", "",
	  "systemd-nspawn@box.service", "machine.slice" },
	{ "a virtual machine", "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope", "", "",
	  "machine-qemu\\x2d1\\x2dweb.scope", "machine.slice" },
	{ "64 hex digits as a folder", "/system.slice/x.service/" ID, "", "", "x.service",
	  "system.slice" },
	{ "too short an id", "/system.slice/docker-0123.scope", "", "", "docker-0123.scope",
	  "system.slice" },
};

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char id[CONTAINER_ID_LEN], pod[CONTAINER_POD_LEN], unit[160], slice[128];
		bool found = container_find(slice_str(rows[i].path), id, pod);

		(void)cgroup_unit(slice_str(rows[i].path), unit, sizeof(unit), slice, sizeof(slice));
		t_ok(found == (rows[i].id[0] != '\0'), "%s: found", rows[i].why);
		t_str(id, rows[i].id, "%s: id", rows[i].why);
		t_str(found ? pod : "", rows[i].pod, "%s: pod", rows[i].why);
		t_str(unit, rows[i].unit, "%s: unit", rows[i].why);
		t_str(slice, rows[i].slice, "%s: slice", rows[i].why);
	}
	return t_done();
}
