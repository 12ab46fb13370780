/* Time. Parsers and rules take time as an argument; only loops and entry points read these. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC: what bpf_ktime_get_ns() returns */
uint64_t clock_boot_ns(void); /* CLOCK_BOOTTIME: process start times */
uint64_t clock_wall_ns(void); /* since 1970, UTC */

/* "2026-11-20T18:31:00.123Z" into `out`. */
#define CLOCK_TEXT_LEN 25
void clock_format(uint64_t wall_ns, char out[CLOCK_TEXT_LEN]);

#endif
