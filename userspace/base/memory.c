/* madvise(2) over what /proc/self/maps says is read-only file content. */
#include "base/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

void memory_settle(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	(void)malloc_trim(0);
	if (!maps)
		return;
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		char access[5], path[8];

		/* Code only: read-only data may hold relocations, which the file does not. */
		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %7s", &start, &end, access, path) == 4 &&
		    strcmp(access, "r-xp") == 0 && path[0] == '/')
			(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	(void)fclose(maps);
}
