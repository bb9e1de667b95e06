/* SimpleRNN: h(t) = act(x(t) wx + b + h(t-1) wh), forward and back through time.
 *
 * Forward goes through time in chunks that fit the cache. A chunk is first projected, x wx + b for all its tokens in
 * one product written to where the outputs will be; then every step adds h wh to it in place and applies the
 * activation. If a step has enough rows and the weights are small, it computes both products at once instead.
 *
 * Backward carries only dh: dz = (dy + dh) act'(z), then dh = dz wh^T. The weight gradients, sums of x^T dz and h^T dz
 * over all tokens, and dx = dz wx^T follow chunk by chunk while dz is still in cache.
 *
 * A masked step is simply not listed among the rows of a product, in either direction. */
#include "cells/simple_rnn.h"

#include <string.h>

#include "cells/outer_sums.h"
#include "cells/packing.h"
#include "cells/team.h"
#include "runtime/sizes.h"

/* Bytes of x and y, or of x, h and dz, that a chunk of time may take. */
static const size_t CHUNK_BYTES = 256 * 1024;
/* Weights that a step can go through without the help of a projection. */
static const size_t FUSED_BYTES = 256 * 1024;
/* Tokens of a chunk. Fewer would send the weights through the cache too often, forward and in the gradients' sums. */
enum { LEAST_TOKENS = 96, LEAST_TOKENS_BACKWARD = 256, MOST_TOKENS = 4096 };

static size_t time_of(const frnn_plan *plan, size_t step) { return plan->go_backwards ? plan->T - 1 - step : step; }

/* Steps per chunk, from the elements of a token and the rows that go through it together. */
static size_t chunk_steps(const frnn_plan *plan, size_t rows, size_t token_elements, size_t least_tokens) {
    const size_t room = CHUNK_BYTES / plan->kernels->size / frnn_most(token_elements, 1);
    const size_t tokens = frnn_least(frnn_most(room, least_tokens), MOST_TOKENS);
    return frnn_most(frnn_least((tokens + rows - 1) / frnn_most(rows, 1), plan->T), 1);
}

static int is_sound(const frnn_plan *plan) {
    return plan && plan->kernels && (unsigned)plan->activation < FRNN_ACTIVATIONS && plan->H > 0;
}

static int active(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, size_t b, size_t step) {
    return !tape->mask || tape->mask[b * plan->T + time_of(plan, step)];
}

static const char *x_at(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, size_t b, size_t step) {
    return (const char *)tape->x + (ptrdiff_t)b * tape->x_batch + (ptrdiff_t)time_of(plan, step) * tape->x_time;
}

static char *y_at(const frnn_simple_rnn_tape *tape, size_t b, size_t step) {
    return (char *)tape->y + (ptrdiff_t)b * tape->y_batch + (ptrdiff_t)step * tape->y_time;
}

/* ---- prepared weights: bias | wx | wh, each padded to whole panels ---- */

typedef struct weights {
    void *b, *wx, *wh;
} weights;

static weights lay_out_weights(const frnn_plan *plan, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t row = frnn_times(l, frnn_panels(k, plan->H), k->panel);
    weights w;
    w.b = frnn_take(l, row, k->size);
    w.wx = frnn_take(l, frnn_times(l, row, plan->I), k->size);
    w.wh = frnn_take(l, frnn_times(l, row, plan->H), k->size);
    return w;
}

static weights weights_in(const frnn_plan *plan, const void *prepared) {
    frnn_layout l = {.memory = (char *)prepared};
    return lay_out_weights(plan, &l);
}

frnn_status frnn_simple_rnn_prepared_size(const frnn_plan *plan, size_t *bytes) {
    frnn_layout l = {0};
    if (!is_sound(plan) || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_weights(plan, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

frnn_status frnn_simple_rnn_prepare(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                    void *prepared) {
    if (!is_sound(plan) || (!wx && plan->I) || !wh || !prepared) return FRNN_ERR_ARGUMENT;
    const frnn_kernels *k = plan->kernels;
    const weights w = weights_in(plan, prepared);
    memset(w.b, 0, frnn_panels(k, plan->H) * k->panel * k->size);
    if (b) memcpy(w.b, b, plan->H * k->size);
    frnn_pack_matrix(k, wx, plan->I, plan->H, w.wx);
    frnn_pack_matrix(k, wh, plan->H, plan->H, w.wh);
    return FRNN_OK;
}

/* Whether prepared holds the very bits of b, or zeros for none. */
static int is_bias(const char *b, size_t bytes, const char *prepared) {
    for (size_t i = 0; i < bytes; i++)
        if (prepared[i] != (b ? b[i] : 0)) return 0;
    return 1;
}

frnn_status frnn_simple_rnn_prepared_from(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                          const void *prepared, int *same) {
    if (!is_sound(plan) || (!wx && plan->I) || !wh || !prepared || !same) return FRNN_ERR_ARGUMENT;
    const frnn_kernels *k = plan->kernels;
    const weights w = weights_in(plan, prepared);
    *same = is_bias(b, plan->H * k->size, w.b) && frnn_is_packed_from(k, wh, plan->H, plan->H, w.wh)
            && frnn_is_packed_from(k, wx, plan->I, plan->H, w.wx);
    return FRNN_OK;
}

/* ---- forward ---- */

typedef struct forward {
    const frnn_plan *plan;
    const frnn_simple_rnn_tape *tape;
    void *h_last;
    size_t steps;   /* of a chunk */
    char *zeros;    /* (H,) */
    char *h;        /* (B, H) states between chunks, if y is not kept */
    char *z;        /* (steps, B, H) outputs of a chunk, if y is not kept */
    char *dropped;  /* (B, H) states times dropout */
    const char **x; /* per member (steps * B,): rows that a product reads */
    char **hidden;  /* per member (B,): and these */
    char **to;      /* per member (steps * B,): and those that it writes */
    char **state;   /* per member (B,): where each row's last state is */
} forward;

static forward lay_out_forward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, frnn_layout *l) {
    const size_t size = plan->kernels->size, states = frnn_times(l, plan->B, plan->H);
    const size_t threads = frnn_most_members(plan);
    forward f = {.plan = plan,
                 .tape = tape,
                 .steps = chunk_steps(plan, frnn_most(plan->B / threads, 1), plan->I + plan->H, LEAST_TOKENS)};
    const size_t tokens = frnn_times(l, f.steps, plan->B);
    f.zeros = frnn_take(l, tape->h0 ? 0 : plan->H, size);
    f.h = frnn_take(l, tape->y ? 0 : states, size);
    f.z = frnn_take(l, tape->y ? 0 : frnn_times(l, tokens, plan->H), size);
    f.dropped = frnn_take(l, tape->dropout ? states : 0, size);
    f.x = frnn_take(l, frnn_times(l, threads, tokens), sizeof *f.x);
    f.hidden = frnn_take(l, frnn_times(l, threads, plan->B), sizeof *f.hidden);
    f.to = frnn_take(l, frnn_times(l, threads, tokens), sizeof *f.to);
    f.state = frnn_take(l, frnn_times(l, threads, plan->B), sizeof *f.state);
    return f;
}

/* Where row b's output of a step goes; the next row's is output_stride further. */
static char *output_at(const forward *f, size_t b, size_t step) {
    if (f->tape->y) return y_at(f->tape, b, step);
    return f->z + ((step % f->steps) * f->plan->B + b) * f->plan->H * f->plan->kernels->size;
}

static ptrdiff_t output_stride(const forward *f) {
    return f->tape->y ? f->tape->y_batch : (ptrdiff_t)(f->plan->H * f->plan->kernels->size);
}

/* Whether a step computes x wx too, instead of a projection of the whole chunk: fewer tiles, each twice as long. Pays
 * when a step's rows fill a tile and all weights stay in the second-level cache. */
static int is_fused(const frnn_plan *plan, frnn_share share) {
    return share.rows.last - share.rows.first >= plan->kernels->tile
           && (plan->I + plan->H) * plan->H * plan->kernels->size <= FUSED_BYTES;
}

/* x wx + b for the chunk's active tokens, written to where their outputs will be. */
static int project(const forward *f, frnn_team *team, size_t member, frnn_share share, frnn_range steps,
                   const weights *w, const char **from, char **to) {
    const ptrdiff_t stride = output_stride(f), x_stride = f->tape->x_batch;
    size_t n = 0;
    for (size_t step = steps.first; step < steps.last; step++) {
        const char *x = x_at(f->plan, f->tape, share.rows.first, step);
        char *y = output_at(f, share.rows.first, step);
        for (size_t b = share.rows.first; b < share.rows.last; b++, x += x_stride, y += stride)
            if (active(f->plan, f->tape, b, step)) {
                from[n] = x;
                to[n++] = y;
            }
    }
    return frnn_multiply(team, member, f->plan->kernels,
                         (frnn_product){.term = {{(const void *const *)from, w->wx, f->plan->I}},
                                        .start = w->b,
                                        .c = (void *const *)to,
                                        .rows = n,
                                        .N = f->plan->H,
                                        .first = share.panels.first,
                                        .last = share.panels.last,
                                        .activation = FRNN_LINEAR});
}

/* One member's lists of rows. Row i of a list of states is row share.rows.first + i of the batch. */
typedef struct books {
    const char **x; /* rows that a product reads */
    char **h;       /* and these */
    char **y;       /* and those that it writes */
    char **state;   /* where every row's last state is */
} books;

/* Lists the active rows of a step, passes on the states of the others, and moves `state` on. Returns their number. */
static size_t list_active(const forward *f, frnn_share share, size_t step, const char *x, char *y, const books *k) {
    const frnn_plan *plan = f->plan;
    const frnn_simple_rnn_tape *tape = f->tape;
    const size_t size = plan->kernels->size, row = plan->H * size, first = share.rows.first;
    const size_t offset = share.columns.first * size, bytes = (share.columns.last - share.columns.first) * size;
    const ptrdiff_t y_stride = output_stride(f);
    size_t n = 0;
    for (size_t i = 0; i < share.rows.last - first; i++, x += tape->x_batch, y += y_stride) {
        char *state = k->state[i];
        if (active(plan, tape, first + i, step)) {
            k->x[n] = x;
            k->h[n] = state;
            if (tape->dropout) {
                k->h[n] = f->dropped + (first + i) * row;
                plan->kernels->multiply(plan->H, state, (const char *)tape->dropout + (first + i) * row, k->h[n]);
            }
            k->y[n++] = y;
            k->state[i] = y;
        } else if (tape->y) {
            if (plan->zero_output_for_mask) memset(y + offset, 0, bytes);
            else memcpy(y + offset, state + offset, bytes);
        }
    }
    return n;
}

/* The same if all rows are active: what a step writes is the next one's state, so the two lists change places. */
static size_t list_all(const forward *f, frnn_share share, const char *x, char *y, books *k) {
    const ptrdiff_t x_stride = f->tape->x_batch, y_stride = output_stride(f);
    const size_t n = share.rows.last - share.rows.first;
    char **const next = k->h;
    k->h = k->state;
    k->state = next;
    for (size_t i = 0; i < n; i++, x += x_stride, y += y_stride) {
        k->x[i] = x;
        next[i] = y;
    }
    return n;
}

/* One step: adds h wh to the projection, or to x wx + b computed here, and applies the activation. */
static int recur(const forward *f, frnn_team *team, size_t member, frnn_share share, size_t step, const weights *w,
                 int fused, books *k) {
    const frnn_plan *plan = f->plan;
    const char *x = x_at(plan, f->tape, share.rows.first, step);
    char *y = output_at(f, share.rows.first, step);
    const int all = !f->tape->mask && !f->tape->dropout;
    const size_t n = all ? list_all(f, share, x, y, k) : list_active(f, share, step, x, y, k);
    const frnn_term project = {(const void *const *)k->x, w->wx, plan->I};
    const frnn_term recur = {(const void *const *)k->h, w->wh, plan->H};
    frnn_product product = {.term = {recur},
                            .start = NULL,
                            .c = (void *const *)(all ? k->state : k->y),
                            .rows = n,
                            .N = plan->H,
                            .first = share.panels.first,
                            .last = share.panels.last,
                            .activation = plan->activation};
    if (fused) product.term[0] = project, product.term[1] = recur, product.start = w->b;
    return frnn_multiply(team, member, plan->kernels, product);
}

static void forward_member(frnn_team *team, size_t member, void *job) {
    const forward *f = job;
    const frnn_plan *plan = f->plan;
    const size_t size = plan->kernels->size, row = plan->H * size;
    const frnn_share share = frnn_share_of(plan, frnn_team_size(team), member, !f->tape->dropout);
    const size_t first = share.rows.first, rows = share.rows.last - first;
    const size_t offset = share.columns.first * size, bytes = (share.columns.last - share.columns.first) * size;
    const weights w = weights_in(plan, f->tape->prepared);
    const int fused = is_fused(plan, share);
    books k = {.x = f->x + member * f->steps * plan->B,
               .h = f->hidden + member * plan->B,
               .y = f->to + member * f->steps * plan->B,
               .state = f->state + member * plan->B};

    for (size_t i = 0; i < rows; i++) k.state[i] = f->tape->h0 ? (char *)f->tape->h0 + (first + i) * row : f->zeros;
    for (frnn_range steps = {0, 0}; steps.first < plan->T; steps.first = steps.last) {
        steps.last = frnn_least(steps.first + f->steps, plan->T);
        if (!fused && project(f, team, member, share, steps, &w, k.x, k.y)) return;
        for (size_t step = steps.first; step < steps.last; step++) {
            if (recur(f, team, member, share, step, &w, fused, &k)) return;
            if (share.together && frnn_barrier(team)) return;
        }
        if (f->tape->y) continue;
        /* The next chunk reuses z. */
        for (size_t i = 0; i < rows; i++) {
            char *h = f->h + (first + i) * row;
            if (k.state[i] != h) memcpy(h + offset, k.state[i] + offset, bytes);
            k.state[i] = h;
        }
        if (share.together && frnn_barrier(team)) return;
    }
    if (!f->h_last) return;
    for (size_t i = 0; i < rows; i++)
        memmove((char *)f->h_last + (first + i) * row + offset, k.state[i] + offset, bytes);
}

static int is_tape(const frnn_plan *plan, const frnn_simple_rnn_tape *tape) {
    const int tokens = plan->B && plan->T;
    return tape && tape->prepared && (!tokens || !plan->I || tape->x);
}

frnn_status frnn_simple_rnn_forward_scratch_size(const frnn_plan *plan, const frnn_simple_rnn_tape *tape,
                                                 size_t *bytes) {
    frnn_layout l = {0};
    if (!is_sound(plan) || !tape || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_forward(plan, tape, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

static double multiply_adds(const frnn_plan *plan) {
    return (double)plan->B * (double)plan->T * (double)plan->H * (double)(plan->I + plan->H);
}

frnn_status frnn_simple_rnn_forward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, void *h_last,
                                    void *scratch) {
    if (!is_sound(plan) || !is_tape(plan, tape) || !scratch) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    forward f = lay_out_forward(plan, tape, &l);
    f.h_last = h_last;
    if (!tape->h0) memset(f.zeros, 0, plan->H * plan->kernels->size);
    return frnn_run(plan, multiply_adds(plan), forward_member, &f);
}

/* ---- backward ---- */

typedef struct backward {
    const frnn_plan *plan;
    const frnn_simple_rnn_tape *tape;
    const frnn_simple_rnn_gradients *gradients;
    size_t steps;         /* of a chunk */
    char *zeros;          /* whole panels over the larger of H and I */
    char *wx_t, *wh_t;    /* packed transposes */
    char *dz;             /* (steps, B, H) */
    char *dropped;        /* (steps, B, H) previous states times dropout */
    frnn_outer_sums sums; /* of the weight gradients */
    size_t *previous;     /* (chunks, B): 1 + the last active step before a chunk, 0 if there is none */
    size_t *last;         /* per member (B,): the same, moving through a chunk */
    const char **dz_rows, **x_rows, **h_rows; /* per member (steps * B,): the chunk's active tokens */
    char **to;                                /* per member (steps * B,) */
} backward;

static backward lay_out_backward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape,
                                 const frnn_simple_rnn_gradients *gradients, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t size = k->size, h_columns = frnn_times(l, frnn_panels(k, plan->H), k->panel);
    const size_t x_columns = frnn_times(l, frnn_panels(k, plan->I), k->panel);
    /* The sums of the weight gradients are cut where the chunks are: those must not depend on the threads. */
    backward g = {.plan = plan,
                  .tape = tape,
                  .gradients = gradients,
                  .steps = chunk_steps(plan, frnn_most(plan->B, 1), plan->I + 2 * plan->H, LEAST_TOKENS_BACKWARD)};
    const size_t threads = frnn_most_members(plan), tokens = frnn_times(l, g.steps, plan->B);
    const size_t chunks = plan->T / g.steps + (plan->T % g.steps != 0), pointers = frnn_times(l, threads, tokens);
    g.zeros = frnn_take(l, frnn_most(h_columns, x_columns), size);
    g.wx_t = frnn_take(l, gradients->dx ? frnn_times(l, x_columns, plan->H) : 0, size);
    g.wh_t = frnn_take(l, frnn_times(l, h_columns, plan->H), size);
    g.dz = frnn_take(l, frnn_times(l, tokens, plan->H), size);
    g.dropped = frnn_take(l, tape->dropout ? frnn_times(l, tokens, plan->H) : 0, size);
    g.sums = frnn_lay_out_outer_sums(k, plan->I, plan->H, plan->H, gradients->dwx, gradients->dwh, gradients->db, l);
    g.previous = frnn_take(l, tape->mask ? frnn_times(l, chunks, plan->B) : 0, sizeof *g.previous);
    g.last = frnn_take(l, tape->mask ? frnn_times(l, threads, plan->B) : 0, sizeof *g.last);
    g.dz_rows = frnn_take(l, pointers, sizeof *g.dz_rows);
    g.x_rows = frnn_take(l, pointers, sizeof *g.x_rows);
    g.h_rows = frnn_take(l, pointers, sizeof *g.h_rows);
    g.to = frnn_take(l, pointers, sizeof *g.to);
    return g;
}

static char *dz_at(const backward *g, size_t b, size_t step) {
    return g->dz + ((step % g->steps) * g->plan->B + b) * g->plan->H * g->plan->kernels->size;
}

static char *dx_at(const backward *g, size_t b, size_t step) {
    return (char *)g->gradients->dx + (b * g->plan->T + time_of(g->plan, step)) * g->plan->I * g->plan->kernels->size;
}

/* Fills `previous` for some rows. */
static void find_previous(const backward *g, frnn_range rows) {
    const frnn_plan *plan = g->plan;
    for (size_t b = rows.first; b < rows.last; b++)
        for (size_t step = 0, last = 0; step < plan->T; step++) {
            if (step % g->steps == 0) g->previous[step / g->steps * plan->B + b] = last;
            if (active(plan, g->tape, b, step)) last = step + 1;
        }
}

/* From the gradient of the states after a step to that of the states before it, in dh0; leaves the step's dz. */
static int step_back(const backward *g, frnn_team *team, size_t member, frnn_share share, size_t step,
                     const char **from, char **to) {
    const frnn_plan *plan = g->plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_simple_rnn_gradients *out = g->gradients;
    const size_t row = plan->H * k->size, offset = share.columns.first * k->size;
    const size_t columns = share.columns.last - share.columns.first;
    size_t n = 0;
    for (size_t b = share.rows.first; b < share.rows.last; b++) {
        const char *dy =
            out->dy ? (const char *)out->dy + (ptrdiff_t)b * out->dy_batch + (ptrdiff_t)step * out->dy_time : NULL;
        char *dh = (char *)out->dh0 + b * row;
        if (active(plan, g->tape, b, step)) {
            char *dz = dz_at(g, b, step);
            k->differentiate(plan->activation, columns, dh + offset, dy ? dy + offset : NULL,
                             y_at(g->tape, b, step) + offset, dz + offset);
            from[n] = dz;
            to[n++] = dh;
        } else {
            if (dy && !plan->zero_output_for_mask) k->add(columns, dy + offset, dh + offset);
            if (out->dx && !(share.together && member)) memset(dx_at(g, b, step), 0, plan->I * k->size);
        }
    }
    if (share.together && frnn_barrier(team)) return 1; /* every column of dz must be there */
    if (frnn_multiply(team, member, k,
                      (frnn_product){.term = {{(const void *const *)from, g->wh_t, plan->H}},
                                     .start = g->zeros,
                                     .c = (void *const *)to,
                                     .rows = n,
                                     .N = plan->H,
                                     .first = share.panels.first,
                                     .last = share.panels.last,
                                     .activation = FRNN_LINEAR}))
        return 1;
    if (g->tape->dropout)
        for (size_t b = share.rows.first; b < share.rows.last; b++)
            if (active(plan, g->tape, b, step)) {
                char *dh = (char *)out->dh0 + b * row;
                k->multiply(plan->H, dh, (const char *)g->tape->dropout + b * row, dh);
            }
    return 0;
}

/* A chunk's active tokens, in order of time. Returns their number. */
static size_t list_tokens(const backward *g, frnn_range steps, size_t *last, const char **dz, const char **x,
                          const char **h, char **dx) {
    const frnn_plan *plan = g->plan;
    size_t n = 0;
    if (g->tape->mask) memcpy(last, g->previous + steps.first / g->steps * plan->B, plan->B * sizeof *last);
    for (size_t step = steps.first; step < steps.last; step++)
        for (size_t b = 0; b < plan->B; b++) {
            if (!active(plan, g->tape, b, step)) continue;
            const size_t before = g->tape->mask ? last[b] : step; /* 1 + the last active step */
            const char *h0 = g->tape->h0 ? (const char *)g->tape->h0 + b * plan->H * plan->kernels->size : g->zeros;
            dz[n] = dz_at(g, b, step);
            x[n] = x_at(plan, g->tape, b, step);
            h[n] = before ? y_at(g->tape, b, before - 1) : h0;
            if (g->gradients->dx) dx[n] = dx_at(g, b, step);
            if (g->tape->mask) last[b] = step + 1;
            n++;
        }
    return n;
}

/* Panels of the transpose of a packed K x N matrix, one by one, so that the call can be interrupted. */
static int transpose(frnn_team *team, size_t member, const frnn_kernels *k, size_t K, size_t N, const void *packed,
                     frnn_range panels, void *transposed) {
    for (size_t panel = panels.first; panel < panels.last; panel++) {
        k->transpose(K, N, packed, panel, panel + 1, transposed);
        if (frnn_worked(team, member, (double)N * (double)k->panel)) return 1;
    }
    return 0;
}

static void backward_member(frnn_team *team, size_t member, void *job) {
    const backward *g = job;
    const frnn_plan *plan = g->plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_simple_rnn_gradients *out = g->gradients;
    const size_t size = frnn_team_size(team), row = plan->H * k->size, tokens = g->steps * plan->B;
    const frnn_share share = frnn_share_of(plan, size, member, !g->tape->dropout);
    const size_t offset = share.columns.first * k->size;
    const size_t bytes = (share.columns.last - share.columns.first) * k->size;
    const weights w = weights_in(plan, g->tape->prepared);
    const char **dz = g->dz_rows + member * tokens, **x = g->x_rows + member * tokens;
    const char **h = g->h_rows + member * tokens;
    char **to = g->to + member * tokens;
    size_t *last = g->tape->mask ? g->last + member * plan->B : NULL;

    const frnn_range h_part = frnn_part(frnn_panels(k, plan->H), size, member);
    const frnn_range x_part = frnn_part(frnn_panels(k, plan->I), size, member);
    if (transpose(team, member, k, plan->H, plan->H, w.wh, h_part, g->wh_t)) return;
    if (out->dx && transpose(team, member, k, plan->I, plan->H, w.wx, x_part, g->wx_t)) return;
    if (g->tape->mask) find_previous(g, frnn_part(plan->B, size, member));
    for (size_t b = share.rows.first; b < share.rows.last; b++) {
        char *dh = (char *)out->dh0 + b * row + offset;
        if (out->dh_last) memmove(dh, (const char *)out->dh_last + b * row + offset, bytes);
        else memset(dh, 0, bytes);
    }
    if (frnn_barrier(team)) return;

    for (frnn_range steps = {0, plan->T}; steps.last > 0; steps.last = steps.first) {
        steps.first = (steps.last - 1) / g->steps * g->steps;
        for (size_t step = steps.last; step-- > steps.first;)
            if (step_back(g, team, member, share, step, dz, to)) return;
        if (frnn_barrier(team)) return; /* dz of all rows must be there */

        const size_t n = list_tokens(g, steps, last, dz, x, h, to);
        const frnn_range mine = frnn_part(n, size, member);
        if (g->tape->dropout) {
            for (size_t i = mine.first; i < mine.last; i++) {
                const size_t b = (size_t)(dz[i] - g->dz) / row % plan->B;
                k->multiply(plan->H, h[i], (const char *)g->tape->dropout + b * row, g->dropped + i * row);
            }
            for (size_t i = 0; i < n; i++) h[i] = g->dropped + i * row;
            if (frnn_barrier(team)) return;
        }
        if (out->dx
            && frnn_multiply(team, member, k,
                             (frnn_product){.term = {{(const void *const *)dz + mine.first, g->wx_t, plan->H}},
                                            .start = g->zeros,
                                            .c = (void *const *)to + mine.first,
                                            .rows = mine.last - mine.first,
                                            .N = plan->I,
                                            .first = 0,
                                            .last = frnn_panels(k, plan->I),
                                            .activation = FRNN_LINEAR}))
            return;
        if (frnn_add_outer_products(team, member, k, &g->sums, n, (const void *const *)x, (const void *const *)h,
                                    (const void *const *)dz))
            return;
    }
}

static int are_gradients(const frnn_plan *plan, const frnn_simple_rnn_gradients *g) {
    return g && (!plan->B || g->dh0) && (!plan->I || g->dwx) && g->dwh;
}

frnn_status frnn_simple_rnn_backward_scratch_size(const frnn_plan *plan, const frnn_simple_rnn_tape *tape,
                                                  const frnn_simple_rnn_gradients *gradients, size_t *bytes) {
    frnn_layout l = {0};
    if (!is_sound(plan) || !tape || !gradients || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_backward(plan, tape, gradients, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

frnn_status frnn_simple_rnn_backward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape,
                                     const frnn_simple_rnn_gradients *gradients, void *scratch) {
    if (!is_sound(plan) || !is_tape(plan, tape) || !are_gradients(plan, gradients) || !scratch)
        return FRNN_ERR_ARGUMENT;
    if (plan->B && plan->T && !tape->y) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    const frnn_kernels *k = plan->kernels;
    const backward g = lay_out_backward(plan, tape, gradients, &l);
    const size_t columns = frnn_most(frnn_panels(k, plan->H), frnn_panels(k, plan->I)) * k->panel;
    memset(g.zeros, 0, columns * k->size);
    frnn_begin_outer_sums(k, &g.sums);
    const frnn_status status = frnn_run(plan, 2 * multiply_adds(plan), backward_member, (void *)&g);
    frnn_end_outer_sums(k, &g.sums);
    return status;
}
