/* Any text in any cuts: the window finds what the whole text holds, and keeps its promise of `safe`. */
#include "dlp/dlp.h"
#include "tests/fuzz/fuzz.h"

static struct dlp *dlp;
static struct dlp_scratch *scratch;

static int by_place(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (int)x->type - (int)y->type;
}

static void feed(struct slice text, const uint8_t *action, uint32_t seed, struct findings *out)
{
	struct window *w;
	uint64_t safe = 0, before = 0;
	size_t at = 0, seen = 0;

	fuzz_must(window_new(dlp, scratch, action, 20000, &w) == 0, "no window");
	do {
		size_t n = fuzz_next_len(&seed);

		n = n < text.len - at ? n : text.len - at;
		fuzz_must(window_push(w, slice_sub(text, at, at + n), at + n == text.len, out, &safe) == 0,
			  "push failed");
		at += n;
		fuzz_must(safe >= before && safe <= at, "safe went back, or ahead of the text");
		for (; seen < out->n; seen++) {
			const struct finding *f = &out->items[seen];

			fuzz_must(f->end <= safe, "returned before it settled");
			fuzz_must(action[f->type] < DLP_REDACT || f->start >= before, "let out, then found");
		}
		before = safe;
	} while (at < text.len);
	fuzz_must(safe == text.len, "the end did not settle");
	window_free(w);
	if (out->n)
		qsort(out->items, out->n, sizeof(*out->items), by_place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t seed = fuzz_seed(data, len);
	struct slice text = slice_of(data, len);
	struct arena arena;
	struct findings whole = { .arena = &arena }, cut = { .arena = &arena };
	struct mistakes m;
	uint8_t action[256];

	mistakes_init(&m, "fuzz");
	fuzz_must(dlp || (dlp_new((struct slice){ 0 }, &m, &dlp) == 0 &&
			  dlp_scratch_new(dlp, &scratch) == 0), "the engine does not compile");
	mistakes_done(&m);
	if (!len)
		return 0;
	for (size_t i = 0; i < sizeof(action); i++)
		action[i] = (uint8_t)(seed & 1 ? DLP_REDACT : (seed >> (i % 29)) % 4);
	arena_init(&arena, 1u << 28);
	fuzz_must(dlp_scan_for(dlp, scratch, action, text, (struct slice){ 0 }, 0, &whole) == 0, "scan");
	feed(text, action, seed, &cut);
	fuzz_must(whole.n == cut.n, "%zu findings whole, %zu cut", whole.n, cut.n);
	for (size_t i = 0; i < whole.n; i++) {
		const struct finding *a = &whole.items[i], *b = &cut.items[i];

		fuzz_must(a->type == b->type && a->start == b->start && a->end == b->end &&
			  a->confidence == b->confidence, "finding %zu: %s %u-%u whole, %s %u-%u cut", i,
			  dlp_type_name(dlp, a->type), a->start, a->end, dlp_type_name(dlp, b->type),
			  b->start, b->end);
	}
	arena_done(&arena);
	return 0;
}
