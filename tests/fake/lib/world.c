/* The provider's control file. */
#include "tests/fake/lib/world.h"

#include "base/file.h"
#include "base/text.h"

#include <stdio.h>
#include <sys/stat.h>

static const char *control_path;
static struct timespec seen_time;
static ino_t seen_inode;
static struct buf control;

void world_open(const char *path)
{
	control_path = path;
	buf_init(&control, 1 << 20);
	world_refresh();
}

void world_refresh(void)
{
	struct stat st;

	if (!control_path)
		return;
	if (stat(control_path, &st) < 0) {
		buf_clear(&control);
		seen_inode = 0;
		return;
	}
	if (st.st_ino == seen_inode && st.st_mtim.tv_sec == seen_time.tv_sec &&
	    st.st_mtim.tv_nsec == seen_time.tv_nsec)
		return;
	buf_clear(&control);
	if (file_read(control_path, &control) < 0)
		buf_clear(&control);
	seen_inode = st.st_ino;
	seen_time = st.st_mtim;
}

static struct slice word_take(struct slice *line)
{
	struct slice w;
	long blank;

	*line = slice_trim(*line);
	blank = slice_find(*line, SLICE(" "));
	w = blank < 0 ? *line : slice_sub(*line, 0, (size_t)blank);
	*line = slice_from(*line, w.len);
	return w;
}

/* The n-th rule of this verb that holds for the host: its last word. */
static bool world_find(const char *verb, struct slice host, int n, struct slice *value)
{
	struct slice all = buf_slice(&control);

	while (all.len) {
		long eol = slice_find(all, SLICE("\n"));
		struct slice line = slice_sub(all, 0, eol < 0 ? all.len : (size_t)eol);
		struct slice what = word_take(&line), whose;
		char pattern[256];

		all = slice_from(all, eol < 0 ? all.len : (size_t)eol + 1);
		if (!slice_is(what, verb))
			continue;
		whose = word_take(&line);
		slice_copy(pattern, sizeof(pattern), whose);
		if (host.ptr && !text_glob(pattern, host))
			continue;
		if (n-- > 0)
			continue;
		*value = host.ptr ? word_take(&line) : whose;
		return true;
	}
	return false;
}

enum world_accept world_accept(void)
{
	struct slice v;

	if (!world_find("accept", slice_of(NULL, 0), 0, &v))
		return ACCEPT_TLS;
	return slice_is(v, "reset") ? ACCEPT_RESET :
	       slice_is(v, "stall") ? ACCEPT_STALL :
	       slice_is(v, "plain") ? ACCEPT_PLAIN : ACCEPT_TLS;
}

void world_knobs(struct slice host, struct knobs *k)
{
	struct slice v;

	for (int i = 0; world_find("fault", host, i, &v); i++)
		knobs_add(k, v);
}

void world_cert(struct slice host, char *out, size_t size)
{
	struct slice v;

	out[0] = '\0';
	if (world_find("cert", host, 0, &v))
		slice_copy(out, size, v);
}

bool world_tls12(struct slice host)
{
	struct slice v;

	return world_find("tls12", host, 0, &v);
}
