/* The log of what arrived at the provider. */
#include "tests/fake/lib/witness.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static int log_fd = -1;
static unsigned connections;

int witness_open(const char *path)
{
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd >= 0)
		return 0;
	fprintf(stderr, "provider: %s: %s\n", path, strerror(errno));
	return -errno;
}

static void line_open(struct buf *b, const struct witness *w, const char *event)
{
	char when[CLOCK_TEXT_LEN];

	buf_init(b, 512 << 20);
	clock_format(clock_wall_ns(), when);
	(void)buf_printf(b, "{\"time\":\"%s\",\"event\":\"%s\",\"conn\":%u,\"peer\":\"%s\","
			    "\"local\":\"%s\",\"sni\":",
			 when, event, w->serial, w->peer, w->local);
	(void)jwrite_string(b, slice_str(w->sni));
}

static void line_close(struct buf *b)
{
	(void)buf_str(b, "}\n");
	(void)file_write_all(log_fd, buf_slice(b));
	buf_done(b);
}

static void line_string(struct buf *b, const char *key, struct slice value)
{
	(void)buf_printf(b, ",\"%s\":", key);
	(void)jwrite_string(b, value);
}

static void address_text(const struct sockaddr_storage *sa, char *out, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "";
	uint16_t port;

	if (sa->ss_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const void *)sa;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&a->sin6_addr);

		inet_ntop(mapped ? AF_INET : AF_INET6,
			  (const char *)&a->sin6_addr + (mapped ? 12 : 0), ip, sizeof(ip));
		port = a->sin6_port;
	} else {
		const struct sockaddr_in *a = (const void *)sa;

		inet_ntop(AF_INET, &a->sin_addr, ip, sizeof(ip));
		port = a->sin_port;
	}
	snprintf(out, size, "%s|%u", ip, ntohs(port));
}

void witness_connect(struct witness *w, int fd, const struct sockaddr_storage *from)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	struct buf b;

	w->serial = ++connections;
	if (log_fd < 0)
		return;
	address_text(from, w->peer, sizeof(w->peer));
	if (getsockname(fd, (struct sockaddr *)&local, &len) == 0)
		address_text(&local, w->local, sizeof(w->local));
	line_open(&b, w, "connect");
	line_close(&b);
}

void witness_tls(struct witness *w, const SSL *ssl)
{
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const unsigned char *alpn;
	unsigned alpn_len;
	struct buf b;

	if (log_fd < 0)
		return;
	snprintf(w->sni, sizeof(w->sni), "%s", sni ? sni : "");
	SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
	line_open(&b, w, "tls");
	line_string(&b, "version", slice_str(SSL_get_version(ssl)));
	line_string(&b, "alpn", slice_of(alpn, alpn_len));
	(void)buf_printf(&b, ",\"resumed\":%s",
			 SSL_session_reused((SSL *)(uintptr_t)ssl) ? "true" : "false");
	line_close(&b);
}

/* Headers by lower-case name, in order; one that comes twice stands twice (jq keeps the last), and
 * "head" has the bytes as they came. */
static void line_headers(struct buf *b, const struct request *r)
{
	struct slice name, value;
	size_t at = 0, i = 0;

	(void)buf_str(b, ",\"headers\":{");
	while (request_next_header(r, &at, &name, &value)) {
		char lower[256];

		slice_copy(lower, sizeof(lower), name);
		for (char *p = lower; *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p + 'a' - 'A');
		(void)buf_str(b, i++ ? "," : "");
		(void)jwrite_string(b, slice_str(lower));
		(void)buf_str(b, ":");
		(void)jwrite_string(b, value);
	}
	(void)buf_str(b, "}");
	line_string(b, "head", r->head);
}

void witness_request(struct witness *w, const struct request *r)
{
	struct buf b;

	if (log_fd < 0)
		return;
	line_open(&b, w, "request");
	(void)buf_printf(&b, ",\"request\":%u", w->requests);
	line_string(&b, "method", r->method);
	line_string(&b, "host", r->host);
	line_string(&b, "path", r->path);
	line_headers(&b, r);
	(void)buf_printf(&b, ",\"bytes\":%zu", r->body.len);
	if (text_is_utf8(r->body)) {
		line_string(&b, "body", r->body.ptr ? r->body : SLICE(""));
	} else {
		(void)buf_str(&b, ",\"body_base64\":\"");
		(void)text_base64_encode(r->body, &b);
		(void)buf_str(&b, "\"");
	}
	line_close(&b);
}

void witness_bad(const struct witness *w, struct slice bytes)
{
	struct buf b;

	if (log_fd < 0)
		return;
	line_open(&b, w, "bad-request");
	line_string(&b, "bytes", slice_sub(bytes, 0, 4096));
	line_close(&b);
}

void witness_event(const struct witness *w, const char *event, const char *why)
{
	struct buf b;

	if (log_fd < 0)
		return;
	line_open(&b, w, event);
	line_string(&b, "why", slice_str(why));
	line_close(&b);
}
