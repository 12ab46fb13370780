/* Checksums: the numbers people really have, one digit off, and two neighbours swapped. */
#include "dlp/validate.h"

#include "base/def.h"
#include "tests/t.h"

static const struct { const char *why; validator run; const char *text; bool valid; } rows[] = {
	{ "test card of the schemes", valid_card, "4111 1111 1111 1111", true },
	{ "one digit off", valid_card, "4111111111111112", false },
	{ "two neighbours swapped", valid_card, "5555555555545444", false },
	{ "11 digits are no card", valid_card, "40000000002", false },
	{ "no issuer begins so", valid_card, "9999999999999995", false },
	{ "Amex has 15", valid_card, "378282246310005", true },
	{ "one digit repeated", valid_card, "0000000000000000", false },
	{ "Luhn itself", valid_luhn, "79927398713", true },
	{ "Luhn itself, one off", valid_luhn, "79927398714", false },
	{ "IBAN grouped", valid_iban, "DE89 3704 0044 0532 0130 00", true },
	{ "IBAN of a wrong length", valid_iban, "DE89370400440532013", false },
	{ "IBAN one off", valid_iban, "GB82WEST12345698765433", false },
	{ "no such country", valid_iban, "QQ82WEST12345698765432", false },
	{ "SSN", valid_ssn, "536-90-4399", true },
	{ "area 666", valid_ssn, "666-90-4399", false },
	{ "area 000", valid_ssn, "000-90-4399", false },
	{ "group 00", valid_ssn, "536-00-4399", false },
	{ "serial 0000", valid_ssn, "536-90-0000", false },
	{ "the wallet's number", valid_ssn, "078-05-1120", false },
	{ "ITIN", valid_itin, "912-90-3456", true },
	{ "ITIN group 89", valid_itin, "912-89-3456", false },
	{ "routing number", valid_aba, "111000025", true },
	{ "routing number one off", valid_aba, "111000026", false },
	{ "NHS", valid_nhs, "943 476 5870", true },
	{ "NHS one off", valid_nhs, "943 476 5871", false },
	{ "PESEL", valid_pesel, "44051401458", true },
	{ "PESEL one off", valid_pesel, "44051401459", false },
	{ "CPF", valid_cpf, "336.553.847-00", true },
	{ "CPF repeated", valid_cpf, "11111111111", false },
	{ "TCKN", valid_tckn, "10000000146", true },
	{ "TCKN one off", valid_tckn, "10000000147", false },
	{ "Aadhaar", valid_verhoeff, "2040 2446 6336", true },
	{ "Aadhaar one off", valid_verhoeff, "2040 2446 6337", false },
	{ "DNI", valid_nif, "12345678Z", true },
	{ "NIE", valid_nif, "X1234567L", true },
	{ "DNI wrong letter", valid_nif, "12345678A", false },
	{ "codice fiscale", valid_codice_fiscale, "RSSMRA63C12F0L5N", true },
	{ "codice fiscale one off", valid_codice_fiscale, "RSSMRA63C12F0L5M", false },
	{ "classic GitHub token with its checksum", valid_crc32_base62,
	  "ghp_00000000000000000000000000000004WZ4EQ", true },
	{ "JWT", valid_jwt, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", true },
	{ "JWT whose header is no object", valid_jwt, "YWJjZA.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", false },
	{ "two parts", valid_jwt, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0", false },
	{ "placeholder: variable", is_placeholder, "${TOKEN}", true },
	{ "placeholder: AWS documentation", is_placeholder, "AKIAIOSFODNN7EXAMPLE", true },
	{ "placeholder: crosses", is_placeholder, "ghp_xxxxxxxxxxxxxxxx", true },
	{ "placeholder: stars", is_placeholder, "********", true },
	{ "placeholder: for the reader", is_placeholder, "your-api-key-here", true },
	{ "placeholder: alphabet", is_placeholder, "abcdefghijklmnop", true },
	{ "placeholder: our mask", is_placeholder, "[GENERIC_SECRET]", true },
	{ "no placeholder", is_placeholder, "s2Tf2kLMy9q", false },
};

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		t_ok(rows[i].run(slice_str(rows[i].text)) == rows[i].valid, "%s: %s", rows[i].why,
		     rows[i].text);
	for (const char *const *name = validator_names; *name; name++)
		t_ok(validator_find(*name) != NULL, "the validator \"%s\" exists", *name);
	t_ok(!validator_find("nothing"), "no validator of another name");
	t_int(entropy_of(SLICE("aaaa")), 0, "one byte has no entropy");
	t_int(entropy_of(SLICE("abcd")), 200, "four bytes have two bits");
	return t_done();
}
