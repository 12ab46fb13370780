/* Toward the application: distrust as it shows on the wire, tickets, ALPN, the leaf cache. */
#include "certs.h"
#include "pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define HOST SLICE("api.openai.com")
#define OTHER SLICE("chat.openai.com")

static char dir[64], ca_path[96];
static struct ca *ca;
static struct tls_server *server;

/* A signer that counts, and fails when told to. */
static struct counting {
	struct signer signer;
	int asked, fail;
} counting;

static int count_sign(struct signer *s, struct slice host, struct slice spki, struct buf *chain)
{
	struct counting *c = container_of(s, struct counting, signer);
	struct signer *real = ca_signer(ca);

	c->asked++;
	if (c->fail == 1)
		return buf_str(chain, "no chain at all");
	return c->fail ? c->fail : real->sign(real, host, spki, chain);
}

static void set_up(void)
{
	static const char *const hosts[] = { "openai.com" };
	struct buf why;

	buf_init(&why, 4096);
	scratch_new(dir);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", dir);
	t_int(ca_open(dir, hosts, 1, &ca, &why), 0, "CA");
	counting.signer.sign = count_sign;
	t_int(tls_server_new(&counting.signer, &server), 0, "server");
	buf_done(&why);
}

static void begin(struct pair *p, SSL **client, struct slice host)
{
	pair_sockets(p);
	t_int(tls_accept(server, p->fds[1], host, &p->server), 0, "accept");
	*client = raw_end(p->fds[0], NULL, NULL);
	SSL_set_tlsext_host_name(*client, host.ptr);
}

/* Until neither end gets on; the server's result. */
static int shake(struct pair *p, SSL *client)
{
	int r = TLS_WANT_READ, done = 0;

	for (int i = 0; i < 20 && (waits(r) || !done); i++) {
		done = SSL_do_handshake(client) == 1;
		if (waits(r))
			r = tls_handshake(p->server);
	}
	return r;
}

static void end(struct pair *p, SSL *client)
{
	SSL_free(client);
	pair_done(p);
}

enum manner { ALERT, SILENCE, CCS, GARBAGE, EARLY, OTHER_ALERT, RESET };

static const struct {
	const char *why, *reason;
	enum manner manner;
	int version;
	bool distrusts;
} manners[] = {
	{ "curl: unknown_ca alert", "unknown_ca alert", ALERT, TLS1_3_VERSION, true },
	{ "the same in TLS 1.2", "unknown_ca alert", ALERT, TLS1_2_VERSION, true },
	{ "Node: closes without a word", "the peer closed during the handshake", SILENCE,
	  TLS1_3_VERSION, true },
	{ "the same in TLS 1.2", "the peer closed during the handshake", SILENCE, TLS1_2_VERSION,
	  true },
	{ "Java: closes after ChangeCipherSpec", "the peer closed during the handshake", CCS,
	  TLS1_3_VERSION, true },
	{ "reset after our certificate", "Connection reset by peer", RESET, TLS1_3_VERSION, true },
	{ "garbage, then close", "", GARBAGE, TLS1_3_VERSION, false },
	{ "closes before our certificate", "the peer closed during the handshake", EARLY,
	  TLS1_3_VERSION, false },
	{ "handshake_failure alert", "handshake_failure alert", OTHER_ALERT, TLS1_3_VERSION, false },
};

/* A connected pair over TCP, which can be reset. */
static void tcp_sockets(struct pair *p)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	pair_sockets(p);
	close(p->fds[0]);
	close(p->fds[1]);
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0)
		exit(1);
	p->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(p->fds[0], (struct sockaddr *)&a, len) < 0)
		exit(1);
	p->fds[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	(void)fcntl(p->fds[0], F_SETFL, O_NONBLOCK);
	close(listener);
}

static void behave(struct pair *p, SSL *client, enum manner manner)
{
	static const struct linger now = { 1, 0 };
	int r;

	if (manner == EARLY) {
		/* half a hello */
		t_int(write(p->fds[0], "\x16\x03\x01\x02\x00\x01", 6), 6, "half a hello");
		shutdown(p->fds[0], SHUT_WR);
		return;
	}
	if (manner == ALERT)
		SSL_set_verify(client, SSL_VERIFY_PEER, NULL);
	(void)SSL_do_handshake(client);
	r = tls_handshake(p->server);
	t_int(r, TLS_WANT_READ, "our flight is out");
	switch (manner) {
	case ALERT:
		(void)SSL_do_handshake(client);
		break;
	case CCS:
		t_int(write(p->fds[0], "\x14\x03\x03\x00\x01\x01", 6), 6, "CCS");
		break;
	case GARBAGE:
		t_int(write(p->fds[0], "GET / HTTP/1.1\r\n\r\n", 18), 18, "garbage");
		break;
	case OTHER_ALERT:
		t_int(write(p->fds[0], "\x15\x03\x03\x00\x02\x02\x28", 7), 7, "alert");
		break;
	case RESET:
		setsockopt(p->fds[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(p->fds[0]);
		p->fds[0] = -1;
		return;
	default:
		break;
	}
	shutdown(p->fds[0], SHUT_WR);
}

static void test_distrust(void)
{
	for (size_t i = 0; i < ARRAY_LEN(manners); i++) {
		struct pair p;
		SSL *client;
		int r;

		tcp_sockets(&p);
		t_int(tls_accept(server, p.fds[1], HOST, &p.server), 0, "accept");
		client = raw_end(p.fds[0], NULL, NULL);
		SSL_set_max_proto_version(client, manners[i].version);
		behave(&p, client, manners[i].manner);
		for (int n = 0; n < 100 && waits(r = tls_handshake(p.server)); n++)
			usleep(1000);
		t_ok(r < 0 && !waits(r), "%s: fails (%d)", manners[i].why, r);
		t_ok(tls_client_distrusts(p.server, false) == manners[i].distrusts, "%s: verdict",
		     manners[i].why);
		t_ok(strstr(tls_reason(p.server), manners[i].reason), "%s: reason \"%s\"",
		     manners[i].why, tls_reason(p.server));
		end(&p, client);
	}
}

static SSL_SESSION *last_session;
static int n_sessions;

static int note_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(last_session);
	last_session = s;
	n_sessions++;
	return 1;
}

/* A handshake that offers `offer`; leaves its own session in last_session. True when resumed. */
static bool visit(struct slice host, int version, SSL_SESSION *offer, const char *why)
{
	struct pair p;
	SSL *client;
	bool resumed;
	char byte;

	begin(&p, &client, host);
	SSL_CTX_set_session_cache_mode(SSL_get_SSL_CTX(client),
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(SSL_get_SSL_CTX(client), note_session);
	SSL_set_max_proto_version(client, version);
	if (offer)
		SSL_set_session(client, offer);
	n_sessions = 0;
	t_int(shake(&p, client), 0, "%s: server", why);
	(void)SSL_read(client, &byte, 1); /* takes the ticket */
	resumed = SSL_session_reused(client);
	if (resumed)
		t_ok(!tls_client_distrusts(p.server, true),
		     "%s: no certificate was shown, nothing distrusted", why);
	else
		t_ok(tls_client_distrusts(p.server, true), "%s: wget: full handshake, then reset",
		     why);
	t_ok(!tls_client_distrusts(p.server, false), "%s: all is well", why);
	if (!resumed)
		t_int(n_sessions, 1, "%s: one ticket", why);
	SSL_shutdown(client);
	end(&p, client);
	return resumed;
}

static void test_tickets(void)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const char *name = i ? "TLS 1.3" : "TLS 1.2";
		SSL_SESSION *first;

		t_ok(!visit(HOST, versions[i], NULL, name), "%s: full", name);
		first = last_session;
		last_session = NULL;
		t_int(SSL_SESSION_get_max_early_data(first), 0, "%s: no early data", name);
		t_ok(visit(HOST, versions[i], first, name), "%s: resumes with its host", name);
		t_ok(!visit(OTHER, versions[i], first, name), "%s: but with no other", name);
		SSL_SESSION_free(first);
		SSL_SESSION_free(last_session);
		last_session = NULL;
	}
}

static const struct {
	const char *why, *offer;
	unsigned int len;
	const char *chosen; /* NULL: refused */
} alpn[] = {
	{ "nothing offered", NULL, 0, "" },
	{ "http/1.1", "\x08http/1.1", 9, "http/1.1" },
	{ "h2 and http/1.1", "\x02h2\x08http/1.1", 12, "http/1.1" },
	{ "h2 only", "\x02h2", 3, NULL },
	{ "gRPC", "\x08grpc-exp\x02h2", 12, NULL },
};

static void test_alpn(void)
{
	for (size_t i = 0; i < ARRAY_LEN(alpn); i++) {
		struct tls_info info;
		struct pair p;
		SSL *client;
		int r;

		begin(&p, &client, HOST);
		if (alpn[i].offer)
			SSL_set_alpn_protos(client, (const unsigned char *)alpn[i].offer, alpn[i].len);
		r = shake(&p, client);
		if (alpn[i].chosen) {
			t_int(r, 0, "%s: accepted", alpn[i].why);
			tls_info(p.server, &info);
			t_str(info.alpn, alpn[i].chosen, "%s: chosen", alpn[i].why);
		} else {
			t_int(r, -EPROTO, "%s: refused", alpn[i].why);
			t_ok(strstr(tls_reason(p.server), "ALPN"), "%s: \"%s\"", alpn[i].why,
			     tls_reason(p.server));
			t_ok(!tls_client_distrusts(p.server, false), "%s: no distrust", alpn[i].why);
		}
		end(&p, client);
	}
}

static void test_versions(void)
{
	struct pair p;
	SSL *client;
	char byte;
	int r;

	begin(&p, &client, HOST);
	SSL_set_max_proto_version(client, TLS1_1_VERSION);
	t_int(shake(&p, client), -EPROTO, "TLS 1.1 is refused");
	t_ok(*tls_reason(p.server), "with \"%s\"", tls_reason(p.server));
	end(&p, client);

	begin(&p, &client, HOST);
	SSL_set_max_proto_version(client, TLS1_2_VERSION);
	t_int(shake(&p, client), 0, "TLS 1.2");
	SSL_renegotiate(client);
	for (int i = 0; i < 5; i++) {
		(void)SSL_do_handshake(client);
		r = (int)tls_read(p.server, &byte, 1);
	}
	t_ok(r < 0, "no renegotiation (%d)", r);
	t_ok(!SSL_is_init_finished(client) || SSL_total_renegotiations(client) == 0 ||
	     SSL_renegotiate_pending(client), "it never came about");
	end(&p, client);
}

static void accept_only(struct slice host, int want, const char *why)
{
	struct tls *t = NULL;

	t_int(tls_accept(server, 0, host, &t), want, "%s", why);
	tls_free(t);
}

static void test_leaves(void)
{
	char name[64];

	tls_server_flush(server);
	counting.asked = 0;
	accept_only(HOST, 0, "first");
	accept_only(HOST, 0, "second");
	accept_only(SLICE("API.openai.com."), 0, "same name, other spelling");
	t_int(counting.asked, 1, "the signer is asked once a host");
	accept_only(OTHER, 0, "another");
	t_int(counting.asked, 2, "and for each host");
	tls_server_flush(server);
	accept_only(HOST, 0, "after a flush");
	t_int(counting.asked, 3, "and again after a flush");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%d.openai.com", i);
		accept_only(slice_str(name), 0, "endless subdomains");
	}
	tls_server_flush(server);
	counting.fail = -EPIPE;
	accept_only(HOST, -EPIPE, "signer gone");
	counting.fail = 1;
	accept_only(HOST, -EBADMSG, "signer answers garbage");
	counting.fail = 0;
	accept_only(HOST, 0, "and comes back");
}

int main(void)
{
	set_up();
	test_distrust();
	test_tickets();
	test_alpn();
	test_versions();
	test_leaves();
	tls_server_free(server);
	ca_free(ca);
	scratch_drop(dir);
	return t_done();
}
