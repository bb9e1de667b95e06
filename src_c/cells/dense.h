/* The dense layer's entries of the API; their contracts stand in fastrnn.h. */
#ifndef FRNN_CELLS_DENSE_H
#define FRNN_CELLS_DENSE_H

#include "fastrnn.h"

frnn_status frnn_dense_scratch_size(const frnn_plan *plan, const frnn_dense *dense, size_t *bytes);
frnn_status frnn_dense_forward(const frnn_plan *plan, const frnn_dense *dense, void *scratch);
frnn_status frnn_dense_backward(const frnn_plan *plan, const frnn_dense *dense, void *scratch);

#endif
