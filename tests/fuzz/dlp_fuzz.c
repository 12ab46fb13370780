/* Any text under any key: findings in order, inside the text, never one over another. */
#include "dlp/dlp.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct dlp *dlp;
	static struct dlp_scratch *scratch;
	static const char *const keys[] = { "", "password", "ssn", "card", "authorization" };
	struct slice text = slice_of(data, len);
	struct arena arena;
	struct findings f = { .arena = &arena };
	struct mistakes m;

	mistakes_init(&m, "fuzz");
	fuzz_must(dlp || (dlp_new((struct slice){ 0 }, &m, &dlp) == 0 &&
			  dlp_scratch_new(dlp, &scratch) == 0), "the engine does not compile");
	mistakes_done(&m);
	arena_init(&arena, 1u << 28);
	fuzz_must(dlp_scan(dlp, scratch, text, slice_str(keys[fuzz_seed(data, len) % 5]), 3, &f) == 0,
		  "scan failed");
	for (size_t i = 0; i < f.n; i++) {
		fuzz_must(f.items[i].start < f.items[i].end && f.items[i].end <= len, "out of the text");
		fuzz_must(i == 0 || f.items[i].start >= f.items[i - 1].end, "one over another");
		fuzz_must(f.items[i].type < dlp_n_types(dlp) && f.items[i].part == 3, "no such type");
		fuzz_must(f.items[i].confidence >= 1 && f.items[i].confidence <= 100, "confidence");
	}
	arena_done(&arena);
	return 0;
}
