// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Remembers the path each process was started with: a process that connects and exits at once has
 * no /proc entry left when user space looks.
 *
 * hook     tp_btf/sched_process_exec
 * maps     sp_execs written
 * verdict  none
 * failing  optional: without it short-lived callers are known by inode only
 */
#include "bpf/maps.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sp_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct exec_seen seen = {};

	seen.start_boot_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	(void)bpf_probe_read_kernel_str(seen.exe, sizeof(seen.exe), BPF_CORE_READ(bprm, filename));
	(void)bpf_map_update_elem(&sp_execs, &tgid, &seen, BPF_ANY);
	return 0;
}
