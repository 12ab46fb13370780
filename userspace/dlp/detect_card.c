/* Payment cards: issuer prefix, length, Luhn, groups as printed on the card (ISO/IEC 7812). */
#include "dlp/detector.h"
#include "dlp/validate.h"

static int check_card(const struct match *m)
{
	struct slice v = match_value(m);
	char d[20];
	size_t n = digits_of(v, d, sizeof(d));

	if (!valid_card(v))
		return 0;
	return v.len > n ? 97 : 92;
}

#define NOT_AFTER "(?![A-Za-z0-9_/+=])(?![.-][0-9])"

const struct detector detect_card[] = {
	{ .type = "CREDIT_CARD", .trigger = { TRIGGER_NUMBER },
	  .value = "(?:[2-6][0-9]{3}([ -]?)[0-9]{4}\\1[0-9]{4}\\1[0-9]{4}(?:\\1[0-9]{1,3})?|"
		   "3[0-9]{3}([ -]?)[0-9]{6}\\2[0-9]{4,5}|[2-6][0-9]{13,18})" NOT_AFTER,
	  .check = check_card, .flags = DETECT_EDGE, .rank = 75 },
	/* 12 and 13 digits are also milliseconds since 1970 and article numbers. */
	{ .type = "CREDIT_CARD", .trigger = { TRIGGER_NUMBER }, .value = "[2-6][0-9]{11,12}" NOT_AFTER,
	  .words = "card|cards|credit|debit|cc|maestro|visa|pan|payment", .check = check_card,
	  .flags = DETECT_EDGE, .rank = 75 },
	{ .type = NULL },
};
