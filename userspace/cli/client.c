/* One question, one answer over a Unix socket. */
#include "cli/client.h"

#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (1U << 20)

static int dial(const char *command, const char *run_dir)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/%s", run_dir ? run_dir : "/run/sallyport",
		       CONTROL_SOCKET);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	fprintf(stderr, "sallyport %s: cannot reach the daemon at %s: %s; is it running (systemctl status "
			"sallyport), and are you root?\n", command, name.sun_path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

bool client_there(const char *run_dir)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	(void)snprintf(path, sizeof(path), "%s/%s", run_dir ? run_dir : "/run/sallyport", CONTROL_SOCKET);
	return access(path, W_OK) == 0;
}

json_t *client_ask(const char *command, const char *run_dir, const char *what)
{
	cleanup(closep) int fd = dial(command, run_dir);
	json_t *answer = NULL;
	struct buf text;
	char line[128];
	int n;

	if (fd < 0)
		return NULL;
	buf_init(&text, ANSWER_MAX);
	n = snprintf(line, sizeof(line), "{\"do\":\"%s\"}\n", what);
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) == n) {
		while (buf_reserve(&text, 4096) == 0) {
			ssize_t got = recv(fd, text.data + text.len, 4096, 0);

			if (got <= 0)
				break;
			text.len += (size_t)got;
			if (memchr(text.data, '\n', text.len))
				break;
		}
		answer = json_loadb(text.data ? text.data : "", buf_size(&text), 0, NULL);
	}
	buf_done(&text);
	if (!answer)
		fprintf(stderr, "sallyport %s: the daemon did not answer; see its log (journalctl -u "
				"sallyport)\n", command);
	return answer;
}
