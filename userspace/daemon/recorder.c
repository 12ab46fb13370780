/* The recorder's loop: messages, wake-ups, and when to drain, commit and sync. */
#include "daemon/recorder.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/def.h"
#include "base/log.h"
#include "base/memory.h"
#include "spend/budget.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAIN_MS 10          /* between drains while records come */
#define IDLE_MS 100          /* and when none came for a while: a worker wakes us */
#define IDLE_AFTER 50        /* empty drains */
#define COMMIT_MS 200
#define RETRY_MS 1000        /* after a failed write or commit */
#define SYNC_MS 1000
#define ALIVE_MS 1000
#define WAKES_MAX 64

struct recorder {
	int control;
	struct booking *booking;
	struct pollfd wake[1 + WAKES_MAX]; /* the control channel first */
	uint32_t wake_slot[1 + WAKES_MAX];
	nfds_t n_wakes;
	uint64_t committed_ms, synced_ms, alive_ms, retry_ms;
	unsigned empty_drains;
	bool started;
};

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000U;
}

static void answer(struct recorder *rec, struct recorder_message *m, const int *fds, size_t n)
{
	int r = channel_send(rec->control, m, RECORDER_SHORT, fds, n);

	/* The monitor counts on ALIVE and asks again; a full channel is its own fault. */
	if (r < 0 && r != -EPIPE && r != -EAGAIN)
		log_warn("cannot answer the monitor error=%s", strerror(-r));
}

static void tell_done(struct recorder *rec)
{
	uint32_t slot;

	while (booking_done(rec->booking, &slot)) {
		struct recorder_message m = { .kind = RECORDER_WORKER_DONE, .slot = slot };

		answer(rec, &m, NULL, 0);
	}
}

static void commit(struct recorder *rec)
{
	int r = booking_commit(rec->booking);

	rec->committed_ms = now_ms();
	rec->retry_ms = r < 0 ? rec->committed_ms + RETRY_MS : 0;
	if (r == 0)
		tell_done(rec);
}

/* Until nothing is left or nothing goes on. 0 or -errno. */
static int drain_all(struct recorder *rec)
{
	int n;

	do {
		n = booking_drain(rec->booking);
		if (n >= 0 && booking_dirty(rec->booking)) {
			int r = booking_commit(rec->booking);

			n = r < 0 ? r : n;
		}
	} while (n > 0);
	tell_done(rec);
	return n;
}

static void wake_add(struct recorder *rec, uint32_t slot, int fd)
{
	if (rec->n_wakes > WAKES_MAX) {
		(void)close(fd); /* drained by the clock only */
		return;
	}
	rec->wake_slot[rec->n_wakes] = slot;
	rec->wake[rec->n_wakes++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void wake_remove(struct recorder *rec, uint32_t slot)
{
	for (nfds_t i = 1; i < rec->n_wakes;) {
		if (rec->wake_slot[i] != slot) {
			i++;
			continue;
		}
		(void)close(rec->wake[i].fd);
		rec->wake[i] = rec->wake[--rec->n_wakes];
		rec->wake_slot[i] = rec->wake_slot[rec->n_wakes];
	}
}

static void add_spool(struct recorder *rec, const struct recorder_message *m, int *fds, size_t n)
{
	int r = n >= 1 ? booking_add(rec->booking, m->slot, fds[0]) : -EBADMSG;

	if (r < 0)
		log_error("cannot take a worker's spool error=%s slot=%u; its records are not kept, "
			  "restart sallyport", strerror(-r), m->slot);
	if (r == 0 && n >= 2) {
		wake_remove(rec, m->slot);
		wake_add(rec, m->slot, fds[1]);
		fds[1] = -1;
	}
}

static void start(struct recorder *rec, bool fresh)
{
	struct recorder_message m = { .kind = RECORDER_STARTED };
	struct budget_table *budgets = NULL;
	int fd, r = booking_orphans(rec->booking);

	if (r == 0)
		r = drain_all(rec);
	/* A full disk keeps records in the spools, not the daemon from starting; a later restart of
	 * the table would undercount, so it is filled with what the ledger has and then only raised. */
	if (r == 0 || r == -ENOSPC)
		r = booking_budgets(rec->booking, fresh, &budgets);
	if (r < 0)
		log_error("cannot fill the budgets error=%s; mend the state folder and restart",
			  strerror(-r));
	m.status = r;
	fd = budgets ? budget_table_fd(budgets) : -1;
	rec->started = true;
	answer(rec, &m, &fd, fd >= 0 ? 1 : 0);
}

static void handle(struct recorder *rec, struct recorder_message *m, size_t len, int *fds, size_t n)
{
	struct recorder_message reply = { .kind = RECORDER_FLUSHED };

	switch (m->kind) {
	case RECORDER_ADD_SPOOL:
		add_spool(rec, m, fds, n);
		break;
	case RECORDER_WORKER_GONE:
		wake_remove(rec, m->slot);
		reply.kind = RECORDER_WORKER_DONE;
		reply.slot = m->slot;
		if (booking_gone(rec->booking, m->slot) < 0)
			answer(rec, &reply, NULL, 0);
		break;
	case RECORDER_START:
		start(rec, m->fresh != 0);
		break;
	case RECORDER_RECORD:
		if (len != sizeof(*m) || booking_record(rec->booking, &m->record) < 0)
			log_warn("a record of the monitor could not be kept");
		break;
	case RECORDER_FLUSH:
		reply.status = drain_all(rec);
		booking_sync(rec->booking);
		answer(rec, &reply, NULL, 0);
		break;
	case RECORDER_STATUS:
		reply.kind = RECORDER_COUNTS;
		booking_counts(rec->booking, &reply.counts);
		answer(rec, &reply, NULL, 0);
		break;
	default:
		log_warn("unknown message from the monitor kind=%u", m->kind);
	}
}

/* False when the monitor is gone. */
static bool messages(struct recorder *rec)
{
	struct recorder_message m;
	int fds[CHANNEL_FDS];

	for (;;) {
		size_t n = 0;
		ssize_t len = channel_recv(rec->control, &m, sizeof(m), fds, &n);

		if (len == -EAGAIN)
			return true;
		if (len <= 0)
			return false;
		if ((size_t)len < RECORDER_SHORT)
			log_warn("a message of the monitor is too short bytes=%zd", len);
		else
			handle(rec, &m, (size_t)len, fds, n);
		for (size_t i = 0; i < n; i++)
			if (fds[i] >= 0)
				(void)close(fds[i]);
	}
}

static void wakes_clear(struct recorder *rec)
{
	for (nfds_t i = 1; i < rec->n_wakes; i++) {
		uint64_t count;

		if (rec->wake[i].revents & POLLIN &&
		    read(rec->wake[i].fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			log_warn("cannot read a wake-up error=%s", strerror(errno));
	}
}

static void work(struct recorder *rec)
{
	uint64_t now = now_ms();
	int n;

	if (now < rec->retry_ms)
		return;
	n = booking_drain(rec->booking);
	rec->empty_drains = n > 0 ? 0 : rec->empty_drains + 1;
	if (n < 0)
		rec->retry_ms = now + RETRY_MS;
	else if (booking_dirty(rec->booking) &&
		 (booking_pressed(rec->booking) || now - rec->committed_ms >= COMMIT_MS))
		commit(rec);
	if (now - rec->synced_ms >= SYNC_MS) {
		booking_sync(rec->booking);
		rec->synced_ms = now;
	}
}

static int wait_ms(const struct recorder *rec)
{
	if (rec->empty_drains < IDLE_AFTER || booking_dirty(rec->booking))
		return DRAIN_MS;
	return IDLE_MS;
}

static void run(struct recorder *rec)
{
	for (;;) {
		uint64_t now = now_ms();

		if (now - rec->alive_ms >= ALIVE_MS) {
			struct recorder_message m = { .kind = RECORDER_ALIVE };

			answer(rec, &m, NULL, 0);
			rec->alive_ms = now;
		}
		if (poll(rec->wake, rec->n_wakes, wait_ms(rec)) < 0 && errno != EINTR)
			return;
		wakes_clear(rec);
		if (rec->wake[0].revents && !messages(rec))
			return;
		if (rec->started)
			work(rec);
	}
}

int recorder_main(int control_fd, const struct recorder_options *o)
{
	struct recorder *rec = calloc(1, sizeof(*rec));
	int r;

	if (!rec)
		return 1;
	rec->control = control_fd;
	(void)umask(0027); /* who calls what is not for every user of the host: SQLite's files too */
	rec->wake[0] = (struct pollfd){ .fd = control_fd, .events = POLLIN };
	rec->n_wakes = 1;
	r = booking_open(o->state_dir, o->rotate_bytes, &rec->booking);
	if (r == 0) {
		memory_settle();
		run(rec);
		(void)drain_all(rec);
		booking_sync(rec->booking);
	}
	booking_close(rec->booking);
	while (rec->n_wakes > 1)
		(void)close(rec->wake[--rec->n_wakes].fd);
	free(rec);
	return r < 0 ? 1 : 0;
}
