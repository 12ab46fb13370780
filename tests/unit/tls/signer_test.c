/* The signer process as the monitor and a worker use it. */
#include "base/channel.h"
#include "daemon/signer.h"
#include "pair.h"
#include "tls/signer.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/wait.h>

static const char *const hosts[] = { "openai.com" };
static char dir[64];

static pid_t start(int *control)
{
	int fds[2];
	pid_t pid;

	t_int(channel_pair(fds), 0, "control pair");
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		_exit(signer_main(fds[1], dir, hosts, ARRAY_LEN(hosts)));
	}
	close(fds[1]);
	*control = fds[0];
	return pid;
}

static int stop(pid_t pid, int control)
{
	int status = -1;

	close(control);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static struct signer *client_of(int control)
{
	int fds[2];

	t_int(channel_pair(fds), 0, "client pair");
	t_int(signer_add_client(control, fds[1], 5000), 0, "client is taken");
	close(fds[1]);
	return signer_client_new(fds[0], 2000);
}

static struct slice spki(unsigned char out[128])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char *at = out;
	int len = i2d_PUBKEY(key, &at);

	EVP_PKEY_free(key);
	return slice_of(out, (size_t)len);
}

static void test_signs(void)
{
	unsigned char raw[128];
	struct slice key = spki(raw);
	struct signer *s;
	struct buf pem;
	int control;
	pid_t pid = start(&control);

	buf_init(&pem, 65536);
	t_int(signer_root(control, 5000, &pem), 0, "root is told");
	t_ok(slice_starts(buf_slice(&pem), SLICE("-----BEGIN CERTIFICATE-----")), "as PEM");
	buf_clear(&pem);
	s = client_of(control);
	t_int(s->sign(s, SLICE("api.openai.com"), key, &pem), 0, "a leaf");
	t_ok(slice_find(buf_slice(&pem), SLICE("END CERTIFICATE")) > 0, "as PEM");
	buf_clear(&pem);
	t_int(s->sign(s, SLICE("example.com"), key, &pem), -EACCES, "outside the list");
	t_int(s->sign(s, SLICE("*.openai.com"), key, &pem), -EINVAL, "wildcard");
	t_int(s->sign(s, SLICE("api.openai.com"), SLICE("garbage"), &pem), -EINVAL, "no key");
	t_int(buf_size(&pem), 0, "nothing came with the errors");
	kill(pid, SIGKILL);
	t_int(stop(pid, control), 128, "killed");
	t_int(s->sign(s, SLICE("api.openai.com"), key, &pem), -EPIPE, "signer gone");

	pid = start(&control);
	{
		int fds[2];

		t_int(channel_pair(fds), 0, "new pair");
		t_int(signer_add_client(control, fds[1], 5000), 0, "restarted signer takes it");
		close(fds[1]);
		signer_client_set_fd(s, fds[0]);
	}
	t_int(s->sign(s, SLICE("api.openai.com"), key, &pem), 0, "a leaf from the next signer");
	signer_client_free(s);
	t_int(stop(pid, control), 0, "ends with its control socket");
	buf_done(&pem);
}

/* A worker that was taken over must get nothing but leaves, and hurt nobody else. */
static void test_hostile_client(void)
{
	unsigned char raw[128];
	struct slice key = spki(raw);
	struct signer_request q = { SIGNER_ABI, 1, SIGNER_ROOT, 0 };
	int control, fds[2];
	pid_t pid = start(&control);
	struct signer *good;
	struct buf pem;
	char byte;

	buf_init(&pem, 65536);
	good = client_of(control);
	for (int i = 0; i < 5; i++) {
		size_t len = sizeof(q);

		t_int(channel_pair(fds), 0, "pair");
		t_int(signer_add_client(control, fds[1], 5000), 0, "bad client is taken");
		close(fds[1]);
		q = (struct signer_request){ SIGNER_ABI, 1, SIGNER_SIGN, (uint32_t)key.len };
		if (i == 0)
			q.type = SIGNER_ROOT;
		else if (i == 1)
			len = 10;
		else if (i == 2)
			memset(q.host, 'a', sizeof(q.host));
		else if (i == 3)
			q.spki_len = 4096;
		else
			q.abi = 99;
		t_int(channel_send(fds[0], &q, len, NULL, 0), 0, "bad message %d", i);
		t_int(channel_wait(fds[0], 5000), 0, "bad message %d: cut off", i);
		t_int(channel_recv(fds[0], &byte, 1, NULL, NULL), 0, "bad message %d: end", i);
		close(fds[0]);
	}
	t_int(good->sign(good, SLICE("api.openai.com"), key, &pem), 0, "others go on");
	signer_client_free(good);
	t_int(stop(pid, control), 0, "ends");
	buf_done(&pem);
}

/* A signer that hangs costs a worker its timeout and no more. */
static void test_timeout(void)
{
	int fds[2];
	struct signer *s;
	struct buf pem;

	buf_init(&pem, 65536);
	t_int(channel_pair(fds), 0, "pair");
	s = signer_client_new(fds[0], 50);
	t_int(s->sign(s, SLICE("a.b"), SLICE("key"), &pem), -ETIMEDOUT, "no answer");
	signer_client_free(s);
	close(fds[1]);
	buf_done(&pem);
}

static void test_sandbox(void)
{
	char path[64], line[256];
	int control, seccomp = 0, uid = -1;
	pid_t pid = start(&control);
	struct buf pem;
	FILE *f;

	buf_init(&pem, 65536);
	t_int(signer_root(control, 5000, &pem), 0, "ready");
	buf_done(&pem);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "Seccomp: %d", &seccomp);
		(void)sscanf(line, "Uid: %d", &uid);
		if (strncmp(line, "CapEff:", 7) == 0 && geteuid() == 0)
			t_ok(strstr(line, "0000000000000000"), "no capability: %s", line);
	}
	if (f)
		fclose(f);
	t_int(seccomp, 2, "system calls are filtered");
	t_ok(uid != 0, "not root");
	t_int(stop(pid, control), 0, "ends");
}

int main(void)
{
	scratch_new(dir);
	test_signs();
	test_hostile_client();
	test_timeout();
	test_sandbox();
	scratch_drop(dir);
	return t_done();
}
