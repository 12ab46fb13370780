/* What tells a secret from a word: entropy, checksums, decoding, and the usual placeholders. */
#include "dlp/validate.h"

#include "base/def.h"
#include "base/text.h"

#include <ctype.h>
#include <math.h>

unsigned entropy_of(struct slice in)
{
	unsigned count[256] = { 0 };
	double bits = 0;

	if (!in.len)
		return 0;
	for (size_t i = 0; i < in.len; i++)
		count[(unsigned char)in.ptr[i]]++;
	for (size_t i = 0; i < in.len; i++) {
		unsigned *n = &count[(unsigned char)in.ptr[i]];

		if (*n) {
			double p = (double)*n / (double)in.len;

			bits -= p * log2(p);
			*n = 0;
		}
	}
	return (unsigned)(bits * 100);
}

static uint32_t crc32_ieee(struct slice in)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < in.len; i++) {
		crc ^= (unsigned char)in.ptr[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

bool valid_crc32_base62(struct slice token)
{
	static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint64_t want = 0;
	long prefix = slice_find(token, SLICE("_")) + 1;

	if (prefix < 1 || token.len < (size_t)prefix + 6)
		return false;
	for (size_t i = token.len - 6; i < token.len; i++) {
		const char *at = strchr(base62, token.ptr[i]);

		if (!at || !token.ptr[i])
			return false;
		want = want * 62 + (uint64_t)(at - base62);
	}
	return want == crc32_ieee(slice_sub(token, (size_t)prefix, token.len - 6));
}

static bool part_is_object(struct slice part, bool header)
{
	struct buf json;
	bool good = false;

	buf_init(&json, 65536);
	if (text_base64_decode(part, &json) == 0) {
		struct slice s = slice_trim(buf_slice(&json));

		while (s.len && isspace((unsigned char)s.ptr[s.len - 1]))
			s.len--;
		good = s.len >= 2 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}' &&
		       (!header || slice_find(s, SLICE("\"alg\"")) >= 0 ||
			slice_find(s, SLICE("\"typ\"")) >= 0);
	}
	buf_done(&json);
	return good;
}

bool valid_jwt(struct slice in)
{
	long dot = slice_find(in, SLICE(".")), second;

	if (dot < 0)
		return false;
	second = slice_find(slice_from(in, (size_t)dot + 1), SLICE("."));
	if (second < 0)
		return false;
	return part_is_object(slice_sub(in, 0, (size_t)dot), true) &&
	       part_is_object(slice_sub(in, (size_t)dot + 1, (size_t)(dot + 1 + second)), false);
}

static bool find_word(struct slice in, const char *lower)
{
	size_t n = strlen(lower);

	for (size_t i = 0; i + n <= in.len; i++)
		if ((in.ptr[i] | 0x20) == (lower[0] | 0x20) && strncasecmp(in.ptr + i, lower, n) == 0)
			return true;
	return false;
}

/* One byte, or a run up or down the alphabet, fills most of the value: xxxxxxxx, 1234567890. */
static bool is_run(struct slice in)
{
	size_t same = 0, step = 0;

	for (size_t i = 1; i < in.len; i++) {
		same += in.ptr[i] == in.ptr[i - 1];
		step += in.ptr[i] == in.ptr[i - 1] + 1;
	}
	return in.len > 3 && (same * 4 >= in.len * 3 || step * 10 >= in.len * 9);
}

bool is_placeholder(struct slice in)
{
	static const char *const words[] = { "xxxxxx",	    "******",	   "......",	"changeme",
					     "change_me",   "change-me",   "process.env", "os.environ",
					     "placeholder", "redacted",	   "<your",	"your_",
					     "your-",	    "-here",	   "_here",	"insert_",
					     "replace_",    "example_key", "examplekey", "yourapi",
					     "yourkey",	    "yourtoken",   "dummy" };
	static const char *const opens[] = { "${", "{{", "<", "$(", "%(", "#{", "@{", "[[" };

	for (size_t i = 0; i < ARRAY_LEN(opens); i++)
		if (slice_starts(in, slice_str(opens[i])))
			return true;
	if (slice_ends(in, SLICE("EXAMPLE")) || slice_ends(in, SLICE("EXAMPLEKEY")))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (find_word(in, words[i]))
			return true;
	/* [CREDIT_CARD]: what we wrote ourselves. */
	if (in.len > 2 && in.ptr[0] == '[' && isupper((unsigned char)in.ptr[1]))
		return true;
	return is_run(in);
}
