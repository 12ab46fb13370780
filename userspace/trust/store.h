/*
 * Where applications look for the CAs they trust, and how our CA gets in and out again.
 *
 * Each store is a file store_<name>.c with one `struct store`, and a line in stores.def. All act on
 * a tree: "" is this machine, anything else (an image, a test) is changed by files alone: no
 * program of a foreign tree is run.
 */
#ifndef TRUST_STORE_H
#define TRUST_STORE_H

#include "base/buf.h"

#include <jansson.h>
#include <limits.h>

/* Below the tree: what was done, so that it can be undone to the byte. */
#define TRUST_DIR "/var/lib/sallyport"
#define TRUST_MANIFEST TRUST_DIR "/trust.json"
/* The CA alone, readable by everybody: NODE_EXTRA_CA_CERTS points here. */
#define TRUST_CA_FILE "/usr/local/share/ca-certificates/sallyport.crt"
#define TRUST_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct trust {
	const char *root;  /* "" or a directory, without a '/' at its end */
	struct slice pem;  /* the CA, one certificate */
	json_t *manifest;  /* object; each store owns the member of its name */
	struct buf report; /* what a person should know: one line each, ended by '\n' */
};

enum trust_state {
	TRUST_ABSENT,        /* the store does not know our CA */
	TRUST_INSTALLED,
	TRUST_PARTLY,        /* the report says what is missing or in the way */
	TRUST_NOT_APPLICABLE /* there is no such store on this tree */
};

struct store {
	const char *name;
	/* 0 (also when there was nothing to do) or -errno with a line in the report. */
	int (*install)(struct trust *t);
	/* Undoes what the manifest says, and whatever else of ours it finds. */
	int (*remove)(struct trust *t);
	/* Looks at the store itself, not at the manifest. */
	enum trust_state (*status)(struct trust *t);
};

/* All stores of stores.def. */
extern const struct store *const trust_stores[];
extern const size_t trust_n_stores;

/*
 * root: the tree. ca_file: PEM of the CA (NULL for remove and status: as installed, pem.len 0 when
 * not). Reads the manifest. 0, -ENOENT (no CA file), -EBADMSG (not one certificate, or a broken
 * manifest), -errno; why is in t->report.
 */
int trust_init(struct trust *t, const char *root, const char *ca_file);
void trust_done(struct trust *t);
/* Over all stores; goes on after a failure and returns the first. Writes or deletes the manifest.
 */
int trust_install(struct trust *t);
int trust_remove(struct trust *t);

/* ---- for the stores ---- */

/* t->root + path. The buffer, or NULL when it does not fit. */
const char *trust_path(const struct trust *t, const char *path, char out[PATH_MAX]);
/* A line of the report. */
void trust_say(struct trust *t, const char *fmt, ...) printf_like(2, 3);
/* The store's own member of the manifest, made when it is not there. NULL without memory. */
json_t *trust_notes(struct trust *t, const char *store);
/* Runs a program without a shell; its output into out, or nowhere. Its exit status, or -errno. */
int trust_run(const char *const argv[], struct buf *out);
/* mkdir -p below the tree; what was made is noted in `notes` and taken away by trust_rmdirs(). */
int trust_mkdirs(struct trust *t, json_t *notes, const char *path);
void trust_rmdirs(struct trust *t, json_t *notes);

/* What the environment store sets; ended by {NULL, NULL}. */
struct trust_variable {
	const char *name, *value;
};
extern const struct trust_variable trust_variables[];

#endif
