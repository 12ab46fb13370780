/*
 * Numbers that states give to people. Most nine- to eleven-digit numbers satisfy somebody's checksum,
 * so all but the letter-bearing ones need a naming word beside them (reference: 99 % of random
 * 9-digit strings pass one of 56 national validators).
 */
#include "dlp/detector.h"
#include "dlp/validate.h"

#define CHECK(name)                                                                                \
	static int check_##name(const struct match *m)                                             \
	{                                                                                          \
		return valid_##name(match_value(m)) ? 90 : 0;                                      \
	}
CHECK(ssn)
CHECK(itin)
CHECK(aba)
CHECK(nhs)
CHECK(pesel)
CHECK(cpf)
CHECK(tckn)
CHECK(verhoeff)
CHECK(nif)
CHECK(codice_fiscale)
CHECK(curp)
CHECK(luhn)

#define NOT_AFTER "(?![A-Za-z0-9_])(?![.-][0-9])"
#define ID(type_, value_, words_, check_)                                                           \
	{                                                                                          \
		.type = type_, .trigger = { TRIGGER_NUMBER }, .value = value_ NOT_AFTER, .words = words_, \
		.check = check_, .flags = DETECT_EDGE, .rank = 50                                  \
	}

/* Two capitals before digits; a longer run of capitals is the value's beginning. */
#define LETTERS(type_, value_, words_, check_)                                                     \
	{                                                                                          \
		.type = type_, .trigger = { "[A-Z]{2}[ \\d]\\d" }, .back = "A-Z",                  \
		.value = "(?<![A-Za-z0-9])" value_ NOT_AFTER, .words = words_, .check = check_,    \
		.rank = 50                                                                         \
	}
#define SSN_WORDS "ssn|ssns|social security|social|soc sec|ss#|ss number|ssn4"
#define NINO "(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"

const struct detector detect_national_id[] = {
	ID("US_SSN", "[0-8][0-9]{2}([ .-])[0-9]{2}\\1[0-9]{4}", SSN_WORDS, check_ssn),
	ID("US_SSN", "[0-8][0-9]{4}-?[0-9]{4}", SSN_WORDS, check_ssn),
	ID("US_ITIN", "9[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{4}",
	   "itin|individual taxpayer|taxpayer|tax id|tin|payer number", check_itin),
	ID("US_ABA_ROUTING", "[0-9]{4}-?[0-9]{4}-?[0-9]",
	   "aba|routing|rtn|bank transfer|wire|bankrouting", check_aba),
	ID("CA_SIN", "[0-9]{3}([ -]?)[0-9]{3}\\1[0-9]{3}",
	   "sin|social insurance|nas|assurance sociale", check_luhn),
	ID("UK_NHS", "[0-9]{3}([ -]?)[0-9]{3}\\1[0-9]{4}",
	   "nhs|national health|health service", check_nhs),
	ID("PL_PESEL", "[0-9]{11}", "pesel", check_pesel),
	ID("TR_ID", "[1-9][0-9]{10}", "tckn|tc kimlik|t.c. kimlik|kimlik|kimlik no|tc no|tc",
	   check_tckn),
	ID("BR_CPF", "[0-9]{3}\\.[0-9]{3}\\.[0-9]{3}-[0-9]{2}", NULL, check_cpf),
	ID("BR_CPF", "[0-9]{11}", "cpf|cadastro de pessoas", check_cpf),
	ID("IN_AADHAAR", "[2-9][0-9]{3}([ -]?)[0-9]{4}\\1[0-9]{4}",
	   "aadhaar|aadhar|uidai|uid|unique identification", check_verhoeff),
	ID("ES_NIF", "[0-9]{8}-?[A-Z]", NULL, check_nif),
	{ .type = "ES_NIE", .trigger = { "X\\d{4}", "Y\\d{4}", "Z\\d{4}" },
	  .value = "[XYZ][0-9]{7}-?[A-Z]" NOT_AFTER, .check = check_nif, .flags = DETECT_EDGE,
	  .rank = 50 },
	LETTERS("UK_NINO", NINO "[0-9]{6}[A-D]",
		"ni|nino|national insurance|insurance number|ni number|insurance no", NULL),
	LETTERS("UK_NINO", NINO " [0-9]{2} [0-9]{2} [0-9]{2} [A-D]", NULL, NULL),
	LETTERS("IT_FISCAL_CODE", "[A-Z]{6}[0-9L-V]{2}[A-EHLMPRST][0-9L-V]{2}[A-Z][0-9L-V]{3}[A-Z]",
		NULL, check_codice_fiscale),
	LETTERS("MX_CURP", "[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[A-Z0-9][0-9]", NULL, check_curp),
	LETTERS("IN_PAN", "[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]", NULL, NULL),
	{ .type = NULL },
};
