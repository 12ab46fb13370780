/* Checksums and shapes of numbers that people and banks hand out. Secrets: validate_secret.c. */
#include "dlp/validate.h"

#include "base/def.h"

#include <ctype.h>

size_t digits_of(struct slice in, char *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++)
		if (isdigit((unsigned char)in.ptr[i])) {
			if (n < max)
				out[n] = in.ptr[i];
			n++;
		}
	return n;
}

static int number_of(const char *digits, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++)
		v = v * 10 + (digits[i] - '0');
	return v;
}

static bool all_same(const char *d, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (d[i] != d[0])
			return false;
	return true;
}

/* Sum of digit * weight. */
static int weighted(const char *d, const char *weights, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (d[i] - '0') * weights[i];
	return sum;
}

static bool luhn(const char *d, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++) {
		int v = d[n - 1 - i] - '0';

		if (i % 2)
			v = v * 2 > 9 ? v * 2 - 9 : v * 2;
		sum += v;
	}
	return sum % 10 == 0;
}

bool valid_luhn(struct slice in)
{
	char d[64];
	size_t n = digits_of(in, d, sizeof(d));

	return n >= 2 && n <= sizeof(d) && luhn(d, n);
}

bool valid_card(struct slice in)
{
	/* Prefix ranges at their own number of digits, and the lengths in use (mask: bit per length). */
	static const struct { int digits, from, to; uint32_t lengths; } brands[] = {
		{ 4, 2200, 2204, 1u << 16 | 1u << 19 },                       /* Mir */
		{ 4, 2221, 2720, 1u << 16 },                                  /* Mastercard */
		{ 3, 300, 305, 1u << 14 | 1u << 16 },                         /* Diners */
		{ 2, 34, 34, 1u << 15 }, { 2, 37, 37, 1u << 15 },             /* Amex */
		{ 4, 3528, 3589, 1u << 16 | 1u << 17 | 1u << 18 | 1u << 19 }, /* JCB */
		{ 2, 36, 36, 1u << 14 | 1u << 16 },                           /* Diners */
		{ 2, 38, 39, 1u << 14 | 1u << 16 },
		{ 1, 4, 4, 1u << 13 | 1u << 16 | 1u << 19 },                  /* Visa */
		{ 2, 50, 50, 0xff000 }, { 2, 56, 59, 0xff000 },               /* Maestro, 12-19 */
		{ 2, 51, 55, 1u << 16 },                                      /* Mastercard */
		{ 4, 6011, 6011, 1u << 16 | 1u << 19 },                       /* Discover */
		{ 2, 62, 62, 1u << 16 | 1u << 17 | 1u << 18 | 1u << 19 },     /* UnionPay */
		{ 3, 644, 649, 1u << 16 | 1u << 19 }, { 2, 65, 65, 1u << 16 | 1u << 19 },
		{ 2, 60, 60, 0xff000 }, { 2, 61, 61, 0xff000 }, { 2, 63, 63, 0xff000 },
		{ 2, 66, 69, 0xff000 },                                       /* Maestro */
	};
	char d[20];
	size_t n = digits_of(in, d, sizeof(d));

	if (n < 12 || n > 19 || !luhn(d, n) || all_same(d, n))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(brands); i++) {
		int prefix = number_of(d, (size_t)brands[i].digits);

		if (prefix >= brands[i].from && prefix <= brands[i].to &&
		    (brands[i].lengths >> n & 1))
			return true;
	}
	return false;
}

/* ISO 13616 registry, release 99: total length by country. */
static const char iban_lengths[][5] = {
	"AD24", "AE23", "AL28", "AT20", "AZ28", "BA20", "BE16", "BG22", "BH22", "BI27", "BR29", "BY28",
	"CH21", "CR22", "CY28", "CZ24", "DE22", "DJ27", "DK18", "DO28", "EE20", "EG29", "ES24", "FI18",
	"FK18", "FO18", "FR27", "GB22", "GE22", "GI23", "GL18", "GR27", "GT28", "HN28", "HR21", "HU28",
	"IE22", "IL23", "IQ23", "IS26", "IT27", "JO30", "KW30", "KZ20", "LB28", "LC32", "LI21", "LT20",
	"LU20", "LV21", "LY25", "MC27", "MD24", "ME22", "MK19", "MN20", "MR27", "MT31", "MU30", "NI28",
	"NL18", "NO15", "OM23", "PK24", "PL28", "PS29", "PT25", "QA29", "RO24", "RS22", "RU33", "SA24",
	"SC31", "SD18", "SE24", "SI19", "SK24", "SM27", "SO23", "ST25", "SV28", "TL23", "TN24", "TR26",
	"UA29", "VA22", "VG24", "XK20", "YE30",
};

bool valid_iban(struct slice in)
{
	char c[40];
	size_t n = 0, want = 0;
	unsigned rest = 0;

	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == ' ' || in.ptr[i] == '-')
			continue;
		if (n == sizeof(c) || !isalnum((unsigned char)in.ptr[i]))
			return false;
		c[n++] = (char)toupper((unsigned char)in.ptr[i]);
	}
	if (n < 15)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(iban_lengths) && !want; i++)
		if (memcmp(iban_lengths[i], c, 2) == 0)
			want = (size_t)number_of(iban_lengths[i] + 2, 2);
	if (n != want)
		return false;
	for (size_t i = 0; i < n; i++) {
		char one = c[(i + 4) % n];

		rest = isdigit((unsigned char)one) ? rest * 10 + (unsigned)(one - '0')
						   : rest * 100 + (unsigned)(one - 'A') + 10;
		rest %= 97;
	}
	return rest == 1;
}

bool valid_ssn(struct slice in)
{
	char d[9];
	int area, all;

	if (digits_of(in, d, sizeof(d)) != sizeof(d) || all_same(d, 9))
		return false;
	area = number_of(d, 3);
	all = number_of(d, 9);
	return area != 0 && area != 666 && area < 900 && number_of(d + 3, 2) != 0 &&
	       number_of(d + 5, 4) != 0 && all != 78051120 && all != 219099999 && all != 123456789;
}

bool valid_itin(struct slice in)
{
	char d[9];
	int group;

	if (digits_of(in, d, sizeof(d)) != sizeof(d) || d[0] != '9')
		return false;
	group = number_of(d + 3, 2);
	return (group >= 50 && group <= 65) || (group >= 70 && group <= 88) ||
	       (group >= 90 && group <= 92) || group >= 94;
}

bool valid_aba(struct slice in)
{
	static const char weights[] = { 3, 7, 1, 3, 7, 1, 3, 7, 1 };
	char d[9];
	int prefix;

	if (digits_of(in, d, sizeof(d)) != sizeof(d) || all_same(d, 9))
		return false;
	prefix = number_of(d, 2);
	return weighted(d, weights, 9) % 10 == 0 &&
	       (prefix <= 12 || (prefix >= 21 && prefix <= 32) || (prefix >= 61 && prefix <= 72) ||
		prefix == 80);
}

bool valid_nhs(struct slice in)
{
	static const char weights[] = { 10, 9, 8, 7, 6, 5, 4, 3, 2 };
	char d[10];
	int check;

	if (digits_of(in, d, sizeof(d)) != sizeof(d) || all_same(d, 10))
		return false;
	check = 11 - weighted(d, weights, 9) % 11;
	return check != 10 && check % 11 == d[9] - '0';
}

bool valid_pesel(struct slice in)
{
	static const char weights[] = { 1, 3, 7, 9, 1, 3, 7, 9, 1, 3 };
	char d[11];
	int month, day;

	if (digits_of(in, d, sizeof(d)) != sizeof(d))
		return false;
	month = number_of(d + 2, 2) % 20; /* the century is added to the month */
	day = number_of(d + 4, 2);
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
	       (10 - weighted(d, weights, 10) % 10) % 10 == d[10] - '0';
}

bool valid_cpf(struct slice in)
{
	static const char weights[] = { 11, 10, 9, 8, 7, 6, 5, 4, 3, 2 };
	char d[11];

	if (digits_of(in, d, sizeof(d)) != sizeof(d) || all_same(d, 11))
		return false;
	return weighted(d, weights + 1, 9) * 10 % 11 % 10 == d[9] - '0' &&
	       weighted(d, weights, 10) * 10 % 11 % 10 == d[10] - '0';
}

bool valid_tckn(struct slice in)
{
	char d[11];
	int odd = 0, even = 0;

	if (digits_of(in, d, sizeof(d)) != sizeof(d) || d[0] == '0')
		return false;
	for (int i = 0; i < 9; i++)
		*(i % 2 ? &even : &odd) += d[i] - '0';
	return ((odd * 7 - even) % 10 + 10) % 10 == d[9] - '0' &&
	       (odd + even + d[9] - '0') % 10 == d[10] - '0';
}

bool valid_verhoeff(struct slice in)
{
	static const char mul[10][11] = { "0123456789", "1234067895", "2340178956", "3401289567",
					  "4012395678", "5987604321", "6598710432", "7659821043",
					  "8765932104", "9876543210" };
	static const char perm[8][11] = { "0123456789", "1576283094", "5803796142", "8916043527",
					  "9453126870", "4286573901", "2793806415", "7046913258" };
	char d[12];
	int c = 0;

	if (digits_of(in, d, sizeof(d)) != sizeof(d) || d[0] < '2' || all_same(d, 12))
		return false;
	for (size_t i = 0; i < sizeof(d); i++)
		c = mul[c][perm[i % 8][d[sizeof(d) - 1 - i] - '0'] - '0'] - '0';
	return c == 0;
}

bool valid_nif(struct slice in)
{
	char d[9];
	size_t n = digits_of(in, d + 1, 8);
	char first = in.len ? (char)toupper((unsigned char)in.ptr[0]) : 0;
	char letter = in.len ? (char)toupper((unsigned char)in.ptr[in.len - 1]) : 0;

	d[0] = first >= 'X' && first <= 'Z' ? (char)('0' + first - 'X') : '0';
	if (n != (first >= 'X' && first <= 'Z' ? 7u : 8u))
		return false;
	return letter == "TRWAGMYFPDXBNJZSQVHLCKE"[number_of(d, n + 1) % 23];
}

bool valid_codice_fiscale(struct slice in)
{
	/* Value of a character in odd places (D.M. 23/12/1976): letters, then digits as A-J. */
	static const char odd[] = { 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18,
				    20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23 };
	int sum = 0;

	if (in.len != 16)
		return false;
	for (size_t i = 0; i < 15; i++) {
		int c = toupper((unsigned char)in.ptr[i]);
		int v = isdigit(c) ? c - '0' : c - 'A';

		if (v < 0 || v > 25)
			return false;
		sum += i % 2 ? v : odd[v];
	}
	return toupper((unsigned char)in.ptr[15]) == 'A' + sum % 26;
}

bool valid_curp(struct slice in)
{
	static const char alphabet[] = "0123456789ABCDEFGHIJKLMN\1OPQRSTUVWXYZ"; /* \1: N with tilde */
	int sum = 0;

	if (in.len != 18)
		return false;
	for (size_t i = 0; i < 17; i++) {
		const char *at = strchr(alphabet, toupper((unsigned char)in.ptr[i]));

		if (!at)
			return false;
		sum += (int)(at - alphabet) * (18 - (int)i);
	}
	return (10 - sum % 10) % 10 == in.ptr[17] - '0';
}

static const struct { const char *name; validator run; } validators[] = {
	{ "luhn", valid_luhn },     { "card", valid_card },       { "iban", valid_iban },
	{ "us_ssn", valid_ssn },    { "us_aba", valid_aba },      { "uk_nhs", valid_nhs },
	{ "pl_pesel", valid_pesel }, { "br_cpf", valid_cpf },     { "tr_tckn", valid_tckn },
	{ "verhoeff", valid_verhoeff }, { "es_nif", valid_nif }, { "it_cf", valid_codice_fiscale },
	{ "jwt", valid_jwt },
};
const char *const validator_names[] = { "luhn",	   "card",   "iban",    "us_ssn",   "us_aba",
					"uk_nhs",  "pl_pesel", "br_cpf", "tr_tckn", "verhoeff",
					"es_nif",  "it_cf",  "jwt",     NULL };

validator validator_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(validators); i++)
		if (strcmp(validators[i].name, name) == 0)
			return validators[i].run;
	return NULL;
}
