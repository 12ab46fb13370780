/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who is calling, as the kernel knows it: struct sp_task from a task. By CO-RE reads only, because
 * cgroup_skb programs lack the pid and uid helpers before 6.10.
 */
#ifndef SALLYPORT_TASK_BPF_H
#define SALLYPORT_TASK_BPF_H

#include "bpf/maps.bpf.h"

static __always_inline __u64 cgroup_id(struct cgroup *cg)
{
	return cg ? BPF_CORE_READ(cg, kn, id) : 0;
}

static __always_inline void task_ancestors(struct sp_task *t, struct task_struct *task)
{
#pragma unroll
	for (int i = 0; i < SP_ANCESTORS; i++) {
		/* real_parent may be a thread; the process is its group leader. */
		struct task_struct *up = BPF_CORE_READ(task, real_parent, group_leader);
		__u32 tgid = up ? BPF_CORE_READ(up, tgid) : 0;

		t->ancestor[i].tgid = tgid;
		t->ancestor[i].pad = 0;
		t->ancestor[i].start_boot_ns = 0;
		__builtin_memset(t->ancestor[i].comm, 0, SP_COMM_LEN);
		if (!tgid)
			continue; /* the swapper, init's parent and its own, has tgid 0 */
		t->ancestor[i].start_boot_ns = BPF_CORE_READ(up, start_boottime);
		BPF_CORE_READ_INTO(&t->ancestor[i].comm, up, comm);
		task = up;
	}
}

static __always_inline void task_exe(struct sp_task *t, struct task_struct *leader)
{
	struct inode *inode = BPF_CORE_READ(leader, mm, exe_file, f_inode);
	/* From the stack: *t may be in the ring buffer, and before 6.3 no key may stand there. */
	__u32 tgid = t->tgid;
	struct exec_seen *seen = bpf_map_lookup_elem(&sp_execs, &tgid);

	t->exe_ino = inode ? BPF_CORE_READ(inode, i_ino) : 0;
	t->exe_dev = inode ? BPF_CORE_READ(inode, i_sb, s_dev) : 0;
	if (seen && seen->start_boot_ns == t->start_boot_ns)
		__builtin_memcpy(t->exe, seen->exe, SP_EXE_LEN);
	else
		__builtin_memset(t->exe, 0, SP_EXE_LEN);
}

/* Every byte of *t is written. */
static __always_inline void task_fill(struct sp_task *t, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	const struct cred *cred = BPF_CORE_READ(task, cred);

	t->tgid = BPF_CORE_READ(task, tgid);
	t->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	t->cgroup = cgroup_id(BPF_CORE_READ(task, cgroups, dfl_cgrp));
	t->uid = BPF_CORE_READ(cred, uid.val);
	t->gid = BPF_CORE_READ(cred, gid.val);
	t->flags = BPF_CORE_READ(task, flags) & PF_KTHREAD ? SP_TASK_KTHREAD : 0;
	t->loginuid = ~0U; /* a kernel without audit has none */
	if (bpf_core_field_exists(task->loginuid))
		t->loginuid = BPF_CORE_READ(task, loginuid.val);
	BPF_CORE_READ_INTO(&t->comm, task, comm);
	task_exe(t, task); /* of a thread: mm is shared, and a dead leader has none */
	task_ancestors(t, task);
}

#endif
