/* Prepared weights must be able to tell what they were made from. */
#ifndef UNPREPARED_H
#define UNPREPARED_H

#include "fastrnn.h"

/* Checks that it is these arrays, to the last bit; b may be NULL. */
void check_unprepared(const frnn_cell *cell, const frnn_plan *plan, const void *prepared, const void *wx,
                      const void *wh, const void *b);

#endif
