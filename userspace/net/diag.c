/* sock_diag over libnl: dump what is connected to an address, destroy the one with the cookie. */
#include "net/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>

struct search {
	uint64_t cookie;
	const struct sock_addr *remote;
	struct inet_diag_sockid id;
	uint8_t family;
	bool found;
};

static bool is_remote(const struct search *s, const struct inet_diag_msg *m)
{
	uint8_t ip[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	if (m->idiag_family == AF_INET)
		memcpy(ip + 12, m->id.idiag_dst, 4);
	else
		memcpy(ip, m->id.idiag_dst, 16);
	return ntohs(m->id.idiag_dport) == s->remote->port && memcmp(ip, s->remote->ip, 16) == 0;
}

static int on_socket(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct inet_diag_msg *m = nlmsg_data(h);
	struct search *s = arg;

	if (nlmsg_datalen(h) < (int)sizeof(*m) || !is_remote(s, m))
		return NL_OK;
	if (((uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0]) != s->cookie)
		return NL_OK;
	s->id = m->id;
	s->family = m->idiag_family;
	s->found = true;
	return NL_OK;
}

static int ask(struct nl_sock *nl, int type, int flags, struct inet_diag_req_v2 *q)
{
	int r = nl_send_simple(nl, type, flags, q, sizeof(*q));

	return r < 0 ? r : nl_recvmsgs_default(nl);
}

static int search_family(struct nl_sock *nl, struct search *s, uint8_t family)
{
	struct inet_diag_req_v2 q = { .sdiag_family = family,
				      .sdiag_protocol = IPPROTO_TCP,
				      .idiag_states = ~0U };

	return s->found ? 0 : ask(nl, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &q);
}

static int destroy(struct nl_sock *nl, const struct search *s)
{
	struct inet_diag_req_v2 q = { .sdiag_family = s->family,
				      .sdiag_protocol = IPPROTO_TCP,
				      .idiag_states = ~0U,
				      .id = s->id };
	int r = nl_send_simple(nl, SOCK_DESTROY, NLM_F_ACK, &q, sizeof(q));

	return r < 0 ? r : nl_wait_for_ack(nl);
}

static int to_errno(int nl_error)
{
	switch (-nl_error) {
	case 0:
		return 0;
	case NLE_PERM:
		return -EPERM;
	case NLE_OPNOTSUPP:
		return -EOPNOTSUPP;
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

int diag_destroy(uint64_t cookie, const struct sock_addr *remote)
{
	struct search s = { .cookie = cookie, .remote = remote };
	struct nl_sock *nl = nl_socket_alloc();
	int r;

	if (!nl)
		return -ENOMEM;
	r = nl_connect(nl, NETLINK_SOCK_DIAG);
	if (r == 0)
		r = nl_socket_modify_cb(nl, NL_CB_VALID, NL_CB_CUSTOM, on_socket, &s);
	/* A v4-mapped connection is an AF_INET6 socket with a mapped address: look in both families. */
	if (r == 0)
		r = search_family(nl, &s, AF_INET);
	if (r >= 0)
		r = search_family(nl, &s, AF_INET6);
	if (r >= 0)
		r = s.found ? destroy(nl, &s) : -NLE_OBJ_NOTFOUND;
	nl_socket_free(nl);
	return to_errno(r < 0 ? r : 0);
}
