#include "naive_gated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double act(frnn_activation activation, double z) {
    switch (activation) {
    case FRNN_TANH: return tanh(z);
    case FRNN_SIGMOID: return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z));
    case FRNN_RELU: return z > 0 ? z : 0;
    default: return z;
    }
}

static double act_slope(frnn_activation activation, double z) {
    const double y = act(activation, z);
    switch (activation) {
    case FRNN_TANH: return 1 - y * y;
    case FRNN_SIGMOID: return y * (1 - y);
    case FRNN_RELU: return z > 0;
    default: return 1;
    }
}

/* What one row goes through in one step; arrays of H, gate after gate. */
typedef struct moment {
    int used;
    size_t t;
    double *h, *c; /* states before */
    double *z;     /* pre-activations; of GRU_AFTER's last gate only x's part */
    double *u;     /* GRU_AFTER: h's part of it */
    double *next_c;
} moment;

static double *zeros(size_t n) {
    double *memory = calloc(n + 1, sizeof *memory);
    if (!memory) abort();
    return memory;
}

static double factor(const naive_gated *r, size_t gate, size_t b, size_t i) {
    return r->dropout ? r->dropout[(gate * r->B + b) * r->H + i] : 1;
}

/* h' or, for GRU_BEFORE's last gate, r h' on the way into a gate's product. */
static double entering(const naive_gated *r, const moment *m, size_t gate, size_t b, size_t i) {
    const double h = factor(r, gate, b, i) * m->h[i];
    return r->kind == GRU_BEFORE && gate == 2 ? act(r->recurrent_activation, m->z[r->H + i]) * h : h;
}

static void step(const naive_gated *r, size_t b, const moment *m, double *h) {
    const size_t H = r->H, gates = gates_of(r->kind), N = gates * H;
    const frnn_activation a = r->activation, rec = r->recurrent_activation;
    for (size_t g = 0; g < gates; g++)
        for (size_t j = 0; j < H; j++) {
            const size_t n = g * H + j;
            double from_x = r->b ? r->b[n] : 0, from_h = r->b && r->kind == GRU_AFTER ? r->b[N + n] : 0;
            for (size_t i = 0; i < r->I; i++) from_x += r->x[(b * r->T + m->t) * r->I + i] * r->wx[i * N + n];
            for (size_t i = 0; i < H; i++) from_h += entering(r, m, g, b, i) * r->wh[i * N + n];
            const int apart = r->kind == GRU_AFTER && g == 2;
            m->z[n] = apart ? from_x : from_x + from_h;
            if (apart) m->u[j] = from_h;
        }
    for (size_t j = 0; j < H; j++) {
        const double *z = m->z + j;
        if (r->kind == LSTM) {
            m->next_c[j] = act(rec, z[H]) * m->c[j] + act(rec, z[0]) * act(a, z[2 * H]);
            h[j] = act(rec, z[3 * H]) * act(a, m->next_c[j]);
        } else {
            const double update = act(rec, z[0]), reset = act(rec, z[H]);
            const double g = act(a, r->kind == GRU_AFTER ? z[2 * H] + reset * m->u[j] : z[2 * H]);
            h[j] = update * m->h[j] + (1 - update) * g;
        }
    }
}

/* The gradients of one gate's product, dn for every unit: to wh, and to what entered it. */
static void step_back_product(const naive_gated *r, size_t b, const moment *m, size_t gate, const double *dn,
                              const naive_gated_results *out, double *entered) {
    const size_t H = r->H, N = gates_of(r->kind) * H;
    for (size_t i = 0; i < H; i++) {
        entered[i] = 0;
        for (size_t j = 0; j < H; j++) {
            out->dwh[i * N + gate * H + j] += entering(r, m, gate, b, i) * dn[j];
            entered[i] += r->wh[i * N + gate * H + j] * dn[j];
        }
    }
}

/* dh, dc: of the states after the step, become those of the states before it. */
static void step_back(const naive_gated *r, size_t b, const moment *m, const naive_gated_results *out, double *dh,
                      double *dc) {
    const size_t H = r->H, gates = gates_of(r->kind), N = gates * H;
    const frnn_activation a = r->activation, rec = r->recurrent_activation;
    double *dz = zeros(N), *du = zeros(H), *entered = zeros(H), *before = zeros(H);
    for (size_t j = 0; j < H; j++) {
        const double *z = m->z + j;
        if (r->kind == LSTM) {
            const double t = act(a, m->next_c[j]), out_gate = act(rec, z[3 * H]);
            const double d = dc[j] + dh[j] * out_gate * act_slope(a, m->next_c[j]);
            dz[3 * H + j] = dh[j] * t * act_slope(rec, z[3 * H]);
            dz[j] = d * act(a, z[2 * H]) * act_slope(rec, z[0]);
            dz[H + j] = d * m->c[j] * act_slope(rec, z[H]);
            dz[2 * H + j] = d * act(rec, z[0]) * act_slope(a, z[2 * H]);
            dc[j] = d * act(rec, z[H]);
        } else {
            const double update = act(rec, z[0]), reset = act(rec, z[H]);
            const double inner = r->kind == GRU_AFTER ? z[2 * H] + reset * m->u[j] : z[2 * H];
            dz[2 * H + j] = dh[j] * (1 - update) * act_slope(a, inner);
            dz[j] = dh[j] * (m->h[j] - act(a, inner)) * act_slope(rec, z[0]);
            before[j] = dh[j] * update;
            if (r->kind == GRU_BEFORE) continue;
            dz[H + j] = dz[2 * H + j] * m->u[j] * act_slope(rec, z[H]);
            du[j] = dz[2 * H + j] * reset;
        }
    }
    for (size_t g = gates; g-- > 0;) { /* GRU_BEFORE's last gate tells the reset gate's gradient */
        const double *dn = r->kind == GRU_AFTER && g == 2 ? du : dz + g * H;
        step_back_product(r, b, m, g, dn, out, entered);
        for (size_t i = 0; i < H; i++) {
            double into = entered[i] * factor(r, g, b, i);
            if (r->kind == GRU_BEFORE && g == 2) {
                dz[H + i] = into * m->h[i] * act_slope(rec, m->z[H + i]);
                into *= act(rec, m->z[H + i]);
            }
            before[i] += into;
        }
        for (size_t j = 0; j < H && r->kind == GRU_AFTER; j++) out->db[N + g * H + j] += dn[j];
    }
    for (size_t n = 0; n < N; n++) {
        out->db[n] += dz[n];
        for (size_t i = 0; i < r->I; i++) {
            const size_t at = (b * r->T + m->t) * r->I + i;
            out->dwx[i * N + n] += r->x[at] * dz[n];
            out->dx[at] += r->wx[i * N + n] * dz[n];
        }
    }
    memcpy(dh, before, H * sizeof *dh);
    free(dz), free(du), free(entered), free(before);
}

static void run_row(const naive_gated *r, size_t b, const naive_gated_results *out) {
    const size_t H = r->H, T = r->T, each = H * (gates_of(r->kind) + 4), at = b * H;
    double *memory = zeros(T * each), *h = out->h + at, *c = out->c + at, *dh = out->dh0 + at, *dc = out->dc0 + at;
    moment *moments = calloc(T + 1, sizeof *moments);
    if (!moments) abort();
    for (size_t j = 0; j < H; j++) h[j] = r->h0 ? r->h0[at + j] : 0, c[j] = r->c0 ? r->c0[at + j] : 0;
    for (size_t s = 0; s < T; s++) {
        moment *m = &moments[s];
        double *own = memory + s * each, *y = out->y + (b * T + s) * H;
        *m = (moment){.t = r->go_backwards ? T - 1 - s : s, .h = own, .c = own + H, .u = own + 2 * H};
        m->next_c = own + 3 * H, m->z = own + 4 * H;
        m->used = !r->mask || r->mask[b * T + m->t];
        memcpy(m->h, h, H * sizeof *h), memcpy(m->c, c, H * sizeof *c);
        if (m->used) step(r, b, m, h), memcpy(c, m->next_c, H * sizeof *c);
        for (size_t j = 0; j < H; j++) y[j] = m->used || !r->zero_output_for_mask ? h[j] : 0;
    }
    for (size_t j = 0; j < H; j++) dh[j] = r->dh ? r->dh[at + j] : 0, dc[j] = r->dc ? r->dc[at + j] : 0;
    for (size_t s = T; s-- > 0;) {
        const int counts = r->dy && (moments[s].used || !r->zero_output_for_mask);
        for (size_t j = 0; j < H && counts; j++) dh[j] += r->dy[(b * T + s) * H + j];
        if (moments[s].used) step_back(r, b, &moments[s], out, dh, dc);
    }
    free(memory), free(moments);
}

void naive_gated_run(const naive_gated *r, const naive_gated_results *results) {
    for (size_t b = 0; b < r->B; b++) run_row(r, b, results);
}
