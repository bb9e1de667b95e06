#include "naive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PROMISED_ULPS = 2; /* of the activations */

static double square(double a) { return a * a; }

double naive_activate(frnn_activation activation, double z) {
    switch (activation) {
    case FRNN_TANH: return tanh(z);
    case FRNN_SIGMOID: return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z));
    case FRNN_RELU: return z > 0 ? z : 0;
    default: return z;
    }
}

double naive_derivative(frnn_activation activation, double y) {
    switch (activation) {
    case FRNN_TANH: return 1 - y * y;
    case FRNN_SIGMOID: return y * (1 - y);
    case FRNN_RELU: return y > 0;
    default: return 1;
    }
}

/* What rounding may do to that derivative, in units of u: y y is rounded before it is subtracted. */
static double derivative_roundings(frnn_activation activation, double y) {
    switch (activation) {
    case FRNN_TANH: return y * y + fabs(1 - y * y);
    case FRNN_SIGMOID: return 2 * fabs(y * (1 - y));
    default: return 0;
    }
}

static int uses(const naive_rnn *r, size_t b, size_t t) { return !r->mask || r->mask[b * r->T + t]; }

static size_t input_time(const naive_rnn *r, size_t step) { return r->go_backwards ? r->T - 1 - step : step; }

/* Of a sum of K products with this sum of squared terms. */
static double sum_variance(const naive_rnn *r, size_t K, double squares, double sum) {
    return (double)(K + 3) * r->u_squared * (squares + square(sum));
}

static void *zeros(size_t n) {
    void *memory = calloc(n + 1, sizeof(double));
    if (!memory) abort();
    return memory;
}

void naive_forward(const naive_rnn *r, double *y, double *y_variance, double *h, double *h_variance) {
    const size_t B = r->B, T = r->T, I = r->I, H = r->H;
    double *z = zeros(H), *squares = zeros(H), *carried = zeros(H);
    for (size_t b = 0; b < B; b++) {
        double *state = h + b * H, *variance = h_variance + b * H;
        for (size_t j = 0; j < H; j++) state[j] = r->h0 ? r->h0[b * H + j] : 0, variance[j] = 0;
        for (size_t step = 0; step < T; step++) {
            const size_t t = input_time(r, step);
            if (uses(r, b, t)) {
                for (size_t j = 0; j < H; j++) {
                    z[j] = r->b ? r->b[j] : 0;
                    squares[j] = square(z[j]);
                    carried[j] = 0;
                }
                for (size_t i = 0; i < I; i++) {
                    const double x = r->x[(b * T + t) * I + i];
                    for (size_t j = 0; j < H; j++) {
                        const double term = x * r->wx[i * H + j];
                        z[j] += term;
                        squares[j] += term * term;
                    }
                }
                for (size_t i = 0; i < H; i++) {
                    const double keep = r->dropout ? r->dropout[b * H + i] : 1;
                    const double before = keep * state[i], v = square(keep) * variance[i];
                    for (size_t j = 0; j < H; j++) {
                        const double w = r->wh[i * H + j], term = before * w;
                        z[j] += term;
                        squares[j] += term * term;
                        carried[j] += v * w * w;
                    }
                }
                for (size_t j = 0; j < H; j++) {
                    state[j] = naive_activate(r->activation, z[j]);
                    variance[j] = square(naive_derivative(r->activation, state[j]))
                                      * (carried[j] + sum_variance(r, I + H + 1, squares[j], z[j]))
                                  + square(PROMISED_ULPS) * 4 * r->u_squared * square(state[j]);
                }
            }
            const int is_zero = r->zero_output_for_mask && !uses(r, b, t);
            for (size_t j = 0; j < H; j++) {
                y[(b * T + step) * H + j] = is_zero ? 0 : state[j];
                y_variance[(b * T + step) * H + j] = is_zero ? 0 : variance[j];
            }
        }
    }
    free(z), free(squares), free(carried);
}

/* c (M, N) += outer product of a (M,) and b (N,), with the squares of the terms and with b's variance carried on. */
static void add_outer(size_t M, size_t N, const double *a, const double *b, const double *b_variance, double *c,
                      double *squares, double *variance) {
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            const double term = a[i] * b[j];
            c[i * N + j] += term;
            squares[i * N + j] += term * term;
            variance[i * N + j] += square(a[i]) * b_variance[j];
        }
}

/* a (M,) = w (M, N) b (N,), scaled by an optional factor (M,). */
static void multiply(const naive_rnn *r, size_t M, size_t N, const double *w, const double *b, const double *b_variance,
                     const double *factor, double *a, double *a_variance) {
    for (size_t i = 0; i < M; i++) {
        const double scale = factor ? factor[i] : 1;
        double sum = 0, squares = 0, carried = 0;
        for (size_t j = 0; j < N; j++) {
            const double term = w[i * N + j] * b[j];
            sum += term;
            squares += term * term;
            carried += square(w[i * N + j]) * b_variance[j];
        }
        a[i] = scale * sum;
        a_variance[i] = square(scale) * (carried + sum_variance(r, N, squares, sum));
    }
}

static void add_sum_variance(const naive_rnn *r, size_t count, size_t n, const double *sum, const double *squares,
                             double *variance) {
    for (size_t i = 0; i < n; i++) variance[i] += sum_variance(r, count, squares[i], sum[i]);
}

void naive_backward(const naive_rnn *r, const double *y, const naive_gradients *g) {
    const size_t B = r->B, T = r->T, I = r->I, H = r->H;
    const double one = 1;
    double *dz = zeros(H), *dz_variance = zeros(H), *before = zeros(H);
    double *wx_squares = zeros(I * H), *wh_squares = zeros(H * H), *b_squares = zeros(H);
    size_t tokens = 0;
    memset(g->dx, 0, B * T * I * sizeof *g->dx);
    memset(g->dx_variance, 0, B * T * I * sizeof *g->dx);
    memset(g->dwx, 0, I * H * sizeof *g->dwx);
    memset(g->dwx_variance, 0, I * H * sizeof *g->dwx);
    memset(g->dwh, 0, H * H * sizeof *g->dwh);
    memset(g->dwh_variance, 0, H * H * sizeof *g->dwh);
    memset(g->db, 0, H * sizeof *g->db);
    memset(g->db_variance, 0, H * sizeof *g->db);
    for (size_t b = 0; b < B; b++) {
        double *dh = g->dh0 + b * H, *variance = g->dh0_variance + b * H;
        for (size_t j = 0; j < H; j++) dh[j] = g->dh_last ? g->dh_last[b * H + j] : 0, variance[j] = 0;
        for (size_t step = T; step-- > 0;) {
            const size_t t = input_time(r, step);
            const double *dy = g->dy ? g->dy + (b * T + step) * H : NULL;
            const int is_used = uses(r, b, t);
            if (dy && (is_used || !r->zero_output_for_mask))
                for (size_t j = 0; j < H; j++) {
                    dh[j] += dy[j];
                    variance[j] += r->u_squared * square(dh[j]);
                }
            if (!is_used) continue;
            tokens++;
            for (size_t j = 0; j < H; j++) {
                const double h = y[(b * T + step) * H + j], slope = naive_derivative(r->activation, h);
                dz[j] = dh[j] * slope;
                dz_variance[j] =
                    square(slope) * variance[j]
                    + r->u_squared * (square(dh[j] * derivative_roundings(r->activation, h)) + square(dz[j]));
            }
            /* The state before: the output of the last step that was used. */
            const double *last = r->h0 ? r->h0 + b * H : NULL;
            for (size_t s = step; s-- > 0;)
                if (uses(r, b, input_time(r, s))) {
                    last = y + (b * T + s) * H;
                    break;
                }
            for (size_t i = 0; i < H; i++) before[i] = (last ? last[i] : 0) * (r->dropout ? r->dropout[b * H + i] : 1);

            multiply(r, I, H, r->wx, dz, dz_variance, NULL, g->dx + (b * T + t) * I, g->dx_variance + (b * T + t) * I);
            add_outer(I, H, r->x + (b * T + t) * I, dz, dz_variance, g->dwx, wx_squares, g->dwx_variance);
            add_outer(H, H, before, dz, dz_variance, g->dwh, wh_squares, g->dwh_variance);
            add_outer(1, H, &one, dz, dz_variance, g->db, b_squares, g->db_variance);
            multiply(r, H, H, r->wh, dz, dz_variance, r->dropout ? r->dropout + b * H : NULL, dh, variance);
        }
    }
    add_sum_variance(r, tokens, I * H, g->dwx, wx_squares, g->dwx_variance);
    add_sum_variance(r, tokens, H * H, g->dwh, wh_squares, g->dwh_variance);
    add_sum_variance(r, tokens, H, g->db, b_squares, g->db_variance);
    free(dz), free(dz_variance), free(before), free(wx_squares), free(wh_squares), free(b_squares);
}
