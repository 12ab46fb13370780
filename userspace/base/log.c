/* Log lines; "<3>" priorities are sd-daemon(3)'s protocol on stderr, so no library is needed. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *log_process = "sallyport";
static enum log_level log_max = LOG_LEVEL_INFO;
static int log_journal;

void log_init(const char *process, enum log_level max)
{
	log_process = process;
	log_max = max;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	static const char priorities[] = { '3', '4', '6', '7' };
	char line[2048];
	int saved = errno, n, m;
	va_list ap;

	if (level > log_max)
		return;
	if (log_journal)
		n = snprintf(line, sizeof(line), "<%c>%s: ", priorities[level], log_process);
	else
		n = snprintf(line, sizeof(line), "%s %s: ", names[level], log_process);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += m < 0 ? 0 : m;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	/* A control character in a peer's name must not forge a second line. */
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* Nowhere is left to say it. */
	}
	errno = saved;
}
