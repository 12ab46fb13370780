/* Replacing ranges of a text. */
#include "wire/jsonspan.h"

#include <errno.h>

int splice_apply(struct slice in, const struct splice *edits, size_t n, struct buf *out)
{
	size_t at = 0, len = in.len;
	int r;

	for (size_t i = 0; i < n; i++) {
		if (edits[i].start < at || edits[i].end < edits[i].start || edits[i].end > in.len)
			return -EINVAL;
		at = edits[i].end;
		len -= edits[i].end - edits[i].start;
		if (__builtin_add_overflow(len, edits[i].with.len, &len))
			return -ENOBUFS;
	}
	r = buf_reserve(out, len);
	if (r < 0)
		return r;
	at = 0;
	for (size_t i = 0; i < n; i++) {
		(void)buf_append(out, slice_sub(in, at, edits[i].start));
		(void)buf_append(out, edits[i].with);
		at = edits[i].end;
	}
	(void)buf_append(out, slice_from(in, at));
	return 0;
}
