/*
 * The lab's name server: answers over UDP from a zone file that is read again whenever it changed.
 *
 *	resolver --listen ADDR:PORT... --zone FILE [--log FILE] [--pidfile FILE]
 *
 * A line of the zone is `name ttl A|AAAA|CNAME value`; `*.name` stands for any one or more labels
 * there. A CNAME is followed, the whole chain is in the answer. The question is sent back as it came
 * (letters keep their case, RFC 1035 4.1.2 and draft-vixie-dnsext-dns0x20); a query with EDNS gets
 * an OPT record (RFC 6891). A name without records is NXDOMAIN.
 */
#include "base/clock.h"
#include "base/file.h"
#include "tests/fake/lib/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, TYPE_OPT = 41 };
#define RECORDS_MAX 4096
#define NAME_MAX_TEXT 256
#define CHAIN_MAX 16

static struct record {
	char name[NAME_MAX_TEXT], value[NAME_MAX_TEXT];
	unsigned type, ttl;
} records[RECORDS_MAX];
static size_t n_records;
static const char *zone_path;
static struct stat zone_seen;
static int log_fd = -1;

static void zone_line(char *line)
{
	struct record *r = &records[n_records];
	char type[8];

	if (line[0] == '#' || n_records == RECORDS_MAX ||
	    sscanf(line, "%255s %u %7s %255s", r->name, &r->ttl, type, r->value) != 4)
		return;
	r->type = strcmp(type, "A") == 0     ? TYPE_A :
		  strcmp(type, "AAAA") == 0  ? TYPE_AAAA :
		  strcmp(type, "CNAME") == 0 ? TYPE_CNAME : 0;
	if (r->type)
		n_records++;
}

static void zone_refresh(void)
{
	struct stat st;
	char line[1024];
	FILE *f;

	if (stat(zone_path, &st) < 0 ||
	    (st.st_ino == zone_seen.st_ino && st.st_size == zone_seen.st_size &&
	     memcmp(&st.st_mtim, &zone_seen.st_mtim, sizeof(st.st_mtim)) == 0))
		return;
	f = fopen(zone_path, "re");
	if (!f)
		return;
	n_records = 0;
	while (fgets(line, sizeof(line), f))
		zone_line(line);
	fclose(f);
	zone_seen = st;
}

static bool name_matches(const char *pattern, const char *name)
{
	size_t n = strlen(name), p;

	if (pattern[0] != '*')
		return strcasecmp(pattern, name) == 0;
	p = strlen(++pattern); /* ".openai.azure.com" */
	return n > p && strcasecmp(name + n - p, pattern) == 0;
}

/* An exact name beats a wildcard. */
static bool name_answers(const struct record *r, const char *name)
{
	if (!name_matches(r->name, name))
		return false;
	for (size_t i = 0; r->name[0] == '*' && i < n_records; i++)
		if (strcasecmp(records[i].name, name) == 0)
			return false;
	return true;
}

/* Reads the question's name into text; returns the offset after it, or -1. */
static int question_name(const unsigned char *q, int len, char out[NAME_MAX_TEXT])
{
	int at = 12, n = 0;

	while (at < len && q[at]) {
		int label = q[at];

		if (label > 63 || at + 1 + label >= len || n + label + 2 > NAME_MAX_TEXT)
			return -1;
		if (n)
			out[n++] = '.';
		memcpy(out + n, q + at + 1, (size_t)label);
		n += label;
		at += label + 1;
	}
	out[n] = '\0';
	return at < len ? at + 1 : -1;
}

static int put_u16(struct buf *b, unsigned v)
{
	unsigned char two[2] = { (unsigned char)(v >> 8), (unsigned char)v };

	return buf_append(b, slice_of(two, 2));
}

static int put_name(struct buf *b, const char *name)
{
	int r = 0;

	while (*name && r == 0) {
		size_t n = strcspn(name, ".");
		unsigned char len = (unsigned char)n;

		r = buf_append(b, slice_of(&len, 1));
		if (r == 0)
			r = buf_append(b, slice_of(name, n));
		name += n + (name[n] == '.');
	}
	return r < 0 ? r : buf_append(b, slice_of("", 1));
}

/* One record whose owner's name starts at `owner`; *target is where a CNAME's value starts. */
static int put_record(struct buf *b, const struct record *rec, unsigned owner, unsigned *target)
{
	unsigned char address[16];
	size_t length_at;
	unsigned n;
	int r = put_u16(b, 0xc000 | owner);

	if (r == 0)
		r = put_u16(b, rec->type);
	if (r == 0)
		r = put_u16(b, 1);
	if (r == 0)
		r = put_u16(b, rec->ttl >> 16);
	if (r == 0)
		r = put_u16(b, rec->ttl & 0xffff);
	length_at = buf_size(b);
	if (r == 0)
		r = put_u16(b, 0);
	if (r < 0)
		return r;
	*target = (unsigned)buf_size(b);
	if (rec->type == TYPE_CNAME)
		r = put_name(b, rec->value);
	else if (inet_pton(rec->type == TYPE_A ? AF_INET : AF_INET6, rec->value, address) == 1)
		r = buf_append(b, slice_of(address, rec->type == TYPE_A ? 4 : 16));
	n = (unsigned)buf_size(b) - *target;
	b->data[b->off + length_at] = (char)(n >> 8);
	b->data[b->off + length_at + 1] = (char)n;
	return r;
}

/* All records that answer, along the CNAME chain; sets *found when the name exists at all. */
static int put_answers(struct buf *b, const char *asked, unsigned qtype, bool *found)
{
	const char *name = asked;
	unsigned owner = 12, target = 0;
	int count = 0;

	for (int hop = 0; hop < CHAIN_MAX; hop++) {
		const struct record *cname = NULL;

		for (size_t i = 0; i < n_records; i++) {
			if (!name_answers(&records[i], name))
				continue;
			*found = true;
			if (records[i].type == TYPE_CNAME)
				cname = &records[i];
			if (records[i].type == qtype) {
				if (put_record(b, &records[i], owner, &target) < 0)
					return count;
				count++;
			}
		}
		if (!cname || qtype == TYPE_CNAME)
			return count;
		if (put_record(b, cname, owner, &target) < 0)
			return count;
		count++;
		name = cname->value;
		owner = target;
	}
	return count;
}

static void query_log(const char *name, unsigned qtype, int answers)
{
	char when[CLOCK_TEXT_LEN];

	if (log_fd < 0)
		return;
	clock_format(clock_wall_ns(), when);
	dprintf(log_fd, "{\"time\":\"%s\",\"name\":\"%s\",\"type\":%u,\"answers\":%d}\n", when, name,
		qtype, answers);
}

/* The answer to a query into `b`. 0, or -EBADMSG for what gets none. */
static int query_answer(const unsigned char *q, int len, struct buf *b)
{
	char name[NAME_MAX_TEXT];
	unsigned qtype;
	bool found = false, edns;
	int at, answers;

	if (len < 17 || (q[2] & 0x80) || q[5] != 1)
		return -EBADMSG;
	at = question_name(q, len, name);
	if (at < 0 || at + 4 > len)
		return -EBADMSG;
	qtype = (unsigned)q[at] << 8 | q[at + 1];
	edns = q[11] == 1 && at + 4 + 11 <= len && q[at + 4] == 0 && q[at + 6] == TYPE_OPT;
	if (buf_append(b, slice_of(q, (size_t)at + 4)) < 0)
		return -ENOMEM;
	answers = put_answers(b, name, qtype, &found);
	if (edns && buf_append(b, slice_of("\0\0\x29\x04\xd0\0\0\0\0\0\0", 11)) < 0)
		return -ENOMEM;
	b->data[b->off + 2] = (char)(0x84 | (q[2] & 1)); /* QR, AA, the RD that came */
	b->data[b->off + 3] = (char)(0x80 | (found ? 0 : 3));
	b->data[b->off + 6] = 0;
	b->data[b->off + 7] = (char)answers;
	b->data[b->off + 8] = b->data[b->off + 9] = b->data[b->off + 10] = 0;
	b->data[b->off + 11] = edns;
	query_log(name, qtype, answers);
	return 0;
}

static void serve(int fd)
{
	struct sockaddr_storage from;
	struct iovec in;
	unsigned char query[4096], control[256];
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &in,
			    .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct buf answer;
	long n;

	in.iov_base = query;
	in.iov_len = sizeof(query);
	n = recvmsg(fd, &m, 0);
	if (n <= 0)
		return;
	zone_refresh();
	buf_init(&answer, 65535);
	if (query_answer(query, (int)n, &answer) == 0) {
		in.iov_base = answer.data + answer.off;
		in.iov_len = buf_size(&answer);
		(void)sendmsg(fd, &m, 0); /* the packet info that came: answers from the address asked */
	}
	buf_done(&answer);
}

static int usage(void)
{
	fprintf(stderr, "usage: resolver --listen ADDR:PORT... --zone FILE [--log FILE] [--pidfile FILE]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", 1, NULL, 'l' }, { "zone", 1, NULL, 'z' }, { "log", 1, NULL, 'g' },
		{ "pidfile", 1, NULL, 'p' }, { NULL, 0, NULL, 0 },
	};
	struct pollfd fds[8];
	int one = 1, o;
	nfds_t n = 0;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'l' && n < ARRAY_LEN(fds)) {
			int fd = listen_on(optarg, SOCK_DGRAM);

			if (fd < 0) {
				fprintf(stderr, "resolver: %s: %s\n", optarg, strerror(-fd));
				return 1;
			}
			(void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
			(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
			fds[n++] = (struct pollfd){ fd, POLLIN, 0 };
		} else if (o == 'z') {
			zone_path = optarg;
		} else if (o == 'g') {
			log_fd = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		} else if (o == 'p') {
			FILE *f = fopen(optarg, "w");

			if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f) != 0)
				return 1;
		} else {
			return usage();
		}
	}
	if (!zone_path || !n)
		return usage();
	for (;;) {
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			return 1;
		for (nfds_t i = 0; i < n; i++)
			if (fds[i].revents)
				serve(fds[i].fd);
	}
}
