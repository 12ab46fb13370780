/* Content codings: decode gzip, deflate, br, zstd with a limit on what comes out. */
#ifndef WIRE_ENCODING_H
#define WIRE_ENCODING_H

#include "base/buf.h"
#include "base/slice.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_BR, CODING_ZSTD, CODING_UNKNOWN };

/* Of a Content-Encoding value; two codings in a row are CODING_UNKNOWN. */
enum coding encoding_of(struct slice value);

struct decoder;
/* 0, -EINVAL (CODING_UNKNOWN), -ENOMEM. */
int decoder_new(enum coding c, struct decoder **out);
/* Appends what comes out, all of it, however many members or frames follow one another. 0, -EBADMSG
 * (garbage), -ENOBUFS (over out's cap: a bomb), -ENOMEM. After an error only decoder_free() is left;
 * `out` may hold what came before. */
int decoder_feed(struct decoder *d, struct slice in, struct buf *out);
/* The input ended: 0, also when nothing came; -EBADMSG when the coding wants more. */
int decoder_end(struct decoder *d);
void decoder_free(struct decoder *d);

#endif
