/* What the DLP engine costs: a scan of 16 bytes, of 2 KB and 256 KB, and a stream event. */
#include "base/clock.h"
#include "dlp/dlp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An LLM request as agents send it: prose, JSON, code, numbers, no secret. */
static const char sample[] =
	"{\"model\": \"gpt-4o-mini\", \"max_tokens\": 4096, \"temperature\": 0.2, \"messages\": [{\"role\": "
	"\"system\", \"content\": \"You are a careful assistant that answers questions about the code base. "
	"Read the files before you change them, keep the style of the surrounding lines, and say what you "
	"did not check.\"}, {\"role\": \"user\", \"content\": \"The job that runs at 03:15 on 2026-11-02 stopped "
	"after 1,284 of 20,000 rows. The log says: worker 7 timed out after 30000 ms, retry 3 of 5. What could "
	"that be? The function is below.\\n\\nint queue_take(struct queue *q, struct item *out)\\n{\\n\\tif "
	"(q->head == q->tail)\\n\\t\\treturn -EAGAIN;\\n\\t*out = q->items[q->head++ % q->cap];\\n\\treturn 0;\\n}"
	"\\n\\nIt is called from three places and none of them looks at the result twice.\"}]} ";

static char *fill(size_t len)
{
	char *text = malloc(len);

	for (size_t i = 0; text && i < len; i++)
		text[i] = sample[i % (sizeof(sample) - 1)];
	return text;
}

static double scan_us(struct dlp *d, struct dlp_scratch *s, size_t len)
{
	char *text = fill(len);
	size_t rounds = 40000000 / (len + 2000);
	struct arena arena;
	double best = 1e9;

	arena_init(&arena, 1u << 30);
	for (int run = 0; text && run < 5; run++) {
		uint64_t start = clock_mono_ns();

		for (size_t i = 0; i < rounds; i++) {
			struct findings f = { .arena = &arena };

			(void)dlp_scan(d, s, slice_of(text, len),
				       (struct slice){ 0 }, 0, &f);
			arena_reset(&arena);
		}
		best = (double)(clock_mono_ns() - start) / 1e3 / (double)rounds < best
			       ? (double)(clock_mono_ns() - start) / 1e3 / (double)rounds
			       : best;
	}
	arena_done(&arena);
	free(text);
	return best;
}

/* A stream of 16-byte events; what they cost, and how much of the text waited for a later one. */
static double event_us(struct dlp *d, struct dlp_scratch *s, bool mail, double *held)
{
	uint8_t action[256];
	size_t len = 1u << 20, events = 0, waited = 0;
	char *text = fill(len);
	struct arena arena;
	struct findings f = { .arena = &arena };
	struct window *w = NULL;
	uint64_t start, safe = 0;

	memset(action, DLP_REDACT, sizeof(action));
	if (!mail)
		action[dlp_type_find(d, "EMAIL_ADDRESS")] = DLP_LOG;
	arena_init(&arena, 1u << 24);
	if (!text || window_new(d, s, action, 4096, &w) < 0)
		exit(1);
	start = clock_mono_ns();
	for (size_t at = 0; at + 16 <= len; at += 16, events++) {
		(void)window_push(w, slice_of(text + at, 16), false, &f, &safe);
		waited += at + 16 - safe;
	}
	*held = (double)waited / (double)events;
	window_free(w);
	arena_done(&arena);
	free(text);
	return (double)(clock_mono_ns() - start) / 1e3 / (double)events;
}

int main(void)
{
	struct mistakes m;
	struct dlp *d = NULL;
	struct dlp_scratch *s = NULL;
	uint64_t start = clock_mono_ns();
	static const size_t lens[] = { 16, 64, 256, 2048, 16384, 262144 };

	mistakes_init(&m, "detectors");
	if (dlp_new((struct slice){ 0 }, &m, &d) < 0 || dlp_scratch_new(d, &s) < 0)
		return 1;
	printf("compile %.0f ms, %zu types\n", (double)(clock_mono_ns() - start) / 1e6, dlp_n_types(d));
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		double us = scan_us(d, s, lens[i]);

		printf("scan %7zu bytes %9.2f us %8.0f MB/s\n", lens[i], us, (double)lens[i] / us);
	}
	for (int mail = 0; mail < 2; mail++) {
		double held, us = event_us(d, s, mail, &held);

		printf("event of 16 bytes, all types redacted%s %.2f us, %.1f bytes held after it\n",
		       mail ? ":               " : " but e-mail: ", us, held);
	}
	dlp_scratch_free(s);
	dlp_unref(d);
	mistakes_done(&m);
	return 0;
}
