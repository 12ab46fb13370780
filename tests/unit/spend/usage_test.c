/* Estimates: near the truth where a guess is asked for, over it where a reserve is. */
#include "tests/t.h"

#include "base/def.h"
#include "spend/prices.h"

#include <stdint.h>

static const struct {
	const char *dialect;
	size_t bytes;
	bool tools;
	int64_t likely, reserve;
} rows[] = {
	{ "openai-chat", 1000, false, 222, 353 },
	{ "openai-chat", 1000, true, 231, 386 },
	{ "openai-responses", 1000, false, 210, 351 },
	{ "anthropic-messages", 1000, true, 822, 883 },
	{ "cohere-v2-chat", 1000, true, 1813, 1813 },
	{ "gemini", 10, true, 1, 4 },
	{ "unheard", 1000, false, 224, 353 },
	{ NULL, 0, false, 13, 13 },
};

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *name = rows[i].dialect ? rows[i].dialect : "none";

		t_int(usage_estimate_input(rows[i].dialect, rows[i].bytes, rows[i].tools), rows[i].likely,
		      "likely, %s", name);
		t_int(usage_reserve_input(rows[i].dialect, rows[i].bytes, rows[i].tools),
		      rows[i].reserve, "reserve, %s", name);
		t_ok(rows[i].reserve >= rows[i].likely, "a reserve is never less, %s", name);
	}
	t_int(usage_estimate_output("openai-chat", 489), 100, "output");
	t_int(usage_estimate_output("openai-chat", 490), 101, "output rounds up");
	t_int(usage_estimate_output("anthropic-messages", 399), 100, "output of anthropic");
	t_int(usage_estimate_output("x", 0), 0, "no text, no tokens");
	t_ok(usage_reserve_input("openai-chat", SIZE_MAX, true) > 0, "no overflow of a reserve");
	t_ok(usage_estimate_output("openai-chat", SIZE_MAX) > 0, "no overflow of an estimate");
	return t_done();
}
