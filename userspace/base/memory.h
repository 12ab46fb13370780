/* Giving memory back when a process goes quiet. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

/*
 * After start-up: returns free heap to the system and drops the pages of program and library code that
 * only the start needed from this process's mapping. They stay in the page cache and come back with a
 * minor fault if they are ever needed.
 */
void memory_settle(void);

#endif
