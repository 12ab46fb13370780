/* Event streams: the same events whole and in cuts, and their raw bytes are the stream. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire/sse_same.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t seed = fuzz_seed(data, len);
	const char *how = sse_differs(slice_of(data, len), fuzz_next_len, &seed);

	fuzz_must(!how, "%s", how);
	return 0;
}
