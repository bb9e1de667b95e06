/* One SimpleRNN call with all that belongs to it, made from random numbers, and the ways to judge it. */
#ifndef SIMPLE_RNN_CALL_H
#define SIMPLE_RNN_CALL_H

#include "kernels/kernels.h"
#include "naive.h"

typedef enum mask_kind { NO_MASK, RANDOM, LEADING, TRAILING, ROWS_MASKED, ALL_MASKED, MASK_KINDS } mask_kind;

/* How the rows (b, t) of a tensor lie in memory. */
typedef struct placement {
    int time_major, flip_batch, flip_time;
    size_t row_pad, block_pad; /* elements after a row and after the outer axis's block */
} placement;

typedef struct options {
    size_t B, T, I, H, threads;
    size_t V; /* tokens come as ids of a table with so many rows, I being 0; or 0 */
    frnn_activation activation;
    int go_backwards, zero_output_for_mask, bias, h0, dropout, dy, dh_last, dx;
    mask_kind mask;
    placement x_at, y_at, dy_at;
} options;

typedef struct tensor {
    char *memory, *first; /* where it begins, and element (0, 0, 0) */
    size_t bytes;
    ptrdiff_t batch, time;
} tensor;

/* One call with all that belongs to it: the numbers in double precision, the same in guarded memory, and the plan. */
typedef struct call {
    const options *o;
    frnn_dtype dtype;
    frnn_plan plan;
    frnn_simple_rnn_tape tape;
    frnn_simple_rnn_gradients gradients;
    tensor y;
    void *h_last;
    naive_rnn naive;
    const double *dy, *dh_last; /* in double precision */
} call;

/* Inputs in guarded memory, frozen, and the weights prepared. Valid until release_call. */
call make_call(const frnn_kernels *kernels, const options *o);
/* Checks every guard and frees everything. */
void release_call(void);

void run_forward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, void *h_last);
void run_backward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, const frnn_simple_rnn_gradients *gradients);
void *forward_scratch(const frnn_plan *plan, const frnn_simple_rnn_tape *tape);
void *backward_scratch(const frnn_plan *plan, const frnn_simple_rnn_tape *tape,
                       const frnn_simple_rnn_gradients *gradients);

/* The call's gradients, with fresh memory for all that is to be written. */
frnn_simple_rnn_gradients take_gradients(const call *c);
/* The call's y as (B, T, H) without padding. */
void *dense_y(const call *c);
void same_bits(const char *what, const void *a, const void *b, size_t bytes);
void same_gradients(const call *c, const frnn_simple_rnn_gradients *a, const frnn_simple_rnn_gradients *b);

/* All of that: results against the equations, the same bits with up to `most_threads` threads, for a row alone, without
 * y and with shared outputs, and guarded memory all around. */
void check_call(const frnn_kernels *kernels, const options *o, size_t most_threads);

/* Arrays compared with the equations so far, and how many of those were rightly all zero. */
size_t arrays_compared(void);
size_t arrays_of_zeros(void);

#endif
