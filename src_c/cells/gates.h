/* Gates side by side: how the columns of a gated cell's matrices stand in their panels.
 *
 * The user's matrix has H columns for the first gate, then H for the next. In the panels the gates of the same units come
 * together: a block of `panel` units (fewer at the end) has a panel for each of its gates, and the last block's gates
 * follow each other without gaps. So few columns can make all gates of some units, and no column is lost. */
#ifndef FRNN_CELLS_GATES_H
#define FRNN_CELLS_GATES_H

#include "cells/packing.h"
#include "cells/team.h"

/* Panels that hold the gates of some blocks of units. */
frnn_range frnn_gate_panels(const frnn_kernels *k, size_t H, size_t gates, frnn_range blocks);

/* `gates` gates from `w` on, in a dense matrix of K rows of `stride` elements, and where they are packed; all zeros if `w` is
 * NULL. */
typedef struct frnn_gate_matrix {
    const void *w;
    size_t K, H, gates, stride;
    char *packed;
} frnn_gate_matrix;

/* packed: a member's part of the panels of the matrix. */
void frnn_pack_gates(const frnn_team *team, size_t member, const frnn_kernels *k, const frnn_gate_matrix *m,
                     frnn_use use);

/* Whether packed holds the very bits of all these matrices. */
int frnn_are_gates_packed_from(const frnn_kernels *k, const frnn_gate_matrix *matrices, size_t count);

/* The other way: w, where it is not NULL, from packed. */
void frnn_unpack_gates(const frnn_kernels *k, const frnn_gate_matrix *matrices, size_t count);

/* order[n]: the user's column that stands in column n of the panels. */
void frnn_order_gates(const frnn_kernels *k, size_t H, size_t gates, size_t *order);

#endif
