/* Pins: enforcement outlives the daemon, the next one adopts it, disarm leaves nothing. */
#include "tests/bpf/lab.h"

#include <dirent.h>

#define AI4 "203.0.113.9"

static char bpffs[] = "/tmp/sallyport-bpffs-XXXXXX", pins[64];

static size_t entries(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* In a child: a daemon that arms and dies without a word. */
static void daemon_life(bool redirect, uint16_t port)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct kern *k = lab_open(lab_cgroup, pins, redirect);

		if (!k)
			_exit(1);
		lab_host(k, AI4, 7, "api.example.ai");
		lab_mode(k, SP_MODE_ENFORCE, 1);
		kern_listener_port_set(k, redirect ? port : 0);
		kern_heartbeat(k, clock_mono_ns());
		_exit(0); /* no kern_close() */
	}
	waitpid(pid, &status, 0);
	t_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a daemon arms and dies");
}

static void test(void)
{
	struct kern *k;
	struct sp_host h;
	uint16_t port = 0;
	uint8_t addr[16];
	int l = lab_listen("127.0.0.1", &port), c, a;

	if (!mkdtemp(bpffs) || lab_bpffs(bpffs) < 0) {
		t_ok(0, "a private bpffs: %s", strerror(errno));
		return;
	}
	size_t had = entries(bpffs); /* the kernel's own maps.debug and progs.debug */

	snprintf(pins, sizeof(pins), "%s/sallyport", bpffs);
	t_int(kern_disarm(pins), 0, "disarm when there is nothing");
	daemon_life(true, port);
	t_int(lab_connect(AI4, 443, false), -ECONNREFUSED, "the dead daemon's rule still refuses");

	k = lab_open(lab_cgroup, pins, true);
	if (!k)
		return;
	lab_canonical(AI4, addr);
	t_int(kern_host_find(k, addr, &h), 0, "the next daemon finds what was learned");
	mark_socket(kern_marks_fd(k), l);
	kern_heartbeat(k, clock_mono_ns());
	c = lab_connect(AI4, 443, false);
	a = lab_accept(l);
	t_ok(c >= 0 && a >= 0, "and serves again, with the port the maps held");
	t_ok(lab_drain(k) >= 2 && lab_last(SP_EVENT_CONNECT),
	     "and reads the events of the time between");
	kern_close(k);
	t_ok(lab_connect(AI4, 443, false) >= 0, "closing does not disarm what is pinned");

	/* Adopting leaves one program a hook: a second would refuse the first's redirect. */
	for (int i = 0; i < 3; i++)
		daemon_life(true, port);
	t_ok(lab_connect(AI4, 443, false) >= 0, "adopted three times over");

	daemon_life(false, port);
	c = lab_connect(AI4, 443, false);
	t_ok(c != -ECONNREFUSED || lab_listen(AI4, &port) >= 0,
	     "a daemon that observes changes nothing");
	t_int(kern_disarm(pins), 0, "disarm");
	t_int(entries(bpffs), had, "leaves no pin");
	k = lab_open(lab_cgroup, NULL, false);
	kern_close(k);
	umount(bpffs);
	rmdir(bpffs);
}

int main(void)
{
	return lab_run(test);
}
