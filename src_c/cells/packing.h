/* Weights on their way from the user's dense matrices into panels. */
#ifndef FRNN_CELLS_PACKING_H
#define FRNN_CELLS_PACKING_H

#include "kernels/kernels.h"

/* packed: the panels of the dense K x N matrix w. */
void frnn_pack_matrix(const frnn_kernels *k, const void *w, size_t K, size_t N, void *packed);

/* Whether packed holds the very bits of w. */
int frnn_is_packed_from(const frnn_kernels *k, const void *w, size_t K, size_t N, const void *packed);

#endif
