/*
 * The scripted AI provider: HTTP/1.1 over TLS, one epoll loop, answers in the shapes of
 * api.openai.com and api.anthropic.com, faults on request (tests/fake/README.md), and a log of what
 * arrived. Also the upstream of the benchmarks: the knob "fast" answers from a canned page.
 *
 *	provider --listen ADDR:PORT... --certs DIR [--log FILE] [--control FILE] [--answers DIR]
 *	         [--pidfile FILE]
 */
#include "base/clock.h"
#include "tests/fake/lib/certs.h"
#include "tests/fake/lib/listen.h"
#include "tests/fake/lib/reply.h"
#include "tests/fake/lib/witness.h"
#include "tests/fake/lib/world.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum state { ST_LISTEN, ST_SHAKE, ST_READ, ST_SEND, ST_MUTE };

struct conn {
	enum state state;
	int fd;
	SSL *ssl;
	bool want_write, plain, waiting;
	struct buf in, chunks;
	struct script script;
	size_t piece, sent; /* next piece, bytes of the wire already sent */
	uint64_t due_ns;
	struct witness who;
	struct conn *prev, *next; /* those that wait for a time */
};

static int epfd;
static SSL_CTX *tls;
static const char *answers_dir;
static struct conn *waiting;

/* A page as small as a chat answer is: about 600 bytes with its usage. */
static const char fast_page[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: lab\r\n"
	"x-request-id: req_lab_fast\r\ncontent-length: 460\r\n\r\n"
	"{\"id\":\"chatcmpl-labfast\",\"object\":\"chat.completion\",\"created\":1764000000,"
	"\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
	"\"content\":\"A plain answer of a few words, as a chat gives it.\",\"refusal\":null},"
	"\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":512,"
	"\"completion_tokens\":12,\"total_tokens\":524,\"prompt_tokens_details\":{\"cached_tokens\":0},"
	"\"completion_tokens_details\":{\"reasoning_tokens\":0}},\"system_fingerprint\":null}";

static void conn_wait(struct conn *c, uint64_t due_ns)
{
	c->due_ns = due_ns;
	if (c->waiting)
		return;
	c->waiting = true;
	c->prev = NULL;
	c->next = waiting;
	if (waiting)
		waiting->prev = c;
	waiting = c;
}

static void conn_unwait(struct conn *c)
{
	if (!c->waiting)
		return;
	if (c->prev)
		c->prev->next = c->next;
	else
		waiting = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->waiting = false;
}

static void conn_free(struct conn *c)
{
	conn_unwait(c);
	SSL_free(c->ssl);
	close(c->fd);
	buf_done(&c->in);
	buf_done(&c->chunks);
	pieces_done(&c->script.wire);
	free(c);
}

static void conn_reset(struct conn *c)
{
	struct linger hard = { 1, 0 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	conn_free(c);
}

static void conn_watch(struct conn *c, bool want_write)
{
	struct epoll_event ev = { EPOLLIN | (want_write ? EPOLLOUT : 0), { .ptr = c } };

	if (want_write != c->want_write)
		(void)epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev);
	c->want_write = want_write;
}

/* Bytes, 0 (would block) or -1 (gone). */
static long conn_write(struct conn *c, const char *data, size_t len)
{
	long n = c->plain ? send(c->fd, data, len, MSG_NOSIGNAL) :
			    SSL_write(c->ssl, data, (int)MIN(len, (size_t)1 << 30));

	if (n > 0)
		return n;
	if (c->plain)
		return errno == EAGAIN ? 0 : -1;
	n = SSL_get_error(c->ssl, (int)n);
	ERR_clear_error();
	return n == SSL_ERROR_WANT_WRITE || n == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* The script is sent: what becomes of the connection. False when it is gone. */
static bool conn_after(struct conn *c)
{
	switch (c->script.after) {
	case AFTER_KEEP:
		c->state = ST_READ;
		return true;
	case AFTER_STALL:
		c->state = ST_MUTE;
		return true;
	case AFTER_RESET:
		/* A moment, or the reset would overtake what was sent. */
		if (c->script.wire.n && c->script.after == AFTER_RESET && !c->waiting) {
			c->state = ST_MUTE;
			conn_wait(c, clock_mono_ns() + 50000000);
			return true;
		}
		conn_reset(c);
		return false;
	case AFTER_CLOSE:
		if (!c->plain)
			(void)SSL_shutdown(c->ssl);
		/* fall through */
	case AFTER_DROP:
		(void)shutdown(c->fd, SHUT_WR);
		conn_free(c);
		return false;
	}
	return true;
}

/* Sends what is due. False when the connection is gone. */
static bool conn_send(struct conn *c)
{
	struct pieces *w = &c->script.wire;

	while (c->piece < w->n) {
		struct piece *p = &w->list[c->piece];
		char *bytes = w->bytes.data + w->bytes.off;
		uint64_t now = p->wait_ms ? clock_mono_ns() : 0;
		long n;

		if (p->wait_ms && c->due_ns > now) {
			conn_watch(c, false);
			conn_wait(c, c->due_ns);
			return true;
		}
		if (p->stamp) {
			stamp_write(bytes + p->stamp, clock_mono_ns());
			p->stamp = 0;
		}
		n = conn_write(c, bytes + c->sent, p->end - c->sent);
		if (n < 0) {
			witness_event(&c->who, "aborted", "peer went away in mid-answer");
			conn_free(c);
			return false;
		}
		c->sent += (size_t)n;
		if (c->sent < p->end) {
			if (n == 0) {
				conn_watch(c, true);
				return true;
			}
			continue;
		}
		if (++c->piece < w->n && w->list[c->piece].wait_ms) {
			uint64_t base = p->wait_ms ? c->due_ns : clock_mono_ns();

			c->due_ns = base + w->list[c->piece].wait_ms * 1000000ULL;
		}
	}
	conn_watch(c, false);
	return conn_after(c);
}

static bool conn_answer(struct conn *c, const struct request *r)
{
	struct reply reply = { 0 };
	struct slice header = request_header(r, "x-lab-fault");
	struct knobs k;
	int e;

	knobs_init(&k);
	knobs_add(&k, header);
	c->piece = c->sent = 0;
	c->state = ST_SEND;
	if (k.fast) {
		pieces_clear(&c->script.wire);
		c->script.after = AFTER_KEEP;
		e = buf_append(&c->script.wire.bytes, SLICE(fast_page));
		return e == 0 && pieces_end(&c->script.wire, 0, 0) == 0 && conn_send(c);
	}
	world_refresh();
	world_knobs(r->host, &k);
	witness_request(&c->who, r);
	pieces_init(&reply.body);
	e = answer_make(r, &k, answers_dir, &reply);
	if (e == 0)
		e = frame_reply(&reply, &k, r->keep_alive, &c->script);
	pieces_done(&reply.body);
	if (e < 0) {
		fprintf(stderr, "provider: cannot build an answer: %s\n", strerror(-e));
		conn_free(c);
		return false;
	}
	c->due_ns = clock_mono_ns() + (uint64_t)k.slow_ms * 1000000;
	return conn_send(c);
}

/* Answers the requests that are complete. False when the connection is gone. */
static bool conn_serve(struct conn *c)
{
	if (c->plain && buf_size(&c->in) && c->in.data[c->in.off] == 0x16) {
		(void)conn_write(c, "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", 47);
		conn_free(c);
		return false;
	}
	while (c->state == ST_READ && buf_size(&c->in)) {
		struct request r;
		int e = request_parse(&c->in, &c->chunks, &r);
		size_t total = r.total;
		bool lives;

		if (e == -EAGAIN) {
			if (r.expect_continue && buf_size(&c->in) == r.head.len)
				(void)conn_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
			return true;
		}
		if (e < 0) {
			witness_bad(&c->who, buf_slice(&c->in));
			conn_free(c);
			return false;
		}
		c->who.requests++;
		lives = conn_answer(c, &r);
		if (!lives)
			return false;
		buf_consume(&c->in, total);
	}
	return true;
}

static bool conn_read(struct conn *c)
{
	for (;;) {
		int room = 17 * 1024, n, err;

		if (buf_reserve(&c->in, (size_t)room) < 0)
			goto gone;
		n = c->plain ? (int)recv(c->fd, c->in.data + c->in.len, (size_t)room, 0) :
			       SSL_read(c->ssl, c->in.data + c->in.len, room);
		if (n > 0) {
			c->in.len += (size_t)n;
			if (c->plain || !SSL_has_pending(c->ssl))
				break;
			continue;
		}
		if (c->plain) {
			if (n < 0 && errno == EAGAIN)
				break;
			goto gone;
		}
		err = SSL_get_error(c->ssl, n);
		ERR_clear_error();
		if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
			break;
		goto gone;
	}
	return conn_serve(c);
gone:
	if (c->state == ST_SEND || c->state == ST_MUTE)
		witness_event(&c->who, "aborted", "peer closed before the answer's end");
	else if (buf_size(&c->in))
		witness_event(&c->who, "aborted", "peer closed in mid-request");
	conn_free(c);
	return false;
}

static void conn_shake(struct conn *c)
{
	int n = SSL_accept(c->ssl), err;
	const char *why;

	if (n == 1) {
		witness_tls(&c->who, c->ssl);
		c->state = ST_READ;
		conn_watch(c, false);
		(void)conn_read(c);
		return;
	}
	err = SSL_get_error(c->ssl, n);
	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE) {
		conn_watch(c, err == SSL_ERROR_WANT_WRITE);
		return;
	}
	why = ERR_reason_error_string(ERR_peek_last_error());
	witness_event(&c->who, "tls-failed", why ? why : "connection closed");
	ERR_clear_error();
	conn_free(c);
}

static void conn_accept(const struct conn *listener)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int one = 1, fd = accept4(listener->fd, (struct sockaddr *)&from, &len,
				  SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };
	enum world_accept how;
	struct conn *c;

	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->fd = fd;
	buf_init(&c->in, REQUEST_HEAD_MAX + REQUEST_BODY_MAX * 2UL);
	buf_init(&c->chunks, REQUEST_BODY_MAX);
	pieces_init(&c->script.wire);
	witness_connect(&c->who, fd, &from);
	world_refresh();
	how = world_accept();
	if (how == ACCEPT_RESET) {
		conn_reset(c);
		return;
	}
	c->plain = how == ACCEPT_PLAIN;
	c->state = how == ACCEPT_STALL ? ST_MUTE : c->plain ? ST_READ : ST_SHAKE;
	c->ssl = c->plain ? NULL : SSL_new(tls);
	ev.data.ptr = c;
	if ((!c->plain && (!c->ssl || SSL_set_fd(c->ssl, fd) != 1)) ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		conn_free(c);
}

static void conn_event(struct conn *c, unsigned events)
{
	switch (c->state) {
	case ST_LISTEN:
		conn_accept(c);
		break;
	case ST_SHAKE:
		conn_shake(c);
		break;
	case ST_READ:
		(void)conn_read(c);
		break;
	case ST_SEND:
		if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !conn_read(c))
			return;
		if (events & EPOLLOUT && c->state == ST_SEND && conn_send(c))
			(void)conn_serve(c);
		break;
	case ST_MUTE:
		if (c->ssl && SSL_is_init_finished(c->ssl)) {
			(void)conn_read(c);
		} else {
			char sink[4096];

			if (recv(c->fd, sink, sizeof(sink), 0) == 0)
				conn_free(c);
		}
		break;
	}
}

/* Serves the connections whose time has come; returns ms until the next, or -1. */
static int run_waiting(void)
{
	uint64_t now = clock_mono_ns(), next_ns = UINT64_MAX;
	struct conn *next;

	for (struct conn *c = waiting; c; c = next) {
		next = c->next;
		if (c->due_ns > now) {
			next_ns = MIN(next_ns, c->due_ns);
			continue;
		}
		if (c->state == ST_MUTE) {
			conn_reset(c);
			continue;
		}
		conn_unwait(c);
		if (conn_send(c) && c->state == ST_READ)
			(void)conn_serve(c);
	}
	for (struct conn *c = waiting; c; c = c->next)
		next_ns = MIN(next_ns, c->due_ns);
	if (next_ns == UINT64_MAX)
		return -1;
	now = clock_mono_ns();
	return next_ns <= now ? 0 : (int)((next_ns - now + 999999) / 1000000);
}

static int add_listener(const char *where)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = listen_on(where, SOCK_STREAM);
	struct conn *c;

	if (fd < 0)
		return fd;
	c = calloc(1, sizeof(*c)); /* lives as long as the process */
	if (!c)
		return -ENOMEM;
	c->fd = fd;
	ev.data.ptr = c;
	return epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0 ? -errno : 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: provider --listen ADDR:PORT... --certs DIR [--log FILE] [--control FILE]\n"
			"                [--answers DIR] [--pidfile FILE]\n");
	return 2;
}

static int loop(void)
{
	struct epoll_event events[256];

	for (;;) {
		int n = epoll_wait(epfd, events, ARRAY_LEN(events), run_waiting());

		if (n < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < n; i++)
			conn_event(events[i].data.ptr, events[i].events);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", 1, NULL, 'l' },  { "certs", 1, NULL, 'c' },	  { "log", 1, NULL, 'g' },
		{ "control", 1, NULL, 't' }, { "answers", 1, NULL, 'a' }, { "pidfile", 1, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	const char *listens[16], *certs = NULL, *pidfile = NULL;
	struct rlimit files = { 65536, 65536 };
	int n_listens = 0, o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'l' && n_listens < 16)
			listens[n_listens++] = optarg;
		else if (o == 'c')
			certs = optarg;
		else if (o == 'g' && witness_open(optarg) < 0)
			return 1;
		else if (o == 't')
			world_open(optarg);
		else if (o == 'a')
			answers_dir = optarg;
		else if (o == 'p')
			pidfile = optarg;
		else if (o == '?')
			return usage();
	}
	if (!certs || !n_listens)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	tls = certs_open(certs);
	if (!tls)
		return 1;
	for (int i = 0; i < n_listens; i++) {
		int r = add_listener(listens[i]);

		if (r < 0) {
			fprintf(stderr, "provider: %s: %s\n", listens[i], strerror(-r));
			return 1;
		}
	}
	if (pidfile) {
		FILE *f = fopen(pidfile, "w");

		if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f) != 0)
			return 1;
	}
	return loop();
}
