/* Names to addresses, over a channel. */
#include "discover/resolver.h"

#include "base/channel.h"
#include "base/clock.h"
#include "discover/known.h"
#include "net/sock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>

#define GAP_MS 20             /* between two names: no burst at the node's resolver */
#define LIFE_NS (2ULL * 3600 * 1000000000)

struct found {
	uint32_t provider;
	uint8_t addr[16];
	char name[SP_NAME_LEN];
};

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

int resolver_pause(int channel, int ms)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };

	return poll(&p, 1, ms) > 0 ? -EPIPE : 0;
}

int resolver_round(int channel, const struct catalog *c)
{
	const struct catalog_host *h;
	size_t n = catalog_hosts(c, &h);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (!h[i].exact || !known_is_owner(c, &h[i]))
			continue;
		r = resolve(channel, &h[i]);
		if (r == 0)
			r = resolver_pause(channel, GAP_MS);
	}
	return r;
}

int resolver_take(int channel, struct kern *k, const struct catalog *c)
{
	struct found f;
	ssize_t n;

	while ((n = channel_recv(channel, &f, sizeof(f), NULL, NULL)) == sizeof(f)) {
		f.name[sizeof(f.name) - 1] = '\0';
		if (catalog_provider(c, f.provider))
			(void)kern_host_put(k, f.addr, f.provider, slice_str(f.name),
					    clock_mono_ns() + LIFE_NS);
	}
	return n == -EAGAIN ? -EAGAIN : -EPIPE;
}
