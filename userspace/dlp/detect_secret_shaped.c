/* Secrets known by the frame around them: PEM blocks, URLs with a password, storage keys. */
#include "dlp/detector.h"
#include "dlp/validate.h"

#include "base/text.h"

#include <ctype.h>

/* The body carries at least 64 characters of base64: headers alone stand in every manual. */
static int check_pem(const struct match *m)
{
	struct slice v = match_value(m);
	size_t body = 0;

	for (size_t i = 30; i < v.len; i++)
		body += isalnum((unsigned char)v.ptr[i]) || v.ptr[i] == '+' || v.ptr[i] == '/';
	return body >= 64 + 20 && entropy_of(v) > 300 ? 98 : 0;
}

/* A certificate begins the same way; what it is stands in the first line. */
static int check_pem_base64(const struct match *m)
{
	struct buf head;
	int confidence = 0;

	buf_init(&head, 64);
	if (text_base64_decode(slice_sub(match_value(m), 0, 52), &head) == 0 &&
	    slice_find(buf_slice(&head), SLICE("PRIVATE")) >= 0)
		confidence = 97;
	buf_done(&head);
	return confidence;
}

static int check_url(const struct match *m)
{
	struct slice v = match_value(m), user = slice_sub(m->text, m->lead + 3, m->start);
	static const char *const common[] = { "password", "pass", "passwd", "secret", "pw", "pwd" };

	/* A scheme stands before "://". */
	if (m->lead == 0 || !isalnum((unsigned char)m->text.ptr[m->lead - 1]))
		return 0;
	/* postgres:postgres is what every container starts with. */
	if (slice_eq(v, slice_sub(user, 0, user.len - 1)))
		return 0;
	if (v.ptr[0] == '$' || v.ptr[0] == '{' || v.ptr[0] == '%' || v.ptr[0] == ':')
		return 0;
	/* user:password is what documentation writes; it is a credential all the same, a weak one. */
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (slice_ieq(v, slice_str(common[i])))
			return 40;
	return user.len > 1 ? 85 : 70;
}

static int check_aws_secret(const struct match *m)
{
	struct slice v = match_value(m);
	unsigned lower = 0, upper = 0, digit = 0;

	for (size_t i = 0; i < v.len; i++) {
		lower += islower((unsigned char)v.ptr[i]) != 0;
		upper += isupper((unsigned char)v.ptr[i]) != 0;
		digit += isdigit((unsigned char)v.ptr[i]) != 0;
	}
	return lower >= 4 && upper >= 4 && digit >= 1 && entropy_of(v) >= 400 ? 92 : 0;
}

static int check_storage(const struct match *m)
{
	return entropy_of(match_value(m)) >= 400 ? 95 : 0;
}

/* Exactly three characters of the token stand to the left. */
static int check_azure(const struct match *m)
{
	if (m->start > 3 && (isalnum((unsigned char)m->text.ptr[m->start - 4]) ||
			     strchr("_.~-", m->text.ptr[m->start - 4])))
		return 0;
	return check_storage(m);
}

static bool key_is_aws_secret(struct slice key)
{
	char low[64];
	size_t n = 0;

	for (size_t i = 0; i < key.len && n < sizeof(low) - 1; i++)
		if (isalnum((unsigned char)key.ptr[i]))
			low[n++] = (char)tolower((unsigned char)key.ptr[i]);
	low[n] = '\0';
	return strstr(low, "secretaccesskey") || strstr(low, "awssecret") || strstr(low, "secretkey");
}

#define PEM_BODY "[A-Za-z0-9+/=:,.;()@<>_ \\t\\r\\n\\\\\"'*#|&]"

const struct detector detect_secret_shaped[] = {
	/* Line ends may be real, or escapes that nobody undid; a PGP block has header lines. */
	{ .type = "PRIVATE_KEY", .trigger = { "-----BEGIN " },
	  .value = "-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
		   "(?:" PEM_BODY "{0,300}+-(?!-)){0,12}+" PEM_BODY "{40,12000}+"
		   "-----END (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----",
	  .check = check_pem, .flags = DETECT_SECRET, .rank = 90 },
	/* Cut before its END, or each line with a comment sign before it: then lines of base64 only. */
	{ .type = "PRIVATE_KEY", .trigger = { "-----BEGIN " },
	  .value = "-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
		   "(?:[\\s\"'+*#>|,;/\\\\nr]{1,16}[A-Za-z0-9+/]{40,78}={0,2}){1,100}",
	  .check = check_pem, .flags = DETECT_SECRET, .rank = 90 },
	/* The same, base64 once more: Kubernetes secrets, CI variables. */
	{ .type = "PRIVATE_KEY", .trigger = { "LS0tLS1CRUdJTi" },
	  .value = "LS0tLS1CRUdJTi[A-Za-z0-9+/]{60,12000}={0,2}(?![A-Za-z0-9+/=])",
	  .check = check_pem_base64, .flags = DETECT_SECRET | DETECT_EDGE, .rank = 90 },
	{ .type = "PRIVATE_KEY", .trigger = { "PuTTY-User-Key-F" },
	  .value = "PuTTY-User-Key-File-[23]: [A-Za-z0-9+/=:,.;()@<>_ \\t\\r\\n-]{100,8000}?"
		   "Private-MAC: [0-9a-f]{40,64}",
	  .check = check_pem, .flags = DETECT_SECRET | DETECT_EDGE, .rank = 90 },
	{ .type = "URL_CREDENTIAL", .trigger = { "://" },
	  .lead = "://[^\\s:/@\"'<>\\\\]{0,100}+:",
	  .value = "[^\\s/@\"'<>\\\\]{1,120}(?:@[^\\s/@\"'<>\\\\]{1,60})?(?=@[A-Za-z0-9\\[{$<%_-])",
	  .check = check_url, .flags = DETECT_SECRET, .rank = 60 },
	/* aws_secret_access_key = "...", AwsSecretKey: ... */
	{ .type = "AWS_KEY", .trigger = { "secret" },
	  .lead = "secret[A-Za-z_ .-]{0,24}+\\\\?[\"')\\]]{0,2}+[ \\t]{0,8}+[=:>,]{1,2}+[ \\t]{0,8}+"
		  "(?:\\\\?[\"'`])?+",
	  .value = "(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
	  .check = check_aws_secret, .key = key_is_aws_secret,
	  .flags = DETECT_SECRET | DETECT_IGNORE_CASE, .rank = 80 },
	/* The key id and the secret side by side, as the console's CSV has them. */
	{ .type = "AWS_KEY", .trigger = { "A[KS]IA[A-Z2-7]{4}" },
	  .lead = "(?:AKIA|ASIA)[A-Z2-7]{16}[ \\t\"',:;|\\\\/]{1,6}+",
	  .value = "(?<![A-Za-z0-9+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
	  .check = check_aws_secret, .flags = DETECT_SECRET | DETECT_EDGE, .rank = 80 },
	{ .type = "AZURE_STORAGE_KEY", .trigger = { "AccountKey=", "SharedAccessKey=" },
	  .lead = "(?:AccountKey|SharedAccessKey)=",
	  .value = "[A-Za-z0-9+/]{43,88}={0,2}(?![A-Za-z0-9+/=])",
	  .check = check_storage, .flags = DETECT_SECRET, .rank = 80 },
	/* Three characters stand before the digit; they stay out of the finding, or every short word
	 * at the end of a stream's event would have to wait for the next. */
	{ .type = "AZURE_SECRET", .trigger = { "\\dQ~[A-Za-z0-9_.~-]" },
	  .value = "(?<=[A-Za-z0-9_.~-]{3})[0-9]Q~[A-Za-z0-9_.~-]{31,34}(?![A-Za-z0-9_.~-])",
	  .check = check_azure, .flags = DETECT_SECRET, .rank = 80 },
	{ .type = NULL },
};
