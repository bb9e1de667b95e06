/* fastrnn: recurrent layers at the speed of the hardware. The whole public C contract.
 *
 * Dimensions are always B (batch), T (time), I (inputs), H (units). A shape stands beside every pointer.
 * Arrays are dense in their last axis; where a stride is given it counts bytes and may be negative.
 * `void *` means the element type of the plan's kernels (float or double).
 *
 * Entries allocate nothing, print nothing and keep nothing: sizes come from the `_size` functions and memory
 * from the caller. Three kinds of memory never mix: *prepared* weights (packed once, reused until the weights
 * change, tied to the kernels that packed them), the *tape* (what back-propagation needs, tied to one forward
 * call) and *scratch* (dead on return). Prepared and scratch memory must be 64-byte aligned. */
#ifndef FASTRNN_H
#define FASTRNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Everything here grows only at its end. FRNN_API_VERSION goes up when what callers fill in does, or a meaning changes: a
 * program must have been compiled with the version that it meets. */
#define FRNN_API_VERSION 4

typedef enum frnn_status {
    FRNN_OK = 0,
    FRNN_ERR_SIZE,        /* a product of sizes does not fit size_t */
    FRNN_ERR_ARGUMENT,    /* a required pointer is NULL, or a value is not one of its enum's */
    FRNN_ERR_INTERRUPTED, /* poll asked to stop; results are incomplete and must not be used */
} frnn_status;

typedef enum frnn_dtype { FRNN_F32 = 0, FRNN_F64 = 1 } frnn_dtype;

typedef enum frnn_activation { FRNN_LINEAR = 0, FRNN_RELU, FRNN_TANH, FRNN_SIGMOID, FRNN_ACTIVATIONS } frnn_activation;

/* The kernels of one instruction set for one element type. */
typedef struct frnn_kernels frnn_kernels;

/* What a call computes and with what. The same plan serves the `_size` functions and the call. */
typedef struct frnn_plan {
    const frnn_kernels *kernels;
    size_t B, T, I, H;
    frnn_activation activation;
    int go_backwards;         /* process time from T-1 to 0; outputs stay in processing order */
    int zero_output_for_mask; /* outputs of masked steps are 0 instead of the previous output */
    size_t threads;           /* at most this many, the caller's included; results do not depend on it */
    int (*poll)(void *);      /* called now and then on the calling thread, nonzero stops; or NULL */
    void *poll_arg;
    frnn_activation recurrent_activation; /* of the gates; GRU and LSTM */
    int reset_after;                      /* GRU: the reset gate multiplies the product instead of the state; belongs to
                                             the prepared weights as the sizes do */
} frnn_plan;

/* A batch of sequences on its way through a layer; kept by the caller, it is also the tape. */
typedef struct frnn_tape {
    const void *prepared;      /* by the cell's prepare */
    const void *x;             /* (B, T, I) */
    ptrdiff_t x_batch, x_time; /* strides of x */
    const void *h0;            /* (B, H), or NULL for zeros */
    const void *dropout;       /* (gates, B, H) multiplies h(t-1) on its way into each gate's product, or NULL */
    const uint8_t *mask;       /* (B, T) in input order, 0 skips a step, or NULL */
    void *y;                   /* (B, T, H) every step's output, in processing order; NULL: not kept */
    ptrdiff_t y_batch, y_time; /* strides of y */
    const void *c0;            /* LSTM: (B, H), or NULL for zeros */
    void *gates;               /* GRU and LSTM: (T, B, kept) dense, what backward needs besides y; NULL: not kept */
    const void *table;         /* (V, gates * H) dense: what x wx + b is for every kind of token, if tokens come as ids:
                                  then I is 0, and b counts here only (with reset_after: b[0] + b[1] of z and r, and b[0]
                                  of h, whose b[1] stays where it is); or NULL */
    const intptr_t *ids;       /* (B, T) in input order: the tokens' rows of the table */
    size_t V;                  /* rows of the table */
    const size_t
        *order; /* (B,): with a mask, the rows of the batch, each once, best those with most active steps first:
                                  rows next to each other may go through time together. Last bits of gradients depend on
                                  it: all segments of a sequence need the same. NULL: as they are */
} frnn_tape;

/* Where gradients come from and go to. */
typedef struct frnn_gradients {
    const void *dy;              /* (B, T, H), or NULL for zeros */
    ptrdiff_t dy_batch, dy_time; /* strides of dy */
    const void *dh_last;         /* (B, H) gradient of the last state, or NULL for zeros */
    void *dx;                    /* (B, T, I) dense, or NULL if not wanted */
    void *dh0;                   /* (B, H); may be dh_last; NULL if not wanted: then a single step needs no wh */
    void *dwx, *dwh, *db;        /* like wx, wh and b; db is NULL without a bias */
    const void *dc_last;         /* LSTM: (B, H) gradient of the last c, or NULL for zeros */
    void *dc0;                   /* LSTM: (B, H); may be dc_last; NULL if not wanted */
    int accumulate;              /* dwx, dwh, db and dtable are added to, instead of written */
    void *dtable;                /* (V, gates * H), or NULL if not wanted or there is no table */
} frnn_gradients;

/* What moves weights against their gradients. */
typedef enum frnn_optimizer { FRNN_SGD = 0, FRNN_RMSPROP, FRNN_ADAM, FRNN_OPTIMIZERS } frnn_optimizer;

/* One step of an optimizer. Before anything else, every weight loses the share `decay`: w -= decay w. Then
 *
 * SGD:      w -= rate g, or with m: m = beta_1 m - rate g; w += m, or if nesterov: w += beta_1 m - rate g
 * RMSprop:  v = beta_2 v + (1 - beta_2) g^2; down = rate g / sqrt(v + epsilon); w -= down
 *           with m: m = beta_1 m + down; w -= m;  with a: a = beta_2 a + (1 - beta_2) g, v - a^2 instead of v in the root
 * Adam:     m += (1 - beta_1) (g - m); v += (1 - beta_2) (g^2 - v); w -= rate m / (sqrt(v) + epsilon)
 *           with a: a = max(a, v), a instead of v in the root
 *
 * Arrays (n,) that do not overlap. What an optimizer remembers, m, v and a, is 0 before the first step. */
typedef struct frnn_descent {
    size_t n;
    const void *g; /* the gradient of */
    void *w;       /* the weights */
    void *m;       /* SGD, RMSprop: or NULL for no momentum; Adam */
    void *v;       /* RMSprop, Adam */
    void *a;       /* RMSprop, Adam: or NULL */
    double rate, decay, beta_1, beta_2, epsilon;
    int nesterov;
} frnn_descent;

/* A dense layer, y = act(x w + b), for B rows. All arrays are dense and do not overlap. */
typedef struct frnn_dense {
    const void *x;  /* (B, I) */
    const void *w;  /* (I, H) */
    const void *b;  /* (H,), or NULL */
    void *y;        /* (B, H); the way back needs none if the activation is linear */
    const void *dy; /* (B, H); this and what follows are for the way back */
    void *dx;       /* (B, I), or NULL if not wanted */
    void *dw;       /* (I, H); NULL: forward */
    void *db;       /* (H,), or NULL if not wanted */
} frnn_dense;

/* What a kind of layer can do. `gates` is 1 for SimpleRNN, 3 (z, r, h) for GRU, 4 (i, f, c, o) for LSTM, and all
 * matrices of weights hold the gates side by side: wx (I, gates * H), wh (H, gates * H). */
typedef struct frnn_cell {
    size_t gates;
    frnn_status (*prepared_size)(const frnn_plan *plan, size_t *bytes);
    /* wx and wh; b (gates * H,), GRU with reset_after: (2, gates * H), or NULL; all dense. Uses the plan's kernels, I, H
     * and reset_after only. */
    frnn_status (*prepare)(const frnn_plan *plan, const void *wx, const void *wh, const void *b, void *prepared);
    /* *same is 1 if prepared was made from weights with these very bits, else 0. */
    frnn_status (*prepared_from)(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                 const void *prepared, int *same);
    /* Elements of a token in the tape's `gates`, from the plan's kernels, H and reset_after. */
    frnn_status (*kept)(const frnn_plan *plan, size_t *elements);
    /* Depends on which pointers of the tape are NULL. Without y and gates the size does not grow with T. */
    frnn_status (*forward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape, size_t *bytes);
    /* h_last, c_last (B, H): the states after the last step, or NULL. They may be h0 and c0; h_last may be y if T is 1. */
    frnn_status (*forward)(const frnn_plan *plan, const frnn_tape *tape, void *h_last, void *c_last, void *scratch);
    /* Sums over time go through it in pieces of so many steps, from the plan's kernels, B, I and H. Back-propagation
     * of a sequence in segments, the last one first, gives the same bits as in one call if every segment but the last
     * is a multiple of that, with `accumulate` in all calls but the first. */
    frnn_status (*backward_steps)(const frnn_plan *plan, size_t *steps);
    /* Depends on which gradients are NULL. The tape must have its y and gates and be as the forward call left it. */
    frnn_status (*backward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                         size_t *bytes);
    frnn_status (*backward)(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                            void *scratch);
    /* Writes the very weights that prepared was made from; b is NULL if it was made without. */
    frnn_status (*unprepare)(const frnn_plan *plan, const void *prepared, void *wx, void *wh, void *b);
} frnn_cell;

/* The names of version 1. */
typedef frnn_tape frnn_simple_rnn_tape;
typedef frnn_gradients frnn_simple_rnn_gradients;

/* Every public function. Programs that link to the sources call them by name; programs that load the Python
 * package take this table from it (fastrnn._core.get_api in Cython, the capsule fastrnn._core.C_API in C). */
typedef struct frnn_api {
    int version; /* FRNN_API_VERSION */

    const char *(*status_text)(frnn_status status);

    /* Instruction sets compiled in, worst to best; the name at index i, NULL past the end. */
    const char *(*isa_name)(size_t i);
    /* NULL if the name is unknown or this processor lacks the instructions. A NULL name means the best. */
    const frnn_kernels *(*kernels)(const char *isa, frnn_dtype dtype);

    /* y[i] = act(x[i]) for i < n; in place if x == y. */
    frnn_status (*activate)(const frnn_kernels *kernels, frnn_activation activation, size_t n, const void *x, void *y);

    /* SimpleRNN in the form of version 1: like `simple_rnn` below. */
    frnn_status (*simple_rnn_prepared_size)(const frnn_plan *plan, size_t *bytes);
    frnn_status (*simple_rnn_prepare)(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                      void *prepared);
    frnn_status (*simple_rnn_prepared_from)(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                            const void *prepared, int *same);
    frnn_status (*simple_rnn_forward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape, size_t *bytes);
    frnn_status (*simple_rnn_forward)(const frnn_plan *plan, const frnn_tape *tape, void *h_last, void *scratch);
    frnn_status (*simple_rnn_backward_scratch_size)(const frnn_plan *plan, const frnn_tape *tape,
                                                    const frnn_gradients *gradients, size_t *bytes);
    frnn_status (*simple_rnn_backward)(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                       void *scratch);

    /* h = act(x wx + b + h' wh), h' being the state before. */
    const frnn_cell *simple_rnn;
    /* z, r = rec_act(x wx + b + h' wh); h = z h' + (1 - z) g with g = act(x wx + b + (r h') wh), or with reset_after
     * g = act(x wx + b[0] + r (h' wh + b[1])). */
    const frnn_cell *gru;
    /* i, f, o = rec_act(x wx + b + h' wh), g = act(x wx + b + h' wh); c = f c' + i g; h = o act(c). */
    const frnn_cell *lstm;

    /* Does independent multiply-adds in registers, `times` times as many as a tile of the kernels has, and returns how
     * many scalar ones that were: timed, it is the rate that no kernel can exceed. */
    double (*multiply_adds)(const frnn_kernels *kernels, size_t times);

    /* One step. */
    frnn_status (*descend)(const frnn_kernels *kernels, frnn_optimizer optimizer, const frnn_descent *descent);

    /* A dense layer: y from x, w and b; and dx, dw and db from x, w, y and dy. Uses the plan's kernels, B, I, H, activation,
     * threads and poll. */
    frnn_status (*dense_scratch_size)(const frnn_plan *plan, const frnn_dense *dense, size_t *bytes);
    frnn_status (*dense_forward)(const frnn_plan *plan, const frnn_dense *dense, void *scratch);
    frnn_status (*dense_backward)(const frnn_plan *plan, const frnn_dense *dense, void *scratch);

    /* order (B,) for a tape: the rows of a mask (B, T) by their active steps, most first, equal ones as they are; scratch
     * (B + T + 1,). *pays is 1 if they are so uneven that a tape had better have it, else 0. */
    frnn_status (*order_rows)(size_t B, size_t T, const uint8_t *mask, size_t *order, size_t *scratch, int *pays);
} frnn_api;

const frnn_api *frnn_get_api(void);

#ifdef __cplusplus
}
#endif
#endif
