/* Products that members compute beside the steps of a single row.
 *
 * Such steps wait for wh most of the time. The projection of the next chunk, forward, and dx of the steps that have been gone
 * back through need the multiply-adds that they leave: together they take little longer than the steps alone. What these do
 * not come to is computed after the last of them. */
#ifndef FRNN_CELLS_ASIDE_H
#define FRNN_CELLS_ASIDE_H

#include "cells/sequence.h"
#include "cells/team.h"

typedef struct frnn_work_aside {
    frnn_aside aside;
    frnn_product products[2];
    size_t count;   /* of them */
    size_t last[2]; /* panels of each, with what is not whole */
    const void *a[FRNN_MOST_ASIDE];
    void *c[2][FRNN_MOST_ASIDE];
} frnn_work_aside;

/* Whether it pays beside products with (gates * H, columns) or (H, gates * columns), for as many inputs, which so many members
 * share. */
int frnn_goes_aside(const frnn_plan *plan, const frnn_tape *tape, size_t gates, size_t columns, size_t members);

/* Adds c = start + a b to the work: these panels of b (K, N). The lists of a and of this c must be there. */
void frnn_put_aside(frnn_work_aside *work, const frnn_kernels *k, const void *b, size_t K, size_t N, const void *start,
                    frnn_range panels);

/* Computes what is left. Nonzero: the team is stopping. */
int frnn_finish_aside(frnn_team *team, size_t member, const frnn_kernels *k, frnn_work_aside *work);

#endif
