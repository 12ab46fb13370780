/*
 * The operator's log: one line an event, "message key=value ...", to the journal when systemd
 * started us and to stderr otherwise. Never a prompt, a token, a header value or key material.
 *
 * error: someone must act. warn: we went on, and the line says how. info: a change of state.
 * debug: free, off by default. Every error names the place and the remedy.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/def.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `process` ("monitor", "worker"...) opens each line; must outlive the process. */
void log_init(const char *process, enum log_level max);
void log_write(enum log_level level, const char *fmt, ...) printf_like(2, 3);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
