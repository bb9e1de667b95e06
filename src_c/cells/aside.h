/* The projection of the next chunk, computed beside the steps of this one.
 *
 * The steps of a single row wait for wh most of the time, and a projection needs the multiply-adds that they leave: together
 * they take little longer than the steps alone. What the steps do not come to is computed after the last of them. */
#ifndef FRNN_CELLS_ASIDE_H
#define FRNN_CELLS_ASIDE_H

#include "cells/forward.h"

/* The most rows that kernels compute aside */
enum { FRNN_MOST_ASIDE = 8 };

typedef struct frnn_next_chunk {
    frnn_aside aside;
    frnn_product products[2];
    size_t last[2]; /* panels of each, with what is not whole */
    const void *x[FRNN_MOST_ASIDE];
    void *z[2][FRNN_MOST_ASIDE];
} frnn_next_chunk;

/* Whether it pays. Then a chunk is as many steps as kernels have rows aside. */
int frnn_goes_aside(const frnn_plan *plan, const frnn_tape *tape, size_t gates);

/* For the chunk that begins with this step. It may be the last one and shorter; not by more than half, or 0 is returned. */
int frnn_begin_aside(const frnn_forward *f, const frnn_share *share, size_t step, frnn_next_chunk *next);

/* Computes what is left. Nonzero: the team is stopping. */
int frnn_finish_aside(const frnn_forward *f, frnn_team *team, size_t member, frnn_next_chunk *next);

#endif
