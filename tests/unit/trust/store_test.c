/* trust install and remove on a tree of our own: undone to the byte, and nobody's values touched. */
#include "base/def.h"
#include "base/file.h"
#include "tests/t.h"
#include "trust/store.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static const char ca_one[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBfTCCASOgAwIBAgIUaGlzdG9yeSBpcyBub3QgYSBrZXkwCgYIKoZIzj0EAwIw\n"
	"-----END CERTIFICATE-----\n";
static const char ca_two[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBfTCCASOgAwIBAgIUc2Vjb25kIGhpc3RvcnkgaXMgbm8gOwCgYIKoZIzj0EAw\n"
	"-----END CERTIFICATE-----\n";
static const char bundle[] = "-----BEGIN CERTIFICATE-----\nb3RoZXI=\n-----END CERTIFICATE-----\n";

static char root[64], ca_path[128];
static struct buf snapshot; /* path, mode and content of all of the tree */

static void put(const char *path, const char *text)
{
	char full[256], dir[256];

	snprintf(full, sizeof(full), "%s%s", root, path);
	snprintf(dir, sizeof(dir), "%s", full);
	*strrchr(dir, '/') = '\0';
	t_int(file_mkdirs(dir, 0755), 0, "%s", dir);
	t_int(file_replace(full, slice_str(text), 0644), 0, "%s", full);
}

static struct slice get(const char *path, struct buf *out)
{
	char full[256];

	snprintf(full, sizeof(full), "%s%s", root, path);
	buf_done(out);
	buf_init(out, 1 << 20);
	return file_read(full, out) == 0 ? buf_slice(out) : (struct slice){ 0 };
}

static int note_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)at;
	(void)buf_printf(&snapshot, "%s %o\n", path, st->st_mode);
	if (kind == FTW_F)
		(void)file_read(path, &snapshot);
	return 0;
}

static int drop_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* nftw's order is the directory's, which changes: the lines are sorted. */
static char *look(void)
{
	char *text, *lines[4096], *out, *save = NULL;
	size_t n = 0, len = 0;

	buf_init(&snapshot, 16 << 20);
	(void)nftw(root, note_entry, 8, FTW_PHYS);
	(void)buf_append(&snapshot, slice_of("", 1));
	text = snapshot.data;
	for (char *l = strtok_r(text, "\n", &save); l && n < ARRAY_LEN(lines);
	     l = strtok_r(NULL, "\n", &save)) {
		lines[n++] = l;
		len += strlen(l) + 1;
	}
	qsort(lines, n, sizeof(*lines), compare_lines);
	out = calloc(1, len + 1);
	for (size_t i = 0; i < n; i++)
		strcat(strcat(out, lines[i]), "\n");
	buf_done(&snapshot);
	return out;
}

static int run(int (*what)(struct trust *), const char *ca)
{
	struct trust t;
	int r = trust_init(&t, root, ca);

	if (r == 0)
		r = what(&t);
	if (r < 0)
		printf("# %.*s", SLICE_FMT(buf_slice(&t.report)));
	trust_done(&t);
	return r;
}

static bool all_trust(void)
{
	struct trust t;
	bool all = trust_init(&t, root, NULL) == 0;

	for (size_t i = 0; all && i < trust_n_stores; i++) {
		enum trust_state s = trust_stores[i]->status(&t);

		all = s == TRUST_INSTALLED || s == TRUST_NOT_APPLICABLE;
	}
	trust_done(&t);
	return all;
}

static bool none_trusts(void)
{
	struct trust t;
	bool none = trust_init(&t, root, NULL) == 0;

	for (size_t i = 0; none && i < trust_n_stores; i++) {
		enum trust_state s = trust_stores[i]->status(&t);

		none = s == TRUST_ABSENT || s == TRUST_NOT_APPLICABLE;
	}
	trust_done(&t);
	return none;
}

static void set_up(const char *environment)
{
	strcpy(root, "/tmp/sallyport-trust-XXXXXX");
	if (!mkdtemp(root))
		exit(1);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", root);
	put("/ca.crt", ca_one);
	put(TRUST_BUNDLE, bundle);
	put("/etc/systemd/system.conf", "[Manager]\n#DefaultEnvironment=NODE_EXTRA_CA_CERTS=x\n");
	if (environment)
		put("/etc/environment", environment);
}

static void tear_down(void)
{
	(void)nftw(root, drop_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct {
	const char *why, *environment;
} trees[] = {
	{ "no /etc/environment", NULL },
	{ "an empty one", "" },
	{ "one with values", "LANG=C.UTF-8\nPATH=\"/usr/bin\"\n" },
	{ "one without its last newline", "LANG=C.UTF-8" },
};

static void test_round_trip(void)
{
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		struct buf text = { 0 };
		char *before, *after;

		set_up(trees[i].environment);
		before = look();
		t_ok(none_trusts(), "%s: not yet", trees[i].why);
		t_int(run(trust_install, ca_path), 0, "%s: install", trees[i].why);
		t_ok(all_trust(), "%s: installed", trees[i].why);
		t_ok(slice_find(get("/etc/environment", &text),
				SLICE("NODE_EXTRA_CA_CERTS=" TRUST_CA_FILE "\n")) >= 0,
		     "%s: variable", trees[i].why);
		t_ok(slice_find(get(TRUST_BUNDLE, &text), slice_str(ca_one)) >= 0, "%s: bundle",
		     trees[i].why);
		t_ok(slice_find(get("/etc/systemd/system.conf.d/50-sallyport.conf", &text),
				SLICE("DefaultEnvironment=DENO_TLS_CA_STORE=system\n")) >= 0,
		     "%s: systemd", trees[i].why);
		t_int(run(trust_install, ca_path), 0, "%s: install again", trees[i].why);
		t_int(run(trust_remove, NULL), 0, "%s: remove", trees[i].why);
		t_ok(none_trusts(), "%s: gone", trees[i].why);
		after = look();
		t_str(after, before, "%s: as it was", trees[i].why);
		t_int(run(trust_remove, NULL), 0, "%s: remove again", trees[i].why);
		free(before);
		free(after);
		buf_done(&text);
		tear_down();
	}
}

/* Two rows of a table of our own: whoever set a variable before us knows why. */
static void test_values_stay(void)
{
	struct buf text = { 0 };

	set_up("REQUESTS_CA_BUNDLE=/opt/corp.pem\n");
	put("/etc/systemd/system.conf.d/10-corp.conf",
	    "[Manager]\nDefaultEnvironment=\"NODE_EXTRA_CA_CERTS=/opt/corp.pem\"\n");
	t_int(run(trust_install, ca_path), 0, "install");
	t_ok(slice_find(get("/etc/environment", &text), SLICE("REQUESTS_CA_BUNDLE=/etc")) < 0,
	     "a value of /etc/environment stays");
	t_ok(slice_find(get("/etc/environment", &text), SLICE("DENO_TLS_CA_STORE=system")) > 0,
	     "the others are set");
	t_ok(slice_find(get("/etc/systemd/system.conf.d/50-sallyport.conf", &text),
			SLICE("NODE_EXTRA")) < 0, "a value of a drop-in stays");
	put("/etc/environment", "LATER=1\n");
	t_int(run(trust_remove, NULL), 0, "remove after somebody rewrote the file");
	t_ok(slice_is(get("/etc/environment", &text), "LATER=1\n"), "and left it alone");
	buf_done(&text);
	tear_down();
}

static void test_rotation(void)
{
	struct buf text = { 0 };

	set_up("");
	t_int(run(trust_install, ca_path), 0, "first CA");
	put("/ca.crt", ca_two);
	t_int(run(trust_install, ca_path), 0, "second CA");
	t_ok(slice_find(get(TRUST_BUNDLE, &text), slice_str(ca_one)) < 0, "the first is out");
	t_ok(slice_find(get(TRUST_BUNDLE, &text), slice_str(ca_two)) > 0, "the second is in");
	t_ok(all_trust(), "everywhere");
	t_int(run(trust_remove, NULL), 0, "remove");
	t_ok(slice_is(get(TRUST_BUNDLE, &text), bundle), "as it was");
	buf_done(&text);
	tear_down();
}

static void test_bad_input(void)
{
	struct trust t;

	set_up("");
	put("/ca.crt", "no certificate");
	t_int(trust_init(&t, root, ca_path), -EBADMSG, "no PEM");
	t_ok(slice_find(buf_slice(&t.report), SLICE("not one certificate")) > 0, "and says so");
	trust_done(&t);
	t_int(trust_init(&t, root, "/nonexistent/ca.crt"), -ENOENT, "no file");
	trust_done(&t);
	put(TRUST_MANIFEST, "{ broken");
	t_int(trust_init(&t, root, NULL), -EBADMSG, "broken manifest");
	trust_done(&t);
	tear_down();
}

int main(void)
{
	test_round_trip();
	test_values_stay();
	test_rotation();
	test_bad_input();
	return t_done();
}
