/*
 * The four files an operator edits: checked here, handed to the workers as sealed copies, and told to
 * the kernel as far as it needs them (names and modes). A file with a mistake changes nothing.
 */
#include "daemon/monitor.h"

#include "base/file.h"
#include "base/log.h"
#include "discover/known.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RULES_FILE_MAX (16U << 20)
#define UNIT_CGROUPS_MAX 4096U

static int sealed_copy(const char *name, struct slice text)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	r = file_write_all(fd, text);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

static uint32_t provider_number(const struct monitor *m, const char *id)
{
	const struct provider *p = id ? catalog_provider_id(m->catalog, id) : NULL;

	return p ? p->number : 0;
}

static struct kern_mode mode_entry(const struct monitor *m, const struct policy_scope *s, uint64_t id)
{
	return (struct kern_mode){
		.scope = { .id = id, .kind = s->kind, .provider = provider_number(m, s->provider) },
		.entry = { .mode = s->mode, .fail_closed = s->fail_closed },
	};
}

static bool has_units(const struct monitor *m)
{
	for (size_t i = 0; i < m->n_scopes; i++)
		if (m->scopes[i].kind == SP_SCOPE_CGROUP)
			return true;
	return false;
}

int monitor_scopes_apply(struct monitor *m)
{
	uint64_t *ids = calloc(UNIT_CGROUPS_MAX, sizeof(*ids));
	size_t cap = m->n_scopes + UNIT_CGROUPS_MAX, n = 0;
	struct kern_mode *modes = calloc(cap, sizeof(*modes));
	int r = ids && modes ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < m->n_scopes; i++) {
		const struct policy_scope *s = &m->scopes[i];
		size_t k = 1;

		ids[0] = s->kind == SP_SCOPE_UID ? s->uid : 0;
		if (s->kind == SP_SCOPE_CGROUP)
			k = whois_unit_cgroups(m->whois, s->unit, ids, UNIT_CGROUPS_MAX);
		if (k > UNIT_CGROUPS_MAX) {
			log_warn("only %u of %zu cgroups of \"%s\" are governed by their own mode; narrow the "
				 "pattern in the policy", UNIT_CGROUPS_MAX, k, s->unit);
			k = UNIT_CGROUPS_MAX;
		}
		if (n + k > cap) {
			struct kern_mode *more = realloc(modes, (cap * 2 + k) * sizeof(*modes));

			if (!more) {
				r = -ENOMEM;
				break;
			}
			modes = more;
			cap = cap * 2 + k;
		}
		for (size_t j = 0; j < k; j++)
			modes[n++] = mode_entry(m, s, ids[j]);
	}
	if (r == 0)
		r = kern_modes_set(m->kern, modes, n);
	free(modes);
	free(ids);
	return r;
}

int monitor_units_follow(struct monitor *m)
{
	return has_units(m) ? monitor_scopes_apply(m) : 0;
}

void monitor_rules_free(struct monitor *m)
{
	for (size_t i = 0; i < m->n_scopes; i++) {
		free((char *)m->scopes[i].unit);
		free((char *)m->scopes[i].provider);
	}
	free(m->scopes);
	m->scopes = NULL;
	m->n_scopes = 0;
}

/* Only the scopes are kept: the compiled detectors and prices are the workers' business, not ours. */
static int scopes_take(struct monitor *m, const struct snapshot *s)
{
	const struct policy_scope *from;
	size_t n = policy_scopes(s->policy, &from);
	struct policy_scope *to = calloc(n + 1, sizeof(*to));

	if (!to)
		return -ENOMEM;
	monitor_rules_free(m);
	m->scopes = to;
	m->strictest = SP_MODE_OBSERVE;
	m->any_closed = false;
	for (size_t i = 0; i < n; i++) {
		to[i] = from[i];
		to[i].unit = from[i].unit ? strdup(from[i].unit) : NULL;
		to[i].provider = from[i].provider ? strdup(from[i].provider) : NULL;
		m->n_scopes = i + 1;
		if ((from[i].unit && !to[i].unit) || (from[i].provider && !to[i].provider))
			return -ENOMEM;
		m->strictest = MAX(m->strictest, from[i].mode);
		m->any_closed |= from[i].mode == SP_MODE_ENFORCE && from[i].fail_closed;
	}
	return 0;
}

static int rules_take(struct monitor *m, struct snapshot *s, const struct buf text[SNAPSHOT_FILES])
{
	int fd[SNAPSHOT_FILES], r = 0;

	for (size_t i = 0; i < SNAPSHOT_FILES; i++) {
		fd[i] = sealed_copy(snapshot_names[i], buf_slice(&text[i]));
		r = fd[i] < 0 ? fd[i] : r;
	}
	if (r == 0)
		r = scopes_take(m, s);
	for (size_t i = 0; i < SNAPSHOT_FILES; i++) {
		if (r < 0) {
			if (fd[i] >= 0)
				(void)close(fd[i]);
			continue;
		}
		if (m->rules_fd[i] >= 0)
			(void)close(m->rules_fd[i]);
		m->rules_fd[i] = fd[i];
	}
	if (r < 0)
		return r;
	catalog_unref(m->catalog);
	m->catalog = catalog_ref(s->catalog);
	m->generation++;
	return 0;
}

int monitor_rules_load(struct monitor *m, struct buf *why)
{
	struct buf text[SNAPSHOT_FILES];
	struct slice in[SNAPSHOT_FILES];
	struct snapshot *s = NULL;
	int r = 0;

	for (size_t i = 0; i < SNAPSHOT_FILES; i++) {
		int e;

		buf_init(&text[i], RULES_FILE_MAX);
		e = m->o.data_file[i][0] ? file_read(m->o.data_file[i], &text[i]) : 0;
		in[i] = m->o.data_file[i][0] ? buf_slice(&text[i]) : (struct slice){ NULL, 0 };
		if (e < 0) {
			(void)buf_printf(why, "%s: %s\n", m->o.data_file[i], strerror(-e));
			r = r < 0 ? r : e;
		}
	}
	monitor_beat(m);
	if (r == 0)
		r = snapshot_load(in, m->o.mode, m->generation + 1, why, &s);
	if (r == 0 && policy_warnings(s->policy).len)
		log_warn("the policy is taken, but: %.*s", SLICE_FMT(policy_warnings(s->policy)));
	if (r == 0)
		r = rules_take(m, s, text);
	snapshot_unref(s);
	for (size_t i = 0; i < SNAPSHOT_FILES; i++)
		buf_done(&text[i]);
	(void)malloc_trim(0);
	monitor_beat(m);
	return r == 0 && m->kern ? monitor_rules_apply(m) : r;
}

int monitor_rules_apply(struct monitor *m)
{
	int r = known_names(m->kern, m->catalog);

	monitor_beat(m);
	return r == 0 ? monitor_scopes_apply(m) : r;
}
