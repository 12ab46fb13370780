/*
 * Addresses before anybody asked: the catalogue's exact names are resolved at start and again as they
 * age, in a process of its own without rights, because a DNS answer comes off the network; and
 * /etc/hosts is read, because its names never show in a DNS answer.
 */
#include "daemon/monitor.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/sandbox.h"
#include "net/sock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define HOSTS_FILE "/etc/hosts"
#define HOSTS_FILE_MAX (4U << 20)
#define ROUND_S 1800          /* from one round to the next */
#define GAP_MS 20             /* between two names: no burst at the node's resolver */
#define LIFE_NS (2ULL * 3600 * 1000000000)

/* From the resolver to the monitor. */
struct found {
	uint32_t provider;
	uint8_t addr[16];
	char name[SP_NAME_LEN];
};

/* ---- the resolver process ---- */

static int resolve(int channel, const struct catalog_host *h)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int r = 0;

	if (getaddrinfo(h->pattern, NULL, &hints, &list) != 0)
		return 0;
	for (struct addrinfo *a = list; a && r == 0; a = a->ai_next) {
		struct sockaddr_storage ss = { 0 };
		struct found f = { .provider = h->provider };
		struct sock_addr addr;

		memcpy(&ss, a->ai_addr, MIN((size_t)a->ai_addrlen, sizeof(ss)));
		sock_addr_of(&ss, &addr);
		memcpy(f.addr, addr.ip, sizeof(f.addr));
		slice_copy(f.name, sizeof(f.name), slice_str(h->pattern));
		r = channel_send(channel, &f, sizeof(f), NULL, 0);
		if (r == -EAGAIN)
			r = 0;
	}
	freeaddrinfo(list);
	return r;
}

/* Waits; 0, or -EPIPE when the monitor is gone. */
static int pause_ms(int channel, int ms)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };

	return poll(&p, 1, ms) > 0 ? -EPIPE : 0;
}

int prefetch_main(int channel, const struct options *o)
{
	struct catalog *c = NULL;
	const struct catalog_host *h;
	struct mistakes bad;
	struct buf text;
	size_t n;
	int r;

	buf_init(&text, 16U << 20);
	mistakes_init(&bad, o->data_file[SNAPSHOT_CATALOG]);
	r = file_read(o->data_file[SNAPSHOT_CATALOG], &text);
	if (r == 0)
		r = catalog_load(buf_slice(&text), &bad, &c);
	if (r == 0)
		r = sandbox_user("sallyport");
	mistakes_done(&bad);
	buf_done(&text);
	n = r == 0 ? catalog_hosts(c, &h) : 0;
	while (r == 0) {
		for (size_t i = 0; i < n && r == 0; i++) {
			if (!h[i].exact)
				continue;
			r = resolve(channel, &h[i]);
			if (r == 0)
				r = pause_ms(channel, GAP_MS);
		}
		if (r == 0)
			r = pause_ms(channel, ROUND_S * 1000);
	}
	catalog_unref(c);
	return r == -EPIPE ? 0 : 1;
}

/* ---- in the monitor ---- */

static void resolver_event(struct watch *w, uint32_t events)
{
	struct monitor *m = container_of(w, struct monitor, resolver_watch);
	struct found f;
	ssize_t n;

	(void)events;
	while ((n = channel_recv(w->fd, &f, sizeof(f), NULL, NULL)) == sizeof(f)) {
		/* The process that sent this is not trusted: bounds again. */
		f.name[sizeof(f.name) - 1] = '\0';
		if (catalog_provider(m->catalog, f.provider))
			(void)kern_host_put(m->kern, f.addr, f.provider, slice_str(f.name),
					    clock_mono_ns() + LIFE_NS);
	}
	if (n != -EAGAIN)
		loop_unwatch(m->loop, w);
}

int prefetch_start(struct monitor *m)
{
	int r;

	if (!m->o.prefetch)
		return 0;
	m->resolver.role = "resolver";
	r = child_start(&m->resolver, &m->o, NULL, 0);
	if (r < 0)
		return r;
	m->resolver_watch = (struct watch){ .fd = m->resolver.channel, .fn = resolver_event };
	return loop_watch(m->loop, &m->resolver_watch, EPOLLIN);
}

static bool next_word(struct slice *line, struct slice *word)
{
	size_t n = 0;

	*line = slice_trim(*line);
	while (n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t')
		n++;
	*word = slice_sub(*line, 0, n);
	*line = slice_from(*line, n);
	return n > 0;
}

static void hosts_line(struct monitor *m, struct slice line)
{
	long comment = slice_find(line, SLICE("#"));
	struct slice word;
	struct sock_addr addr;
	char ip[64];

	if (comment >= 0)
		line = slice_sub(line, 0, (size_t)comment);
	if (!next_word(&line, &word))
		return;
	slice_copy(ip, sizeof(ip), word);
	if (sock_addr_parse(ip, &addr) < 0)
		return;
	while (next_word(&line, &word)) {
		struct catalog_match match;

		if (catalog_find(m->catalog, word, &match))
			(void)kern_host_put(m->kern, addr.ip, match.provider->number, word, 0);
	}
}

void prefetch_hosts_file(struct monitor *m)
{
	struct buf text;
	struct slice rest;
	int r;

	buf_init(&text, HOSTS_FILE_MAX);
	r = file_read(HOSTS_FILE, &text);
	if (r < 0 && r != -ENOENT)
		log_warn("cannot read %s: %s; its names are not known before a lookup", HOSTS_FILE,
			 strerror(-r));
	for (rest = buf_slice(&text); r == 0 && rest.len;) {
		long end = slice_find(rest, SLICE("\n"));
		size_t n = end < 0 ? rest.len : (size_t)end;

		hosts_line(m, slice_sub(rest, 0, n));
		rest = slice_from(rest, n + 1);
	}
	buf_done(&text);
}
