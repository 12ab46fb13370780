/* Text: hex, base64 (RFC 4648), UTF-8 (RFC 3629), glob. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdint.h>

/* 2 * len characters and a NUL into out. */
void text_hex(const void *in, size_t len, char *out);
/* Bytes written, or -EINVAL. out needs in.len / 2. */
int text_unhex(struct slice in, void *out, size_t out_size);

/* Standard and URL-safe alphabets, padding optional, white space skipped. 0, -EINVAL, -ENOBUFS. */
int text_base64_decode(struct slice in, struct buf *out);
int text_base64_encode(struct slice in, struct buf *out);

/* Length in bytes of the character at the start, 0 when it is not valid UTF-8 or cut short. */
size_t text_utf8_next(struct slice in, uint32_t *codepoint);
/* Writes up to 4 bytes; returns how many. */
size_t text_utf8_put(uint32_t codepoint, char out[4]);
bool text_is_utf8(struct slice in);

/* Shell-like match of the whole text: "*" any run (also of '/'), "?" one byte. */
bool text_glob(const char *pattern, struct slice text);

#endif
