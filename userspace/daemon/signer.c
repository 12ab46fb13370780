/* The signer process: a loop over a few socket pairs around ca_sign(). */
#include "daemon/signer.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/def.h"
#include "base/log.h"
#include "base/memory.h"
#include "tls/signer.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLIENTS_MAX 256 /* one a worker thread and network namespace */
#define NOBODY 65534

struct signer_process {
	struct ca *ca;
	struct pollfd fds[1 + CLIENTS_MAX]; /* [0] is the control socket */
	size_t n_fds;
	char answer[sizeof(struct signer_response) + SIGNER_ROOT_MAX];
};

/* ---- the sandbox ---- */

/* One thread, memory, messages on open sockets, the clock, randomness: no open, socket or exec. */
static int deny_calls(void)
{
	static const int allowed[] = {
		SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(poll), SCMP_SYS(ppoll),
		SCMP_SYS(close), SCMP_SYS(write), SCMP_SYS(brk), SCMP_SYS(mmap),
		SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mprotect),
		SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
		SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
		SCMP_SYS(sched_yield), SCMP_SYS(exit), SCMP_SYS(exit_group),
		SCMP_SYS(sigaltstack), /* harmless; the sanitizers want it */
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(allowed); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

static int drop_user(void)
{
	const struct passwd *who;
	uid_t uid = NOBODY;
	gid_t gid = NOBODY;

	if (geteuid() != 0)
		return 0;
	who = getpwnam(SIGNER_USER);
	if (who) {
		uid = who->pw_uid;
		gid = who->pw_gid;
	}
	/* Leaving uid 0 drops every capability with it. */
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int harden(void)
{
	static const struct rlimit none, all = { RLIM_INFINITY, RLIM_INFINITY };
	int r, later;

	/*
	 * Keys in swap outlive the process; without the right to lock, the rest still holds. Only
	 * pages that are used: all of the libraries would be 30 MB.
	 */
	/* What is mapped later counts against a limit that the user we become may not exceed: locking it
	 * without one would make the heap unable to grow. */
	later = setrlimit(RLIMIT_MEMLOCK, &all) == 0 ? MCL_FUTURE : 0;
	if (mlockall(MCL_CURRENT | later | MCL_ONFAULT) < 0)
		log_warn("keys may be swapped out: %s remedy=\"LimitMEMLOCK=64M in the unit\"",
			 strerror(errno));
	r = drop_user();
	if (r < 0)
		return r;
	/* After the change of user, which sets it back. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return deny_calls();
}

/* ---- requests ---- */

static void answer(struct signer_process *p, int fd, uint32_t id, int status, struct slice text)
{
	struct signer_response head = { SIGNER_ABI, id, status, 0 };

	if (text.len > SIGNER_ROOT_MAX) {
		head.status = -EMSGSIZE;
		text.len = 0;
	}
	head.len = (uint32_t)text.len;
	memcpy(p->answer, &head, sizeof(head));
	if (text.len)
		memcpy(p->answer + sizeof(head), text.ptr, text.len);
	/* Who does not read its answers waits for its own timeout; nobody else waits with it. */
	(void)channel_send(fd, p->answer, sizeof(head) + text.len, NULL, 0);
}

static void sign(struct signer_process *p, int fd, const struct signer_request *q)
{
	struct buf chain;
	int r;

	buf_init(&chain, SIGNER_CHAIN_MAX);
	r = ca_sign(p->ca, slice_str(q->host), slice_of(q->spki, q->spki_len),
		    clock_wall_ns() / 1000000000, &chain);
	answer(p, fd, q->id, r, r == 0 ? buf_slice(&chain) : (struct slice){ 0 });
	buf_done(&chain);
	if (r == -EACCES)
		log_warn("refused to sign for a host outside the catalogue: host=%s", q->host);
	else if (r < 0 && r != -EINVAL)
		log_error("cannot sign: host=%s error=\"%s\"%s", q->host, strerror(-r),
			  r == -EKEYEXPIRED ? " remedy=\"restart sallyport: it renews the CA's "
					      "intermediates\"" : "");
}

static void add_client(struct signer_process *p, const struct signer_request *q, int client)
{
	int r = 0;

	if (client < 0)
		r = -EBADMSG;
	else if (p->n_fds == ARRAY_LEN(p->fds))
		r = -EMFILE;
	if (r == 0)
		p->fds[p->n_fds++] = (struct pollfd){ client, POLLIN, 0 };
	else if (client >= 0)
		(void)close(client);
	answer(p, p->fds[0].fd, q->id, r, (struct slice){ 0 });
}

static bool is_sound(const struct signer_request *q, ssize_t len)
{
	return len == (ssize_t)sizeof(*q) && q->abi == SIGNER_ABI &&
	       q->spki_len <= sizeof(q->spki) && memchr(q->host, '\0', sizeof(q->host));
}

/* One message of the i-th socket. 0, or -errno: this socket is of no more use. */
static int serve(struct signer_process *p, size_t i)
{
	int received[CHANNEL_FDS], fd = p->fds[i].fd;
	struct signer_request q;
	size_t n_received = 0;
	ssize_t len = channel_recv(fd, &q, sizeof(q), received, &n_received);

	if (len == -EAGAIN)
		return 0;
	if (len <= 0)
		return len < 0 ? (int)len : -EPIPE;
	if (is_sound(&q, len) && i == 0 && q.type == SIGNER_CLIENT && n_received == 1) {
		add_client(p, &q, received[0]);
		return 0;
	}
	while (n_received)
		(void)close(received[--n_received]);
	if (!is_sound(&q, len))
		return -EBADMSG;
	if (q.type == SIGNER_SIGN && i > 0)
		sign(p, fd, &q);
	else if (q.type == SIGNER_ROOT && i == 0)
		answer(p, fd, q.id, 0, ca_root_pem(p->ca));
	else
		return -EBADMSG;
	return 0;
}

static void drop_client(struct signer_process *p, size_t i, int why)
{
	if (why != -EPIPE)
		log_warn("a client of the signer was cut off: error=\"%s\"", strerror(-why));
	(void)close(p->fds[i].fd);
	p->fds[i] = p->fds[--p->n_fds];
}

static int loop(struct signer_process *p)
{
	for (;;) {
		int n = poll(p->fds, p->n_fds, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		/* Backwards, as a dropped one is replaced by the last. */
		for (size_t i = p->n_fds; n > 0 && i-- > 0;) {
			int r = p->fds[i].revents ? serve(p, i) : 0;

			if (r < 0 && i == 0)
				return r == -EPIPE ? 0 : r;
			if (r < 0)
				drop_client(p, i, r);
		}
	}
}

int signer_main(int control_fd, const char *ca_dir, const char *const *permitted, size_t n)
{
	struct signer_process *p = calloc(1, sizeof(*p));
	struct buf why;
	int r;

	buf_init(&why, 4096);
	r = p ? ca_open(ca_dir, permitted, n, &p->ca, &why) : -ENOMEM;
	if (r < 0)
		log_error("cannot open the CA: dir=%s error=\"%s\" why=\"%.*s\"", ca_dir,
			  strerror(-r), SLICE_FMT(buf_slice(&why)));
	else if (buf_size(&why))
		log_warn("%.*s", SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	if (r == 0) {
		memory_settle();
		r = harden();
		if (r < 0)
			log_error("cannot set up the signer's sandbox: error=\"%s\"", strerror(-r));
	}
	if (r == 0) {
		p->fds[0] = (struct pollfd){ control_fd, POLLIN, 0 };
		p->n_fds = 1;
		r = loop(p);
		if (r < 0)
			log_error("the signer stops: error=\"%s\"", strerror(-r));
		while (p->n_fds > 1)
			(void)close(p->fds[--p->n_fds].fd);
	}
	if (p)
		ca_free(p->ca);
	free(p);
	return r < 0 ? 1 : 0;
}
