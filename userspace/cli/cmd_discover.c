/*
 * sallyport discover: watch the node for a while and say who talks to AI providers. No daemon, no
 * CA, no redirect: kernel programs that only watch are attached for that time and go with this
 * process.
 */
#include "cli/cli.h"
#include "cli/emit.h"
#include "cli/policies.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/db.h"
#include "discover/inventory.h"
#include "discover/known.h"
#include "discover/resolver.h"
#include "discover/sightings.h"
#include "discover/sockets.h"
#include "net/loop.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 500
#define FOR_MAX_S (7U * 86400)
#define NOBODY 65534

static const char usage_text[] =
	"usage: sallyport discover [--for 60s] [--json | --format F] [-o FILE]\n\n"
	"Watches this node and shows every program that connects to an AI provider, told by DNS "
	"answers, by\n"
	"the server names of TLS, and by /etc/hosts. Changes nothing: no connection is redirected, "
	"decrypted,\n"
	"delayed or refused, no file is written but FILE; the kernel programs it attaches only "
	"watch and are\n"
	"gone when it ends. Needs root, but no daemon. Ctrl-C ends it early and shows what was "
	"seen.\n\n"
	"      --for TIME      watch so long: 90s, 10m, 2h (60s)\n"
	"      --cgroup DIR    only what runs below this cgroup v2 directory (all)\n"
	"      --resolve       look up the catalogue's names at start, so that programs which "
	"looked them\n"
	"                      up before are seen too; without it no name is looked up by this "
	"command\n"
	"      --json          the same as --format json\n" EMIT_HELP "a table\n"
	"      --catalog FILE  this file instead of providers.json in the usual places\n";

struct options {
	const char *cgroup, *catalog, *format, *output;
	unsigned for_s;
	bool resolve;
};

struct watching {
	const struct options *o;
	struct loop *loop;
	struct kern *kern;
	struct whois *whois;
	struct catalog *catalog;
	struct sightings *sightings;
	struct inventory *inventory;
	struct db *db;
	struct watch events, signals, resolver;
	struct timer tick;
	pid_t resolver_pid;
	uint64_t began_ns, end_ns; /* CLOCK_MONOTONIC */
	uint64_t own_dev, own_ino; /* our executable */
	char cgroup_root[PATH_MAX];
	uint64_t own, connections, lost;
	size_t before; /* connections that were open before */
	bool terminal;
	int error;
};

/* ---- what was seen, into an inventory of our own ---- */

static void store(struct watching *w)
{
	int r = inventory_store(w->inventory, w->db);

	inventory_clear(w->inventory);
	w->error = w->error ? w->error : r;
}

static void note(struct watching *w, const struct principal *who, uint32_t provider,
		 const char *host, struct inventory_note *n)
{
	const struct provider *p = catalog_provider(w->catalog, provider);

	n->caller = principal_key(who);
	n->who = who;
	n->provider = p ? p->id : "";
	n->endpoint = n->model = n->reason = "";
	n->host = host;
	if (inventory_full(w->inventory))
		store(w);
	(void)inventory_note(w->inventory, n);
}

/* The proxy's own connections are not callers of their own. */
static bool is_own(const struct watching *w, const struct sp_task *t)
{
	return t->exe_ino && t->exe_ino == w->own_ino && t->exe_dev == w->own_dev;
}

static void on_sighting(void *ctx, const struct sighting *s)
{
	struct watching *w = ctx;
	const struct sp_event *e = s->event;
	struct inventory_note n = {
		.time_ns = clock_wall_ns() - (clock_mono_ns() - e->time_ns),
		.seen = !s->again,
		.bytes_out = s->bytes_out,
		.bytes_in = s->bytes_in,
		.tokens_in = -1,
		.tokens_out = -1,
		.cost_microusd = -1,
	};
	char host[SP_NAME_LEN];

	if (is_own(w, &e->task)) {
		w->own += !s->again;
		return;
	}
	w->connections += !s->again;
	slice_copy(host, sizeof(host), slice_of(e->host, strnlen(e->host, sizeof(e->host))));
	note(w, s->who, e->provider, host, &n);
}

/* Below --cgroup, or anywhere without it. */
static bool is_watched(const struct watching *w, const struct principal *who)
{
	const char *below = w->o->cgroup ? w->o->cgroup : w->cgroup_root;
	size_t root = strlen(w->cgroup_root), n = strlen(below);

	if (n <= root || strncmp(below, w->cgroup_root, root) != 0)
		return true;
	n -= root;
	return strncmp(who->cgroup, below + root, n) == 0 &&
	       (!who->cgroup[n] || who->cgroup[n] == '/');
}

/*
 * What is open at the end: bytes so far of the connections seen to open, and those that are older
 * than this command, as far as their address is known by now.
 */
static void on_socket(void *ctx, const struct socket_seen *s)
{
	struct watching *w = ctx;
	struct inventory_note n = { .time_ns = clock_wall_ns(),
				    .tokens_in = -1,
				    .tokens_out = -1,
				    .cost_microusd = -1,
				    .bytes_out = s->bytes_out,
				    .bytes_in = s->bytes_in };
	const struct principal *known;
	const struct sp_event *e = sightings_find(w->sightings, s->cookie, &known);
	struct principal who;
	struct sp_task task;
	struct sp_host h;

	if (!e && kern_host_find(w->kern, s->addr, &h) < 0)
		return;
	if (!e && sockets_owner(s, w->cgroup_root, &task) < 0)
		return;
	if (is_own(w, e ? &e->task : &task))
		return;
	if (e) {
		slice_copy(h.name, sizeof(h.name),
			   slice_of(e->host, strnlen(e->host, sizeof(e->host))));
		note(w, known, e->provider, h.name, &n);
		return;
	}
	whois_resolve(w->whois, &task, &who);
	if (!is_watched(w, &who))
		return;
	h.name[sizeof(h.name) - 1] = '\0';
	n.seen = true;
	w->before++;
	w->connections++;
	note(w, &who, h.provider, h.name, &n);
}

static void kernel_event(void *ctx, const struct sp_event *e)
{
	struct watching *w = ctx;

	sightings_event(w->sightings, e);
}

static void events_ready(struct watch *watch, uint32_t events)
{
	struct watching *w = container_of(watch, struct watching, events);

	(void)events;
	(void)kern_events(w->kern, kernel_event, w);
}

/* ---- the line that lives ---- */

static int64_t ask(struct watching *w, const char *sql)
{
	cleanup(db_query_freep) struct db_query *q = NULL;

	return db_query(w->db, &q, sql, NULL) == 0 && db_next(q) == 1 ? db_int(q, 0) : 0;
}

static void progress(struct watching *w)
{
	uint64_t now = clock_mono_ns();
	unsigned left =
		now < w->end_ns ? (unsigned)((w->end_ns - now + 999999999) / 1000000000) : 0;
	long long callers, providers;

	store(w);
	if (!w->terminal)
		return;
	callers = ask(w, "SELECT count(DISTINCT caller) FROM inventory");
	providers = ask(w, "SELECT count(DISTINCT provider) FROM inventory");
	fprintf(stderr,
		"\rwatching, %u:%02u left: %lld program%s, %lld provider%s, %" PRIu64
		" connection%s   ",
		left / 60, left % 60, callers, callers == 1 ? "" : "s", providers,
		providers == 1 ? "" : "s", w->connections, w->connections == 1 ? "" : "s");
}

static void tick(struct timer *t)
{
	struct watching *w = container_of(t, struct watching, tick);

	progress(w);
	if (clock_mono_ns() >= w->end_ns || w->error)
		loop_stop(w->loop);
	else
		(void)timer_arm(w->loop, t, TICK_MS);
}

static void signalled(struct watch *watch, uint32_t events)
{
	struct watching *w = container_of(watch, struct watching, signals);

	(void)events;
	loop_stop(w->loop);
}

static int signals_init(struct watching *w)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	w->signals = (struct watch){ .fd = fd, .fn = signalled };
	return fd < 0 ? -errno : loop_watch(w->loop, &w->signals, EPOLLIN);
}

/* ---- --resolve: a child without rights ---- */

static void resolver_ready(struct watch *watch, uint32_t events)
{
	struct watching *w = container_of(watch, struct watching, resolver);

	(void)events;
	if (resolver_take(watch->fd, w->kern, w->catalog) != -EAGAIN)
		loop_unwatch(w->loop, watch);
}

static void resolver_child(int channel, const struct catalog *c)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(1);
	_exit(resolver_round(channel, c) < 0);
}

static int resolver_start(struct watching *w)
{
	int pair[2], r = channel_pair(pair);

	if (r < 0)
		return r;
	w->resolver_pid = fork();
	if (w->resolver_pid == 0)
		resolver_child(pair[1], w->catalog);
	(void)close(pair[1]);
	w->resolver = (struct watch){ .fd = pair[0], .fn = resolver_ready };
	return w->resolver_pid < 0 ? -errno : loop_watch(w->loop, &w->resolver, EPOLLIN);
}

static void resolver_stop(struct watching *w)
{
	if (w->resolver_pid <= 0)
		return;
	(void)kill(w->resolver_pid, SIGKILL);
	(void)waitpid(w->resolver_pid, NULL, 0);
	(void)close(w->resolver.fd);
}

/* ---- begin and end ---- */

static int kernel_start(struct watching *w)
{
	struct kern_options k = { .cgroup_path = w->o->cgroup, .redirect = false };
	struct buf why;
	int r;

	buf_init(&why, 4096);
	r = kern_open(&k, &w->kern, &why);
	if (r < 0)
		fprintf(stderr, "sallyport discover: cannot watch: %.*s\n",
			SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	if (r == 0)
		r = known_names(w->kern, w->catalog);
	if (r == 0 && known_hosts_file(w->kern, w->catalog, KNOWN_HOSTS_FILE) < 0)
		fprintf(stderr,
			"sallyport discover: cannot read " KNOWN_HOSTS_FILE "; went on without\n");
	if (r < 0)
		return r;
	w->events = (struct watch){ .fd = kern_events_fd(w->kern), .fn = events_ready };
	return loop_watch(w->loop, &w->events, EPOLLIN);
}

static int start(struct watching *w)
{
	struct whois_options who = { .proc = "/proc", .cache_max = 4096 };
	struct stat st;
	int r = db_open(":memory:", false, &w->db);

	if (stat("/proc/self/exe", &st) == 0) {
		w->own_ino = st.st_ino;
		w->own_dev = (uint64_t)major(st.st_dev) << 20 |
			     minor(st.st_dev); /* as the kernel writes it */
	}
	if (r == 0)
		r = inventory_init(w->db);
	if (r == 0)
		r = kern_cgroup_root(w->cgroup_root, sizeof(w->cgroup_root));
	w->inventory = inventory_new();
	if (!w->inventory)
		r = -ENOMEM;
	if (r == 0)
		r = loop_new(&w->loop);
	if (r == 0)
		r = whois_new(&who, &w->whois);
	if (r == 0)
		r = sightings_new(w->whois, 0, on_sighting, w, &w->sightings);
	if (r == 0)
		r = signals_init(w);
	if (r == 0)
		r = kernel_start(w);
	if (r == 0 && w->o->resolve)
		r = resolver_start(w);
	return r;
}

static void stop(struct watching *w)
{
	resolver_stop(w);
	kern_close(w->kern);
	sightings_free(w->sightings);
	whois_free(w->whois);
	inventory_free(w->inventory);
	db_close(w->db);
	loop_free(w->loop);
}

static void notes(const struct watching *w, struct report *r)
{
	size_t open = sightings_open(w->sightings);

	if (w->lost)
		report_note(
			r,
			"%" PRIu64
			" events were lost because the node was too busy: the figures are too low.",
			w->lost);
	if (w->own)
		report_note(r,
			    "%" PRIu64
			    " further connections were made by sallyport's own proxy for programs "
			    "that it inspects: sallyport report names them.",
			    w->own);
	if (w->before)
		report_note(r, "Open before the watch began: %zu connection%s.", w->before,
			    w->before == 1 ? "" : "s");
	if (open)
		report_note(r, "Still open: %zu connection%s, with the bytes so far.", open,
			    open == 1 ? "" : "s");
	if (access("/run/sallyport/control.sock", F_OK) == 0)
		report_note(r, "A daemon runs here: connections it redirects do not show in this "
			       "watch, but in "
			       "sallyport report.");
}

static int finish(struct watching *w, const struct report_format *f)
{
	unsigned seconds = (unsigned)((clock_mono_ns() - w->began_ns) / 1000000000);
	uint64_t counters[SP_COUNT_N] = { 0 };
	struct report r;
	int status = EXIT_FINE, e;

	(void)kern_events(w->kern, kernel_event, w);
	(void)kern_counters(w->kern, counters);
	w->lost = counters[SP_COUNT_EVENTS_LOST];
	(void)sockets_each(on_socket, w);
	progress(w);
	if (w->terminal)
		fprintf(stderr, "\r%*s\r", 78, "");
	emit_begin(&r, w->catalog);
	r.watched = true;
	r.from_ns = r.to_ns - (clock_mono_ns() - w->began_ns);
	notes(w, &r);
	e = w->error ? w->error : report_collect(&r, w->db, w->catalog);
	if (e < 0) {
		fprintf(stderr, "sallyport discover: %s\n", strerror(-e));
		status = EXIT_SYSTEM;
	} else if (f) {
		status = emit("discover", &r, f, w->o->output);
	} else {
		discover_table(&r, seconds);
	}
	report_done(&r);
	return status;
}

static int discover(const struct options *o, const struct report_format *f)
{
	struct watching w = { .o = o,
			      .terminal = isatty(STDERR_FILENO) == 1,
			      .tick = { .fn = tick } };
	int status = policies_catalog("discover", o->catalog, &w.catalog), r;

	if (status != EXIT_FINE)
		return status;
	r = start(&w);
	if (r == 0) {
		w.began_ns = clock_mono_ns();
		w.end_ns = w.began_ns + o->for_s * 1000000000ULL;
		if (!w.terminal)
			fprintf(stderr, "watching %s for %u s; nothing is changed\n",
				o->cgroup ? o->cgroup : "this node", o->for_s);
		tick(&w.tick);
		r = loop_run(w.loop);
	}
	status = r < 0 ? EXIT_SYSTEM : finish(&w, f);
	/* What kept the kernel programs out was told there. */
	if (r < 0 && (w.kern || !w.whois))
		fprintf(stderr, "sallyport discover: %s\n",
			r == -ENOENT ? "no cgroup v2 is mounted" : strerror(-r));
	stop(&w);
	catalog_unref(w.catalog);
	return status;
}

/* "90", "90s", "10m", "2h". 0: not understood. */
static unsigned seconds_of(const char *text)
{
	char *end;
	unsigned long n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
	unsigned long unit;

	if (!n)
		return 0;
	unit = !*end || strcmp(end, "s") == 0 ? 1
	       : strcmp(end, "m") == 0	      ? 60
	       : strcmp(end, "h") == 0	      ? 3600
					      : 0;
	return n > FOR_MAX_S || n * unit > FOR_MAX_S ? 0 : (unsigned)(n * unit);
}

enum { OPT_FOR = 256, OPT_CGROUP, OPT_RESOLVE, OPT_JSON, OPT_FORMAT, OPT_CATALOG };

int cmd_discover(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "for", required_argument, NULL, OPT_FOR },
		{ "cgroup", required_argument, NULL, OPT_CGROUP },
		{ "resolve", no_argument, NULL, OPT_RESOLVE },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "output", required_argument, NULL, 'o' },
		{ "catalog", required_argument, NULL, OPT_CATALOG },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .for_s = 60 };
	const struct report_format *f = NULL;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1) {
		switch (c) {
		case OPT_FOR:
			o.for_s = seconds_of(optarg);
			if (!o.for_s)
				return cli_usage("discover",
						 "--for %s: say 90s, 10m or 2h, at most 7 days",
						 optarg);
			break;
		case OPT_CGROUP:
			o.cgroup = optarg;
			break;
		case OPT_RESOLVE:
			o.resolve = true;
			break;
		case OPT_JSON:
			o.format = "json";
			break;
		case OPT_FORMAT:
			o.format = optarg;
			break;
		case 'o':
			o.output = optarg;
			break;
		case OPT_CATALOG:
			o.catalog = optarg;
			break;
		case 'h':
			printf("%s", usage_text);
			return EXIT_FINE;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		return cli_usage("discover", "\"%s\" is not understood", argv[optind]);
	if (o.format || o.output) {
		f = emit_format("discover", o.format, o.output, "html");
		if (!f)
			return EXIT_USAGE;
	}
	if (geteuid() != 0) {
		fprintf(stderr,
			"sallyport discover: loading eBPF programs needs root; run it with sudo\n");
		return EXIT_SYSTEM;
	}
	return discover(&o, f);
}
