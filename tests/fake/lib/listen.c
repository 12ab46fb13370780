/* Sockets for the fakes. */
#include "tests/fake/lib/listen.h"

#include "base/slice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int listen_on(const char *where, int type)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	const char *colon = strrchr(where, ':');
	struct slice host;
	char text[64];
	int one = 1, fd, r;

	if (!colon)
		return -EINVAL;
	host = slice_of(where, (size_t)(colon - where));
	if (host.len > 2 && host.ptr[0] == '[')
		host = slice_sub(host, 1, host.len - 1);
	slice_copy(text, sizeof(text), host);
	four.sin_port = six.sin6_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
		fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		r = bind(fd, (struct sockaddr *)&four, sizeof(four));
	} else {
		if (inet_pton(AF_INET6, text[0] ? text : "::", &six.sin6_addr) != 1)
			return -EINVAL;
		fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		r = bind(fd, (struct sockaddr *)&six, sizeof(six));
	}
	if (r < 0 || (type == SOCK_STREAM && listen(fd, 1024) < 0)) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}
