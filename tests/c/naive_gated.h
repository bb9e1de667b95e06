/* GRU and LSTM in double precision, written down from their equations: one row, one unit after the other. All arrays are
 * dense, and the gates of a matrix stand behind each other as the user has them: z, r, h or i, f, c, o. */
#ifndef NAIVE_GATED_H
#define NAIVE_GATED_H

#include "fastrnn.h"

typedef enum gated_kind { GRU_BEFORE, GRU_AFTER, LSTM, GATED_KINDS } gated_kind;

static inline size_t gates_of(gated_kind kind) { return kind == LSTM ? 4 : 3; }

typedef struct naive_gated {
    gated_kind kind;
    size_t B, T, I, H;
    frnn_activation activation, recurrent_activation;
    int go_backwards, zero_output_for_mask;
    const double *x;       /* (B, T, I) */
    const double *wx, *wh; /* (I, gates * H), (H, gates * H) */
    const double *b;       /* (gates * H,), GRU_AFTER (2, gates * H), or NULL */
    const double *h0, *c0; /* (B, H) or NULL */
    const double *dropout; /* (gates, B, H) or NULL */
    const uint8_t *mask;   /* (B, T) or NULL */
    const double *dy;      /* (B, T, H) or NULL */
    const double *dh, *dc; /* (B, H) of the last states, or NULL */
} naive_gated;

typedef struct naive_gated_results {
    double *y, *h, *c;      /* (B, T, H) in processing order; (B, H) after the last step */
    double *dx, *dh0, *dc0; /* (B, T, I), (B, H), (B, H) */
    double *dwx, *dwh, *db; /* like wx, wh, and b */
} naive_gated_results;

/* Fills all of it; the arrays must hold zeros. */
void naive_gated_run(const naive_gated *rnn, const naive_gated_results *results);

#endif
