/* The HTTP/1.1 codec: tests/data/h1/cases.txt whole and in every cut, limits, writing. */
#include "base/file.h"
#include "tests/t.h"
#include "tests/unit/wire/h1_run.h"
#include "wire/codec.h"

#include <errno.h>
#include <malloc.h>

#define CASES "tests/data/h1/cases.txt"
#define RANDOM_CUTS 12

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static size_t fixed_len(void *ctx)
{
	return *(size_t *)ctx - 1;
}

static size_t random_len(void *ctx)
{
	(void)ctx;
	return random_below(40);
}

/* The escapes of cases.txt. */
static void unescape(struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];
		unsigned int hex;

		if (c == '|') {
			(void)buf_str(out, "\r\n");
			continue;
		}
		if (c == '\\' && i + 1 < in.len) {
			c = in.ptr[++i];
			if (c == 'x' && i + 2 < in.len && sscanf(in.ptr + i + 1, "%2x", &hex) == 1) {
				c = (char)hex;
				i += 2;
			} else {
				c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' :
				    c == '0' ? '\0' : c;
			}
		}
		(void)buf_append(out, slice_of(&c, 1));
	}
}

static void case_check(const char *side, const char *verdict, const char *what, struct slice in,
		       const char *row)
{
	enum h1_side of = strcmp(side, "req") == 0 ? H1_REQUESTS :
			  strcmp(side, "res") == 0 ? H1_RESPONSES :
						     H1_ANSWER_TO_HEAD;
	struct h1_verdict whole = h1_run(of, in, NULL, NULL, 0), cut;
	bool fine = strcmp(verdict, "ok") == 0, same;
	size_t one = 1;

	t_int(whole.r, fine ? 0 : -EPROTO, "verdict of: %s", row);
	t_str(fine ? whole.trace.data : whole.why, what, "events or reason of: %s", row);
	t_int(whole.status, fine ? 0 : atoi(verdict), "status of: %s", row);
	t_int(whole.wrong, 0, "order of events: %s", row);
	for (int i = 0; i <= RANDOM_CUTS; i++) {
		cut = h1_run(of, in, i ? random_len : fixed_len, &one, i % 3 == 2 ? 1 : 0);
		same = cut.r == whole.r && strcmp(cut.why, whole.why) == 0 &&
		       strcmp(cut.trace.data, whole.trace.data) == 0;
		t_ok(same, "cut %d differs: \"%s\" (%s), whole \"%s\" (%s): %s", i, cut.trace.data,
		     cut.why, whole.trace.data, whole.why, row);
		h1_verdict_done(&cut);
	}
	h1_verdict_done(&whole);
}

static void cases(void)
{
	struct buf file, message;
	struct slice rest;
	int n = 0;

	buf_init(&file, 1 << 20);
	buf_init(&message, 1 << 16);
	t_int(file_read(CASES, &file), 0, "%s can be read (run from the project's root)", CASES);
	for (rest = buf_slice(&file); rest.len; n++) {
		const char *eol = memchr(rest.ptr, '\n', rest.len);
		size_t len = eol ? (size_t)(eol - rest.ptr) : rest.len;
		char row[1024], *column[4], *save = row;

		slice_copy(row, sizeof(row), slice_sub(rest, 0, len));
		rest = slice_from(rest, len + 1);
		if (row[0] == '#' || row[0] == '\0')
			continue;
		for (int i = 0; i < 4; i++)
			column[i] = i < 3 ? strsep(&save, "\t") : save;
		if (!column[3]) {
			t_ok(false, "row without four columns: %s", row);
			continue;
		}
		buf_clear(&message);
		unescape(slice_str(column[3]), &message);
		case_check(column[0], column[1], column[2], buf_slice(&message), column[3]);
	}
	t_ok(n > 120, "the table is there: %d rows", n);
	buf_done(&file);
	buf_done(&message);
}

static void repeat(struct buf *b, const char *s, size_t n)
{
	while (n--)
		(void)buf_str(b, s);
}

/* Bytes of every kind have an end; the reason tells which. */
static void limits(void)
{
	static const struct {
		const char *what, *before, *unit, *after;
		size_t fits, over;
		int r, status;
		const char *why;
	} rows[] = {
		{ "target", "GET /", "x", " HTTP/1.1\r\nHost: a.b\r\n\r\n", HTTP_TARGET_MAX - 1,
		  HTTP_TARGET_MAX, -EMSGSIZE, 414, "target is too long" },
		{ "endless target", "GET /", "x", "", 0, 2 * HTTP_TARGET_MAX, -EMSGSIZE, 414,
		  "target is too long" },
		{ "header lines", "GET / HTTP/1.1\r\nHost: a.b\r\n", "X: y\r\n", "\r\n",
		  HTTP_HEADERS_MAX - 1, HTTP_HEADERS_MAX, -EMSGSIZE, 431, "too many header lines" },
		{ "head", "GET / HTTP/1.1\r\nHost: a.b\r\nX:", "y", "\r\n\r\n",
		  HTTP_HEAD_MAX - 33, HTTP_HEAD_MAX - 32, -EMSGSIZE, 431, "head is too long" },
		{ "endless head", "GET / HTTP/1.1\r\nHost: a.b\r\nX:", "y", "", 0,
		  HTTP_HEAD_MAX + 999, -EMSGSIZE, 431, "head is too long" },
		{ "extension of a chunk",
		  "GET / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n0;", "x",
		  "\r\n\r\n", 256, 257, -EPROTO, 400, "chunk extensions are too long" },
		{ "extensions of a message",
		  "GET / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "1;0123456789abcdef\r\nx\r\n", "0\r\n\r\n", 256, 257, -EPROTO, 400,
		  "chunk extensions are too long" },
		{ "trailers", "GET / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
		  "abc:de\r\n", "\r\n", 1023, 1024, -EPROTO, 400, "trailers are too long" },
		{ "host", "GET / HTTP/1.1\r\nHost: ", "a", "\r\n\r\n", 261, 262, -EPROTO, 400,
		  "host is too long" },
	};
	struct h1_verdict v;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int over = 0; over < 2; over++) {
			if (!over && !rows[i].fits)
				continue;
			buf_clear(&b);
			repeat(&b, rows[i].before, 1);
			repeat(&b, rows[i].unit, over ? rows[i].over : rows[i].fits);
			repeat(&b, rows[i].after, 1);
			for (size_t step = 1; step < 200000; step *= 37) {
				v = h1_run(H1_REQUESTS, buf_slice(&b), fixed_len, &step, 0);
				t_int(v.r, over ? rows[i].r : 0, "%s, %s, step %zu: %s",
				      rows[i].what, over ? "over" : "fits", step, v.why);
				t_int(v.status, over ? rows[i].status : 0, "%s", rows[i].what);
				t_str(v.why, over ? rows[i].why : "", "%s", rows[i].what);
				h1_verdict_done(&v);
			}
		}
	}
	buf_clear(&b);
	repeat(&b, "HTTP/1.1 103 Early Hints\r\n\r\n", 33);
	v = h1_run(H1_RESPONSES, buf_slice(&b), NULL, NULL, 0);
	t_str(v.why, "too many interim responses", "interim");
	h1_verdict_done(&v);
	buf_done(&b);
}

static const char request[] = "POST /v1/chat HTTP/1.1\r\nHost: A.b\r\nX-One: 1\r\n"
			      "content-length: 2\r\nx-two: 2\r\nX-ONE: 3\r\n\r\nhi";

/* Keeps a copy of the head in an arena. */
struct keeper {
	struct arena arena;
	struct http_head head;
	int r;
};

static int keep_head(void *ctx, uint32_t stream, struct http_head *h)
{
	struct keeper *k = ctx;

	(void)stream;
	k->r = http_head_copy(h, &k->arena, &k->head);
	return 0;
}

static int ignore_data(void *ctx, uint32_t stream, struct slice d)
{
	(void)ctx, (void)stream, (void)d;
	return 0;
}

static int ignore_end(void *ctx, uint32_t stream)
{
	(void)ctx, (void)stream;
	return 0;
}

static const struct codec_events keeping = { keep_head, ignore_data, ignore_end };

/* The bytes a head is written in. */
static const char *written(const struct http_head *h, struct codec *c, struct buf *b)
{
	buf_clear(b);
	if (c->ops->send_head(c, 1, h, b) < 0)
		return "refused";
	(void)buf_append(b, slice_of("", 1));
	return b->data;
}

static void heads(void)
{
	struct keeper k = { .r = -1 };
	struct codec *in, *out;
	struct http_head h;
	struct buf b;

	arena_init(&k.arena, 1 << 20);
	buf_init(&b, 1 << 20);
	(void)h1_requests(&keeping, &k, &in);
	(void)h1_responses(&keeping, &k, &out);
	t_ok(in->ops->feed(in, slice_of(request, sizeof(request) - 1)) > 0 && k.r == 0, "copied");
	t_str(written(&k.head, out, &b),
	      "POST /v1/chat HTTP/1.1\r\nHost: A.b\r\nX-One: 1\r\ncontent-length: 2\r\n"
	      "x-two: 2\r\nX-ONE: 3\r\n\r\n", "a head leaves as it came: order, case, values");
	t_ok(slice_is(http_header(&k.head, "X-TWO"), "2"), "looked up in any case");
	t_ok(!http_header(&k.head, "x-three").ptr, "absent is NULL");
	t_int(http_header_set(&k.head, "x-one", SLICE("new"), &k.arena), 0, "set");
	t_int(http_header_set(&k.head, "X-Three", SLICE(""), &k.arena), 0, "added");
	t_int(http_header_set(&k.head, "X-Two", slice_of(NULL, 0), &k.arena), 0, "removed");
	t_int(http_head_frame(&k.head, &k.arena, 17), 0, "another length");
	t_str(written(&k.head, out, &b),
	      "POST /v1/chat HTTP/1.1\r\nHost: A.b\r\nX-One: new\r\ncontent-length: 17\r\n"
	      "X-Three: \r\n\r\n", "first replaced in place, others removed, new at the end");
	t_int(http_head_frame(&k.head, &k.arena, -1), 0, "chunked");
	t_ok(k.head.chunked && k.head.content_length == -1, "fields follow");
	t_str(written(&k.head, out, &b),
	      "POST /v1/chat HTTP/1.1\r\nHost: A.b\r\nX-One: new\r\nTransfer-Encoding: chunked\r\n"
	      "X-Three: \r\n\r\n", "chunked in the place of the length");
	t_int(http_head_frame(&k.head, &k.arena, -2), 0, "no body");
	t_ok(k.head.no_body && !k.head.chunked, "a request without framing has no body");
	t_str(written(&k.head, out, &b),
	      "POST /v1/chat HTTP/1.1\r\nHost: A.b\r\nX-One: new\r\nX-Three: \r\n\r\n", "none");
	t_int(http_head_frame(&k.head, &k.arena, -3), -EINVAL, "nonsense");
	h = k.head;
	h.minor = 0;
	t_int(http_head_frame(&h, &k.arena, -1), -EINVAL, "no chunks in HTTP/1.0");

	/* Response splitting by a value, name, target or reason of ours. */
	t_int(http_header_set(&k.head, "x-evil", SLICE("a\r\nX: y"), &k.arena), 0, "set");
	t_str(written(&k.head, out, &b), "refused", "CR LF in a value");
	t_int(http_header_set(&k.head, "x-evil", slice_of(NULL, 0), &k.arena), 0, "removed");
	t_int(http_header_set(&k.head, "x evil", SLICE("a"), &k.arena), 0, "set");
	t_str(written(&k.head, out, &b), "refused", "blank in a name");
	t_int(http_header_set(&k.head, "x evil", slice_of(NULL, 0), &k.arena), 0, "removed");
	k.head.target = SLICE("/ HTTP/1.1\r\n");
	t_str(written(&k.head, out, &b), "refused", "target with a line in it");
	h = (struct http_head){ .minor = 1, .status = 200, .reason = SLICE("a\nb"),
				.content_length = -1 };
	t_str(written(&h, in, &b), "refused", "reason with a line in it");
	h.reason = SLICE("OK");
	t_str(written(&h, in, &b), "HTTP/1.1 200 OK\r\n\r\n", "a bare response");
	in->ops->free(in);
	out->ops->free(out);
	arena_done(&k.arena);
	buf_done(&b);
}

/* Bodies are framed as the head said, and cannot leave that frame. */
static void bodies(void)
{
	struct http_head h = { .minor = 1, .status = 200, .reason = SLICE("OK"),
			       .content_length = -1, .chunked = true };
	struct codec *c;
	struct buf b;

	buf_init(&b, 1 << 20);
	(void)h1_requests(&keeping, NULL, &c);
	t_int(c->ops->send_head(c, 1, &h, &b), 0, "head");
	buf_clear(&b);
	t_int(c->ops->send_data(c, 1, SLICE("0123456789abcdefg"), &b), 0, "data");
	t_int(c->ops->send_data(c, 1, SLICE(""), &b), 0, "empty data write no last chunk");
	t_int(c->ops->send_end(c, 1, &b), 0, "end");
	t_ok(slice_is(buf_slice(&b), "11\r\n0123456789abcdefg\r\n0\r\n\r\n"), "chunks");
	buf_clear(&b);
	h.no_body = true;
	t_int(c->ops->send_head(c, 1, &h, &b), 0, "answer to HEAD");
	buf_clear(&b);
	t_int(c->ops->send_data(c, 1, SLICE("x"), &b), -EINVAL, "no data where no body is");
	t_int(c->ops->send_end(c, 1, &b), 0, "end");
	t_int(buf_size(&b), 0, "and no last chunk");
	h = (struct http_head){ .minor = 1, .status = 200, .content_length = 3 };
	t_int(c->ops->send_head(c, 1, &h, &b), 0, "length");
	buf_clear(&b);
	t_int(c->ops->send_end(c, 1, &b), -EINVAL, "too few bytes");
	t_int(c->ops->send_data(c, 1, SLICE("ab"), &b), 0, "two");
	t_int(c->ops->send_data(c, 1, SLICE("cd"), &b), -EINVAL, "too many bytes");
	t_int(c->ops->send_data(c, 1, SLICE("c"), &b), 0, "three");
	t_int(c->ops->send_end(c, 1, &b), 0, "just right");
	t_ok(slice_is(buf_slice(&b), "abc"), "as it is");
	h.chunked = true;
	t_int(c->ops->send_head(c, 1, &h, &b), -EINVAL, "two framings");
	h = (struct http_head){ .minor = 1, .status = 200, .content_length = -1 };
	t_int(c->ops->send_head(c, 1, &h, &b), 0, "until the end");
	t_int(c->ops->send_data(c, 1, SLICE("anything"), &b), 0, "any number");
	c->ops->free(c);
	buf_done(&b);
}

static int fail(void *ctx, uint32_t stream)
{
	(void)ctx, (void)stream;
	return -ECANCELED;
}

/* Size at rest, back to rest after a cut head, and what a callback says. */
static void owner(void)
{
	static const struct codec_events failing = { keep_head, ignore_data, fail };
	struct keeper k = { .r = 0 };
	struct codec *c;

	arena_init(&k.arena, 1 << 20);
	(void)h1_requests(&keeping, &k, &c);
	t_ok(malloc_usable_size(c) < 500, "idle: %zu bytes", malloc_usable_size(c));
	t_ok(h1_idle(c), "idle at first");
	t_int(c->ops->feed(c, slice_of(request, 20)), 20, "a cut head is kept");
	t_ok(!h1_idle(c), "half read is not idle");
	t_int(c->ops->feed(c, slice_of(request + 20, sizeof(request) - 21)),
	      sizeof(request) - 21, "the rest");
	t_ok(!h1_idle(c), "not idle until next()");
	t_int(c->ops->feed(c, SLICE("GET")), 0, "pipelined bytes wait with the owner");
	c->ops->next(c);
	t_ok(h1_idle(c), "idle again");
	c->ops->free(c);
	(void)h1_requests(&failing, &k, &c);
	t_int(c->ops->feed(c, slice_of(request, sizeof(request) - 1)), -ECANCELED,
	      "the callback's error comes back");
	t_int(c->ops->feed(c, SLICE("GET")), -EPROTO, "and the codec is dead");
	t_int(c->ops->eof(c), -EPROTO, "for good");
	c->ops->free(c);
	arena_done(&k.arena);
}

int main(void)
{
	cases();
	limits();
	heads();
	bodies();
	owner();
	return t_done();
}
