/*
 * What the hooks add to a connect() that has nothing to do with AI: UDP connect() (the bare hook)
 * and TCP connect, accept, close over loopback, with and without, in turns; medians of rounds.
 */
#include "tests/bpf/lab.h"

#define ROUNDS 31
#define UDP_EACH 20000
#define TCP_EACH 1500

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double udp_ns(void)
{
	union lab_addr a;
	socklen_t len = lab_addr(&a, "127.0.0.1", 9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t t = clock_mono_ns();

	for (int i = 0; i < UDP_EACH; i++)
		(void)connect(fd, &a.sa, len);
	t = clock_mono_ns() - t;
	close(fd);
	return (double)t / UDP_EACH;
}

/* Only connect() is timed: to a listener that is emptied after each. */
static double tcp_ns(int listener, uint16_t port)
{
	union lab_addr a;
	socklen_t len = lab_addr(&a, "127.0.0.1", port);
	static double each[TCP_EACH];

	for (int i = 0; i < TCP_EACH; i++) {
		struct linger hard = { 1, 0 };
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		uint64_t t = clock_mono_ns();

		(void)connect(fd, &a.sa, len);
		each[i] = (double)(clock_mono_ns() - t);
		close(accept(listener, NULL, NULL));
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd);
	}
	qsort(each, TCP_EACH, sizeof(*each), compare);
	return each[TCP_EACH / 2];
}

static void report(const char *what, double *without, double *with)
{
	double diff[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		diff[i] = with[i] - without[i];
	qsort(without, ROUNDS, sizeof(double), compare);
	qsort(with, ROUNDS, sizeof(double), compare);
	qsort(diff, ROUNDS, sizeof(double), compare);
	printf("%-22s without %7.0f ns  with %7.0f ns  added %5.0f ns (quartiles %.0f to %.0f)\n",
	       what, without[ROUNDS / 2], with[ROUNDS / 2], diff[ROUNDS / 2], diff[ROUNDS / 4],
	       diff[ROUNDS * 3 / 4]);
}

static void bench(void)
{
	double udp[2][ROUNDS], tcp[2][ROUNDS];
	char on[PATH_MAX], off[PATH_MAX];
	uint16_t port = 0;
	int l = lab_listen("127.0.0.1", &port);
	struct kern *k;

	t_ok(lab_subgroup("on", on) && lab_subgroup("off", off), "two cgroups");
	k = lab_open(on, NULL, true);
	if (!k)
		return;
	kern_listener_port_set(k, 1); /* armed: the listener check runs */
	kern_heartbeat(k, clock_mono_ns() + 600000000000ULL);
	lab_mode(k, SP_MODE_ENFORCE, 1);
	for (int i = 0; i < 2000; i++) { /* tables of a lived-in node */
		uint8_t a[16] = { [10] = 0xff,
				  [11] = 0xff,
				  [12] = 198,
				  [13] = 18,
				  [14] = (uint8_t)(i >> 8),
				  [15] = (uint8_t)i };

		(void)kern_host_put(k, a, 1, SLICE("api.example.ai"), 0);
	}
	for (int r = 0; r < ROUNDS; r++)
		for (int w = 0; w < 2; w++) {
			/* The programs of a socket are those of the cgroup it is made in. */
			(void)lab_join(w ? on : off);
			udp[w][r] = udp_ns();
			tcp[w][r] = tcp_ns(l, port);
		}
	(void)lab_join(lab_cgroup);
	report("UDP connect()", udp[0], udp[1]);
	report("TCP connect()", tcp[0], tcp[1]);
	close(l);
	kern_close(k);
}

int main(void)
{
	return lab_run(bench);
}
