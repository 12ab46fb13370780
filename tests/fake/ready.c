/*
 * Stands in for systemd's notify socket: ready SOCKET FILE writes every message a daemon sends to it
 * as lines of FILE, so that a test waits for READY=1 instead of guessing.
 */
#include "base/slice.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char message[4096];
	FILE *out;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: ready SOCKET FILE\n");
		return 2;
	}
	slice_copy(sa.sun_path, sizeof(sa.sun_path), slice_str(argv[1]));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)unlink(argv[1]);
	(void)umask(0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror(argv[1]);
		return 1;
	}
	out = fopen(argv[2], "ae");
	if (!out) {
		perror(argv[2]);
		return 1;
	}
	for (;;) {
		ssize_t n = recv(fd, message, sizeof(message) - 1, 0);

		if (n < 0)
			return 1;
		message[n] = '\0';
		fprintf(out, "%s\n", message);
		fflush(out);
	}
}
