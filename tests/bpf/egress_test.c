/* Server names read at egress: discovery where we watch, the safety net where we enforce; QUIC. */
#include "tests/bpf/lab.h"

#define HIDDEN4 "203.0.113.40"
#define HIDDEN6 "2001:db8::40"

static struct kern *k;
static int server4, server6, ours;
static uint16_t port = 8443, listener;

static size_t hello(uint8_t *b, const char *name, size_t padding)
{
	size_t n = 0, len = strlen(name), ext;

	b[n++] = 22, b[n++] = 3, b[n++] = 1, b[n++] = 0, b[n++] = 0;
	b[n++] = 1, b[n++] = 0, b[n++] = 0, b[n++] = 0;
	b[n++] = 3, b[n++] = 3;
	memset(b + n, 7, 32), n += 32;
	b[n++] = 32, memset(b + n, 8, 32), n += 32;
	b[n++] = 0, b[n++] = 2, b[n++] = 0x13, b[n++] = 1;
	b[n++] = 1, b[n++] = 0;
	ext = n, n += 2;
	b[n++] = 0, b[n++] = 21; /* padding first: post-quantum key shares are that large */
	b[n++] = (uint8_t)(padding >> 8), b[n++] = (uint8_t)padding;
	memset(b + n, 0, padding), n += padding;
	b[n++] = 0, b[n++] = 0, b[n++] = 0, b[n++] = (uint8_t)(len + 5);
	b[n++] = 0, b[n++] = (uint8_t)(len + 3), b[n++] = 0, b[n++] = 0, b[n++] = (uint8_t)len;
	memcpy(b + n, name, len), n += len;
	b[n++] = 0, b[n++] = 43, b[n++] = 0, b[n++] = 3, b[n++] = 2, b[n++] = 3, b[n++] = 4;
	b[ext] = (uint8_t)((n - ext - 2) >> 8), b[ext + 1] = (uint8_t)(n - ext - 2);
	b[3] = (uint8_t)((n - 5) >> 8), b[4] = (uint8_t)(n - 5);
	b[7] = (uint8_t)((n - 9) >> 8), b[8] = (uint8_t)(n - 9);
	return n;
}

static uint32_t known(const char *addr)
{
	struct sp_host h = { 0 };
	uint8_t a[16];

	lab_canonical(addr, a);
	return kern_host_find(k, a, &h) == 0 ? h.provider : 0;
}

/* Sends the bytes over a new connection; true when the server got them all within 300 ms. */
static bool arrives(const char *addr, const void *bytes, size_t len, bool mark)
{
	union lab_addr a;
	socklen_t alen = lab_addr(&a, addr, port);
	int c = socket(a.sa.sa_family, SOCK_STREAM, 0), s;
	struct pollfd p = { .events = POLLIN };
	uint8_t got[8192];
	size_t n = 0;

	if (mark)
		mark_socket(kern_marks_fd(k), c);
	if (connect(c, &a.sa, alen) < 0) {
		close(c);
		return false;
	}
	s = lab_accept(a.sa.sa_family == AF_INET ? server4 : server6);
	p.fd = s;
	if (write(c, bytes, len) == (ssize_t)len)
		while (n < len && poll(&p, 1, 300) == 1) {
			ssize_t r = read(s, got + n, sizeof(got) - n);

			if (r <= 0)
				break;
			n += (size_t)r;
		}
	close(c);
	close(s);
	return n == len;
}

static void watched(void)
{
	static const struct {
		const char *why, *name;
		size_t padding;
		uint32_t provider;
	} rows[] = {
		{ "a provider's name", "api.openai.com", 0, 1 },
		{ "in a hello over the MTU", "api.openai.com", 1800, 1 },
		{ "in upper case", "API.OPENAI.COM", 0, 1 },
		{ "a wildcard", "x.openai.azure.com", 10, 2 },
		{ "somebody else's name", "www.example.com", 0, 0 },
	};
	uint8_t b[4096];
	char addr[32];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct sp_event *e;

		snprintf(addr, sizeof(addr), "203.0.113.%zu", 50 + i);
		t_int(lab_address4(addr), 0, "an address");
		server4 = lab_listen(addr, &port);
		lab_drain(k);
		t_ok(arrives(addr, b, hello(b, rows[i].name, rows[i].padding), false), "%s: passes",
		     rows[i].why);
		t_int(known(addr), rows[i].provider, "%s: %s", rows[i].why, rows[i].name);
		lab_drain(k);
		e = lab_last(SP_EVENT_HELLO);
		t_ok(!!e == !!rows[i].provider, "%s: reported when it matters", rows[i].why);
		if (e)
			t_ok(e->task.tgid == (uint32_t)getpid() && e->port == port && e->netns &&
				     e->verdict == SP_PASSED_OBSERVE,
			     "%s: with the caller", rows[i].why);
		close(server4);
	}
	t_int(lab_address6(HIDDEN6), 0, "an IPv6 address");
	server6 = lab_listen(HIDDEN6, &port);
	t_ok(server6 >= 0, "a server there (%s)", strerror(errno));
	t_ok(arrives(HIDDEN6, b, hello(b, "api.openai.com", 0), false), "IPv6 passes");
	t_int(known(HIDDEN6), 1, "IPv6 is learned");
}

/* Truncated at every byte and with every byte changed: it passes, and nothing breaks. */
static void hostile(void)
{
	uint8_t b[4096], c[4096];
	size_t n = hello(b, "www.example.com", 3);
	int lost = 0;

	server4 = lab_listen("203.0.113.50", &port);
	for (size_t cut = 1; cut < n; cut += 3)
		lost += !arrives("203.0.113.50", b, cut, false);
	for (size_t i = 0; i < n; i += 2) {
		memcpy(c, b, n);
		c[i] ^= 0xff;
		lost += !arrives("203.0.113.50", c, n, false);
	}
	t_int(lost, 0, "malformed hellos pass");
	close(server4);
}

static void loopback(void)
{
	uint8_t b[4096];

	server4 = lab_listen("127.0.0.1", &port);
	t_ok(arrives("127.0.0.1", b, hello(b, "api.openai.com", 0), false), "a local TLS server");
	t_int(known("127.0.0.1"), 0, "makes no provider of the loopback");
	close(server4);
}

static void enforced(void)
{
	uint8_t b[4096];
	size_t n = hello(b, "api.openai.com", 900);
	const struct sp_event *e;
	int c, got;

	lab_mode(k, SP_MODE_ENFORCE, 1);
	t_int(lab_address4(HIDDEN4), 0, "an address no answer told");
	server4 = lab_listen(HIDDEN4, &port);
	lab_drain(k);
	t_ok(!arrives(HIDDEN4, b, n, false), "its first hello is held back");
	lab_drain(k);
	e = lab_last(SP_EVENT_HELLO);
	t_ok(e && e->verdict == SP_REFUSED && e->cookie, "reported, with the socket to destroy");
	t_int(known(HIDDEN4), 1, "the address is learned");
	c = lab_connect(HIDDEN4, port, false);
	got = lab_accept(ours);
	t_ok(c >= 0 && got >= 0, "the retry is redirected");
	t_ok(write(c, b, n) == (ssize_t)n && read(got, b, sizeof(b)) == (ssize_t)n,
	     "and its hello arrives");
	close(c);
	close(got);
	n = hello(b, "api.openai.com", 0);
	t_ok(arrives(HIDDEN4, b, n, true), "our own upstream socket passes");
	t_ok(arrives(HIDDEN4, b, n, true), "every time");
	close(server4);
}

/* Connected before the address was known: its hello is held back although it is known now. */
static void early(void)
{
	uint8_t b[4096], buf[4096];
	size_t n = hello(b, "api.openai.com", 0);
	int c1, s1;
	struct pollfd p = { .events = POLLIN };

	t_int(lab_address4("203.0.113.41"), 0, "another address");
	server4 = lab_listen("203.0.113.41", &port);
	c1 = lab_connect("203.0.113.41", port, false);
	s1 = lab_accept(server4);
	t_ok(!arrives("203.0.113.41", b, n, false), "the second connection teaches it");
	t_ok(write(c1, b, n) == (ssize_t)n, "the first sends its hello now");
	p.fd = s1;
	t_int(poll(&p, 1, 300), 0, "and is held back too");
	t_ok(write(c1, "more", 4) == 4 && poll(&p, 1, 300) == 0, "with all that follows");
	(void)buf;
	close(c1);
	close(s1);
	close(server4);
}

/* Known to connect() as one provider's, but the hello says another that is enforced. */
static void shared_address(void)
{
	uint8_t b[4096];
	size_t n = hello(b, "x.openai.azure.com", 0);
	struct kern_mode m[] = { { { 0, SP_SCOPE_ANY, 1 }, { SP_MODE_OBSERVE, 0 } },
				 { { 0, SP_SCOPE_ANY, 2 }, { SP_MODE_ENFORCE, 1 } } };

	kern_modes_set(k, m, 2);
	t_int(lab_address4("203.0.113.42"), 0, "a shared address");
	lab_host(k, "203.0.113.42", 1, "api.openai.com");
	server4 = lab_listen("203.0.113.42", &port);
	t_ok(arrives("203.0.113.42", b, hello(b, "api.openai.com", 0), false),
	     "observed name passes");
	n = hello(b, "x.openai.azure.com", 0);
	t_ok(!arrives("203.0.113.42", b, n, false), "enforced name does not");
	int c = lab_connect("203.0.113.42", port, false), got = lab_accept(ours);

	t_ok(c >= 0 && got >= 0, "its retry is redirected");
	close(c);
	close(got);
	close(server4);
}

static ssize_t datagram(const char *addr, uint16_t to, bool connected)
{
	union lab_addr a;
	socklen_t len = lab_addr(&a, addr, to);
	int fd = socket(a.sa.sa_family, SOCK_DGRAM, 0);
	ssize_t r = connected ? connect(fd, &a.sa, len) : 0;

	if (r == 0)
		r = connected ? send(fd, "q", 1, 0) : sendto(fd, "q", 1, 0, &a.sa, len);
	r = r < 0 ? -errno : r;
	close(fd);
	return r;
}

static void quic(void)
{
	const struct sp_event *e;

	lab_mode(k, SP_MODE_ENFORCE, 1);
	lab_drain(k);
	t_int(datagram(HIDDEN4, 443, false), -ECONNREFUSED,
	      "sendto port 443 of a provider is refused");
	lab_drain(k);
	e = lab_last(SP_EVENT_QUIC);
	t_ok(e && e->verdict == SP_REFUSED && e->provider == 1, "and reported");
	t_int(lab_count(k, SP_COUNT_QUIC_REFUSED), 1, "and counted");
	t_int(datagram("::ffff:" HIDDEN4, 443, false), -ECONNREFUSED,
	      "mapped on an IPv6 socket too");
	t_int(datagram(HIDDEN6, 443, false), -ECONNREFUSED, "IPv6 too");
	t_int(datagram(HIDDEN4, 444, false), 1, "other ports pass");
	t_int(datagram("203.0.113.99", 443, false) == -ECONNREFUSED, 0,
	      "other hosts are not refused");
	kern_quic_refuse_set(k, false);
	lab_drain(k);
	t_int(datagram(HIDDEN4, 443, true), 1, "where QUIC is allowed it passes");
	lab_drain(k);
	e = lab_last(SP_EVENT_QUIC);
	t_ok(e && e->verdict == SP_PASSED_OBSERVE && e->task.tgid == (uint32_t)getpid(),
	     "and a connected socket is reported when it sends");
	kern_quic_refuse_set(k, true);
}

static void test(void)
{
	static const struct kern_name names[] = { { "api.openai.com", false, 1 },
						  { "openai.azure.com", true, 2 } };

	k = lab_open(lab_cgroup, NULL, true);
	if (!k)
		return;
	t_int(kern_names_set(k, names, ARRAY_LEN(names)), 0, "names");
	ours = lab_listen("127.0.0.1", &listener);
	mark_socket(kern_marks_fd(k), ours);
	kern_listener_port_set(k, listener);
	kern_heartbeat(k, clock_mono_ns() + 60000000000ULL);
	watched();
	hostile();
	loopback();
	enforced();
	early();
	shared_address();
	quic();
	kern_close(k);
}

int main(void)
{
	return lab_run(test);
}
