/* Validators: pure functions over the value's bytes; separators are skipped where people write them. */
#ifndef DLP_VALIDATE_H
#define DLP_VALIDATE_H

#include "base/slice.h"

#include <stdint.h>

/* Digits only, in order; how many there are (may exceed max: then only max are stored). */
size_t digits_of(struct slice in, char *out, size_t max);

bool valid_luhn(struct slice in);
/* Brand by issuer prefix, its length, Luhn; no date and no ISBN of 13 digits. ISO/IEC 7812. */
bool valid_card(struct slice in);
/* Country, its length, mod 97 (ISO 13616). */
bool valid_iban(struct slice in);
/* Areas, groups and serials that were never issued, and the two famous ones. */
bool valid_ssn(struct slice in);
bool valid_itin(struct slice in);
bool valid_aba(struct slice in);    /* 3-7-1, Federal Reserve prefixes */
bool valid_nhs(struct slice in);    /* weights 10..2, mod 11 */
bool valid_pesel(struct slice in);  /* 1-3-7-9 and the date */
bool valid_cpf(struct slice in);    /* two digits mod 11 */
bool valid_tckn(struct slice in);
bool valid_verhoeff(struct slice in); /* 12 digits of an Aadhaar */
bool valid_nif(struct slice in);    /* Spain: DNI and NIE, mod 23 */
bool valid_codice_fiscale(struct slice in);
bool valid_curp(struct slice in);
/* Header and payload decode to JSON objects, the header names "alg" or "typ". RFC 7519. */
bool valid_jwt(struct slice in);
/* Last 6 characters are the base62 CRC32 of what stands after the prefix (GitHub, npm). */
bool valid_crc32_base62(struct slice token);

/* Shannon entropy in hundredths of a bit per byte. */
unsigned entropy_of(struct slice in);

/*
 * Text that stands for a value and is none: xxxx, ****, <...>, ${...}, {{...}}, process.env.X,
 * your-...-here, ...EXAMPLE, changeme, sequences, our own masks.
 */
bool is_placeholder(struct slice in);

/* By the name an operator's file uses ("luhn"), NULL when there is none. */
typedef bool (*validator)(struct slice in);
validator validator_find(const char *name);
/* NULL-terminated, for messages. */
extern const char *const validator_names[];

#endif
