/* Control socket. */

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/client.h"
#include "daemon/monitor.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
	struct watch watch;
	struct control *control;
	char line[CONTROL_LINE_MAX];
	size_t len;
	struct buf out;
};

struct control {
	struct monitor *m;
	struct watch watch;
	struct sockaddr_un name;
	struct client client[CONTROL_CLIENTS];
};

static json_t *numbers(const uint64_t *values, const char *const *names, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; o && i < n; i++)
		(void)json_object_set_new(o, names[i], json_integer((json_int_t)values[i]));
	return o;
}

static json_t *child_status(const struct child *c)
{
	return json_pack("{s:b,s:i,s:i}", "running", c->pid != 0, "pid", (int)c->pid, "failures",
			 (int)c->failures);
}

static json_t *status(struct monitor *m)
{
	static const char *const modes[] = { "observe", "monitor", "enforce" };
	uint64_t kernel[SP_COUNT_N] = { 0 }, sum[METRIC_N] = { 0 };
	char since[CLOCK_TEXT_LEN];

	(void)kern_counters(m->kern, kernel);
	for (size_t i = 0; i < m->o.workers; i++)
		for (size_t k = 0; m->slots[i].metrics && k < METRIC_N; k++)
			sum[k] += m->slots[i].metrics->value[k];
	clock_format(m->started_ns, since);
	return json_pack("{s:s,s:s,s:b,s:b,s:I,s:i,s:o,s:o,s:o,s:o,s:o,s:I,s:I}", "mode",
			 modes[m->strictest], "since", since, "data_path", m->data_path, "workers_alive",
			 workers_alive(m), "generation", (json_int_t)m->generation, "port", (int)m->port,
			 "kernel", numbers(kernel, kern_counter_names, SP_COUNT_N), "proxy",
			 numbers(sum, metric_names, METRIC_N), "worker", child_status(&m->worker),
			 "signer", child_status(&m->signer), "recorder", child_status(&m->recorder),
			 "seen_records", (json_int_t)m->seen_records, "lost_records",
			 (json_int_t)m->lost_records);
}

/* One mistake a line. */
static void mistakes_log(struct slice why)
{
	while (why.len) {
		long end = slice_find(why, SLICE("\n"));
		struct slice line = end < 0 ? why : slice_sub(why, 0, (size_t)end);

		if (line.len)
			log_error("%.*s", SLICE_FMT(line));
		why = slice_from(why, end < 0 ? why.len : (size_t)end + 1);
	}
}

json_t *control_reload(struct monitor *m)
{
	struct buf why;
	json_t *answer;
	int r;

	buf_init(&why, 64U << 10);
	r = monitor_rules_load(m, &why);
	if (r == 0 && m->strictest > SP_MODE_OBSERVE && !m->data_path)
		r = data_path_start(m);
	if (r == 0)
		r = workers_rules(m);
	if (r == 0) {
		log_info("rules reloaded generation=%llu", (unsigned long long)m->generation);
		monitor_note(m, "rules reloaded");
		answer = json_pack("{s:b,s:I}", "ok", 1, "generation", (json_int_t)m->generation);
	} else {
		log_error("reload refused, the old rules stay: %s", strerror(-r));
		mistakes_log(buf_slice(&why));
		answer = json_pack("{s:s,s:s%}", "error", "the old rules stay", "mistakes",
				   buf_size(&why) ? why.data + why.off : "", buf_size(&why));
	}
	buf_done(&why);
	return answer;
}

static void client_close(struct client *c)
{
	loop_unwatch(c->control->m->loop, &c->watch);
	(void)close(c->watch.fd);
	c->watch.fd = -1;
	buf_done(&c->out);
	c->len = 0;
}

static void client_write(struct client *c)
{
	struct slice s = buf_slice(&c->out);
	ssize_t n = s.len ? send(c->watch.fd, s.ptr, s.len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (n < 0 && errno != EAGAIN) {
		client_close(c);
		return;
	}
	if (n > 0)
		buf_consume(&c->out, (size_t)n);
	(void)loop_watch(c->control->m->loop, &c->watch, buf_size(&c->out) ? EPOLLOUT : EPOLLIN);
}

static void request(struct client *c)
{
	json_t *q = json_loadb(c->line, c->len, 0, NULL), *answer = NULL;
	const char *what = json_string_value(json_object_get(q, "do"));
	char *text;

	if (what && strcmp(what, "status") == 0)
		answer = status(c->control->m);
	else if (what && strcmp(what, "reload") == 0)
		answer = control_reload(c->control->m);
	if (!answer)
		answer = json_pack("{s:s}", "error", "the request is not understood");
	text = json_dumps(answer, JSON_COMPACT);
	if (text) {
		(void)buf_str(&c->out, text);
		(void)buf_str(&c->out, "\n");
	}
	free(text);
	json_decref(answer);
	json_decref(q);
	c->len = 0;
	client_write(c);
}

static void client_event(struct watch *w, uint32_t events)
{
	struct client *c = container_of(w, struct client, watch);
	char *end;
	ssize_t n;

	if (events & EPOLLOUT) {
		client_write(c);
		return;
	}
	n = recv(w->fd, c->line + c->len, sizeof(c->line) - c->len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	c->len += (size_t)n;
	end = memchr(c->line, '\n', c->len);
	if (end) {
		c->len = (size_t)(end - c->line);
		request(c);
	} else if (c->len == sizeof(c->line)) {
		client_close(c);
	}
}

static void control_accept(struct watch *w, uint32_t events)
{
	struct control *t = container_of(w, struct control, watch);
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *c = &t->client[i];

		if (c->watch.fd >= 0)
			continue;
		c->watch = (struct watch){ .fd = fd, .fn = client_event };
		c->control = t;
		c->len = 0;
		buf_init(&c->out, 256U << 10);
		(void)loop_watch(t->m->loop, &c->watch, EPOLLIN);
		return;
	}
	(void)close(fd);
}

int control_init(struct monitor *m)
{
	struct control *t = calloc(1, sizeof(*t));
	const struct group *g = getgrnam("sallyport");
	int fd, r = 0;

	if (!t)
		return -ENOMEM;
	t->m = m;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		t->client[i].watch.fd = -1;
	t->name.sun_family = AF_UNIX;
	if ((size_t)snprintf(t->name.sun_path, sizeof(t->name.sun_path), "%s/%s", m->o.run,
			     CONTROL_SOCKET) >= sizeof(t->name.sun_path)) {
		free(t);
		return -ENAMETOOLONG;
	}
	(void)unlink(t->name.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&t->name, sizeof(t->name)) < 0 ||
	    chmod(t->name.sun_path, g ? 0660 : 0600) < 0 ||
	    (g && chown(t->name.sun_path, 0, g->gr_gid) < 0) || listen(fd, CONTROL_CLIENTS) < 0)
		r = -errno;
	t->watch = (struct watch){ .fd = fd, .fn = control_accept };
	m->control = t;
	return r < 0 ? r : loop_watch(m->loop, &t->watch, EPOLLIN);
}

void control_free(struct monitor *m)
{
	struct control *t = m->control;

	if (!t)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		if (t->client[i].watch.fd >= 0)
			client_close(&t->client[i]);
	loop_unwatch(m->loop, &t->watch);
	if (t->watch.fd >= 0)
		(void)close(t->watch.fd);
	(void)unlink(t->name.sun_path);
	free(t);
	m->control = NULL;
}
