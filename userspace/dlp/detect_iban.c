/* Bank accounts: IBAN (ISO 13616), together or in groups of four. */
#include "dlp/detector.h"
#include "dlp/validate.h"

static int check_iban(const struct match *m)
{
	return valid_iban(match_value(m)) ? 97 : 0;
}

const struct detector detect_iban[] = {
	{ .type = "IBAN", .trigger = { "[A-Z]{2}[ \\d]\\d" },
	  .value = "[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}(?![A-Za-z0-9])",
	  .check = check_iban, .flags = DETECT_EDGE, .rank = 75 },
	/* Grouped: the last group is short, and a word may follow; the longest that fits the country
	 * is tried by the length the country has (one pattern a group count keeps it exact). */
#define GROUPS(n)                                                                                  \
	{ .type = "IBAN", .trigger = { "[A-Z]{2}[ \\d]\\d" },                          \
	  .value = "[A-Z]{2}[0-9]{2}([ -])(?:[A-Z0-9]{4}\\1){" #n "}[A-Z0-9]{1,4}(?![A-Za-z0-9])", \
	  .check = check_iban, .flags = DETECT_EDGE, .rank = 75 }
	GROUPS(2), GROUPS(3), GROUPS(4), GROUPS(5), GROUPS(6),
#undef GROUPS
	{ .type = NULL },
};
