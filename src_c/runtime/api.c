#include "cells/dense.h"
#include "cells/gru.h"
#include "cells/lstm.h"
#include "cells/order.h"
#include "cells/simple_rnn.h"
#include "fastrnn.h"
#include "isa/isa.h"

static const char *status_text(frnn_status status) {
    switch (status) {
    case FRNN_OK: return "success";
    case FRNN_ERR_SIZE: return "sizes whose product does not fit the address space";
    case FRNN_ERR_ARGUMENT: return "a required pointer is missing or a value is out of range";
    case FRNN_ERR_INTERRUPTED: return "interrupted";
    }
    return "unknown status";
}

static frnn_status activate(const frnn_kernels *kernels, frnn_activation activation, size_t n, const void *x, void *y) {
    if (!kernels || (unsigned)activation >= FRNN_ACTIVATIONS || (n && (!x || !y))) return FRNN_ERR_ARGUMENT;
    kernels->activate(activation, n, x, y);
    return FRNN_OK;
}

static double multiply_adds(const frnn_kernels *kernels, size_t times) {
    return kernels ? kernels->multiply_adds(times) : 0;
}

static frnn_status descend(const frnn_kernels *kernels, frnn_optimizer optimizer, const frnn_descent *d) {
    if (!kernels || !d || (d->n && (!d->g || !d->w))) return FRNN_ERR_ARGUMENT;
    if (d->n && ((optimizer == FRNN_ADAM && !d->m) || (optimizer != FRNN_SGD && !d->v))) return FRNN_ERR_ARGUMENT;
    switch (optimizer) {
    case FRNN_SGD: kernels->sgd(d); return FRNN_OK;
    case FRNN_RMSPROP: kernels->rmsprop(d); return FRNN_OK;
    case FRNN_ADAM: kernels->adam(d); return FRNN_OK;
    default: return FRNN_ERR_ARGUMENT;
    }
}

static const frnn_api api = {
    .version = FRNN_API_VERSION,
    .status_text = status_text,
    .isa_name = frnn_isa_name,
    .kernels = frnn_find_kernels,
    .activate = activate,
    .simple_rnn_prepared_size = frnn_simple_rnn_prepared_size,
    .simple_rnn_prepare = frnn_simple_rnn_prepare,
    .simple_rnn_prepared_from = frnn_simple_rnn_prepared_from,
    .simple_rnn_forward_scratch_size = frnn_simple_rnn_forward_scratch_size,
    .simple_rnn_forward = frnn_simple_rnn_forward,
    .simple_rnn_backward_scratch_size = frnn_simple_rnn_backward_scratch_size,
    .simple_rnn_backward = frnn_simple_rnn_backward,
    .simple_rnn = &frnn_simple_rnn,
    .gru = &frnn_gru,
    .lstm = &frnn_lstm,
    .multiply_adds = multiply_adds,
    .descend = descend,
    .dense_scratch_size = frnn_dense_scratch_size,
    .dense_forward = frnn_dense_forward,
    .dense_backward = frnn_dense_backward,
    .order_rows = frnn_order_rows,
};

const frnn_api *frnn_get_api(void) { return &api; }
