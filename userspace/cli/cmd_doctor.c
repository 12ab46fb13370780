/* sallyport doctor: what this kernel can do, what is lost without, who else holds our hooks. */
#include "cli/cli.h"

#include "base/json.h"
#include "kern/kern.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <stdio.h>
#include <sys/utsname.h>

#define FEATURES_MAX 64
#define ATTACHED_MAX 128
#define PIN_DIR "/sys/fs/bpf/sallyport"

struct findings {
	struct utsname kernel;
	char cgroup[PATH_MAX];
	struct kern_feature features[FEATURES_MAX];
	int n_features;
	struct kern_attached attached[ATTACHED_MAX];
	int n_attached;
	struct kern_pins pins;
	bool armed;
	bool fit; /* nothing required is missing */
};

static int help(void)
{
	printf("usage: sallyport doctor [--json] [--cgroup PATH] [--pin-dir DIR]\n\n"
	       "Loads every kernel program without attaching it and says what works here, what is "
	       "lost\n"
	       "without the rest, which programs of others are on the same hooks, and whether a "
	       "daemon\n"
	       "is armed. Needs root. Exit status 1: something required is missing.\n\n"
	       "  --json          one JSON object\n"
	       "  --cgroup PATH   cgroup v2 directory to look at; the root by default\n"
	       "  --pin-dir DIR   where the daemon pins; " PIN_DIR "\n");
	return EXIT_FINE;
}

static const char *heartbeat_text(const struct findings *f, char *out, size_t size)
{
	if (f->pins.heartbeat_age_ns == UINT64_MAX)
		snprintf(out, size, "never");
	else
		snprintf(out, size, "%.1f s ago", (double)f->pins.heartbeat_age_ns / 1e9);
	return out;
}

static void print_features(const struct findings *f)
{
	static const char *const headers[] = { "feature", "here", "needed", "without it" };
	const char *cells[FEATURES_MAX * 4];

	for (int i = 0; i < f->n_features; i++) {
		const struct kern_feature *k = &f->features[i];

		cells[i * 4] = k->name;
		cells[i * 4 + 1] = k->there ? "yes" : "NO";
		cells[i * 4 + 2] = k->required ? "required" : "optional";
		cells[i * 4 + 3] = k->without;
	}
	out_table(headers, 4, cells, (size_t)f->n_features);
}

static void print_text(const struct findings *f)
{
	char age[32];

	printf("kernel    %s %s\ncgroup v2 %s\n", f->kernel.release, f->kernel.machine,
	       f->cgroup[0] ? f->cgroup : "not mounted");
	if (f->armed)
		printf("armed     %zu links pinned, listener port %u, daemon's last sign of life "
		       "%s\n\n",
		       f->pins.links, f->pins.listener_port, heartbeat_text(f, age, sizeof(age)));
	else
		printf("armed     no\n\n");
	print_features(f);
	printf("\n");
	if (f->n_attached == 0)
		printf("No program is on these hooks of the cgroup.\n");
	for (int i = 0; i < f->n_attached; i++) {
		const struct kern_attached *a = &f->attached[i];

		printf("%s: program %u \"%s\"%s%s\n", a->hook, a->id, a->name,
		       a->ours ? " (ours)" : "",
		       a->alone ? " ALONE: it keeps sallyport out, stop its owner" : "");
	}
	printf("%s%s%s\n", out_color(f->fit ? COLOR_GREEN : COLOR_RED),
	       f->fit ? "This kernel does all that is required." :
			"Something required is missing (NO above).",
	       out_color(COLOR_NONE));
}

static json_t *features_json(const struct findings *f)
{
	json_t *list = json_array();

	for (int i = 0; i < f->n_features; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:b, s:b, s:s}", "name", f->features[i].name,
						"there", f->features[i].there, "required",
						f->features[i].required, "without",
						f->features[i].without));
	return list;
}

static json_t *attached_json(const struct findings *f)
{
	json_t *list = json_array();

	for (int i = 0; i < f->n_attached; i++)
		json_array_append_new(
			list,
			json_pack("{s:s, s:i, s:s, s:b, s:b}", "hook", f->attached[i].hook, "id",
				  (int)f->attached[i].id, "name", f->attached[i].name, "ours",
				  f->attached[i].ours, "alone", f->attached[i].alone));
	return list;
}

static int print_json(const struct findings *f)
{
	json_t *armed = json_null();
	json_t *o;

	if (f->armed)
		armed = json_pack(
			"{s:i, s:i, s:o}", "links", (int)f->pins.links, "listener_port",
			(int)f->pins.listener_port, "heartbeat_age_ms",
			f->pins.heartbeat_age_ns == UINT64_MAX
				? json_null()
				: json_integer((json_int_t)(f->pins.heartbeat_age_ns / 1000000)));
	o = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "kernel", f->kernel.release, "cgroup",
		      f->cgroup, "fit", f->fit, "armed", armed, "features", features_json(f),
		      "attached", attached_json(f));
	if (!o)
		return EXIT_SYSTEM;
	(void)json_dumpf(o, stdout, JSON_INDENT(1));
	printf("\n");
	json_decref(o);
	return EXIT_FINE;
}

static int look(struct findings *f, const char *cgroup, const char *pin_dir)
{
	int r;

	(void)uname(&f->kernel);
	if (cgroup)
		snprintf(f->cgroup, sizeof(f->cgroup), "%s", cgroup);
	else if (kern_cgroup_root(f->cgroup, sizeof(f->cgroup)) < 0)
		f->cgroup[0] = '\0';
	r = kern_features(f->features, FEATURES_MAX);
	if (r < 0)
		return r;
	f->n_features = r;
	f->fit = true;
	for (int i = 0; i < f->n_features; i++)
		f->fit &= f->features[i].there || !f->features[i].required;
	r = f->cgroup[0] ? kern_attached(f->cgroup, f->attached, ATTACHED_MAX) : 0;
	if (r < 0)
		return r;
	f->n_attached = r;
	for (int i = 0; i < f->n_attached; i++)
		f->fit &= !f->attached[i].alone;
	f->armed = kern_pins(pin_dir, &f->pins) == 0;
	return 0;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "cgroup", required_argument, NULL, 'c' },
						 { "pin-dir", required_argument, NULL, 'p' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	const char *cgroup = NULL, *pin_dir = PIN_DIR;
	static struct findings f;
	bool json = false;
	int c, r;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h')
			return help();
		if (c == 'j')
			json = true;
		else if (c == 'c')
			cgroup = optarg;
		else if (c == 'p')
			pin_dir = optarg;
		else
			return cli_usage("doctor", "unknown option %s", argv[optind - 1]);
	}
	if (optind < argc)
		return cli_usage("doctor", "unexpected argument \"%s\"", argv[optind]);
	r = look(&f, cgroup, pin_dir);
	if (r < 0) {
		fprintf(stderr, "sallyport doctor: %s: %s\n", f.cgroup[0] ? f.cgroup : "cgroup v2",
			r == -EPERM ? "loading BPF programs needs root" : strerror(-r));
		return EXIT_SYSTEM;
	}
	if (!json)
		print_text(&f);
	else if (print_json(&f) != EXIT_FINE)
		return EXIT_SYSTEM;
	return f.fit ? EXIT_FINE : EXIT_NO;
}
