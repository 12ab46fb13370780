/*
 * The load generator: HTTP/1.1 over TLS as an AI client sends it, one epoll loop.
 *
 *	load ka   requests over kept connections          new   a connection a request (--resume: tickets)
 *	load sse  streams; the provider stamps its chunks  idle  opens connections and holds them
 *
 * It also reads the CPU time and memory of the proxy's cgroup (--of DIR) around exactly the measured
 * part. One JSON object on stdout, or with --table a line to read. No certificate is verified: what a
 * proxy costs does not depend on it, and this is a lab.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "tests/bench/lib/exchange.h"
#include "tests/bench/lib/measure.h"
#include "tests/fake/lib/reply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum mode { MODE_KA, MODE_NEW, MODE_SSE, MODE_IDLE };
enum step { CONNECTING, SHAKING, WAITING /* for its turn */, SENDING, READING, IDLING };

struct client {
	enum step step;
	int fd;
	unsigned index; /* for messages */
	SSL *ssl;
	struct buf out, in, text; /* request; bytes as they come; the body of a stream */
	struct response response;
	uint64_t start_ns, due_ns;
	bool first, want_write;
};

static struct options {
	enum mode mode;
	const char *host, *connect, *of, *fault;
	unsigned clients, seconds, body, chunks, every_ms, rounds;
	bool resume, table;
} o = { .host = "api.openai.com", .clients = 1, .seconds = 3, .body = 2048, .chunks = 50,
	.every_ms = 20, .rounds = 1 };

static struct sockaddr_storage address;
static socklen_t address_len;
static SSL_CTX *tls;
static SSL_SESSION *session;
static int epfd;
static struct client *clients;
static unsigned long done, errors, events, connections, resumed;
static unsigned ended; /* clients that have nothing more to do */
static unsigned opened;
static uint64_t began_ns, warm_ns, end_ns;
static bool measuring, draining;
static struct samples latency, first_byte, chunk_delay;
static uint64_t cpu_before, cpu_ns, measured_from, measured_to, measured_done;

/* Every stamp of the stream's text so far; what is left is the start of the next. */
static void stream_stamps(struct client *c)
{
	struct slice s = buf_slice(&c->text);
	uint64_t now = clock_mono_ns();
	long at;

	while ((at = slice_find(s, SLICE("fp_"))) >= 0 && s.len >= (size_t)at + 3 + STAMP_LEN) {
		uint64_t sent = stamp_read(s.ptr + at + 3);

		if (sent && now > sent && measuring) {
			samples_add(&chunk_delay, now - sent);
			events++;
		}
		s = slice_from(s, (size_t)at + 3);
	}
	buf_consume(&c->text, buf_size(&c->text) - MIN(s.len, at >= 0 ? s.len - (size_t)at : (size_t)2));
}

static void body_bytes(void *ctx, struct slice s)
{
	struct client *c = ctx;

	if (c->first) {
		c->first = false;
		if (measuring)
			samples_add(&first_byte, clock_mono_ns() - c->start_ns);
	}
	if (o.mode == MODE_SSE) {
		(void)buf_append(&c->text, s);
		stream_stamps(c);
	}
}

static void request_make(struct client *c)
{
	char ticks[64];

	snprintf(ticks, sizeof(ticks), "ticks-%u-16-%u", o.chunks, o.every_ms);
	buf_clear(&c->out);
	exchange_request(&c->out, o.host, o.body, o.mode == MODE_SSE,
			 o.fault ? o.fault : o.mode == MODE_SSE ? ticks : "fast");
	c->response = (struct response){ .body = body_bytes, .ctx = c };
	c->first = true;
	buf_clear(&c->text);
}

static void watch(struct client *c, bool write)
{
	struct epoll_event ev = { EPOLLIN | (write ? EPOLLOUT : 0), { .ptr = c } };

	if (write != c->want_write)
		(void)epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev);
	c->want_write = write;
}

static int client_open(struct client *c)
{
	struct epoll_event ev = { EPOLLIN | EPOLLOUT, { .ptr = c } };
	int one = 1;

	c->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->start_ns = clock_mono_ns();
	if (connect(c->fd, (struct sockaddr *)&address, address_len) < 0 && errno != EINPROGRESS)
		return -errno;
	c->ssl = SSL_new(tls);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
		return -ENOMEM;
	(void)SSL_set_tlsext_host_name(c->ssl, o.host);
	(void)SSL_set_alpn_protos(c->ssl, (const unsigned char *)"\x08http/1.1", 9);
	SSL_set_connect_state(c->ssl);
	if (o.resume && session)
		(void)SSL_set_session(c->ssl, session);
	c->step = CONNECTING;
	c->want_write = true;
	buf_clear(&c->in);
	return epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0 ? -errno : 0;
}

static void client_close(struct client *c)
{
	if (c->ssl)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void client_stop(struct client *c)
{
	client_close(c);
	c->step = IDLING;
	ended++;
}

static void client_fail(struct client *c, const char *why)
{
	if (errors++ < 3)
		fprintf(stderr, "load: client %u: %s: %s\n", c->index, why,
			ERR_peek_last_error() ? ERR_reason_error_string(ERR_peek_last_error()) : strerror(errno));
	ERR_clear_error();
	client_close(c);
	if (draining || errors > 100 || o.mode == MODE_IDLE || client_open(c) < 0) {
		c->step = IDLING;
		ended++;
	}
}

static int session_new(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(session);
	session = s;
	return 1;
}

static void client_send(struct client *c)
{
	while (buf_size(&c->out)) {
		int n = SSL_write(c->ssl, c->out.data + c->out.off, (int)buf_size(&c->out));

		if (n <= 0) {
			n = SSL_get_error(c->ssl, n);
			if (n == SSL_ERROR_WANT_WRITE || n == SSL_ERROR_WANT_READ) {
				watch(c, true);
				return;
			}
			client_fail(c, "write");
			return;
		}
		buf_consume(&c->out, (size_t)n);
	}
	watch(c, false);
	c->step = READING;
}

static void client_request(struct client *c)
{
	request_make(c);
	/* A new connection is timed from its connect(). */
	if (o.mode != MODE_NEW)
		c->start_ns = clock_mono_ns();
	c->step = SENDING;
	client_send(c);
}

static void client_answered(struct client *c)
{
	done++;
	if (measuring) {
		samples_add(&latency, clock_mono_ns() - c->start_ns);
		measured_done++;
	}
	if (o.mode == MODE_IDLE) {
		c->step = IDLING;
		ended++;
		if (opened < o.clients && client_open(&clients[opened++]) < 0)
			client_fail(c, "connect");
	} else if (draining) {
		client_stop(c);
	} else if (o.mode == MODE_NEW) {
		client_close(c);
		if (client_open(c) < 0)
			client_fail(c, "connect");
	} else if (o.mode == MODE_SSE && clock_mono_ns() >= end_ns) {
		client_stop(c);
	} else {
		client_request(c);
	}
}

static void client_read(struct client *c)
{
	for (;;) {
		int n, r;

		if (buf_reserve(&c->in, 17 * 1024) < 0)
			return;
		n = SSL_read(c->ssl, c->in.data + c->in.len, 17 * 1024);
		if (n <= 0) {
			n = SSL_get_error(c->ssl, n);
			if (n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE)
				return;
			client_fail(c, "the answer broke off");
			return;
		}
		c->in.len += (size_t)n;
		r = c->step == READING ? exchange_feed(&c->response, &c->in) : 0;
		if (r < 0) {
			client_fail(c, "not a good answer");
			return;
		}
		if (r == 1) {
			client_answered(c);
			return;
		}
		if (!SSL_has_pending(c->ssl))
			return;
	}
}

static void client_shake(struct client *c)
{
	int n = SSL_do_handshake(c->ssl);

	if (n != 1) {
		n = SSL_get_error(c->ssl, n);
		if (n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE)
			watch(c, n == SSL_ERROR_WANT_WRITE);
		else
			client_fail(c, "handshake");
		return;
	}
	connections++;
	resumed += (unsigned)SSL_session_reused(c->ssl);
	watch(c, false);
	if (o.mode != MODE_SSE) {
		client_request(c);
		return;
	}
	c->step = WAITING;
}

static void client_event(struct client *c)
{
	int why = 0;
	socklen_t len = sizeof(why);

	if (c->fd < 0)
		return;
	if (c->step == CONNECTING) {
		(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &len);
		if (why) {
			errno = why;
			client_fail(c, "connect");
			return;
		}
		c->step = SHAKING;
	}
	if (c->step == SHAKING)
		client_shake(c);
	else if (c->step == SENDING)
		client_send(c);
	else
		client_read(c);
}

/* The figures are of the part between the warm-up and the drain. */
static void measure_stop(uint64_t now)
{
	measuring = false;
	measured_to = now;
	cpu_ns = o.of ? measure_cpu_ns(o.of) - cpu_before : 0;
}

/* Handshakes would hide what a stream costs: all are connected before the first begins, and then
 * they begin spread over the interval, as they would in life. */
static void streams_begin(uint64_t now)
{
	if (connections < o.clients)
		return;
	began_ns = now + 100000000;
	warm_ns = began_ns + (o.chunks + 2) * o.every_ms * 1000000ULL; /* the first of each warms up */
	end_ns = warm_ns + o.seconds * 1000000000ULL;
	for (unsigned i = 0; i < o.clients; i++)
		clients[i].due_ns = began_ns + i * o.every_ms * 1000000ULL / o.clients;
}

/* Begins and ends the measured part, starts streams whose turn it is; ms to sleep. */
static int tick(void)
{
	uint64_t now = clock_mono_ns();
	int sleep_ms = 100;

	if (o.mode == MODE_SSE && !began_ns) {
		streams_begin(now);
		return 10;
	}
	if (!measuring && !measured_from && now >= warm_ns) {
		measuring = true;
		measured_from = now;
		cpu_before = o.of ? measure_cpu_ns(o.of) : 0;
	}
	if (now >= end_ns && !draining) {
		draining = true;
		measure_stop(now);
	}
	for (unsigned i = 0; o.mode == MODE_SSE && i < o.clients; i++) {
		struct client *c = &clients[i];

		if (c->step != WAITING)
			continue;
		if (c->due_ns <= now)
			client_request(c);
		else
			sleep_ms = 1;
	}
	return sleep_ms;
}

static void run(void)
{
	struct epoll_event batch[256];

	while (ended < o.clients) {
		int n = epoll_wait(epfd, batch, ARRAY_LEN(batch), tick());

		for (int i = 0; i < n; i++)
			client_event(batch[i].data.ptr);
		/* Exchanges under way are finished: a client that leaves in the middle of a handshake looks
		 * like one that distrusts the proxy, and is remembered as such. */
		if (draining && clock_mono_ns() > end_ns + 10000000000ULL)
			return;
	}
}

static int resolve(void)
{
	char host[256];
	const char *colon = o.connect ? strrchr(o.connect, ':') : NULL;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_INET }, *list = NULL;

	slice_copy(host, sizeof(host),
		   colon ? slice_of(o.connect, (size_t)(colon - o.connect)) : slice_str(o.host));
	if (getaddrinfo(host, colon ? colon + 1 : "443", &hints, &list) != 0) {
		fprintf(stderr, "load: no address for %s\n", host);
		return -ENOENT;
	}
	memcpy(&address, list->ai_addr, list->ai_addrlen);
	address_len = list->ai_addrlen;
	freeaddrinfo(list);
	return 0;
}

static void report(uint64_t rss_before, uint64_t rss_after, uint64_t pss_before)
{
	double s = (double)(measured_to - measured_from) / 1e9;

	if (o.table) {
		printf("%8.0f/s  p50 %7.0f us  p99 %7.0f us  cpu %6.1f us  events %lu p50 %.0f us p99 %.0f us  "
		       "errors %lu\n",
		       (double)measured_done / s, samples_at(&latency, 0.5), samples_at(&latency, 0.99),
		       measured_done ? (double)cpu_ns / 1e3 / (double)measured_done : 0, events,
		       samples_at(&chunk_delay, 0.5), samples_at(&chunk_delay, 0.99), errors);
		return;
	}
	printf("{\"clients\":%u,\"requests\":%lu,\"seconds\":%.3f,\"per_s\":%.1f,\"errors\":%lu,"
	       "\"connections\":%lu,\"resumed\":%lu,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	       "\"first_p50_us\":%.1f,\"first_p99_us\":%.1f,\"events\":%lu,\"event_p50_us\":%.1f,"
	       "\"event_p99_us\":%.1f,\"cpu_us\":%.1f,\"cpu_us_per_request\":%.3f,"
	       "\"cpu_us_per_event\":%.3f,\"rss_before_kb\":%lu,\"rss_after_kb\":%lu,"
	       "\"pss_before_kb\":%lu,\"kb_per_client\":%.2f}\n",
	       o.clients, (unsigned long)measured_done, s, (double)measured_done / s, errors, connections, resumed,
	       samples_at(&latency, 0.5), samples_at(&latency, 0.99), samples_at(&first_byte, 0.5),
	       samples_at(&first_byte, 0.99), events, samples_at(&chunk_delay, 0.5),
	       samples_at(&chunk_delay, 0.99), (double)cpu_ns / 1e3,
	       measured_done ? (double)cpu_ns / 1e3 / (double)measured_done : 0,
	       events ? (double)cpu_ns / 1e3 / (double)events : 0, rss_before, rss_after, pss_before,
	       rss_after > rss_before ? (double)(rss_after - rss_before) / o.clients : 0);
}

static int options_read(int argc, char **argv)
{
	static const char *const modes[] = { "ka", "new", "sse", "idle" };
	static const struct option names[] = {
		{ "host", 1, NULL, 'h' },   { "connect", 1, NULL, 'c' }, { "clients", 1, NULL, 'n' },
		{ "seconds", 1, NULL, 's' }, { "body", 1, NULL, 'b' },	 { "chunks", 1, NULL, 'k' },
		{ "every", 1, NULL, 'e' },  { "resume", 0, NULL, 'r' },	 { "of", 1, NULL, 'o' },
		{ "table", 0, NULL, 't' },  { "fault", 1, NULL, 'f' },	 { NULL, 0, NULL, 0 },
	};
	int c;

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(modes); i++)
		if (strcmp(argv[1], modes[i]) == 0)
			o.mode = (enum mode)i, optind = 2;
	if (argc < 2 || (o.mode == MODE_KA && strcmp(argv[1], "ka") != 0))
		return -EINVAL;
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'h': o.host = optarg; break;
		case 'c': o.connect = optarg; break;
		case 'n': o.clients = (unsigned)atoi(optarg); break;
		case 's': o.seconds = (unsigned)atoi(optarg); break;
		case 'b': o.body = (unsigned)atoi(optarg); break;
		case 'k': o.chunks = (unsigned)atoi(optarg); break;
		case 'e': o.every_ms = (unsigned)atoi(optarg); break;
		case 'r': o.resume = true; break;
		case 'o': o.of = optarg; break;
		case 't': o.table = true; break;
		case 'f': o.fault = optarg; break;
		default: return -EINVAL;
		}
	}
	return o.clients ? 0 : -EINVAL;
}

static int setup(void)
{
	struct rlimit files = { 65536, 65536 };

	signal(SIGPIPE, SIG_IGN);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	tls = SSL_CTX_new(TLS_client_method());
	clients = calloc(o.clients, sizeof(*clients));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!tls || !clients || epfd < 0)
		return -ENOMEM;
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(tls, 1);
	if (o.resume) {
		SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT);
		SSL_CTX_sess_set_new_cb(tls, session_new);
	}
	return resolve();
}

int main(int argc, char **argv)
{
	uint64_t rss_before, rss_after, pss_before = 0;

	if (options_read(argc, argv) < 0) {
		fprintf(stderr, "usage: load ka|new|sse|idle [--host H] [--connect ADDR:PORT] [--clients N]\n"
				"  [--seconds S] [--body BYTES] [--chunks N] [--every MS] [--resume]\n"
				"  [--of CGROUP] [--fault WORDS] [--table]\n");
		return 2;
	}
	if (setup() < 0)
		return 3;
	rss_before = o.of ? measure_rss_kb(o.of, &pss_before) : 0;
	if (o.mode != MODE_SSE) {
		/* A fifth of the time warms up. */
		began_ns = clock_mono_ns();
		warm_ns = began_ns + o.seconds * 200000000ULL;
		end_ns = o.mode == MODE_IDLE ? UINT64_MAX : began_ns + o.seconds * 1200000000ULL;
	}
	for (unsigned i = 0; i < o.clients; i++) {
		struct client *c = &clients[i];

		c->index = i;
		c->fd = -1;
		buf_init(&c->out, 80 << 20);
		buf_init(&c->in, 80 << 20);
		buf_init(&c->text, 80 << 20);
	}
	/* Idle connections come a few at a time: what a burst costs is not what they hold. */
	for (; opened < o.clients && (o.mode != MODE_IDLE || opened < 8); opened++)
		if (client_open(&clients[opened]) < 0)
			client_fail(&clients[opened], "connect");
	run();
	if (!measured_to)
		measure_stop(clock_mono_ns());
	if (o.mode == MODE_IDLE)
		sleep(6); /* what a proxy gives back once a connection has been idle for a moment, it may */
	rss_after = o.of ? measure_rss_kb(o.of, NULL) : 0;
	report(rss_before, rss_after, pss_before);
	return errors ? 1 : 0;
}
