/* Content codings: the first byte picks one; whole and in cuts the same, and never over the cap. */
#include "tests/fuzz/fuzz.h"
#include "wire/encoding.h"

#include <errno.h>

#define CAP (1U << 20)

static int decode(enum coding coding, struct slice in, uint32_t *seed, struct buf *out)
{
	struct decoder *d = NULL;
	int r = decoder_new(coding, &d);

	while (r == 0 && in.len) {
		size_t n = seed ? MIN(in.len, 1 + fuzz_next_len(seed)) : in.len;

		r = decoder_feed(d, slice_sub(in, 0, n), out);
		in = slice_from(in, n);
	}
	if (r == 0)
		r = decoder_end(d);
	decoder_free(d);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t seed = fuzz_seed(data, len);
	struct buf whole, cut;
	enum coding coding;
	struct slice in;
	int a, b;

	if (!len)
		return 0;
	coding = (enum coding)(CODING_GZIP + data[0] % (CODING_UNKNOWN - CODING_GZIP));
	in = slice_of(data + 1, len - 1);
	buf_init(&whole, CAP);
	buf_init(&cut, CAP);
	a = decode(coding, in, NULL, &whole);
	b = decode(coding, in, &seed, &cut);
	fuzz_must(a == 0 || a == -EBADMSG || a == -ENOBUFS, "error %d", a);
	fuzz_must(buf_size(&whole) <= CAP && buf_size(&cut) <= CAP, "over the cap");
	fuzz_must((a == 0) == (b == 0), "the verdict depends on the cuts: %d, %d", a, b);
	fuzz_must(a != 0 || slice_eq(buf_slice(&whole), buf_slice(&cut)),
		  "the text depends on the cuts");
	buf_done(&whole);
	buf_done(&cut);
	return 0;
}
