/*
 * The other processes: started, fed, restarted. A spool, a metrics page and the listeners belong to
 * the monitor and survive a worker, so that nothing handed over is lost and connections wait in the
 * backlog while the next one starts.
 */
#include "daemon/monitor.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/booking.h"
#include "daemon/recorder.h"
#include "net/sock.h"
#include "tls/signer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPOOL_SIZE (16U << 20) /* some 10,000 exchanges: half a second of a busy worker */
#define SIGNER_WAIT_MS 10000 /* making a CA takes a moment on a busy machine */
#define RECORDER_WAIT_MS 20000 /* it may have to drain what was left behind */
#define ALIVE_NS 1000000000ULL
#define STOP_MS 5000

/* ---- recorder ---- */

static int recorder_tell(struct monitor *m, uint32_t kind, uint32_t slot, const int *fds, size_t n_fds)
{
	struct recorder_message msg = { .kind = kind, .slot = slot };

	if (kind == RECORDER_START)
		msg.fresh = m->worker.pid == 0;
	return m->recorder.pid ? channel_send(m->recorder.channel, &msg, RECORDER_SHORT, fds, n_fds) : -EPIPE;
}

static int recorder_add_spool(struct monitor *m, uint32_t slot)
{
	const int fds[] = { spool_fd(m->slots[slot].spool), m->wake_fd };

	return recorder_tell(m, RECORDER_ADD_SPOOL, slot, fds, ARRAY_LEN(fds));
}

static void slot_drained(struct monitor *m, uint32_t slot)
{
	if (slot >= m->o.workers || !m->slots[slot].draining)
		return;
	m->slots[slot].draining = false;
	if (m->budgets)
		budget_release_worker(m->budgets, slot);
}

static void recorder_event(struct watch *w, uint32_t events)
{
	struct monitor *m = container_of(w, struct monitor, recorder_watch);
	struct recorder_message msg;
	ssize_t n;

	(void)events;
	while ((n = channel_recv(w->fd, &msg, sizeof(msg), NULL, NULL)) > 0)
		if (msg.kind == RECORDER_WORKER_DONE)
			slot_drained(m, msg.slot);
	if (n != -EAGAIN)
		loop_unwatch(m->loop, w);
}

/* Waits for the recorder's word that the budgets are filled; the table comes with it. */
static int recorder_started(struct monitor *m)
{
	struct recorder_message msg;
	int fds[CHANNEL_FDS], r;
	size_t n_fds = 0;
	ssize_t n;

	do {
		r = channel_wait(m->recorder.channel, RECORDER_WAIT_MS);
		if (r < 0)
			return r;
		n = channel_recv(m->recorder.channel, &msg, sizeof(msg), fds, &n_fds);
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
	} while (msg.kind != RECORDER_STARTED);
	r = msg.status;
	if (r == 0 && n_fds == 1 && !m->budgets)
		r = budget_table_map(fds[0], &m->budgets);
	for (size_t i = 0; i < n_fds; i++)
		(void)close(fds[i]);
	return r;
}

int recorder_start(struct monitor *m)
{
	int r;

	m->recorder.role = "recorder";
	r = child_start(&m->recorder, &m->o, NULL, 0);
	for (uint32_t i = 0; r == 0 && i < m->o.workers; i++) {
		if (m->slots[i].spool)
			r = recorder_add_spool(m, i);
		/* What its predecessor was still to say of a dead worker, the rings on disk tell this one. */
		slot_drained(m, i);
	}
	if (r == 0)
		r = recorder_tell(m, RECORDER_START, 0, NULL, 0);
	if (r == 0)
		r = recorder_started(m);
	if (r < 0)
		return r;
	m->recorder_watch = (struct watch){ .fd = m->recorder.channel, .fn = recorder_event };
	return loop_watch(m->loop, &m->recorder_watch, EPOLLIN);
}

void monitor_record(struct monitor *m, const struct record *r)
{
	static struct recorder_message msg;
	int rc = -EPIPE;

	msg.kind = RECORDER_RECORD;
	msg.record = *r;
	if (m->recorder.pid)
		rc = channel_send(m->recorder.channel, &msg, sizeof(msg), NULL, 0);

	if (rc < 0 && m->lost_records++ % 1000 == 0)
		log_warn("a record of the monitor could not be handed over: %s; lost so far: %llu",
			 strerror(-rc), (unsigned long long)m->lost_records);
}

void monitor_note(struct monitor *m, const char *fmt, ...)
{
	static struct record r;
	va_list ap;

	memset(&r, 0, sizeof(r));
	r.kind = RECORD_ADMIN;
	r.start_ns = clock_wall_ns();
	r.mode = m->strictest;
	r.input_tokens = r.output_tokens = r.cached_tokens = r.cache_write_tokens = r.reasoning_tokens = -1;
	va_start(ap, fmt);
	(void)vsnprintf(r.note, sizeof(r.note), fmt, ap);
	va_end(ap);
	monitor_record(m, &r);
}

/* ---- signer ---- */

static int signer_start(struct monitor *m)
{
	struct buf pem;
	int r;

	m->signer.role = "signer";
	r = child_start(&m->signer, &m->o, NULL, 0);
	if (r < 0)
		return r;
	buf_init(&pem, SIGNER_ROOT_MAX);
	r = signer_root(m->signer.channel, SIGNER_WAIT_MS, &pem);
	if (r == 0) {
		int fd = memfd_create("ca.crt", MFD_CLOEXEC);

		r = fd < 0 ? -errno : file_write_all(fd, buf_slice(&pem));
		if (m->ca_fd >= 0)
			(void)close(m->ca_fd);
		m->ca_fd = fd;
	}
	buf_done(&pem);
	return r;
}

/* A fresh line to the signer; the caller closes its end. */
static int signer_line(struct monitor *m)
{
	int pair[2], r = channel_pair(pair);

	if (r < 0)
		return r;
	r = signer_add_client(m->signer.channel, pair[1], SIGNER_WAIT_MS);
	(void)close(pair[1]);
	if (r < 0) {
		(void)close(pair[0]);
		return r;
	}
	return pair[0];
}

static void signer_again(struct monitor *m)
{
	struct ipc msg = { .type = MESSAGE_SIGNER };
	int r = signer_start(m);

	for (size_t i = 0; r == 0 && i < m->o.workers; i++) {
		int fd = signer_line(m);

		if (fd < 0)
			continue;
		if (m->slots[i].channel >= 0)
			(void)channel_send(m->slots[i].channel, &msg, sizeof(msg), &fd, 1);
		(void)close(fd);
	}
	if (r < 0)
		log_error("cannot start the signer: %s; hosts without a cached leaf are refused", strerror(-r));
}

/* ---- listeners ---- */

static int mark(void *ctx, int fd)
{
	struct monitor *m = ctx;

	return mark_socket(kern_marks_fd(m->kern), fd);
}

static int listeners_open(struct monitor *m)
{
	struct sock_addr v4, v6;
	int fd;

	if (m->n_listeners)
		return 0;
	(void)sock_addr_parse("127.0.0.1", &v4);
	(void)sock_addr_parse("::1", &v6);
	fd = sock_listen(&v4, &m->port, mark, m);
	if (fd < 0) {
		log_error("cannot listen on 127.0.0.1: %s", strerror(-fd));
		return fd;
	}
	m->listeners[m->n_listeners++] = fd;
	v6.port = m->port;
	fd = sock_listen(&v6, NULL, mark, m);
	if (fd >= 0)
		m->listeners[m->n_listeners++] = fd;
	else
		log_info("no listener on ::1 (%s): IPv6 connections come in mapped", strerror(-fd));
	return 0;
}

/* ---- workers ---- */

static void slot_event(struct watch *w, uint32_t events)
{
	struct slot *s = container_of(w, struct slot, watch);
	struct ipc msg;
	ssize_t n;

	(void)events;
	while ((n = channel_recv(s->channel, &msg, sizeof(msg), NULL, NULL)) == sizeof(msg)) {
		switch (msg.type) {
		case MESSAGE_ALIVE:
			s->alive_ns = clock_mono_ns();
			break;
		case MESSAGE_WHOIS: {
			struct sp_task task = msg.task;

			msg.type = MESSAGE_PRINCIPAL;
			whois_resolve(s->m->whois, &task, &msg.principal);
			(void)channel_send(s->channel, &msg, sizeof(msg), NULL, 0);
			break;
		}
		case MESSAGE_RULES_DONE:
			msg.rules.text[sizeof(msg.rules.text) - 1] = '\0';
			if (msg.rules.status < 0)
				log_error("worker %zu could not take the rules: %s %s",
					  (size_t)(s - s->m->slots), strerror(-msg.rules.status),
					  msg.rules.text);
			else
				s->generation = msg.rules.generation;
			break;
		default:
			break;
		}
	}
	if (n != -EAGAIN)
		loop_unwatch(s->m->loop, w);
}

static int slot_prepare(struct monitor *m, struct slot *s, unsigned number)
{
	s->m = m;
	if (!s->metrics) {
		s->metrics_fd = memfd_create("metrics", MFD_CLOEXEC);
		if (s->metrics_fd < 0 || ftruncate(s->metrics_fd, sizeof(*s->metrics)) < 0)
			return -errno;
		s->metrics = mmap(NULL, sizeof(*s->metrics), PROT_READ | PROT_WRITE, MAP_SHARED,
				  s->metrics_fd, 0);
		if (s->metrics == MAP_FAILED) {
			s->metrics = NULL;
			return -errno;
		}
	}
	if (!s->spool) {
		int r = booking_spool_new(m->o.state, number, SPOOL_SIZE, &s->spool);

		if (r == 0)
			r = recorder_add_spool(m, number);
		return r;
	}
	return 0;
}

static int slot_rules(struct monitor *m, struct slot *s)
{
	struct ipc msg = { .type = MESSAGE_RULES };

	msg.rules.generation = m->generation;
	msg.rules.mode_override = m->o.mode;
	return channel_send(s->channel, &msg, sizeof(msg), m->rules_fd, SNAPSHOT_FILES);
}

static int slot_setup(struct monitor *m, struct slot *s, unsigned number)
{
	struct ipc msg = { .type = MESSAGE_SETUP };
	int fds[SETUP_FDS], r;

	msg.setup.slot = number;
	msg.setup.upstream_timeout_s = m->o.upstream_timeout_s;
	msg.setup.max_body = (uint64_t)m->o.max_body_mib << 20;
	if (getrandom(&msg.setup.seed, sizeof(msg.setup.seed), 0) < 0)
		return -errno;
	slice_copy(msg.setup.extra_ca, sizeof(msg.setup.extra_ca),
		   slice_str(m->o.upstream_ca ? m->o.upstream_ca : ""));
	fds[SETUP_SPOOL] = spool_fd(s->spool);
	fds[SETUP_BUDGETS] = budget_table_fd(m->budgets);
	fds[SETUP_METRICS] = s->metrics_fd;
	fds[SETUP_SIGNER] = signer_line(m);
	fds[SETUP_ORIGINS] = kern_origins_fd(m->kern);
	fds[SETUP_MARKS] = kern_marks_fd(m->kern);
	fds[SETUP_WAKE] = m->wake_fd;
	fds[SETUP_CA] = m->ca_fd;
	if (fds[SETUP_SIGNER] < 0)
		return fds[SETUP_SIGNER];
	r = channel_send(s->channel, &msg, sizeof(msg), fds, SETUP_FDS);
	(void)close(fds[SETUP_SIGNER]);
	if (r == 0)
		r = slot_rules(m, s);
	for (size_t i = 0; r == 0 && i < m->n_listeners; i++) {
		struct ipc l = { .type = MESSAGE_LISTENER };

		r = channel_send(s->channel, &l, sizeof(l), &m->listeners[i], 1);
	}
	s->watch = (struct watch){ .fd = s->channel, .fn = slot_event };
	return r == 0 ? loop_watch(m->loop, &s->watch, EPOLLIN) : r;
}

static int workers_start(struct monitor *m)
{
	int theirs[SLOTS_MAX], pair[2], r = 0;
	size_t n = 0;

	m->worker.role = "worker";
	for (unsigned i = 0; r == 0 && i < m->o.workers; i++)
		r = slot_prepare(m, &m->slots[i], i);
	for (unsigned i = 1; r == 0 && i < m->o.workers; i++) {
		r = channel_pair(pair);
		if (r == 0) {
			m->slots[i].channel = pair[0];
			theirs[n++] = pair[1];
		}
	}
	if (r == 0)
		r = child_start(&m->worker, &m->o, theirs, n);
	for (size_t i = 0; i < n; i++)
		(void)close(theirs[i]);
	if (r == 0)
		m->slots[0].channel = m->worker.channel;
	for (unsigned i = 0; r == 0 && i < m->o.workers; i++)
		r = slot_setup(m, &m->slots[i], i);
	return r;
}

int workers_rules(struct monitor *m)
{
	int r = 0;

	for (unsigned i = 0; m->data_path && r == 0 && i < m->o.workers; i++)
		if (m->slots[i].channel >= 0)
			r = slot_rules(m, &m->slots[i]);
	return r;
}

bool workers_alive(const struct monitor *m)
{
	uint64_t now = clock_mono_ns();

	for (unsigned i = 0; i < m->o.workers; i++)
		if (m->slots[i].channel < 0 || now - m->slots[i].alive_ns > ALIVE_NS)
			return false;
	return m->data_path;
}

/* Its process is gone: what it left in the spools is the recorder's now; the next one gets new ones. */
static void slots_closed(struct monitor *m)
{
	for (unsigned i = 0; i < m->o.workers; i++) {
		struct slot *s = &m->slots[i];

		loop_unwatch(m->loop, &s->watch);
		if (i && s->channel >= 0)
			(void)close(s->channel);
		s->channel = -1;
		s->alive_ns = 0;
		if (!s->spool)
			continue;
		if (m->recorder.pid)
			s->draining = recorder_tell(m, RECORDER_WORKER_GONE, i, NULL, 0) == 0;
		spool_close(s->spool);
		s->spool = NULL;
	}
}

int data_path_start(struct monitor *m)
{
	int r;

	if (m->data_path)
		return 0;
	r = signer_start(m);
	if (r < 0) {
		log_error("cannot start the signer: %s; see its lines above", strerror(-r));
		return r;
	}
	r = listeners_open(m);
	if (r == 0)
		r = workers_start(m);
	if (r == 0)
		r = kern_listener_port_set(m->kern, m->port);
	m->data_path = r == 0;
	return r;
}

/* ---- supervision ---- */

/* The recorder still books what the last worker left: nobody may take its place in the budgets yet. */
static bool slots_draining(const struct monitor *m)
{
	for (unsigned i = 0; i < m->o.workers; i++)
		if (m->slots[i].draining)
			return true;
	return false;
}

static void again(struct timer *t)
{
	struct monitor *m = container_of(t, struct monitor, restart);
	int r = 0;

	if (m->stopping)
		return;
	if (!m->recorder.pid)
		r = recorder_start(m);
	if (r == 0 && m->data_path && !m->signer.pid)
		signer_again(m);
	if (r == 0 && m->data_path && !m->worker.pid)
		r = slots_draining(m) ? -EAGAIN : workers_start(m);
	if (r == -EAGAIN) {
		(void)timer_arm(m->loop, t, 20);
		return;
	}
	if (r < 0) {
		log_error("cannot start a process again: %s; trying on", strerror(-r));
		(void)timer_arm(m->loop, t, 1000);
	}
}

void processes_reaped(struct monitor *m)
{
	struct child *all[] = { &m->signer, &m->worker, &m->recorder, &m->resolver };
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < ARRAY_LEN(all); i++) {
			struct child *c = all[i];

			if (c->pid != pid)
				continue;
			if (c == &m->resolver) {
				/* What it found last still waits in the channel. */
				prefetch_ended(m);
				continue;
			}
			if (c == &m->worker)
				slots_closed(m);
			if (c == &m->recorder)
				loop_unwatch(m->loop, &m->recorder_watch);
			child_ended(c, status);
			if (c != &m->recorder)
				monitor_note(m, "%s ended unexpectedly and is started again", c->role);
			if (!m->stopping)
				(void)timer_arm(m->loop, &m->restart, child_delay_ms(c));
		}
	}
}

int processes_init(struct monitor *m)
{
	m->signer.channel = m->worker.channel = m->recorder.channel = m->resolver.channel = -1;
	for (size_t i = 0; i < SLOTS_MAX; i++)
		m->slots[i].channel = m->slots[i].metrics_fd = m->slots[i].watch.fd = -1;
	m->restart.fn = again;
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return m->wake_fd < 0 ? -errno : 0;
}

/* It books what is left once its channel is closed; SIGTERM would cut that short. */
static void recorder_stop(struct monitor *m)
{
	if (!m->recorder.pid)
		return;
	(void)close(m->recorder.channel);
	m->recorder.channel = -1;
	child_stop(&m->recorder, RECORDER_WAIT_MS);
}

/* The data path first, so that its last records reach the recorder. */
void processes_stop(struct monitor *m)
{
	struct ipc stop = { .type = MESSAGE_STOP };

	m->stopping = true;
	child_stop(&m->resolver, STOP_MS);
	for (unsigned i = 0; i < m->o.workers; i++)
		if (m->slots[i].channel >= 0)
			(void)channel_send(m->slots[i].channel, &stop, sizeof(stop), NULL, 0);
	if (m->worker.pid)
		child_stop(&m->worker, STOP_MS);
	slots_closed(m);
	child_stop(&m->signer, STOP_MS);
	seen_free(m);
	monitor_note(m, "daemon stopped");
	loop_unwatch(m->loop, &m->recorder_watch);
	recorder_stop(m);
	for (size_t i = 0; i < m->n_listeners; i++)
		(void)close(m->listeners[i]);
	m->n_listeners = 0;
	budget_table_close(m->budgets);
	m->budgets = NULL;
}
