/* Ordered header lists: look up, change, copy. */
#include "wire/codec.h"

#include <errno.h>

static bool name_is(const struct header *f, struct slice name)
{
	/* Most names differ in length or in their first letter: no call for those. */
	return f->name.len == name.len && name.len && (f->name.ptr[0] | 0x20) == (name.ptr[0] | 0x20) &&
	       slice_ieq(f->name, name);
}

struct slice http_header(const struct http_head *h, const char *name)
{
	struct slice want = slice_str(name);

	for (size_t i = 0; i < h->n_headers; i++)
		if (name_is(&h->headers[i], want))
			return h->headers[i].value;
	return slice_of(NULL, 0);
}

/* Copies into a block with room for all; NULL stays NULL. */
static struct slice put(char **at, struct slice s)
{
	char *p = *at;

	if (!s.ptr)
		return s;
	if (s.len)
		memcpy(p, s.ptr, s.len);
	*at += s.len;
	return slice_of(p, s.len);
}

int http_head_copy(const struct http_head *in, struct arena *a, struct http_head *out)
{
	size_t len = in->method.len + in->target.len + in->authority.len + in->reason.len;
	struct http_head h = *in;
	char *at;

	for (size_t i = 0; i < in->n_headers; i++)
		len += in->headers[i].name.len + in->headers[i].value.len;
	h.headers = arena_bytes(a, sizeof(*h.headers) * in->n_headers + len);
	if (!h.headers)
		return -ENOMEM;
	at = (char *)(h.headers + in->n_headers);
	h.method = put(&at, in->method);
	h.target = put(&at, in->target);
	h.authority = put(&at, in->authority);
	h.reason = put(&at, in->reason);
	for (size_t i = 0; i < in->n_headers; i++) {
		h.headers[i].name = put(&at, in->headers[i].name);
		h.headers[i].value = put(&at, in->headers[i].value);
	}
	*out = h;
	return 0;
}

/* A longer array with f at its end. */
static int append(struct http_head *h, struct header f, struct arena *a)
{
	struct header *all = arena_bytes(a, sizeof(*all) * (h->n_headers + 1));

	if (!all)
		return -ENOMEM;
	if (h->n_headers)
		memcpy(all, h->headers, sizeof(*all) * h->n_headers);
	all[h->n_headers++] = f;
	h->headers = all;
	return 0;
}

/* Drops every header of that name from index `from` on. */
static void drop(struct http_head *h, struct slice name, size_t from)
{
	size_t kept = from;

	for (size_t i = from; i < h->n_headers; i++)
		if (!name_is(&h->headers[i], name))
			h->headers[kept++] = h->headers[i];
	h->n_headers = kept;
}

int http_header_set(struct http_head *h, const char *name, struct slice value, struct arena *a)
{
	struct slice want = slice_str(name), copy;
	size_t i = 0;

	if (!value.ptr) {
		drop(h, want, 0);
		return 0;
	}
	copy = arena_dup(a, value);
	if (!copy.ptr)
		return -ENOMEM;
	while (i < h->n_headers && !name_is(&h->headers[i], want))
		i++;
	if (i == h->n_headers) {
		want = arena_dup(a, want);
		return want.ptr ? append(h, (struct header){ want, copy }, a) : -ENOMEM;
	}
	h->headers[i].value = copy;
	drop(h, want, i + 1);
	return 0;
}

static bool is_framing(const struct header *f)
{
	return name_is(f, SLICE("content-length")) || name_is(f, SLICE("transfer-encoding"));
}

int http_head_frame(struct http_head *h, struct arena *a, int64_t content_length)
{
	struct slice name = content_length < 0 ? SLICE("Transfer-Encoding") :
						 SLICE("Content-Length");
	struct slice value = SLICE("chunked");
	size_t kept = 0;
	bool placed = content_length == -2;
	int r;

	if (content_length < -2 || (content_length == -1 && h->minor == 0))
		return -EINVAL;
	if (content_length >= 0) {
		value = arena_printf(a, "%lld", (long long)content_length);
		if (!value.ptr)
			return -ENOMEM;
	}
	for (size_t i = 0; i < h->n_headers; i++) {
		struct header f = h->headers[i];

		if (is_framing(&f)) {
			if (placed)
				continue;
			placed = true;
			f = (struct header){ slice_ieq(f.name, name) ? f.name : name, value };
		}
		h->headers[kept++] = f;
	}
	h->n_headers = kept;
	if (!placed) {
		r = append(h, (struct header){ name, value }, a);
		if (r < 0)
			return r;
	}
	h->chunked = content_length == -1;
	h->content_length = content_length < 0 ? -1 : content_length;
	if (h->method.ptr)
		h->no_body = content_length == -2;
	return 0;
}
