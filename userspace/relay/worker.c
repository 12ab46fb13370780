/*
 * A worker thread: set-up over the channel, then one loop. What it is told later: new rules, more
 * listeners, a new signer, stop.
 */
#include "relay/worker.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "relay/pool.h"
#include "relay/txn.h"
#include "tls/signer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIVE_MS 200
#define DRAIN_MS 4000     /* to end what is under way after STOP; the monitor waits a second longer */
#define SIGNER_TIMEOUT_MS 2000
#define SETUP_TIMEOUT_MS 10000
#define WAKE_AFTER_NS 10000000U /* the recorder is woken at most every 10 ms unless the spool fills */
#define END_ROOM 2048U /* a record as packed has about 900 bytes; with many findings and tools twice that */
#define RULES_FILE_MAX (16U << 20)

uint64_t worker_request_id(struct worker *w, char out[40])
{
	/* Unique on this node for as long as the seed is fresh at each start; not a secret. */
	uint64_t n = ++w->next_id + ((uint64_t)w->setup.slot << 56);
	uint64_t id = (n ^ w->setup.seed) * 0x9e3779b97f4a7c15U;

	(void)snprintf(out, 40, "sp-%016llx", (unsigned long long)id);
	return id;
}

int worker_record(struct worker *w, const struct record *r, bool promised)
{
	bool room = promised || spool_free(w->spool) > (w->n_opened + 4) * END_ROOM;
	int rc = room ? record_put(w->spool, r) : -ENOSPC;

	if (rc < 0) {
		metric_add(w->metrics, records_refused, 1);
		return rc;
	}
	metric_add(w->metrics, records, 1);
	w->spooled = true;
	return 0;
}

/* ---- messages from the monitor ---- */

/* By pread: all threads share one file offset behind the descriptors they were sent. */
static int rules_read(int fd, struct buf *out)
{
	struct stat st;
	int r;

	buf_init(out, RULES_FILE_MAX);
	if (fstat(fd, &st) < 0)
		return -errno;
	r = buf_reserve(out, (size_t)st.st_size);
	while (r == 0 && out->len < (size_t)st.st_size) {
		ssize_t n = pread(fd, out->data + out->len, (size_t)st.st_size - out->len, (off_t)out->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		out->len += (size_t)n;
	}
	return r;
}

static void rules_take(struct worker *w, const struct ipc *m, const int *fds, size_t n_fds)
{
	struct buf text[SNAPSHOT_FILES], why;
	struct slice in[SNAPSHOT_FILES];
	struct snapshot *next = NULL;
	struct ipc done = { .type = MESSAGE_RULES_DONE, .id = m->id };
	int r = n_fds == SNAPSHOT_FILES ? 0 : -EPROTO;

	distrust_flush(w, m->rules.generation);
	buf_init(&why, MESSAGE_TEXT * 4);
	for (size_t i = 0; i < SNAPSHOT_FILES; i++) {
		int e = i < n_fds ? rules_read(fds[i], &text[i]) : (buf_init(&text[i], 1), 0);

		r = r < 0 ? r : e;
		in[i] = buf_slice(&text[i]);
		if (i == SNAPSHOT_DETECTORS && !in[i].len)
			in[i].ptr = NULL;
	}
	if (r == 0)
		r = snapshot_load(in, m->rules.mode_override, m->rules.generation, &why, &next);
	if (r == 0 && w->dlp_scratch_of != next->dlp) {
		dlp_scratch_free(w->dlp_scratch);
		w->dlp_scratch = NULL;
		r = dlp_scratch_new(next->dlp, &w->dlp_scratch);
		w->dlp_scratch_of = next->dlp;
	}
	if (r == 0) {
		snapshot_unref(w->rules);
		w->rules = next;
	} else {
		snapshot_unref(next);
	}
	done.rules.generation = m->rules.generation;
	done.rules.status = r;
	slice_copy(done.rules.text, sizeof(done.rules.text), buf_slice(&why));
	(void)channel_send(w->channel, &done, sizeof(done), NULL, 0);
	for (size_t i = 0; i < SNAPSHOT_FILES; i++)
		buf_done(&text[i]);
	buf_done(&why);
}

static void listener_take(struct worker *w, int fd)
{
	struct listener *l;

	if (w->n_listeners == WORKER_LISTENERS) {
		log_error("no room for another listener; limit=%d", WORKER_LISTENERS);
		(void)close(fd);
		return;
	}
	l = &w->listeners[w->n_listeners++];
	l->w = w;
	l->watch = (struct watch){ .fd = fd, .fn = conn_accept };
	if (loop_watch(w->loop, &l->watch, EPOLLIN | EPOLLEXCLUSIVE) < 0)
		log_error("cannot watch a listener: %s", strerror(errno));
}

static void fds_close(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
}

static void drain_over(struct timer *t)
{
	loop_stop(container_of(t, struct worker, drain)->loop);
}

/* Answers under way are brought to their end, for a while; who waits for nothing is let go at once. */
static void worker_drain(struct worker *w)
{
	w->stopping = true;
	for (struct conn *c = w->conns, *next; c; c = next) {
		next = c->next;
		if (c->txn || c->pass)
			continue;
		if (c->client.tls)
			tls_shutdown(c->client.tls);
		conn_free(c);
	}
	w->drain.fn = drain_over;
	(void)timer_arm(w->loop, &w->drain, DRAIN_MS);
	for (size_t i = 0; i < w->n_listeners; i++) {
		loop_unwatch(w->loop, &w->listeners[i].watch);
		(void)close(w->listeners[i].watch.fd);
	}
	w->n_listeners = 0;
	if (!w->n_conns)
		loop_stop(w->loop);
}

static void message_take(struct worker *w, const struct ipc *m, int *fds, size_t n_fds)
{
	switch (m->type) {
	case MESSAGE_RULES:
		rules_take(w, m, fds, n_fds);
		break;
	case MESSAGE_LISTENER:
		if (n_fds == 1) {
			listener_take(w, fds[0]);
			n_fds = 0;
		}
		break;
	case MESSAGE_SIGNER:
		if (n_fds == 1) {
			signer_client_set_fd(w->signer, fds[0]);
			n_fds = 0;
		}
		break;
	case MESSAGE_PRINCIPAL:
		conn_principal(w, m);
		break;
	case MESSAGE_STOP:
		worker_drain(w);
		break;
	default:
		log_warn("message of unknown type from the monitor ignored; type=%u", m->type);
	}
	fds_close(fds, n_fds);
}

static void channel_event(struct watch *watch, uint32_t events)
{
	struct worker *w = container_of(watch, struct worker, channel_watch);
	int fds[CHANNEL_FDS];
	size_t n_fds = 0;
	struct ipc m;

	(void)events;
	for (;;) {
		ssize_t n = channel_recv(w->channel, &m, sizeof(m), fds, &n_fds);

		if (n == -EAGAIN)
			return;
		if (n != sizeof(m)) {
			/* Without a monitor nobody can tell us who calls: let the fail mode decide. */
			log_error("the monitor is gone; ending");
			w->stopping = true;
			loop_stop(w->loop);
			return;
		}
		message_take(w, &m, fds, n_fds);
	}
}

static void alive_tick(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, alive);
	struct ipc m = { .type = MESSAGE_ALIVE };

	(void)channel_send(w->channel, &m, sizeof(m), NULL, 0);
	conn_ask_again(w);
	(void)timer_arm(w->loop, t, ALIVE_MS);
}

static void round_end(void *ctx)
{
	struct worker *w = ctx;
	uint64_t now = loop_now_ns(w->loop), one = 1;

	while (w->dead) {
		struct conn *c = w->dead;

		w->dead = c->next;
		free(c);
	}
	if (w->spooled && (now - w->woken_ns > WAKE_AFTER_NS || spool_free_percent(w->spool) < 50)) {
		if (write(w->wake_fd, &one, sizeof(one)) < 0) {
			/* The counter is full: it is awake already. */
		}
		w->spooled = false;
		w->woken_ns = now;
	}
	w->metrics->value[METRIC_open] = w->n_conns;
	if (w->stopping && !w->n_conns)
		loop_stop(w->loop);
}

/* ---- set-up ---- */

static int receive(struct worker *w, uint32_t type, struct ipc *m, int fds[CHANNEL_FDS], size_t *n_fds)
{
	int r = channel_wait(w->channel, SETUP_TIMEOUT_MS);
	ssize_t n;

	if (r < 0)
		return r;
	n = channel_recv(w->channel, m, sizeof(*m), fds, n_fds);
	if (n < 0)
		return (int)n;
	if (n != sizeof(*m) || m->type != type) {
		fds_close(fds, n > 0 ? *n_fds : 0);
		return n == 0 ? -EPIPE : -EPROTO;
	}
	return 0;
}

static int tls_setup(struct worker *w, int ca_fd)
{
	struct tls_upstream_options o = {
		.extra_ca_file = *w->setup.extra_ca ? w->setup.extra_ca : NULL,
	};
	struct buf why, ca;
	int r = rules_read(ca_fd, &ca);

	(void)close(ca_fd);
	o.own_ca = buf_slice(&ca);
	buf_init(&why, 4096);
	if (r == 0)
		r = tls_upstream_new(&o, &w->upstream, &why);
	if (r < 0)
		log_error("cannot set up upstream TLS: %.*s", SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	buf_done(&ca);
	return r < 0 ? r : tls_server_new(w->signer, &w->server);
}

static int setup(struct worker *w)
{
	int fds[CHANNEL_FDS], r;
	size_t n_fds = 0;
	struct ipc m;

	r = receive(w, MESSAGE_SETUP, &m, fds, &n_fds);
	if (r < 0)
		return r;
	if (n_fds != SETUP_FDS) {
		fds_close(fds, n_fds);
		return -EPROTO;
	}
	w->setup = m.setup;
	w->origins_fd = fds[SETUP_ORIGINS];
	w->marks_fd = fds[SETUP_MARKS];
	w->wake_fd = fds[SETUP_WAKE];
	r = spool_map(fds[SETUP_SPOOL], &w->spool);
	if (r == 0)
		r = budget_table_map(fds[SETUP_BUDGETS], &w->budgets);
	if (r == 0)
		r = budget_table_worker(w->budgets, w->setup.slot);
	(void)close(fds[SETUP_SPOOL]);
	(void)close(fds[SETUP_BUDGETS]);
	w->metrics = mmap(NULL, sizeof(*w->metrics), PROT_READ | PROT_WRITE, MAP_SHARED,
			  fds[SETUP_METRICS], 0);
	(void)close(fds[SETUP_METRICS]);
	if (w->metrics == MAP_FAILED) {
		w->metrics = NULL;
		r = r < 0 ? r : -errno;
	}
	w->signer = signer_client_new(fds[SETUP_SIGNER], SIGNER_TIMEOUT_MS);
	if (!w->signer)
		r = r < 0 ? r : -ENOMEM;
	if (r < 0) {
		(void)close(fds[SETUP_CA]);
		return r;
	}
	return tls_setup(w, fds[SETUP_CA]);
}

static int first_rules(struct worker *w)
{
	int fds[CHANNEL_FDS], r;
	size_t n_fds = 0;
	struct ipc m;

	r = receive(w, MESSAGE_RULES, &m, fds, &n_fds);
	if (r < 0)
		return r;
	rules_take(w, &m, fds, n_fds);
	fds_close(fds, n_fds);
	return w->rules ? 0 : -EINVAL;
}

static void worker_done(struct worker *w)
{
	while (w->conns)
		conn_free(w->conns);
	round_end(w);
	pool_done(w);
	txn_spare_done(w);
	callers_done(w);
	distrust_done(w);
	tls_server_free(w->server);
	tls_upstream_free(w->upstream);
	signer_client_free(w->signer);
	dlp_scratch_free(w->dlp_scratch);
	snapshot_unref(w->rules);
	spool_close(w->spool);
	budget_table_close(w->budgets);
	if (w->metrics)
		(void)munmap(w->metrics, sizeof(*w->metrics));
	loop_free(w->loop);
}

int worker_run(int channel, int (*ready)(void *ctx), void *ctx)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->channel = channel;
	w->next_id = clock_wall_ns();
	r = loop_new(&w->loop);
	if (r == 0)
		r = setup(w);
	if (r == 0)
		r = callers_init(w);
	if (r == 0)
		r = distrust_init(w);
	if (r == 0)
		r = pool_init(w);
	if (r == 0)
		r = ready(ctx);
	if (r == 0)
		r = first_rules(w);
	if (r == 0) {
		w->channel_watch = (struct watch){ .fd = channel, .fn = channel_event };
		w->alive.fn = alive_tick;
		w->starved_timer.fn = starved_tick;
		alive_tick(&w->alive);
		loop_on_round(w->loop, round_end, w);
		r = loop_watch(w->loop, &w->channel_watch, EPOLLIN);
	}
	if (r == 0) {
		memory_settle();
		r = loop_run(w->loop);
	}
	if (w->metrics)
		worker_done(w);
	free(w);
	return r;
}
