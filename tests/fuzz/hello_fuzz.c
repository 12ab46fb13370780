/* The ClientHello peek, fed anything: what it lends must lie within what it was given. */
#include "tls/tls.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must_lie_in(struct slice s, const uint8_t *data, size_t len, const struct hello *h)
{
	const char *in = (const char *)data;
	bool inside = s.ptr >= in && s.ptr + s.len <= in + len;
	bool joined = s.ptr >= h->joined && s.ptr + s.len <= h->joined + sizeof(h->joined);

	if (s.len && !inside && !joined)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct hello h;

	if (hello_parse(slice_of(data, len), &h) != 0)
		return 0;
	must_lie_in(h.sni, data, len, &h);
	if (h.n_alpn > HELLO_ALPN_MAX || h.sni.len > 255)
		abort();
	for (size_t i = 0; i < h.n_alpn; i++)
		must_lie_in(h.alpn[i], data, len, &h);
	return 0;
}
