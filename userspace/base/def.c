/* Scope helpers for def.h. */
#include "base/def.h"

#include <stdlib.h>
#include <unistd.h>

void freep(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

void closep(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
