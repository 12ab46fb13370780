/* sallyport policy: is the file right, and what would it say of this caller and this request. */
#include "base/digest.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/policy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXE_MAX (1ULL << 30)
#define OUTPUT_MAX (16U << 20)

static const char usage_text[] =
	"usage: sallyport policy check [FILE] [--json]\n"
	"       sallyport policy explain [--policy FILE] [WHO] [WHERE] [--json]\n"
	"       sallyport policy types [--json]\n\n"
	"check    every mistake with its place and remedy; exit status 1 when there is one. What "
	"is\n"
	"         surely not meant, as a rule that is never reached, is a warning: exit status 0\n"
	"explain  rule by rule why it matches or not, the decision and the budgets, as the proxy "
	"would\n"
	"         say of this caller and request; exit status 1 when it would be blocked\n"
	"types    the DLP types a policy may name\n\n"
	"WHO      --exe PATH (its digest is taken when the file is there)  --digest HEX  --uid N\n"
	"         --user NAME  --gid N  --group NAME  --login-user NAME  --unit UNIT  --slice "
	"SLICE\n"
	"         --cgroup PATH  --container ID  --pod UID  --ancestor PATH (parent first; "
	"repeatable)\n"
	"WHERE    --provider ID (else the host's)  --host HOST  --endpoint NAME  --model MODEL\n\n"
	"FILE is policy.json in $SALLYPORT_POLICIES, /etc/sallyport, /usr/share/sallyport or "
	"./policies\n"
	"when none is named.\n";

static int lines_json(struct buf *out, struct slice text)
{
	size_t n = 0;

	(void)buf_str(out, "[");
	while (text.len) {
		long end = slice_find(text, SLICE("\n"));
		struct slice line = slice_sub(text, 0, end < 0 ? text.len : (size_t)end);

		(void)buf_str(out, n++ ? "," : "");
		(void)jwrite_string(out, line);
		text = slice_from(text, line.len + 1);
	}
	return buf_str(out, "]");
}

static void check_json(const struct policy_file *f)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	(void)buf_str(&out, "{\"file\":");
	(void)jwrite_string(&out, slice_str(f->path));
	(void)buf_printf(&out, ",\"ok\":%s,\"mistakes\":", f->policy ? "true" : "false");
	(void)lines_json(&out, buf_slice(&f->mistakes.text));
	(void)buf_str(&out, ",\"warnings\":");
	(void)lines_json(&out, f->policy ? policy_warnings(f->policy) : (struct slice){ NULL, 0 });
	printf("%.*s}\n", SLICE_FMT(buf_slice(&out)));
	buf_done(&out);
}

static void check_text(const struct policy_file *f)
{
	struct slice rest = f->policy ? policy_warnings(f->policy) : (struct slice){ NULL, 0 };

	printf("%.*s", SLICE_FMT(buf_slice(&f->mistakes.text)));
	while (rest.len) {
		long end = slice_find(rest, SLICE("\n"));
		struct slice line = slice_sub(rest, 0, end < 0 ? rest.len : (size_t)end);

		printf("%s: %swarning:%s %.*s\n", f->path, out_color(COLOR_YELLOW),
		       out_color(COLOR_NONE), SLICE_FMT(line));
		rest = slice_from(rest, line.len + 1);
	}
	if (f->policy)
		printf("%s: %sfine%s\n", f->path, out_color(COLOR_GREEN), out_color(COLOR_NONE));
	else
		printf("%s: %s%zu mistake%s%s\n", f->path, out_color(COLOR_RED), f->mistakes.n,
		       f->mistakes.n == 1 ? "" : "s", out_color(COLOR_NONE));
}

static int check(const char *file, bool json)
{
	struct policy_file f;
	int status = policy_file_load("policy check", file, &f);

	if (status != EXIT_SYSTEM) {
		if (json)
			check_json(&f);
		else
			check_text(&f);
	}
	policy_file_done(&f);
	return status;
}

static int types(bool json)
{
	struct dlp *d = NULL;
	int status = policy_file_dlp("policy types", &d);

	if (status != EXIT_FINE)
		return status;
	if (json)
		printf("[");
	for (size_t i = 0; i < dlp_n_types(d); i++)
		printf(json ? "%s\"%s\"" : "%s%s\n", json && i ? ", " : "",
		       dlp_type_name(d, (uint16_t)i));
	if (json)
		printf("]\n");
	dlp_unref(d);
	return EXIT_FINE;
}

/* ---- explain ---- */

struct question {
	const char *policy;
	bool json, uid_given, gid_given;
	const char *provider, *host, *endpoint, *model;
	struct principal who;
};

static int number(const char *option, const char *text, uint32_t *out)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || v > UINT32_MAX)
		return cli_usage("policy explain", "--%s takes a number, not \"%s\"", option, text);
	*out = (uint32_t)v;
	return EXIT_FINE;
}

/* What the system knows of the user and the file, so that nobody has to type it. */
static void complete(struct question *q)
{
	struct principal *w = &q->who;
	const struct passwd *pw = q->uid_given ? getpwuid(w->uid)
				  : w->user[0] ? getpwnam(w->user)
					       : NULL;
	const struct group *gr;
	int fd;

	if (pw) {
		w->uid = pw->pw_uid;
		if (!w->user[0])
			slice_copy(w->user, sizeof(w->user), slice_str(pw->pw_name));
		if (!q->gid_given && !w->group[0])
			w->gid = pw->pw_gid;
	}
	if (!w->group[0] && (q->gid_given || pw) && (gr = getgrgid(w->gid)))
		slice_copy(w->group, sizeof(w->group), slice_str(gr->gr_name));
	else if (w->group[0] && !q->gid_given && (gr = getgrnam(w->group)))
		w->gid = gr->gr_gid;
	if (w->digest_known || !w->exe[0])
		return;
	fd = open(w->exe, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		w->digest_known = digest_fd(fd, EXE_MAX, w->digest) == 0;
		(void)close(fd);
	}
}

enum {
	OPT_HELP = 'h',
	OPT_JSON = 256,
	OPT_POLICY,
	OPT_EXE,
	OPT_DIGEST,
	OPT_UID,
	OPT_GID,
	OPT_USER,
	OPT_GROUP,
	OPT_LOGIN_USER,
	OPT_UNIT,
	OPT_SLICE,
	OPT_CGROUP,
	OPT_CONTAINER,
	OPT_POD,
	OPT_ANCESTOR,
	OPT_PROVIDER,
	OPT_HOST,
	OPT_ENDPOINT,
	OPT_MODEL,
};

static const struct option options[] = {
	{ "help", no_argument, NULL, OPT_HELP },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "exe", required_argument, NULL, OPT_EXE },
	{ "digest", required_argument, NULL, OPT_DIGEST },
	{ "uid", required_argument, NULL, OPT_UID },
	{ "gid", required_argument, NULL, OPT_GID },
	{ "user", required_argument, NULL, OPT_USER },
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "login-user", required_argument, NULL, OPT_LOGIN_USER },
	{ "unit", required_argument, NULL, OPT_UNIT },
	{ "slice", required_argument, NULL, OPT_SLICE },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "container", required_argument, NULL, OPT_CONTAINER },
	{ "pod", required_argument, NULL, OPT_POD },
	{ "ancestor", required_argument, NULL, OPT_ANCESTOR },
	{ "provider", required_argument, NULL, OPT_PROVIDER },
	{ "host", required_argument, NULL, OPT_HOST },
	{ "endpoint", required_argument, NULL, OPT_ENDPOINT },
	{ "model", required_argument, NULL, OPT_MODEL },
	{ NULL, 0, NULL, 0 },
};

static int who_text(struct principal *w, int option, const char *text)
{
	const struct {
		int option;
		char *to;
		size_t size;
	} texts[] = {
		{ OPT_EXE, w->exe, sizeof(w->exe) },
		{ OPT_USER, w->user, sizeof(w->user) },
		{ OPT_GROUP, w->group, sizeof(w->group) },
		{ OPT_LOGIN_USER, w->login_user, sizeof(w->login_user) },
		{ OPT_UNIT, w->unit, sizeof(w->unit) },
		{ OPT_SLICE, w->slice, sizeof(w->slice) },
		{ OPT_CGROUP, w->cgroup, sizeof(w->cgroup) },
		{ OPT_CONTAINER, w->container, sizeof(w->container) },
		{ OPT_POD, w->pod, sizeof(w->pod) },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].option != option)
			continue;
		if (strlen(text) >= texts[i].size)
			return cli_usage("policy explain", "\"%.40s...\" is too long", text);
		slice_copy(texts[i].to, texts[i].size, slice_str(text));
	}
	return EXIT_FINE;
}

static int take_option(struct question *q, int option, const char *text)
{
	struct principal *w = &q->who;

	switch (option) {
	case OPT_JSON:
		q->json = true;
		return EXIT_FINE;
	case OPT_POLICY:
		q->policy = text;
		return EXIT_FINE;
	case OPT_PROVIDER:
		q->provider = text;
		return EXIT_FINE;
	case OPT_HOST:
		q->host = text;
		return EXIT_FINE;
	case OPT_ENDPOINT:
		q->endpoint = text;
		return EXIT_FINE;
	case OPT_MODEL:
		q->model = text;
		return EXIT_FINE;
	case OPT_UID:
		q->uid_given = true;
		return number("uid", text, &w->uid);
	case OPT_GID:
		q->gid_given = true;
		return number("gid", text, &w->gid);
	case OPT_DIGEST:
		w->digest_known = text_unhex(slice_str(text), w->digest, DIGEST_LEN) == DIGEST_LEN;
		return w->digest_known
			       ? EXIT_FINE
			       : cli_usage("policy explain", "--digest takes 64 hex digits");
	case OPT_ANCESTOR:
		if (w->n_ancestors == PRINCIPAL_ANCESTORS)
			return cli_usage("policy explain", "more than %d ancestors",
					 PRINCIPAL_ANCESTORS);
		slice_copy(w->ancestor[w->n_ancestors].exe, sizeof(w->ancestor[0].exe),
			   slice_str(text));
		w->n_ancestors++;
		return EXIT_FINE;
	default:
		return who_text(w, option, text);
	}
}

static int explain_print(const struct policy_file *f, const struct question *q)
{
	char host[256];
	struct facts facts = {
		.who = &q->who,
		.provider = q->provider ? q->provider : "",
		.endpoint = q->endpoint,
		.model = slice_str(q->model),
	};
	struct catalog_match m;
	struct decision d;
	struct buf out;
	int r;

	slice_copy(host, sizeof(host), slice_str(q->host ? q->host : ""));
	for (char *c = host; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	facts.host = slice_str(host);
	if (!q->provider && *host && catalog_find(f->catalog, facts.host, &m))
		facts.provider = m.provider->id;
	buf_init(&out, OUTPUT_MAX);
	r = q->json ? policy_explain_json(f->policy, &facts, &out)
		    : policy_explain(f->policy, &facts, &out);
	printf("%.*s%s", SLICE_FMT(buf_slice(&out)), q->json ? "\n" : "");
	buf_done(&out);
	if (r < 0)
		return EXIT_SYSTEM;
	policy_decide(f->policy, &facts, &d);
	return d.verdict == VERDICT_BLOCK && d.mode == SP_MODE_ENFORCE ? EXIT_NO : EXIT_FINE;
}

static int explain(struct question *q)
{
	struct policy_file f;
	int status;

	complete(q);
	status = policy_file_load("policy explain", q->policy, &f);
	if (status == EXIT_NO) {
		check_text(&f);
		status = EXIT_SYSTEM;
	} else if (status == EXIT_FINE && q->provider &&
		   !catalog_provider_id(f.catalog, q->provider)) {
		status = cli_usage("policy explain", "no provider \"%s\" in providers.json",
				   q->provider);
	} else if (status == EXIT_FINE) {
		status = explain_print(&f, q);
	}
	policy_file_done(&f);
	return status;
}

int cmd_policy(int argc, char **argv)
{
	struct question q = { .who = { .loginuid = ~0U } };
	const char *verb;
	int option, status = EXIT_FINE;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1 &&
	       status == EXIT_FINE) {
		if (option == OPT_HELP) {
			printf("%s", usage_text);
			return EXIT_FINE;
		}
		if (option == '?')
			return EXIT_USAGE;
		status = take_option(&q, option, optarg);
	}
	if (status != EXIT_FINE)
		return status;
	verb = optind < argc ? argv[optind++] : NULL;
	if (verb && strcmp(verb, "check") == 0 && argc - optind <= 1)
		return check(optind < argc ? argv[optind] : q.policy, q.json);
	if (verb && strcmp(verb, "types") == 0 && argc == optind)
		return types(q.json);
	if (verb && strcmp(verb, "explain") == 0 && argc == optind)
		return explain(&q);
	return cli_usage("policy", "%s",
			 verb ? "cannot read these arguments" : "say check, explain or types");
}
