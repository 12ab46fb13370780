/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* How a cgroup/connect or sendmsg program says no. */
#ifndef SALLYPORT_REFUSE_BPF_H
#define SALLYPORT_REFUSE_BPF_H

#include "bpf/kernel.bpf.h"

/* ECONNREFUSED is what clients retry; before 5.18 there is only the kernel's EPERM. */
static __always_inline int refuse(void *ctx)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_set_retval))
		bpf_set_retval(-ECONNREFUSED);
	return 0;
}

#endif
