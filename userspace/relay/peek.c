/*
 * Before a byte is decrypted: read the server name without consuming it, look the host up, and let
 * the policy say pass, refuse or inspect.
 */
#include "relay/conn.h"

#include "base/log.h"
#include "relay/txn.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

static bool looks_like_http(const char *p, size_t len)
{
	static const char *const methods[] = { "GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ",
					       "PATCH ", "CONNECT " };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (slice_starts(slice_of(p, len), slice_str(methods[i])))
			return true;
	return false;
}

/* Level-triggered polling would spin on bytes that are only peeked at: wait for one more than those. */
static void wait_for(struct conn *c, int bytes)
{
	(void)setsockopt(c->client.watch.fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

static void host_set(struct conn *c, struct slice name)
{
	if (name.len >= sizeof(c->host))
		return;
	for (size_t i = 0; i < name.len; i++)
		c->host[i] = (char)tolower((unsigned char)name.ptr[i]);
	c->host[name.len] = '\0';
	if (name.len && c->host[name.len - 1] == '.')
		c->host[name.len - 1] = '\0';
}

static bool h2_only(const struct hello *h)
{
	for (size_t i = 0; i < h->n_alpn; i++)
		if (slice_is(h->alpn[i], "http/1.1") || slice_is(h->alpn[i], "http/1.0"))
			return false;
	return h->n_alpn > 0;
}

void conn_peek(struct conn *c)
{
	char *p = c->w->scratch;
	ssize_t n = recv(c->client.watch.fd, p, HELLO_MAX + 512, MSG_PEEK | MSG_DONTWAIT);
	struct hello hello;
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_free(c);
		return;
	}
	r = hello_parse(slice_of(p, (size_t)n), &hello);
	if (r == -EAGAIN) {
		wait_for(c, (int)n + 1);
		return;
	}
	wait_for(c, 1);
	if (r == 0) {
		host_set(c, hello.sni);
		c->h2_only = h2_only(&hello);
	} else {
		c->not_tls = true;
		c->plain_http = looks_like_http(p, (size_t)n);
	}
	if (!c->host[0])
		host_set(c, slice_str(c->origin.host));
	conn_decide(c);
}

static void facts_of(const struct conn *c, struct facts *f)
{
	*f = (struct facts){ .who = &c->caller->who,
			     .provider = c->match.provider ? c->match.provider->id : "",
			     .host = slice_str(c->host) };
}

/* Why this connection cannot be inspected although the policy wants it; NULL: it can. */
static const char *obstacle(const struct conn *c)
{
	if (c->not_tls)
		return c->plain_http ? "plain HTTP without TLS" : "not a TLS ClientHello that can be read";
	if (!c->host[0])
		return "no server name, and no DNS answer for the address";
	if (c->h2_only)
		return "the client speaks HTTP/2 only, which is not inspected yet";
	return NULL;
}

/*
 * A name that is no AI's, at the address of a provider. Shared addresses serve others too, and theirs is
 * none of our business; but a false name must not open a way past the rules. Where they are enforced,
 * the server is asked: one that cannot prove to be who the client says is not passed to.
 */
static void foreign_name(struct conn *c)
{
	struct facts f;

	facts_of(c, &f);
	f.host = slice_str(c->origin.host);
	policy_on_connect(c->rules->policy, &f, &c->decision);
	if (c->decision.mode != SP_MODE_ENFORCE) {
		pass_start(c, "not an AI host: the address is shared");
		return;
	}
	c->probing = true;
	conn_upstream_open(c);
}

void conn_probed(struct conn *c)
{
	bool proved = c->up == UPSTREAM_READY;

	c->probing = false;
	conn_upstream_close(c);
	if (proved)
		pass_start(c, "not an AI host: the address is shared, its certificate says so");
	else
		conn_refuse(c, "the server name is no AI host, and the provider's address cannot prove to be it");
}

void conn_decide(struct conn *c)
{
	struct facts f;
	const char *why;

	if (!c->caller) {
		if (conn_ask(c) < 0)
			conn_refuse(c, "the monitor does not answer");
		return;
	}
	if (!catalog_find(c->rules->catalog, slice_str(c->host), &c->match)) {
		c->match = (struct catalog_match){ 0 };
		/* A shared address that serves others too: theirs is none of our business. */
		c->match.provider = catalog_provider(c->rules->catalog, c->origin.provider);
		if (c->host[0] && !c->not_tls) {
			foreign_name(c);
			return;
		}
	}
	facts_of(c, &f);
	policy_on_connect(c->rules->policy, &f, &c->decision);
	if (c->decision.mode == SP_MODE_OBSERVE || (c->match.role && strcmp(c->match.role, "auth") == 0)) {
		pass_start(c, c->decision.mode == SP_MODE_OBSERVE ? "observe" : "identity host");
		return;
	}
	why = obstacle(c);
	/* Where distrust means refusal the handshake may as well be tried: the store may be mended by now. */
	if (!why && c->decision.on_distrust == DISTRUST_SPLICE &&
	    distrust_known(c->w, &c->caller->who, slice_str(c->host))) {
		c->distrusts = true;
		pass_start(c, "the client does not trust our CA (learned); see sallyport trust");
		return;
	}
	if (why && c->decision.mode == SP_MODE_MONITOR)
		pass_start(c, why);
	else if (why)
		conn_refuse(c, why);
	else
		conn_upstream_open(c);
}

void conn_refuse(struct conn *c, const char *reason)
{
	static const char plain[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
				    "Connection: close\r\nContent-Length: 60\r\n\r\n"
				    "Refused by sallyport: AI providers are spoken to over TLS.\n\n";

	metric_add(c->w->metrics, refused, 1);
	if (c->caller)
		conn_record(c, RECORD_REFUSED, reason, 0, 0);
	else
		log_warn("refused a connection of an unknown caller pid=%u uid=%u to=%s reason=\"%s\"",
			 c->origin.task.tgid, c->origin.task.uid, c->address, reason);
	if (c->plain_http) {
		(void)recv(c->client.watch.fd, c->w->scratch, WORKER_SCRATCH, MSG_DONTWAIT);
		(void)send(c->client.watch.fd, plain, sizeof(plain) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		sock_reset(c->client.watch.fd);
	}
	conn_free(c);
}
