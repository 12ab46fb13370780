/*
 * Debian's store: the CA in /usr/local/share/ca-certificates, from there by update-ca-certificates
 * into the bundle and the directory of hash links. On a foreign tree we do its part by files.
 */
#include "trust/store.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "system"
#define CERTS "/etc/ssl/certs"
#define LINK CERTS "/sallyport.pem"
#define BUNDLE_MAX (16U << 20)

static int read_bundle(const struct trust *t, struct buf *out)
{
	char path[PATH_MAX];

	buf_init(out, BUNDLE_MAX);
	return trust_path(t, TRUST_BUNDLE, path) ? file_read(path, out) : -ENAMETOOLONG;
}

static int write_bundle(const struct trust *t, struct slice a, struct slice b, struct slice c)
{
	char path[PATH_MAX];
	struct buf text;
	struct stat st;
	int r;

	buf_init(&text, BUNDLE_MAX);
	r = buf_append(&text, a);
	r = r < 0 ? r : buf_append(&text, b);
	r = r < 0 ? r : buf_append(&text, c);
	if (r == 0 && (!trust_path(t, TRUST_BUNDLE, path) || stat(path, &st) < 0))
		r = -errno;
	if (r == 0)
		r = file_replace(path, buf_slice(&text), st.st_mode & 07777);
	buf_done(&text);
	return r;
}

/* "1a2b3c4d.0" as OpenSSL looks for it; the number counts up past other CAs of this hash. */
static int hash_link(struct trust *t)
{
	char ca[PATH_MAX], path[PATH_MAX], name[64];
	struct buf out;
	int r;

	if (!trust_path(t, TRUST_CA_FILE, ca))
		return -ENAMETOOLONG;
	buf_init(&out, 256);
	r = trust_run((const char *const[]){ "openssl", "x509", "-noout", "-subject_hash", "-in",
					     ca, NULL },
		      &out);
	if (r == 0 && buf_size(&out) == 9) {
		for (int i = 0; i < 10; i++) {
			(void)snprintf(name, sizeof(name), CERTS "/%.8s.%d", out.data, i);
			if (!trust_path(t, name, path))
				break;
			if (symlink("sallyport.pem", path) == 0 || errno != EEXIST)
				break;
		}
	} else {
		trust_say(t, "system: no hash link without the openssl command; programs that read "
			     "the bundle are not concerned");
	}
	buf_done(&out);
	return 0;
}

/* Every link in /etc/ssl/certs that leads to our file, and the file's own. */
static int drop_links(const struct trust *t)
{
	char path[PATH_MAX], to[64];
	struct dirent *e;
	DIR *d = trust_path(t, CERTS, path) ? opendir(path) : NULL;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, to, sizeof(to));

		if (n > 0 && (slice_is(slice_of(to, (size_t)n), "sallyport.pem") ||
			      slice_is(slice_of(to, (size_t)n), TRUST_CA_FILE)) &&
		    unlinkat(dirfd(d), e->d_name, 0) < 0)
			r = -errno;
	}
	(void)closedir(d);
	return r;
}

static int install_by_files(struct trust *t)
{
	char path[PATH_MAX];
	struct buf bundle;
	int r = read_bundle(t, &bundle);

	if (r == 0 && slice_find(buf_slice(&bundle), t->pem) < 0) {
		bool newline = buf_size(&bundle) && bundle.data[bundle.len - 1] != '\n';

		r = write_bundle(t, buf_slice(&bundle), slice_str(newline ? "\n" : ""), t->pem);
		if (newline)
			(void)json_object_set_new(trust_notes(t, NAME), "newline", json_true());
	}
	buf_done(&bundle);
	if (r == 0 && trust_path(t, LINK, path) && symlink(TRUST_CA_FILE, path) == 0)
		r = hash_link(t);
	return r;
}

static int remove_by_files(struct trust *t)
{
	struct buf bundle;
	struct slice all;
	int r = read_bundle(t, &bundle);
	long at;

	all = buf_slice(&bundle);
	at = r == 0 && t->pem.len ? slice_find(all, t->pem) : -1;
	if (at >= 0) {
		size_t from = (size_t)at, to = from + t->pem.len;

		if (json_is_true(json_object_get(trust_notes(t, NAME), "newline")) &&
		    to == all.len && from)
			from--;
		r = write_bundle(t, slice_sub(all, 0, from), slice_from(all, to), SLICE(""));
	}
	buf_done(&bundle);
	return r == -ENOENT ? 0 : r;
}

static int update(struct trust *t)
{
	int r = trust_run((const char *const[]){ "update-ca-certificates", NULL }, NULL);

	if (r == -ENOENT)
		trust_say(t, "system: update-ca-certificates is not here; apt install "
			     "ca-certificates");
	else if (r != 0)
		trust_say(t,
			  "system: update-ca-certificates failed (%d); run it by hand to see why",
			  r);
	return r > 0 ? -EIO : r;
}

static int system_install(struct trust *t)
{
	json_t *notes = trust_notes(t, NAME);
	char path[PATH_MAX];
	int r;

	if (!notes || !trust_path(t, TRUST_BUNDLE, path))
		return -ENOMEM;
	if (access(path, F_OK) < 0) {
		trust_say(t, "system: %s is not there; apt install ca-certificates", path);
		return -ENOENT;
	}
	r = trust_mkdirs(t, notes, "/usr/local/share/ca-certificates");
	if (r == 0)
		r = trust_path(t, TRUST_CA_FILE, path) ? file_replace(path, t->pem, 0644) :
							 -ENAMETOOLONG;
	if (r < 0)
		trust_say(t, "system: %s: %s", TRUST_CA_FILE, strerror(-r));
	else
		r = t->root[0] ? install_by_files(t) : update(t);
	return r;
}

static int system_remove(struct trust *t)
{
	char path[PATH_MAX];
	int r;

	if (!trust_path(t, TRUST_CA_FILE, path))
		return -ENAMETOOLONG;
	if (unlink(path) < 0 && errno != ENOENT) {
		trust_say(t, "system: %s: %s", path, strerror(errno));
		return -errno;
	}
	/* update-ca-certificates leaves the links of a local CA that is gone. */
	r = drop_links(t);
	if (r == 0)
		r = t->root[0] ? remove_by_files(t) : update(t);
	if (r == 0)
		trust_rmdirs(t, trust_notes(t, NAME));
	return r;
}

static enum trust_state system_status(struct trust *t)
{
	char path[PATH_MAX];
	struct buf bundle;
	struct stat st;
	bool in_bundle, in_files;
	int r = read_bundle(t, &bundle);

	in_bundle = r == 0 && t->pem.len && slice_find(buf_slice(&bundle), t->pem) >= 0;
	buf_done(&bundle);
	in_files = trust_path(t, LINK, path) && lstat(path, &st) == 0;
	if (r == -ENOENT)
		return TRUST_NOT_APPLICABLE;
	if (in_bundle && in_files)
		return TRUST_INSTALLED;
	if (!in_bundle && !in_files)
		return TRUST_ABSENT;
	trust_say(t, "system: the CA is in %s only; run sallyport trust install again",
		  in_bundle ? "the bundle" : CERTS);
	return TRUST_PARTLY;
}

const struct store store_system = { NAME, system_install, system_remove, system_status };
