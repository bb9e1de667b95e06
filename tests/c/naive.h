/* SimpleRNN in double precision, written down from its equations, and how far rounding may lead from it.
 *
 * The error of a sum of K products, computed in any order with unit roundoff u, has a standard deviation of at most about
 * u sqrt(K) times the root of the sum of the squared terms and of the squared result. Such deviations are followed
 * through the recurrence as if they were independent; `*_variance` holds their squares. All arrays are dense. */
#ifndef NAIVE_H
#define NAIVE_H

#include "fastrnn.h"

double naive_activate(frnn_activation activation, double z);
double naive_derivative(frnn_activation activation, double y); /* act'(z) from y = act(z) */

typedef struct naive_rnn {
    size_t B, T, I, H;
    frnn_activation activation;
    int go_backwards, zero_output_for_mask;
    double u_squared;      /* of the arithmetic under test plus that of this one */
    const double *x;       /* (B, T, I) */
    const double *wx, *wh; /* (I, H), (H, H) */
    const double *b;       /* (H,) or NULL */
    const double *h0;      /* (B, H) or NULL */
    const double *dropout; /* (B, H) or NULL */
    const uint8_t *mask;   /* (B, T) or NULL */
} naive_rnn;

/* y (B, T, H) in processing order, h (B, H) after the last step. */
void naive_forward(const naive_rnn *rnn, double *y, double *y_variance, double *h, double *h_variance);

typedef struct naive_gradients {
    const double *dy;      /* (B, T, H) or NULL */
    const double *dh_last; /* (B, H) or NULL */
    double *dx, *dh0, *dwx, *dwh, *db;
    double *dx_variance, *dh0_variance, *dwx_variance, *dwh_variance, *db_variance;
} naive_gradients;

/* Back through the outputs y that a forward call under test left behind. */
void naive_backward(const naive_rnn *rnn, const double *y, const naive_gradients *gradients);

#endif
