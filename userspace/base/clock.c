/* Clocks. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boot_ns(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

uint64_t clock_wall_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

void clock_format(uint64_t wall_ns, char out[CLOCK_TEXT_LEN])
{
	time_t s = (time_t)(wall_ns / 1000000000U);
	struct tm tm;
	char day[20];

	(void)gmtime_r(&s, &tm);
	if (strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		day[0] = '\0';
	(void)snprintf(out, CLOCK_TEXT_LEN, "%s.%03uZ", day, (unsigned)(wall_ns / 1000000U % 1000U));
}
