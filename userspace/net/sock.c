/* Sockets. */
#include "net/sock.h"

#include "base/def.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define LISTEN_BACKLOG 4096

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool sock_addr_is_v4(const struct sock_addr *a)
{
	return memcmp(a->ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

void sock_addr_of(const struct sockaddr_storage *ss, struct sock_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		memcpy(out->ip, v4_prefix, sizeof(v4_prefix));
		memcpy(out->ip + 12, &in->sin_addr, 4);
		out->port = ntohs(in->sin_port);
	} else if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

		memcpy(out->ip, &in6->sin6_addr, 16);
		out->port = ntohs(in6->sin6_port);
	}
}

static socklen_t to_sockaddr(const struct sock_addr *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (sock_addr_is_v4(a)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, a->ip + 12, 4);
		in->sin_port = htons(a->port);
		return sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, a->ip, 16);
		in6->sin6_port = htons(a->port);
		return sizeof(*in6);
	}
}

void sock_addr_text(const struct sock_addr *a, char out[SOCK_TEXT_LEN])
{
	char ip[INET6_ADDRSTRLEN] = "";

	if (sock_addr_is_v4(a)) {
		(void)inet_ntop(AF_INET, a->ip + 12, ip, sizeof(ip));
		(void)snprintf(out, SOCK_TEXT_LEN, "%s:%u", ip, a->port);
	} else {
		(void)inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
		(void)snprintf(out, SOCK_TEXT_LEN, "[%s]:%u", ip, a->port);
	}
}

int sock_addr_parse(const char *text, struct sock_addr *out)
{
	struct in_addr v4;
	struct in6_addr v6;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4) == 1) {
		memcpy(out->ip, v4_prefix, sizeof(v4_prefix));
		memcpy(out->ip + 12, &v4, 4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memcpy(out->ip, &v6, 16);
		return 0;
	}
	return -EINVAL;
}

int sock_listen(const struct sock_addr *a, uint16_t *port, int (*mark)(void *ctx, int fd), void *ctx)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(a, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, r = 0;

	if (fd < 0)
		return -errno;
	if (mark)
		r = mark(ctx, fd);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (r == 0 && ss.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (r == 0 && (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0))
		r = -errno;
	len = sizeof(ss);
	if (r == 0 && getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		r = -errno;
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	if (port) {
		struct sock_addr bound;

		sock_addr_of(&ss, &bound);
		*port = bound.port;
	}
	return fd;
}

int sock_new(const struct sock_addr *to)
{
	int family = sock_addr_is_v4(to) ? AF_INET : AF_INET6, one = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	sock_no_delay(fd);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	return fd;
}

int sock_connect(int fd, const struct sock_addr *to)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(to, &ss);

	return connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

int sock_error(int fd)
{
	int e = 0;
	socklen_t len = sizeof(e);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 ? -errno : -e;
}

int sock_peer(int fd, struct sock_addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	sock_addr_of(&ss, out);
	return 0;
}

int sock_netns_cookie(int fd, uint64_t *out)
{
	socklen_t len = sizeof(*out);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, out, &len) < 0 ? -errno : 0;
}

void sock_no_delay(int fd)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void sock_reset(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}
