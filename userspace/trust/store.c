/* Over all stores: the manifest, the order, the report. */
#include "trust/store.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CA_MAX (1U << 20)
#define MANIFEST_MAX (4U << 20)

extern char **environ;

#define STORE(name) extern const struct store store_##name;
#include "trust/stores.def"
#undef STORE

const struct store *const trust_stores[] = {
#define STORE(name) &store_##name,
#include "trust/stores.def"
#undef STORE
};
const size_t trust_n_stores = ARRAY_LEN(trust_stores);

const char *trust_path(const struct trust *t, const char *path, char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, "%s%s", t->root, path) < PATH_MAX ? out : NULL;
}

void trust_say(struct trust *t, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)buf_printf(&t->report, "%s\n", line);
}

json_t *trust_notes(struct trust *t, const char *store)
{
	json_t *notes = json_object_get(t->manifest, store);

	if (!notes && json_object_set_new(t->manifest, store, json_object()) == 0)
		notes = json_object_get(t->manifest, store);
	return notes;
}

static int spawn(const char *const argv[], int out_fd, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int r;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
	(void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int trust_run(const char *const argv[], struct buf *out)
{
	int fds[2], r, status;
	pid_t pid;

	if (out ? pipe2(fds, O_CLOEXEC) < 0 :
		  (fds[1] = open("/dev/null", O_WRONLY | O_CLOEXEC)) < 0)
		return -errno;
	r = spawn(argv, fds[1], &pid);
	(void)close(fds[1]);
	if (out) {
		if (r == 0)
			(void)file_read_fd(fds[0], out); /* what is too long is no answer either */
		(void)close(fds[0]);
	}
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

int trust_mkdirs(struct trust *t, json_t *notes, const char *path)
{
	char full[PATH_MAX], part[PATH_MAX];
	json_t *made = json_object_get(notes, "dirs");

	if (!made && json_object_set_new(notes, "dirs", made = json_array()) < 0)
		return -ENOMEM;
	for (const char *at = path + 1; at; at++) {
		at = strchrnul(at, '/');
		slice_copy(part, sizeof(part), slice_of(path, (size_t)(at - path)));
		if (!trust_path(t, part, full))
			return -ENAMETOOLONG;
		if (mkdir(full, 0755) == 0)
			(void)json_array_append_new(made, json_string(part));
		else if (errno != EEXIST)
			return -errno;
		if (!*at)
			return 0;
	}
	return 0;
}

void trust_rmdirs(struct trust *t, json_t *notes)
{
	const json_t *made = json_object_get(notes, "dirs");
	char full[PATH_MAX];

	/* Deepest last, so backwards; one that others use meanwhile stays. */
	for (size_t i = json_array_size(made); i-- > 0;) {
		const char *path = json_string_value(json_array_get(made, i));

		if (path && path[0] == '/' && !strstr(path, "..") && trust_path(t, path, full))
			(void)rmdir(full);
	}
	(void)json_object_del(notes, "dirs");
}

/* Exactly one certificate: what stands around it is not for stores. */
static int take_pem(struct trust *t, struct slice all)
{
	static const struct slice begin = { "-----BEGIN CERTIFICATE-----\n", 28 };
	static const struct slice end = { "-----END CERTIFICATE-----\n", 26 };
	long from = slice_find(all, begin), to = slice_find(all, end);
	char *copy;

	if (from < 0 || to < from || slice_find(slice_from(all, (size_t)from + 1), begin) >= 0)
		return -EBADMSG;
	all = slice_sub(all, (size_t)from, (size_t)to + end.len);
	copy = malloc(all.len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, all.ptr, all.len);
	free((char *)t->pem.ptr);
	t->pem = slice_of(copy, all.len);
	return 0;
}

static int read_ca(struct trust *t, const char *path)
{
	struct buf text;
	int r;

	buf_init(&text, CA_MAX);
	r = file_read(path, &text);
	if (r == 0)
		r = take_pem(t, buf_slice(&text));
	if (r == -EBADMSG)
		trust_say(t, "%s: not one certificate in PEM", path);
	else if (r < 0)
		trust_say(t, "%s: %s%s", path, strerror(-r),
			  r == -ENOENT
				  ? "; the daemon makes the CA when it first starts, or name one "
				    "with --ca"
				  : "");
	buf_done(&text);
	return r;
}

static int read_manifest(struct trust *t)
{
	char path[PATH_MAX];
	struct buf text;
	int r;

	if (!trust_path(t, TRUST_MANIFEST, path))
		return -ENAMETOOLONG;
	buf_init(&text, MANIFEST_MAX);
	r = file_read(path, &text);
	if (r == 0) {
		t->manifest = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
		r = json_is_object(t->manifest) ? 0 : -EBADMSG;
	} else if (r == -ENOENT) {
		t->manifest = json_object();
		r = t->manifest ? 0 : -ENOMEM;
	}
	if (r < 0)
		trust_say(t, "%s: %s; remove it to begin anew", path,
			  r == -EBADMSG ? "not the JSON we wrote" : strerror(-r));
	buf_done(&text);
	return r;
}

/* The CA that the manifest says is installed; len 0: none. */
static struct slice installed_pem(const struct trust *t)
{
	return slice_str(json_string_value(json_object_get(t->manifest, "ca")));
}

int trust_init(struct trust *t, const char *root, const char *ca_file)
{
	char path[PATH_MAX];
	int r;

	*t = (struct trust){ .root = root };
	buf_init(&t->report, 65536);
	r = read_manifest(t);
	if (r < 0)
		return r;
	if (ca_file)
		return read_ca(t, ca_file);
	if (installed_pem(t).len)
		return take_pem(t, installed_pem(t));
	if (!trust_path(t, TRUST_CA_FILE, path))
		return -ENAMETOOLONG;
	return access(path, R_OK) < 0 ? 0 : read_ca(t, path);
}

void trust_done(struct trust *t)
{
	free((char *)t->pem.ptr);
	json_decref(t->manifest);
	buf_done(&t->report);
}

static int write_manifest(struct trust *t)
{
	char path[PATH_MAX], *text;
	int r = trust_mkdirs(t, trust_notes(t, "manifest"), TRUST_DIR);

	text = r == 0 ? json_dumps(t->manifest, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
	if (r == 0)
		r = text && trust_path(t, TRUST_MANIFEST, path) ?
			    file_replace(path, slice_str(text), 0600) : -ENOMEM;
	free(text);
	if (r < 0)
		trust_say(t, "cannot write %s: %s; trust remove will not know what to undo",
			  TRUST_MANIFEST, strerror(-r));
	return r;
}

/* A CA that was replaced must not stay trusted beside the new one. */
static int remove_other(struct trust *t)
{
	struct slice old = installed_pem(t);
	struct trust other = *t;
	int r;

	if (!old.len || slice_eq(old, t->pem))
		return 0;
	other.pem = (struct slice){ 0 };
	r = take_pem(&other, old);
	if (r == 0)
		r = trust_remove(&other);
	free((char *)other.pem.ptr);
	t->report = other.report;
	if (r == 0 && json_object_clear(t->manifest) < 0)
		r = -ENOMEM;
	return r;
}

int trust_install(struct trust *t)
{
	int first = 0, r = remove_other(t);

	if (r < 0)
		return r;
	if (json_object_set_new(t->manifest, "ca", json_stringn(t->pem.ptr, t->pem.len)) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < trust_n_stores; i++) {
		r = trust_stores[i]->install(t);
		if (r < 0 && first == 0)
			first = r;
		/* After each: a crash must not leave a change that nobody can undo. */
		r = write_manifest(t);
		if (r < 0)
			return first < 0 ? first : r;
	}
	return first;
}

int trust_remove(struct trust *t)
{
	char path[PATH_MAX];
	int first = 0;

	for (size_t i = trust_n_stores; i-- > 0;) {
		int r = trust_stores[i]->remove(t);

		if (r < 0 && first == 0)
			first = r;
		/* Not the manifest's word, the store's: Debian's own removal leaves Java trusting.
		 */
		if (r == 0 && (trust_stores[i]->status(t) == TRUST_INSTALLED ||
			       trust_stores[i]->status(t) == TRUST_PARTLY)) {
			trust_say(t, "%s: still trusts the CA after removal",
				  trust_stores[i]->name);
			first = first ? first : -EBUSY;
		}
	}
	if (first < 0)
		return first;
	if (!trust_path(t, TRUST_MANIFEST, path))
		return -ENAMETOOLONG;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	trust_rmdirs(t, trust_notes(t, "manifest"));
	return 0;
}
