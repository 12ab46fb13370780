/* E-mail addresses and telephone numbers. */
#include "dlp/detector.h"
#include "dlp/validate.h"

static int check_email(const struct match *m)
{
	struct slice v = match_value(m);

	/* Names of retina images and package versions: logo@2x.png, left-pad@1.3.0. */
	static const char *const files[] = { ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".js",
					     ".css", ".ts", ".py" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (slice_ends(v, slice_str(files[i])))
			return 0;
	return 95;
}

/* 7 to 15 digits (E.164), not one digit repeated. */
static int check_phone(const struct match *m)
{
	struct slice v = match_value(m);
	char d[16];
	size_t n = digits_of(v, d, sizeof(d)), same = 0;

	if (n < 7 || n > 15)
		return 0;
	/* 2026-11-02 is a day. */
	if (n == 8 && v.len >= 10 && (v.ptr[4] == '-' || v.ptr[4] == '.') && v.ptr[7] == v.ptr[4])
		return 0;
	if (slice_find(slice_of(d, n), SLICE("123456789")) >= 0)
		return 0;
	for (size_t i = 1; i < n; i++)
		same += d[i] == d[i - 1];
	return same + 2 >= n ? 0 : 80;
}

#define PHONE_WORDS                                                                                \
	"phone|phones|telephone|tel|mobile|cell|cellphone|fax|call|phone number|whatsapp|sms|"     \
	"contact|desk|telefon|telefono|numero|handy|portable|celular|reach|dial|text me|ring"

const struct detector detect_contact[] = {
	{ .type = "EMAIL_ADDRESS", .trigger = { "@[A-Za-z0-9]" },
	  .back = "A-Za-z0-9_%+.-",
	  .value = "[A-Za-z0-9_%+.-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.){1,6}"
		   "[A-Za-z]{2,24}(?![A-Za-z0-9])(?![-_.][A-Za-z0-9])",
	  .check = check_email, .flags = DETECT_BACK, .rank = 40 },
	{ .type = "PHONE_NUMBER", .trigger = { "\\+[1-9][\\d (.-]" },
	  .value = "(?<![A-Za-z0-9+/=.])\\+[1-9][0-9]{0,3}[ .-]?(?:\\([0-9]{1,4}\\)[ .-]?)?"
		   "[0-9]{1,4}(?:[ .-]?[0-9]{2,5}){1,5}(?:x[0-9]{1,5})?(?![A-Za-z0-9+/=])(?!\\.[0-9])",
	  .check = check_phone, .rank = 42 },
	/* North America: the separators are the shape; an area never begins with 0 or 1. */
	{ .type = "PHONE_NUMBER", .trigger = { "\\(\\d{2}[\\d)]" },
	  .value = "(?<![A-Za-z0-9_])\\([2-9][0-9]{2}\\)[ -]?[2-9][0-9]{2}[-. ][0-9]{4}"
		   "(?:x[0-9]{1,5})?(?![A-Za-z0-9])(?![-.][0-9])",
	  .check = check_phone, .rank = 42 },
	{ .type = "PHONE_NUMBER", .trigger = { TRIGGER_NUMBER },
	  .value = "(?<![0-9A-Za-z_.+/=-])[2-9][0-9]{2}([-.])[2-9][0-9]{2}\\1[0-9]{4}"
		   "(?:x[0-9]{1,5})?(?![A-Za-z0-9])(?![-.][0-9])",
	  .check = check_phone, .flags = DETECT_EDGE, .rank = 42 },
	/* Any other national form only beside a word that says so. */
	{ .type = "PHONE_NUMBER", .trigger = { TRIGGER_NUMBER, "\\(\\d{2}[\\d)]" },
	  .value = "(?<![0-9A-Za-z_.+/=:(-])(?<!\\) )(?:\\([0-9]{2,5}\\)[ .-]?|[0-9]{2,5}[ .-]?)"
		   "[0-9]{2,5}(?:[ .-]?[0-9]{2,4}){0,3}(?:x[0-9]{1,5})?(?![A-Za-z0-9])(?![-.:][0-9])",
	  .words = PHONE_WORDS, .check = check_phone,
	  .flags = DETECT_EDGE | DETECT_WORDS_LEFT, .rank = 41 },
	{ .type = NULL },
};
