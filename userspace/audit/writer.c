/* Appending to the audit log. */
#include "audit/writer.h"

#include "audit/record.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH_MAX (8U << 20)
#define MODE 0640

struct writer {
	char path[PATH_MAX];
	int fd;
	dev_t dev;
	ino_t ino;
	uint64_t size;      /* of the file, whole lines */
	uint64_t first_seq; /* of its first line; 0 empty */
	uint64_t rotate_bytes;
	struct chain chain; /* after the batch */
	struct buf batch;
	bool dirty;   /* written since the last sync */
	bool failing; /* the last flush failed and was logged */
	bool torn;    /* a failed write left bytes that could not be cut off yet */
};

/* A line of our own: what became of the file. */
static void note(struct writer *w, const char *fmt, ...) printf_like(2, 3);
static void note(struct writer *w, const char *fmt, ...)
{
	struct record r = { .kind = RECORD_ADMIN, .start_ns = clock_wall_ns() };
	struct buf members;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(r.note, sizeof(r.note), fmt, ap);
	va_end(ap);
	log_warn("%s place=%s", r.note, w->path);
	buf_init(&members, RECORD_JSON_MAX);
	if (record_json(&r, &members) == 0)
		(void)chain_line(&w->chain, buf_slice(&members), &w->batch);
	buf_done(&members);
}

static int file_open(struct writer *w)
{
	struct stat st;
	int fd = open(w->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, MODE);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return -EINVAL;
	}
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = fd;
	w->dev = st.st_dev;
	w->ino = st.st_ino;
	w->size = (uint64_t)st.st_size;
	w->first_seq = 0;
	w->torn = false;
	return 0;
}

/* A crash in the middle of write(2) leaves half a line: it was never acknowledged. */
static int tail_mend(struct writer *w)
{
	cleanup(freep) char *tail = malloc(CHAIN_LINE_MAX);
	size_t len = (size_t)MIN(w->size, (uint64_t)CHAIN_LINE_MAX), cut;
	const char *nl;

	if (!len)
		return 0;
	if (!tail)
		return -ENOMEM;
	if (pread(w->fd, tail, len, (off_t)(w->size - len)) != (ssize_t)len)
		return -EIO;
	if (tail[len - 1] == '\n')
		return 0;
	nl = memrchr(tail, '\n', len);
	cut = nl ? (size_t)(tail + len - 1 - nl) : len;
	/* Not ours (no newline where one must be): stays as evidence, on a line of its own. */
	if ((!nl && len < w->size) || (cut >= 7 && memcmp(tail + len - cut, "{\"seq\":", 7) != 0)) {
		if (write(w->fd, "\n", 1) != 1)
			return -errno;
		w->size++;
		return 0;
	}
	if (ftruncate(w->fd, (off_t)(w->size - cut)) < 0)
		return -errno;
	w->size -= cut;
	log_warn("the audit log ended in half a line; removed, its record is in the spool still "
		 "bytes=%zu place=%s", cut, w->path);
	return 0;
}

static uint64_t first_seq(const char *path)
{
	cleanup(freep) char *line = malloc(CHAIN_LINE_MAX + 1);
	FILE *f = line ? fopen(path, "re") : NULL;
	struct chain_link l = { 0 };
	size_t len;

	if (!f)
		return 0;
	if (chain_next_line(f, line, &len) == 1 && chain_parse(slice_of(line, len), &l) < 0)
		l.seq = 0;
	(void)fclose(f);
	return l.seq;
}

/* The end of the log: of the file, or of the newest rotated one when the file has no line yet. */
static int end_of_log(const struct writer *w, struct chain *out)
{
	struct log_files f = { 0 };
	int r = w->size ? chain_resume(w->path, out) : log_files_list(w->path, &f);

	if (w->size || r < 0)
		return r;
	r = f.n >= 2 ? chain_resume(f.path[f.n - 2], out) : -ENOENT;
	log_files_done(&f);
	return r;
}

static int begin(struct writer *w, const struct chain *known)
{
	struct chain c = { 0 };
	int r = file_open(w);

	if (r == 0)
		r = tail_mend(w);
	if (r < 0)
		return r;
	w->first_seq = w->size ? first_seq(w->path) : 0;
	r = end_of_log(w, &c);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	if (r == 0 && (c.seq > known->seq ||
		       (c.seq == known->seq && strcmp(c.hash, known->hash) == 0))) {
		w->chain = c;
		return 0;
	}
	w->chain = *known;
	if (w->size == 0 && known->seq)
		note(w, "the audit log was removed or emptied; the chain goes on after line %llu",
		     (unsigned long long)known->seq);
	else if (r == -EBADMSG)
		note(w, "the last line of the audit log does not verify; the chain goes on after "
			"line %llu", (unsigned long long)known->seq);
	else if (r == 0)
		note(w, "the audit log ended at line %llu, %llu were written; the chain goes on "
			"after that", (unsigned long long)c.seq, (unsigned long long)known->seq);
	return 0;
}

int writer_open(const char *path, uint64_t rotate_bytes, const struct chain *known,
		struct writer **out)
{
	static const struct chain none;
	struct writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->fd = -1;
	w->rotate_bytes = rotate_bytes;
	buf_init(&w->batch, BATCH_MAX);
	slice_copy(w->path, sizeof(w->path), slice_str(path));
	r = begin(w, known ? known : &none);
	if (r < 0) {
		writer_free(w);
		return r;
	}
	*out = w;
	return 0;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		(void)close(w->fd);
	buf_done(&w->batch);
	free(w);
}

int writer_add(struct writer *w, struct slice members)
{
	return chain_line(&w->chain, members, &w->batch);
}

/* Is the open file still the one of that name, and as we left it? */
static int file_check(struct writer *w)
{
	struct stat st;
	int r;

	if (stat(w->path, &st) < 0 || st.st_ino != w->ino || st.st_dev != w->dev) {
		r = file_open(w);
		if (r < 0)
			return r;
		w->first_seq = w->size ? first_seq(w->path) : 0;
		note(w, "the audit log was removed or replaced; the chain goes on in a new file");
	} else if ((uint64_t)st.st_size < w->size) {
		w->size = (uint64_t)st.st_size;
		note(w, "the audit log was cut short by somebody else");
	} else if (w->torn || (uint64_t)st.st_size > w->size) {
		/* Half of a batch that failed, or lines of somebody else: the latter stay. */
		if (w->torn && ftruncate(w->fd, (off_t)w->size) < 0)
			return -errno;
		if (!w->torn)
			note(w, "somebody else wrote into the audit log");
		w->size = w->torn ? w->size : (uint64_t)st.st_size;
		w->torn = false;
	}
	return 0;
}

static int batch_write(struct writer *w)
{
	struct slice all = buf_slice(&w->batch);
	struct stat st;
	int r = file_write_all(w->fd, all);

	if (r < 0) {
		w->torn = ftruncate(w->fd, (off_t)w->size) < 0;
		return r;
	}
	w->size += all.len;
	w->dirty = true;
	/* Removed between the check and the write: these lines would be in no file. */
	if (fstat(w->fd, &st) == 0 && st.st_nlink == 0)
		return -EAGAIN;
	return 0;
}

static void rotate(struct writer *w)
{
	char to[PATH_MAX + 32];
	size_t stem = strlen(w->path);
	int r;

	if (!w->rotate_bytes || w->size < w->rotate_bytes || !w->first_seq)
		return;
	if (slice_ends(slice_str(w->path), SLICE(".jsonl")))
		stem -= 6;
	(void)snprintf(to, sizeof(to), "%.*s-%015llu.jsonl", (int)stem, w->path,
		       (unsigned long long)w->first_seq);
	writer_sync(w);
	if (access(to, F_OK) == 0 || rename(w->path, to) < 0) {
		log_warn("cannot rotate the audit log; it grows on place=%s to=%s", w->path, to);
		w->rotate_bytes *= 2;
		return;
	}
	r = file_open(w);
	if (r < 0)
		log_error("cannot make a new audit log after rotation error=%s place=%s; records "
			  "stay in the spool until the folder can be written", strerror(-r), w->path);
}

int writer_flush(struct writer *w)
{
	struct chain_link l;
	int r = 0;

	if (!buf_size(&w->batch))
		return 0;
	for (int tries = 0; tries < 3; tries++) {
		r = file_check(w);
		if (r == 0)
			r = batch_write(w);
		if (r != -EAGAIN)
			break;
	}
	if (r < 0) {
		if (!w->failing)
			log_error("cannot write the audit log error=%s place=%s; records wait in "
				  "the spool: free space or mend the folder, and they are written",
				  strerror(-r), w->path);
		w->failing = true;
		return r;
	}
	if (w->failing)
		log_info("the audit log can be written again place=%s", w->path);
	w->failing = false;
	if (!w->first_seq) {
		const char *nl = memchr(w->batch.data + w->batch.off, '\n', buf_size(&w->batch));

		if (nl && chain_parse(slice_of(w->batch.data + w->batch.off,
					       (size_t)(nl - w->batch.data) - w->batch.off),
				      &l) == 0)
			w->first_seq = l.seq;
	}
	buf_clear(&w->batch);
	rotate(w);
	return 0;
}

void writer_sync(struct writer *w)
{
	if (w->dirty && w->fd >= 0)
		(void)fdatasync(w->fd);
	w->dirty = false;
}

size_t writer_pending(const struct writer *w)
{
	return buf_size(&w->batch);
}

struct chain writer_chain(const struct writer *w)
{
	return w->chain;
}
