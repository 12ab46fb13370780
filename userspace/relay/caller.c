/* Principals of this thread's connections, cached by (pid, start time): a direct-mapped table. */
#include "relay/worker.h"

#include <errno.h>
#include <stdlib.h>

#define CALLERS 256U /* a power of two */

static size_t caller_slot(uint32_t pid, uint64_t start_ns)
{
	uint64_t h = (start_ns ^ (uint64_t)pid * 0x9e3779b97f4a7c15U) * 0xbf58476d1ce4e5b9U;

	return (size_t)(h >> 32) & (CALLERS - 1);
}

int callers_init(struct worker *w)
{
	w->callers = calloc(CALLERS, sizeof(struct caller *));
	return w->callers ? 0 : -ENOMEM;
}

void callers_done(struct worker *w)
{
	for (size_t i = 0; w->callers && i < CALLERS; i++)
		caller_unref(w->callers[i]);
	free(w->callers);
	w->callers = NULL;
}

struct caller *caller_ref(struct caller *c)
{
	c->refs++;
	return c;
}

void caller_unref(struct caller *c)
{
	if (c && --c->refs == 0)
		free(c);
}

/*
 * The unit and the user of a process may change while it runs (a process can be moved to another
 * cgroup), so an entry also has to agree with what the kernel said of this connect.
 */
struct caller *caller_find(struct worker *w, const struct sp_task *t)
{
	struct caller *c = w->callers[caller_slot(t->tgid, t->start_boot_ns)];

	if (!c || c->who.pid != t->tgid || c->who.start_ns != t->start_boot_ns ||
	    c->who.uid != t->uid || c->who.gid != t->gid || c->who.cgroup_id != t->cgroup)
		return NULL;
	return caller_ref(c);
}

struct caller *caller_put(struct worker *w, const struct principal *p)
{
	struct caller **slot = &w->callers[caller_slot(p->pid, p->start_ns)];
	struct caller *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->who = *p;
	c->key = principal_key(p);
	c->refs = 2;
	caller_unref(*slot);
	*slot = c;
	return c;
}
