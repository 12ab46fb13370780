/* sallyport disarm: what a stopped daemon left in the kernel goes; the host is as before. */
#include "cli/cli.h"

#include "kern/kern.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define PIN_DIR "/sys/fs/bpf/sallyport"
#define ALIVE_NS 2000000000ULL

static const char usage_text[] =
	"usage: sallyport disarm [--pin-dir DIR] [--force]\n\n"
	"Removes the kernel programs that a stopped daemon left armed so that rules that fail closed hold\n"
	"without it. From then on AI connections pass unseen. Refused while the proxy lives: stop it first.\n\n"
	"  --pin-dir DIR   where the daemon pins (" PIN_DIR ")\n"
	"  --force         also while the proxy lives\n";

static int disarm(const char *dir, bool force)
{
	struct kern_pins pins;
	int r = kern_pins(dir, &pins);

	if (r == -ENOENT) {
		printf("nothing is armed\n");
		return EXIT_FINE;
	}
	if (r == 0 && pins.listener_port && pins.heartbeat_age_ns < ALIVE_NS && !force) {
		fprintf(stderr, "sallyport disarm: the daemon lives; stop it first (systemctl stop sallyport), "
				"or use --force\n");
		return EXIT_NO;
	}
	r = kern_disarm(dir);
	if (r < 0) {
		fprintf(stderr, "sallyport disarm: %s: %s%s\n", dir, strerror(-r),
			r == -EPERM || r == -EACCES ? "; run it as root" : "");
		return EXIT_SYSTEM;
	}
	printf("disarmed: AI connections pass unseen now\n");
	return EXIT_FINE;
}

int cmd_disarm(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "pin-dir", required_argument, NULL, 'p' },
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *dir = PIN_DIR;
	bool force = false;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			dir = optarg;
			break;
		case 'f':
			force = true;
			break;
		case 'h':
			printf("%s", usage_text);
			return EXIT_FINE;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		return cli_usage("disarm", "\"%s\" is not understood", argv[optind]);
	return disarm(dir, force);
}
