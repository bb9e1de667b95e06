/* Weights on their way into panels: when they go past the caches, interleaved, and turned around. How they are cut into panels
 * stands in gates.h. */
#ifndef FRNN_CELLS_PACKING_H
#define FRNN_CELLS_PACKING_H

#include "cells/team.h"
#include "runtime/sizes.h"

/* What packing all weights weighs when members are called, in multiply-adds. Little enough that only weights which do not
 * stay in the second-level cache are packed by more than one: the others are still in that of who changed them, and who is
 * to change them again would have to take back what others have read. */
double frnn_packing_work(const frnn_plan *plan, size_t gates);

/* When a matrix in panels is used first: right after they were written, or after much else. */
typedef enum frnn_use { FRNN_USED_NOW, FRNN_USED_LATER } frnn_use;

/* Whether a K x N matrix is so large that by its later use its panels would have driven themselves from the caches, into which they
 * would have been read before they were written: they go past the caches. */
int frnn_goes_past_caches(const frnn_kernels *k, size_t K, size_t N, frnn_use use);

/* A dense matrix interleaved, N being half a panel at most: rows of a group, elements of all groups, and the packing. */
size_t frnn_interleaved(const frnn_kernels *k, size_t N);
size_t frnn_interleaved_elements(const frnn_kernels *k, size_t K, size_t N, frnn_layout *l);
void frnn_interleave(const frnn_kernels *k, const void *w, size_t K, size_t N, void *packed);

/* Some panels of the transpose of a packed K x N matrix. */
static inline void frnn_transpose_panels(const frnn_kernels *k, size_t K, size_t N, const void *packed,
                                         const size_t *order, size_t rows, frnn_range panels, frnn_use use,
                                         void *transposed) {
    k->transpose(K, N, packed, order, rows, panels.first, panels.last, frnn_goes_past_caches(k, K, N, use), transposed);
}

/* A member's part of all of them, one by one, so that the call can be interrupted. Nonzero: the team is stopping. */
int frnn_transpose(frnn_team *team, size_t member, const frnn_kernels *k, size_t K, size_t N, const void *packed,
                   const size_t *order, size_t rows, frnn_use use, void *transposed);

#endif
