/* Files, channels and the database: whole or not at all, and no descriptor lost. */
#include "base/channel.h"
#include "base/clock.h"
#include "base/db.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/t.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/sallyport-base-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[2][256];
	static int i;

	i = !i;
	(void)snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static size_t n_entries(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d);
	return n - 2;
}

static size_t n_open(void)
{
	return n_entries("/proc/self/fd");
}

static void files(void)
{
	const char *path = in_dir("file");
	struct stat st;
	struct buf b;

	buf_init(&b, 100);
	t_int(file_read(path, &b), -ENOENT, "not there");
	t_int(file_replace(path, SLICE("first"), 0600), 0, "written");
	t_int(file_replace(path, SLICE("second"), 0640), 0, "replaced");
	t_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "the mode is as asked");
	t_int(file_read(path, &b), 0, "read");
	t_ok(slice_is(buf_slice(&b), "second"), "read");
	buf_done(&b);
	buf_init(&b, 6);
	t_int(file_read(path, &b), 0, "just fits");
	buf_done(&b);
	buf_init(&b, 5);
	t_int(file_read(path, &b), -EFBIG, "a byte too long");
	buf_done(&b);
	t_int(file_replace(in_dir("no/such"), SLICE("x"), 0600), -ENOENT, "no directory");
	t_int(mkdir(in_dir("full"), 0700), 0, "mkdir");
	t_int(file_mkdirs(in_dir("full/x"), 0700), 0, "mkdirs");
	t_int(file_replace(in_dir("full"), SLICE("x"), 0600), -EISDIR, "a directory in the way");
	t_int(n_entries(dir), 2, "no leftovers beside the file");
	t_int(file_mkdirs(in_dir("a/b/c"), 0700), 0, "mkdirs");
	t_int(file_mkdirs(in_dir("a/b/c"), 0700), 0, "mkdirs again");
	t_int(file_mkdirs(in_dir("file/x"), 0700), -ENOTDIR, "a file in the way");
}

static void channels(void)
{
	size_t before = n_open(), n = 0;
	int pair[2], pipes[2], got[CHANNEL_FDS];
	char m[16];

	t_int(channel_pair(pair), 0, "pair");
	t_int(pipe(pipes), 0, "pipe");
	t_int(channel_recv(pair[1], m, sizeof(m), got, &n), -EAGAIN, "nothing yet");
	t_int(channel_wait(pair[1], 1), -ETIMEDOUT, "nothing comes");
	t_int(channel_send(pair[0], "hello", 5, pipes, 2), 0, "sent with descriptors");
	t_int(channel_wait(pair[1], 1000), 0, "it comes");
	t_int(channel_recv(pair[1], m, sizeof(m), got, &n), 5, "received");
	t_ok(n == 2 && memcmp(m, "hello", 5) == 0, "message and descriptors");
	t_ok(fcntl(got[0], F_GETFD) & FD_CLOEXEC, "close-on-exec");
	t_ok(write(got[1], "x", 1) == 1 && read(pipes[0], m, 1) == 1, "the same pipe");
	(void)close(got[0]);
	(void)close(got[1]);
	t_int(channel_send(pair[0], "a", 1, NULL, 0), 0, "one");
	t_int(channel_send(pair[0], "bc", 2, NULL, 0), 0, "two");
	t_int(channel_recv(pair[1], m, sizeof(m), NULL, NULL), 1, "messages keep their bounds");
	t_int(channel_recv(pair[1], m, sizeof(m), NULL, NULL), 2, "and their order");
	t_int(channel_send(pair[0], "01234567890123456789", 20, pipes, 1), 0, "long");
	t_int(channel_recv(pair[1], m, sizeof(m), got, &n), -EMSGSIZE, "longer than the buffer");
	t_int(channel_send(pair[0], "x", 1, pipes, 2), 0, "unwanted descriptors");
	t_int(channel_recv(pair[1], m, sizeof(m), NULL, NULL), 1, "are closed");
	t_int(channel_send(pair[0], "x", 1, pipes, CHANNEL_FDS + 1), -E2BIG, "too many");
	(void)close(pair[1]);
	t_int(channel_send(pair[0], "x", 1, NULL, 0), -EPIPE, "the peer is gone");
	t_int(channel_recv(pair[0], m, sizeof(m), NULL, NULL), 0, "the peer is gone");
	(void)close(pair[0]);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	t_int(n_open(), before, "no descriptor lost");
}

static void channel_full(void)
{
	int pair[2], r = 0;
	char m[512] = "";

	t_int(channel_pair(pair), 0, "pair");
	for (int i = 0; i < 100000 && r == 0; i++)
		r = channel_send(pair[0], m, sizeof(m), NULL, 0);
	t_int(r, -EAGAIN, "a peer that does not read");
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void database(void)
{
	static const char insert[] = "INSERT INTO t (i, s, b, d) VALUES (?1, ?2, ?3, ?4)";
	cleanup(db_closep) struct db *d = NULL;
	struct db_query *q = NULL;
	struct db *other = NULL;

	t_int(db_open(in_dir("no/such.db"), false, &d), -ENOENT, "no directory");
	t_int(db_open(in_dir("x.db"), true, &other), -ENOENT, "read-only and not there");
	t_int(db_open(in_dir("x.db"), false, &d), 0, "open");
	t_int(db_exec(d, "CREATE TABLE t (i INTEGER PRIMARY KEY, s TEXT, b BLOB, d REAL);"), 0, "make");
	t_int(db_exec(d, "NONSENSE"), -EIO, "nonsense");
	t_ok(strstr(db_error(d), "NONSENSE") != NULL, "SQLite's words: %s", db_error(d));
	for (int64_t i = 1; i <= 40; i++)
		t_int(db_run(d, insert, "itbd", i, SLICE("te'xt"), SLICE("a\0b"), 0.5), 0, "run");
	t_int(db_run(d, insert, "isss", (int64_t)1, NULL, NULL, NULL), -EIO, "key taken");
	t_int(db_run(d, insert, "isss", INT64_MAX, NULL, NULL, NULL), 0, "usable afterwards; NULLs");
	t_int(db_run(d, insert, "x", 1), -EINVAL, "unknown type letter");
	t_int(db_query(d, &q, "SELECT i, s, b, d FROM t WHERE i >= ?1 ORDER BY i", "i", (int64_t)40),
	      0, "query");
	t_int(db_next(q), 1, "a row");
	t_int(db_int(q, 0), 40, "int");
	t_str(db_text(q, 1), "te'xt", "text");
	t_ok(slice_eq(db_blob(q, 2), SLICE("a\0b")), "blob");
	t_ok(db_double(q, 3) > 0.49 && db_double(q, 3) < 0.51, "double");
	t_int(db_next(q), 1, "a row");
	t_ok(db_int(q, 0) == INT64_MAX && strcmp(db_text(q, 1), "") == 0, "NULL reads as nothing");
	t_int(db_next(q), 0, "no more");
	db_query_free(q);
	t_int(db_open(in_dir("x.db"), true, &other), 0, "a second reader");
	t_int(db_run(other, "DELETE FROM t", NULL), -EIO, "may only read");
	db_close(other);
}

/* More statements than the cache holds, each used again. */
static void statements(void)
{
	static char sql[50][64];
	cleanup(db_closep) struct db *d = NULL;
	struct db_query *q = NULL;

	t_int(db_open(in_dir("y.db"), false, &d), 0, "open");
	t_int(db_exec(d, "CREATE TABLE t (n INTEGER)"), 0, "make");
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
			(void)snprintf(sql[i], sizeof(sql[i]), "INSERT INTO t VALUES (%zu)", i);
			t_int(db_run(d, sql[i], NULL), 0, "run");
		}
	}
	t_int(db_query(d, &q, "SELECT count(*), sum(n) FROM t", NULL), 0, "query");
	t_int(db_next(q), 1, "a row");
	t_ok(db_int(q, 0) == 150 && db_int(q, 1) == 3 * 49 * 25, "each was run");
	db_query_free(q);
}

static void digests(void)
{
	unsigned char one[DIGEST_LEN], two[DIGEST_LEN];
	struct digest *d = digest_new();
	char hex[DIGEST_HEX_LEN];
	int fd = open(in_dir("file"), O_RDONLY);

	t_int(digest_of(SLICE("abc"), one), 0, "one shot");
	text_hex(one, sizeof(one), hex);
	t_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "FIPS 180-4");
	t_int(digest_add(d, SLICE("a")), 0, "in pieces");
	t_int(digest_add(d, SLICE("bc")), 0, "in pieces");
	t_int(digest_end(d, two), 0, "in pieces");
	t_ok(memcmp(one, two, sizeof(one)) == 0, "the same");
	t_int(digest_of(SLICE("second"), one), 0, "of a file");
	t_int(digest_fd(fd, 6, two), 0, "of a file");
	t_ok(memcmp(one, two, sizeof(one)) == 0, "of a file");
	t_int(digest_fd(fd, 5, two), -EFBIG, "of a file that is too long");
	(void)close(fd);
}

static void clocks(void)
{
	char text[CLOCK_TEXT_LEN];

	clock_format(0, text);
	t_str(text, "1970-01-01T00:00:00.000Z", "the epoch");
	clock_format(1795199460123456789U, text);
	t_str(text, "2026-11-20T18:31:00.123Z", "a time");
	t_ok(clock_mono_ns() <= clock_mono_ns(), "forward");
}

int main(void)
{
	char clean[64];

	if (!mkdtemp(dir))
		return 1;
	files();
	channels();
	channel_full();
	database();
	statements();
	digests();
	clocks();
	(void)snprintf(clean, sizeof(clean), "rm -r %s", dir);
	t_int(system(clean), 0, "cleaned up");
	return t_done();
}
