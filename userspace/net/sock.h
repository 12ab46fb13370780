/* Sockets: addresses in the canonical form (16 bytes, IPv4 mapped), listeners, connects. */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define SOCK_TEXT_LEN 56 /* "[2001:db8::1]:443" with its NUL */

/* A canonical address is what bpf/sallyport.h holds; port in host order. */
struct sock_addr {
	uint8_t ip[16];
	uint16_t port;
};

bool sock_addr_is_v4(const struct sock_addr *a);
void sock_addr_of(const struct sockaddr_storage *ss, struct sock_addr *out);
/* "203.0.113.4:443" or "[2001:db8::1]:443". */
void sock_addr_text(const struct sock_addr *a, char out[SOCK_TEXT_LEN]);
/* Text without port, either family. 0 or -EINVAL. */
int sock_addr_parse(const char *text, struct sock_addr *out);

/* A listening TCP socket on ip:port (port 0: any; *port says which). Non-blocking. fd or -errno.
 * `mark` runs on the socket before it is bound. */
int sock_listen(const struct sock_addr *a, uint16_t *port, int (*mark)(void *ctx, int fd),
		void *ctx);
/* A non-blocking TCP socket for `to`: no delay, keep-alive. fd or -errno. */
int sock_new(const struct sock_addr *to);
/* 0 connected, -EINPROGRESS, -errno. */
int sock_connect(int fd, const struct sock_addr *to);
int sock_error(int fd); /* SO_ERROR as -errno */
int sock_peer(int fd, struct sock_addr *out);
/* 0 or -errno (-ENOPROTOOPT before 5.14). */
int sock_netns_cookie(int fd, uint64_t *out);
void sock_no_delay(int fd);
/* Close with RST: the peer sees a reset instead of an orderly end. */
void sock_reset(int fd);

#endif
