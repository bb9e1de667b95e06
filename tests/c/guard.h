/* Arrays that lie against pages nobody may touch: what reads or writes past that end is killed by a signal. On the other
 * side stands a margin of known bytes. Fresh arrays hold NaNs. */
#ifndef GUARD_H
#define GUARD_H

#include <stddef.h>

/* Whether the arrays from now on end (1) or begin (0) at a forbidden page. */
void guard_at_end(int at_end);

/* alignment: a power of two; `bytes` should be a multiple of it. */
void *guard_take(size_t bytes, size_t alignment);
/* From now on the array must not change. */
void guard_freeze(const void *array);
/* Checks the margins and the frozen arrays, and takes all arrays back. */
void guard_release(void);

#endif
