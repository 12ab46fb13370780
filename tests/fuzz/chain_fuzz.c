/* Lines of the audit log as anybody may have left them: taken apart, verified, read, shown. */
#include "audit/chain.h"
#include "audit/record.h"
#include "base/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void line_check(struct slice line)
{
	struct chain c = { 0 }, made = { 0 };
	struct chain_link l;
	struct buf out;

	(void)chain_check(&c, line, true);
	(void)chain_check(&c, line, false);
	if (chain_parse(line, &l) == 0 && (l.members.ptr + l.members.len > line.ptr + line.len ||
					   l.hash.len != DIGEST_HEX_LEN - 1))
		abort();
	/* Whatever members say, a line made of them is taken apart into the same. */
	buf_init(&out, 2 * CHAIN_LINE_MAX);
	if (chain_line(&made, line, &out) == 0 &&
	    (chain_parse(slice_of(out.data, out.len - 1), &l) < 0 || !slice_eq(l.members, line)))
		abort();
	buf_done(&out);
}

/* A record of any bytes becomes JSON that reads back, without anything a terminal would obey. */
static void record_check(const uint8_t *data, size_t size)
{
	static struct record r, back;
	struct buf json, text;
	json_t *j;

	for (size_t i = 0; size && i < sizeof(r); i++)
		((unsigned char *)&r)[i] = data[i % size] ^ (unsigned char)(i / size);
	r.kind = 1 + r.kind % RECORD_ADMIN;
	r.start_ns = r.start_ns % 4000000000000000000ULL + 1000000000U;
	record_sane(&r);
	buf_init(&json, RECORD_JSON_MAX + 8);
	buf_init(&text, 64U << 10);
	(void)buf_str(&json, "{");
	if (record_json(&r, &json) < 0 || buf_str(&json, "}") < 0)
		abort();
	for (size_t i = 0; i < json.len; i++)
		if ((unsigned char)json.data[i] < 0x20 || json.data[i] == 0x7f)
			abort();
	j = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
	if (!j || record_read(j, &back) < 0 || record_text(&back, (struct record_style){ 0 }, &text) < 0)
		abort();
	json_decref(j);
	buf_done(&json);
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record r;

	line_check(slice_of(data, size));
	record_check(data, size);
	if (record_unpack(slice_of(data, size), &r) == 0)
		record_sane(&r);
	return 0;
}
