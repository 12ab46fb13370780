/*
 * The environment, for runtimes that bring their own list of CAs and ignore the system's: with
 * these four variables 51 of 52 clients measured trust our CA, without them 19 of 47. It reaches
 * what is started afterwards by PAM (/etc/environment) or by systemd (DefaultEnvironment=).
 *
 * Never NODE_OPTIONS (Node 18 and 20 refuse to start) nor SSL_CERT_FILE (a missing file breaks
 * curl). A value that somebody else has set stays.
 */
#include "trust/store.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "env"
#define ENVIRONMENT "/etc/environment"
#define DROP_IN "50-sallyport.conf"
#define BEGIN "# sallyport begin: sallyport trust remove takes these lines out\n"
#define END "# sallyport end\n"
#define FILE_MAX (1U << 20)

const struct trust_variable trust_variables[] = {
	{ "NODE_EXTRA_CA_CERTS", TRUST_CA_FILE },
	{ "DENO_TLS_CA_STORE", "system" },
	{ "REQUESTS_CA_BUNDLE", TRUST_BUNDLE },
	{ "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", TRUST_BUNDLE },
	{ NULL, NULL },
};

static const struct manager {
	const char *conf, *dir;
} managers[] = {
	{ "/etc/systemd/system.conf", "/etc/systemd/system.conf.d" },
	{ "/etc/systemd/user.conf", "/etc/systemd/user.conf.d" },
};

static int read_tree_file(const struct trust *t, const char *path, struct buf *out)
{
	char full[PATH_MAX];

	buf_init(out, FILE_MAX);
	return trust_path(t, path, full) ? file_read(full, out) : -ENAMETOOLONG;
}

/* Where our block stands; false when it is not there. */
static bool find_block(struct slice all, size_t *from, size_t *to)
{
	long begin = slice_find(all, SLICE(BEGIN)), end;

	if (begin < 0)
		return false;
	end = slice_find(slice_from(all, (size_t)begin), SLICE(END));
	if (end < 0)
		return false;
	*from = (size_t)begin;
	*to = (size_t)begin + (size_t)end + sizeof(END) - 1;
	return true;
}

static bool is_word(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* Does a line that is no comment give NAME a value (NAME=, export NAME=, "NAME=...")? */
static bool sets_variable(struct slice text, const char *name)
{
	struct slice n = slice_str(name);

	while (text.len) {
		long end = slice_find(text, SLICE("\n"));
		struct slice line = slice_sub(text, 0, end < 0 ? text.len : (size_t)end);

		text = slice_from(text, line.len + 1);
		line = slice_trim(line);
		if (!line.len || line.ptr[0] == '#' || line.ptr[0] == ';')
			continue;
		for (size_t i = 0; i + n.len < line.len; i++)
			if (memcmp(line.ptr + i, n.ptr, n.len) == 0 && line.ptr[i + n.len] == '=' &&
			    (i == 0 || !is_word(line.ptr[i - 1])))
				return true;
	}
	return false;
}

/* ---- /etc/environment ---- */

static int append_block(struct trust *t, struct slice before, struct buf *out)
{
	int r = buf_append(out, before);

	if (r == 0 && before.len && before.ptr[before.len - 1] != '\n') {
		(void)json_object_set_new(trust_notes(t, NAME), "newline", json_true());
		r = buf_str(out, "\n");
	}
	if (r == 0)
		r = buf_str(out, BEGIN);
	for (const struct trust_variable *v = trust_variables; r == 0 && v->name; v++) {
		if (sets_variable(before, v->name))
			trust_say(t,
				  "env: " ENVIRONMENT " sets %s already; left as it is: add the CA "
				  "to what it names",
				  v->name);
		else
			r = buf_printf(out, "%s=%s\n", v->name, v->value);
	}
	return r < 0 ? r : buf_str(out, END);
}

static int environment_install(struct trust *t)
{
	char path[PATH_MAX];
	struct buf text, out;
	struct stat st = { .st_mode = 0644 };
	size_t from, to;
	int r = read_tree_file(t, ENVIRONMENT, &text);

	if (r == 0 && find_block(buf_slice(&text), &from, &to)) {
		buf_done(&text);
		return 0;
	}
	buf_init(&out, FILE_MAX);
	if (r == -ENOENT)
		r = json_object_set_new(trust_notes(t, NAME), "created", json_true());
	if (r == 0)
		r = append_block(t, buf_slice(&text), &out);
	if (r == 0 && trust_path(t, ENVIRONMENT, path)) {
		(void)stat(path, &st);
		r = file_replace(path, buf_slice(&out), st.st_mode & 07777);
	}
	buf_done(&text);
	buf_done(&out);
	if (r < 0)
		trust_say(t, "env: " ENVIRONMENT ": %s", strerror(-r));
	return r;
}

static int environment_remove(struct trust *t)
{
	const json_t *notes = trust_notes(t, NAME);
	char path[PATH_MAX];
	struct buf text, out;
	struct slice all;
	struct stat st;
	size_t from, to;
	int r = read_tree_file(t, ENVIRONMENT, &text);

	all = buf_slice(&text);
	if (r < 0 || !find_block(all, &from, &to)) {
		buf_done(&text);
		return r == -ENOENT ? 0 : r;
	}
	if (from && to == all.len && json_is_true(json_object_get(notes, "newline")))
		from--;
	buf_init(&out, FILE_MAX);
	r = buf_append(&out, slice_sub(all, 0, from));
	if (r == 0)
		r = buf_append(&out, slice_from(all, to));
	if (r == 0 && (!trust_path(t, ENVIRONMENT, path) || stat(path, &st) < 0))
		r = -errno;
	if (r == 0 && !buf_size(&out) && json_is_true(json_object_get(notes, "created")))
		r = unlink(path) < 0 ? -errno : 0;
	else if (r == 0)
		r = file_replace(path, buf_slice(&out), st.st_mode & 07777);
	buf_done(&text);
	buf_done(&out);
	if (r < 0)
		trust_say(t, "env: " ENVIRONMENT ": %s", strerror(-r));
	return r;
}

/* ---- systemd ---- */

static const char *drop_in(const struct manager *m, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/" DROP_IN, m->dir);
	return out;
}

/* In the manager's own file or in somebody's drop-in. */
static bool manager_sets(struct trust *t, const struct manager *m, const char *name)
{
	char full[PATH_MAX], path[PATH_MAX];
	struct buf text;
	struct dirent *e;
	bool found;
	DIR *d;

	found = read_tree_file(t, m->conf, &text) == 0 && sets_variable(buf_slice(&text), name);
	buf_done(&text);
	d = !found && trust_path(t, m->dir, full) ? opendir(full) : NULL;
	while (d && !found && (e = readdir(d))) {
		if (!slice_ends(slice_str(e->d_name), SLICE(".conf")) ||
		    strcmp(e->d_name, DROP_IN) == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%.255s", m->dir, e->d_name);
		found = read_tree_file(t, path, &text) == 0 &&
			sets_variable(buf_slice(&text), name);
		buf_done(&text);
	}
	if (d)
		(void)closedir(d);
	return found;
}

static int manager_install(struct trust *t, const struct manager *m)
{
	char relative[PATH_MAX], path[PATH_MAX];
	struct buf out;
	int r = trust_mkdirs(t, trust_notes(t, NAME), m->dir);

	buf_init(&out, FILE_MAX);
	if (r == 0)
		r = buf_str(&out,
			    "# Written by sallyport trust install, deleted by sallyport trust "
			    "remove.\n[Manager]\n");
	for (const struct trust_variable *v = trust_variables; r == 0 && v->name; v++) {
		if (manager_sets(t, m, v->name))
			trust_say(t,
				  "env: %s or a drop-in sets %s already; left as it is: add the CA "
				  "to what it names",
				  m->conf, v->name);
		else
			r = buf_printf(&out, "DefaultEnvironment=%s=%s\n", v->name, v->value);
	}
	if (r == 0)
		r = trust_path(t, drop_in(m, relative), path) ?
			    file_replace(path, buf_slice(&out), 0644) : -ENAMETOOLONG;
	buf_done(&out);
	if (r < 0)
		trust_say(t, "env: %s/" DROP_IN ": %s", m->dir, strerror(-r));
	return r;
}

/* ---- the store ---- */

static int env_install(struct trust *t)
{
	char path[PATH_MAX];
	int r = trust_notes(t, NAME) ? environment_install(t) : -ENOMEM;

	if (r == 0 && trust_path(t, "/etc/systemd", path) && access(path, F_OK) == 0) {
		for (size_t i = 0; r == 0 && i < ARRAY_LEN(managers); i++)
			r = manager_install(t, &managers[i]);
	}
	return r;
}

static int env_remove(struct trust *t)
{
	char relative[PATH_MAX], path[PATH_MAX];
	int r = environment_remove(t);

	for (size_t i = 0; i < ARRAY_LEN(managers); i++)
		if (trust_path(t, drop_in(&managers[i], relative), path) && unlink(path) < 0 &&
		    errno != ENOENT && r == 0)
			r = -errno;
	if (r == 0)
		trust_rmdirs(t, trust_notes(t, NAME));
	return r;
}

static enum trust_state env_status(struct trust *t)
{
	char relative[PATH_MAX], path[PATH_MAX];
	size_t from, to, have = 0, want = 1;
	struct buf text;

	have += read_tree_file(t, ENVIRONMENT, &text) == 0 &&
		find_block(buf_slice(&text), &from, &to);
	buf_done(&text);
	if (trust_path(t, "/etc/systemd", path) && access(path, F_OK) == 0)
		want += ARRAY_LEN(managers);
	for (size_t i = 0; i < ARRAY_LEN(managers); i++)
		have += trust_path(t, drop_in(&managers[i], relative), path) &&
			access(path, F_OK) == 0;
	if (have == 0)
		return TRUST_ABSENT;
	if (have < want)
		trust_say(t, "env: " ENVIRONMENT " or a drop-in of systemd lacks our lines; run "
			     "sallyport trust install again");
	return have < want ? TRUST_PARTLY : TRUST_INSTALLED;
}

const struct store store_env = { NAME, env_install, env_remove, env_status };
