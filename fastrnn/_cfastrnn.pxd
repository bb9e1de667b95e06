# Mirror of src_c/fastrnn.h, nothing else; the meaning of everything is described there.
from libc.stdint cimport intptr_t, uint8_t

cdef extern from "fastrnn.h" nogil:
    int FRNN_API_VERSION

    ctypedef enum frnn_status:
        FRNN_OK
        FRNN_ERR_SIZE
        FRNN_ERR_ARGUMENT
        FRNN_ERR_INTERRUPTED

    ctypedef enum frnn_dtype:
        FRNN_F32
        FRNN_F64

    ctypedef enum frnn_activation:
        FRNN_LINEAR
        FRNN_RELU
        FRNN_TANH
        FRNN_SIGMOID
        FRNN_ACTIVATIONS

    ctypedef enum frnn_optimizer:
        FRNN_SGD
        FRNN_RMSPROP
        FRNN_ADAM
        FRNN_OPTIMIZERS

    ctypedef struct frnn_kernels:
        pass

    ctypedef struct frnn_plan:
        const frnn_kernels *kernels
        size_t B, T, I, H
        frnn_activation activation
        int go_backwards
        int zero_output_for_mask
        size_t threads
        int (*poll)(void *) noexcept nogil
        void *poll_arg
        frnn_activation recurrent_activation
        int reset_after

    ctypedef struct frnn_tape:
        const void *prepared
        const void *x
        ptrdiff_t x_batch, x_time
        const void *h0
        const void *dropout
        const uint8_t *mask
        void *y
        ptrdiff_t y_batch, y_time
        const void *c0
        void *gates
        const void *table
        const intptr_t *ids
        size_t V
        const size_t *order

    ctypedef struct frnn_gradients:
        const void *dy
        ptrdiff_t dy_batch, dy_time
        const void *dh_last
        void *dx
        void *dh0
        void *dwx
        void *dwh
        void *db
        const void *dc_last
        void *dc0
        int accumulate
        void *dtable

    ctypedef struct frnn_descent:
        size_t n
        const void *g
        void *w
        void *m
        void *v
        void *a
        double rate, decay, beta_1, beta_2, epsilon
        int nesterov

    ctypedef struct frnn_dense:
        const void *x
        const void *w
        const void *b
        void *y
        const void *dy
        void *dx
        void *dw
        void *db

    ctypedef struct frnn_cell:
        size_t gates
        frnn_status (*prepared_size)(const frnn_plan *plan, size_t *bytes) noexcept nogil
        frnn_status (*prepare)(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                               void *prepared) noexcept nogil
        frnn_status (*prepared_from)(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                     const void *prepared, int *same) noexcept nogil
        frnn_status (*kept)(const frnn_plan *plan, size_t *elements) noexcept nogil
        frnn_status (*forward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape,
                                            size_t *bytes) noexcept nogil
        frnn_status (*forward)(const frnn_plan *plan, const frnn_tape *tape, void *h_last, void *c_last,
                               void *scratch) noexcept nogil
        frnn_status (*backward_steps)(const frnn_plan *plan, size_t *steps) noexcept nogil
        frnn_status (*backward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape,
                                             const frnn_gradients *gradients, size_t *bytes) noexcept nogil
        frnn_status (*backward)(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                void *scratch) noexcept nogil
        frnn_status (*unprepare)(const frnn_plan *plan, const void *prepared, void *wx, void *wh,
                                 void *b) noexcept nogil

    ctypedef frnn_tape frnn_simple_rnn_tape
    ctypedef frnn_gradients frnn_simple_rnn_gradients

    ctypedef struct frnn_api:
        int version
        const char *(*status_text)(frnn_status status) noexcept nogil
        const char *(*isa_name)(size_t i) noexcept nogil
        const frnn_kernels *(*kernels)(const char *isa, frnn_dtype dtype) noexcept nogil
        frnn_status (*activate)(const frnn_kernels *kernels, frnn_activation activation, size_t n, const void *x,
                                void *y) noexcept nogil
        frnn_status (*simple_rnn_prepared_size)(const frnn_plan *plan, size_t *bytes) noexcept nogil
        frnn_status (*simple_rnn_prepare)(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                          void *prepared) noexcept nogil
        frnn_status (*simple_rnn_prepared_from)(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                                const void *prepared, int *same) noexcept nogil
        frnn_status (*simple_rnn_forward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape,
                                                       size_t *bytes) noexcept nogil
        frnn_status (*simple_rnn_forward)(const frnn_plan *plan, const frnn_tape *tape, void *h_last,
                                          void *scratch) noexcept nogil
        frnn_status (*simple_rnn_backward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape,
                                                        const frnn_gradients *gradients,
                                                        size_t *bytes) noexcept nogil
        frnn_status (*simple_rnn_backward)(const frnn_plan *plan, const frnn_tape *tape,
                                           const frnn_gradients *gradients, void *scratch) noexcept nogil
        const frnn_cell *simple_rnn
        const frnn_cell *gru
        const frnn_cell *lstm
        double (*multiply_adds)(const frnn_kernels *kernels, size_t times) noexcept nogil
        frnn_status (*descend)(const frnn_kernels *kernels, frnn_optimizer optimizer,
                               const frnn_descent *descent) noexcept nogil
        frnn_status (*dense_scratch_size)(const frnn_plan *plan, const frnn_dense *dense,
                                          size_t *bytes) noexcept nogil
        frnn_status (*dense_forward)(const frnn_plan *plan, const frnn_dense *dense, void *scratch) noexcept nogil
        frnn_status (*dense_backward)(const frnn_plan *plan, const frnn_dense *dense, void *scratch) noexcept nogil
        frnn_status (*order_rows)(size_t B, size_t T, const uint8_t *mask, size_t *order,
                                  size_t *scratch, int *pays) noexcept nogil

    const frnn_api *frnn_get_api() noexcept
