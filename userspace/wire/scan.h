/*
 * Sixteen bytes at a time: the loops in which the parsers of this room spend their time. Private to
 * wire/. Each returns the first byte of its kind, or `end`; none reads at or past `end`.
 */
#ifndef WIRE_SCAN_H
#define WIRE_SCAN_H

#include <stdbool.h>

#ifdef __SSE2__
#include <emmintrin.h>

#define SCAN_WIDE(p, end, v, hit)                                                                  \
	for (; (end) - (p) >= 16; (p) += 16) {                                                     \
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p));                   \
		unsigned int scan_hits = (unsigned int)_mm_movemask_epi8(hit);                     \
		if (scan_hits)                                                                     \
			return (p) + __builtin_ctz(scan_hits);                                     \
	}
#define SCAN_EQ(v, c) _mm_cmpeq_epi8(v, _mm_set1_epi8(c))
#else
/* Other machines take the byte loops below. */
#define SCAN_WIDE(p, end, v, hit)
#endif

static inline bool scan_is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* A byte that a JSON string cannot pass over: quote, backslash, control, not ASCII. */
static inline const char *scan_json(const char *p, const char *end)
{
	/* The comparison is signed: bytes from 0x80 up are below the blank as well. */
	SCAN_WIDE(p, end, v,
		  _mm_or_si128(_mm_or_si128(SCAN_EQ(v, '"'), SCAN_EQ(v, '\\')),
			       _mm_cmplt_epi8(v, _mm_set1_epi8(0x20))))
	while (p < end && scan_is_plain((unsigned char)*p))
		p++;
	return p;
}

/* A control character (RFC 5234 CTL, so also the tab and DEL). */
static inline const char *scan_control(const char *p, const char *end)
{
	SCAN_WIDE(p, end, v,
		  _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v),
			       SCAN_EQ(v, 0x7f)))
	while (p < end && (unsigned char)*p >= 0x20 && *p != 0x7f)
		p++;
	return p;
}

/* CR or LF. */
static inline const char *scan_eol(const char *p, const char *end)
{
	SCAN_WIDE(p, end, v, _mm_or_si128(SCAN_EQ(v, '\n'), SCAN_EQ(v, '\r')))
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

#undef SCAN_WIDE
#undef SCAN_EQ

#endif
