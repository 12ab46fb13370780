/* Server and upstream back to back: versions, ALPN, bytes, resumption, ends. */
#include "pair.h"

#define HOST SLICE("api.openai.com")

static char dir[64], ca_path[96];
static struct ca *ca;
static struct tls_server *server;
static struct tls_upstream *upstream;

static void set_up(void)
{
	static const char *const hosts[] = { "openai.com", "api.anthropic.com", "127.0.0.1" };
	struct tls_upstream_options o = { .ca_file = ca_path };
	struct buf why;

	buf_init(&why, 4096);
	scratch_new(dir);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", dir);
	t_int(ca_open(dir, hosts, ARRAY_LEN(hosts), &ca, &why), 0, "CA is created: %.*s",
	      SLICE_FMT(buf_slice(&why)));
	t_int(tls_server_new(ca_signer(ca), &server), 0, "server side");
	t_int(tls_upstream_new(&o, &upstream, &why), 0, "upstream side: %.*s",
	      SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
}

static void connect_pair(struct pair *p, struct slice host)
{
	pair_sockets(p);
	t_int(tls_connect(upstream, p->fds[0], host, &p->client), 0, "connect");
	t_int(tls_accept(server, p->fds[1], host, &p->server), 0, "accept");
	pair_shake(p);
}

static void exchange(struct pair *p, const char *name)
{
	static char big[100000], got[200000];
	size_t sent = 0, have = 0;

	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 2000 && have < sizeof(big); i++) {
		ssize_t n = sent < sizeof(big) ?
				    tls_write(p->client, slice_of(big + sent, sizeof(big) - sent)) :
				    0;

		if (n > 0)
			sent += (size_t)n;
		n = tls_read(p->server, got + have, sizeof(got) - have);
		if (n > 0)
			have += (size_t)n;
		else if (!waits((int)n))
			break;
	}
	t_int(have, sizeof(big), "%s: 100 KB arrive", name);
	t_ok(memcmp(big, got, sizeof(big)) == 0, "%s: unchanged", name);
	t_int(tls_write(p->server, SLICE("answer")), 6, "%s: answer", name);
	t_int(tls_read(p->client, got, sizeof(got)), 6, "%s: answer read", name);
	t_int(tls_read(p->client, got, sizeof(got)), TLS_WANT_READ, "%s: nothing more", name);
	t_ok(!tls_pending(p->client), "%s: nothing pending", name);
}

static void test_exchange(void)
{
	struct tls_info info;
	struct pair p;
	char c;

	connect_pair(&p, HOST);
	t_int(p.client_result, 0, "client: %s", tls_reason(p.client));
	t_int(p.server_result, 0, "server: %s", tls_reason(p.server));
	tls_info(p.client, &info);
	t_str(info.version, "TLSv1.3", "version");
	t_str(info.alpn, "http/1.1", "ALPN");
	t_str(info.group, "x25519", "group");
	t_ok(!info.resumed, "first handshake is full");
	exchange(&p, "TLS 1.3");
	tls_shutdown(p.server);
	t_int(tls_read(p.client, &c, 1), 0, "close_notify is an end");
	pair_done(&p);

	connect_pair(&p, HOST);
	tls_info(p.client, &info);
	t_ok(info.resumed, "second handshake resumes");
	exchange(&p, "resumed");
	close(p.fds[1]);
	p.fds[1] = -1;
	t_int(tls_read(p.client, &c, 1), -ECONNRESET, "EOF without close_notify is no end");
	t_str(tls_reason(p.client), "the peer closed without close_notify", "and says so");
	pair_done(&p);

	connect_pair(&p, SLICE("127.0.0.1"));
	t_int(p.client_result, 0, "an address: %s", tls_reason(p.client));
	pair_done(&p);
}

/* What a burst of small records leaves inside must be handed out without the socket's help. */
static void test_drain(void)
{
	struct pair p;
	char got[64];
	int total = 0;

	connect_pair(&p, HOST);
	for (int i = 0; i < 10; i++)
		t_int(tls_write(p.client, SLICE("0123456789")), 10, "record %d", i);
	t_int(tls_read(p.server, got, 3), 3, "part of a record");
	t_ok(tls_pending(p.server), "the rest is pending");
	total = 3;
	while (tls_pending(p.server)) {
		ssize_t n = tls_read(p.server, got, sizeof(got));

		t_ok(n > 0, "pending bytes can be read");
		total += (int)n;
	}
	t_int(total, 100, "all ten records");
	pair_done(&p);
}

static void test_refusals(void)
{
	struct tls *t;

	t_int(tls_accept(server, 0, SLICE("example.org"), &t), -EACCES, "host outside the list");
	t_int(tls_accept(server, 0, SLICE("notopenai.com"), &t), -EACCES, "suffix without a dot");
	t_int(tls_accept(server, 0, SLICE("*.openai.com"), &t), -EINVAL, "wildcard");
	t_int(tls_accept(server, 0, SLICE("a b.openai.com"), &t), -EINVAL, "no host name");
}

int main(void)
{
	set_up();
	test_exchange();
	test_drain();
	test_refusals();
	tls_upstream_free(upstream);
	tls_server_free(server);
	ca_free(ca);
	scratch_drop(dir);
	return t_done();
}
