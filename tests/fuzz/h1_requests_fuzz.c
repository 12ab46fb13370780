/* HTTP/1.1 requests: whole and in cuts the same events and verdict, and events in order. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire/h1_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct slice in = slice_of(data, len);
	uint32_t seed = fuzz_seed(data, len);
	struct h1_verdict whole = h1_run(H1_REQUESTS, in, NULL, NULL, 0);
	struct h1_verdict cut = h1_run(H1_REQUESTS, in, fuzz_next_len, &seed, seed & 1);

	fuzz_must(!whole.wrong && !cut.wrong, "events out of order");
	fuzz_must(whole.r == 0 || whole.why, "refused without a reason");
	fuzz_must((whole.r == 0) == (cut.r == 0), "the verdict depends on the cuts: %s, %s",
		  whole.why, cut.why);
	fuzz_must(strcmp(whole.trace.data, cut.trace.data) == 0,
		  "the events depend on the cuts: %s, %s", whole.trace.data, cut.trace.data);
	h1_verdict_done(&whole);
	h1_verdict_done(&cut);
	return 0;
}
