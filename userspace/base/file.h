/* Files: bounded read, atomic replace. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"

#include <sys/types.h>

/* Reads a whole file into an initialised buffer; -EFBIG when it does not fit into out->max. */
int file_read(const char *path, struct buf *out);
int file_read_fd(int fd, struct buf *out);
/* Writes a new file beside `path`, syncs it and renames it over: readers see old or new. */
int file_replace(const char *path, struct slice content, mode_t mode);
/* All of it, through EINTR and short writes. 0 or -errno. */
int file_write_all(int fd, struct slice content);
/* mkdir -p; 0 also when it is there. */
int file_mkdirs(const char *path, mode_t mode);

#endif
