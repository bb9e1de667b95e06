/* SimpleRNN: h(t) = act(x(t) wx + b + h(t-1) wh), forward and back through time.
 *
 * The projection is written to where the outputs will be; a step adds h wh to it in place and applies the activation.
 * Backward, dz = (dy + dh) act'(z), then dh = dz wh^T. */
#include "cells/simple_rnn.h"

#include <string.h>

#include "cells/backward.h"
#include "cells/forward.h"
#include "cells/gates.h"
#include "cells/outer_sums.h"
#include "cells/packing.h"
#include "cells/team.h"

/* ---- prepared weights: bias | wx | wh, each padded to whole panels | wx interleaved, if that pays ---- */

/* Inputs from which on a projection with rows interleaved gains more than both products in one step do: with units that leave half
 * of a vector idle, and with others. */
static const size_t INTERLEAVED_INPUTS = 64, INTERLEAVED_INPUTS_OF_MANY = 256;

typedef struct weights {
    char *b, *wx, *wh, *interleaved;
} weights;

static int is_interleaved(const frnn_plan *plan) {
    const size_t columns = 2 * plan->H;
    return columns <= plan->kernels->panel
           && plan->I >= (columns <= plan->kernels->lanes ? INTERLEAVED_INPUTS : INTERLEAVED_INPUTS_OF_MANY);
}

static weights lay_out_weights(const frnn_plan *plan, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t row = frnn_times(l, frnn_panels(k, plan->H), k->panel);
    weights w;
    w.b = frnn_take(l, row, k->size);
    w.wx = frnn_take(l, frnn_times(l, row, plan->I), k->size);
    w.wh = frnn_take(l, frnn_times(l, row, plan->H), k->size);
    w.interleaved = frnn_take(l, is_interleaved(plan) ? frnn_interleaved_elements(k, plan->I, plan->H, l) : 0, k->size);
    return w;
}

static weights weights_in(const frnn_plan *plan, const void *prepared) {
    frnn_layout l = {.memory = (char *)prepared};
    return lay_out_weights(plan, &l);
}

frnn_status frnn_simple_rnn_prepared_size(const frnn_plan *plan, size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_weights(plan, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

/* The user's matrices and where they are packed. */
enum { BIAS, KERNEL, RECURRENT, MATRICES };
typedef struct matrices {
    frnn_gate_matrix of[MATRICES];
} matrices;

static matrices matrices_of(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                            const void *prepared) {
    const weights w = weights_in(plan, prepared);
    const size_t H = plan->H;
    return (matrices){{{b, 1, H, 1, H, w.b}, {wx, plan->I, H, 1, H, w.wx}, {wh, H, H, 1, H, w.wh}}};
}

typedef struct preparation {
    const frnn_plan *plan;
    matrices matrices;
    void *interleaved;
} preparation;

static void prepare_member(frnn_team *team, size_t member, void *job) {
    const preparation *p = job;
    const frnn_plan *plan = p->plan;
    for (int i = 0; i < MATRICES; i++)
        frnn_pack_gates(team, member, plan->kernels, &p->matrices.of[i], FRNN_USED_LATER);
    if (member == 0 && is_interleaved(plan))
        frnn_interleave(plan->kernels, p->matrices.of[KERNEL].w, plan->I, plan->H, p->interleaved);
}

frnn_status frnn_simple_rnn_prepare(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                    void *prepared) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared) return FRNN_ERR_ARGUMENT;
    preparation p = {plan, matrices_of(plan, wx, wh, b, prepared), weights_in(plan, prepared).interleaved};
    return frnn_run(plan, frnn_packing_work(plan, 1), prepare_member, &p);
}

frnn_status frnn_simple_rnn_prepared_from(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                          const void *prepared, int *same) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared || !same) return FRNN_ERR_ARGUMENT;
    const matrices m = matrices_of(plan, wx, wh, b, prepared);
    *same = frnn_are_gates_packed_from(plan->kernels, m.of, MATRICES);
    return FRNN_OK;
}

static frnn_status unprepare(const frnn_plan *plan, const void *prepared, void *wx, void *wh, void *b) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared) return FRNN_ERR_ARGUMENT;
    const matrices m = matrices_of(plan, wx, wh, b, prepared);
    frnn_unpack_gates(plan->kernels, m.of, MATRICES);
    return FRNN_OK;
}

/* ---- forward ---- */

typedef struct forward {
    frnn_forward common;
    weights w;
    char *dropped; /* (B, H) states times dropout */
} forward;

static forward lay_out_forward(const frnn_plan *plan, const frnn_tape *tape, frnn_layout *l) {
    forward f = {.common = frnn_lay_out_forward(plan, tape, 1, l), .w = weights_in(plan, tape->prepared)};
    if (is_interleaved(plan)) f.common.interleaved = frnn_interleaved(plan->kernels, plan->H);
    f.common.projections[0] = (frnn_projection){f.common.interleaved ? f.w.interleaved : f.w.wx, f.w.b, 1};
    f.dropped = frnn_take(l, tape->dropout ? frnn_times(l, plan->B, plan->H) : 0, plan->kernels->size);
    return f;
}

static void drop(const frnn_forward *f, const frnn_step *s, char *dropped) {
    const size_t row = f->plan->H * f->plan->kernels->size;
    for (size_t i = 0; i < s->n; i++) {
        const size_t at = frnn_row_of(f, s, i) * row;
        f->plan->kernels->multiply(f->plan->H, s->h[i], (const char *)f->tape->dropout + at, dropped + at);
        s->h[i] = dropped + at;
    }
}

/* One step: adds h wh to the projection, to the token's row, or to x wx + b computed here, and applies the activation. */
static int recur(const frnn_forward *f, frnn_team *team, size_t member, const frnn_step *s, const void *cell) {
    const forward *own = cell;
    const frnn_plan *plan = f->plan;
    if (f->tape->dropout) drop(f, s, own->dropped);
    const frnn_term project = {.a = (const void *const *)s->x, .b = own->w.wx, .K = plan->I};
    frnn_term recur = {.a = (const void *const *)s->h, .b = own->w.wh, .K = plan->H};
    frnn_product product = {.start = NULL,
                            .c = (void *const *)s->y,
                            .rows = s->n,
                            .N = plan->H,
                            .first = s->share.panels.first,
                            .last = s->share.panels.last,
                            .activation = plan->activation,
                            .aside = s->aside,
                            .backwards = s->step % 2};
    if (s->step == 0 && !f->tape->h0) recur.K = 0; /* zeros add nothing */
    product.term[0] = recur;
    if (f->tape->table) product.starts = (const void *const *)s->x;
    else if (s->fused) product.term[0] = project, product.term[1] = recur, product.start = own->w.b;
    return frnn_multiply(team, member, plan->kernels, &product);
}

static void forward_member(frnn_team *team, size_t member, void *job) {
    const forward *f = job;
    const frnn_plan *plan = f->common.plan;
    const frnn_share all = frnn_share_of(plan, 1, frnn_team_size(team), member, !f->common.tape->dropout);
    const size_t blocks = frnn_row_blocks(&f->common, team, all);
    for (size_t i = 0; i < blocks; i++) {
        const frnn_share share = frnn_row_block(all, blocks, i);
        const int pays = !is_interleaved(plan) && frnn_fusing_pays(&f->common, share.rows.last - share.rows.first);
        const int fused = f->common.tape->table || pays;
        if (frnn_go_forward(&f->common, team, member, share, fused, recur, f)) return;
    }
}

frnn_status frnn_simple_rnn_forward_scratch_size(const frnn_plan *plan, const frnn_tape *tape, size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !tape || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_forward(plan, tape, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

frnn_status frnn_simple_rnn_forward(const frnn_plan *plan, const frnn_tape *tape, void *h_last, void *scratch) {
    if (!frnn_is_sound(plan) || !frnn_is_tape(plan, tape) || !scratch) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    forward f = lay_out_forward(plan, tape, &l);
    f.common.h_last = h_last;
    frnn_begin_forward(&f.common);
    return frnn_run_by(plan, frnn_forward_members(&f.common), frnn_multiply_adds(plan, 1), forward_member, &f);
}

/* ---- backward ---- */

typedef struct backward {
    frnn_backward common;
    char *wh_t;    /* packed transpose */
    char *dropped; /* (steps, B, H) previous states times dropout */
    frnn_outer_sums sums;
} backward;

static backward lay_out_backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                 frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t columns = frnn_times(l, frnn_panels(k, plan->H), k->panel);
    const int may_halve = frnn_are_sums_small(plan, tape, 1);
    backward g = {.common = frnn_lay_out_backward(plan, tape, gradients, 1, plan->H, may_halve, l)};
    const size_t states = frnn_times(l, frnn_times(l, g.common.steps, plan->B), plan->H);
    g.wh_t = frnn_take(l, frnn_times(l, columns, plan->H), k->size);
    g.dropped = frnn_take(l, tape->dropout ? states : 0, k->size);
    g.sums = frnn_lay_out_outer_sums(plan, g.common.parts, plan->I, plan->H, plan->H, plan->H, gradients->dwx,
                                     gradients->dwh, gradients->db, NULL, gradients->accumulate, l);
    return g;
}

/* What a step's product is to ask for: for the next step what dx's product, after the chunk's first step, does not; and of
 * many rows, which come from memory, this step's x for the sums. */
static frnn_ahead ahead_of(const frnn_backward *g, const frnn_back_step *s) {
    const frnn_plan *plan = g->plan;
    frnn_ahead a = frnn_ask_ahead(plan, s->share.rows, s->n);
    const char *x = plan->I ? frnn_x_at(plan, g->tape, s->share.rows.first, s->step) : NULL;
    if (x && plan->B > FRNN_MOST_ROWS)
        a.rows[2] = (struct frnn_ahead_rows){x, g->tape->x_batch, plan->I * plan->kernels->size};
    if (!g->gradients->dx || s->step > s->first) frnn_ask_for_next(g, s, &a);
    return a;
}

/* dz = (dy + dh) act'(z), then dh = dz wh^T. */
static int step_back(const frnn_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                     const void *cell) {
    const frnn_plan *plan = g->plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_range columns = s->share.columns;
    const size_t row = plan->H * k->size;
    const int asks = frnn_products_ask_back(g, s->share);
    frnn_ahead ahead;
    if (asks) ahead = ahead_of(g, s);
    if (!asks) frnn_fetch_ahead(g, s);
    if (g->gradients->dy) frnn_list_back(g, s, frnn_place_of_dy(g->gradients), (char **)s->dy);
    frnn_list_back(g, s, frnn_place_of_y(g->tape), (char **)s->y);
    frnn_list_back(g, s, frnn_chunk_of(&g->dz, s), (char **)s->dz);
    frnn_list_back(g, s, frnn_place_at(g->dh, (ptrdiff_t)row, 0), s->to);
    k->differentiate(plan->activation, s->n, columns.first, columns.last - columns.first, (const void *const *)s->to,
                     g->gradients->dy ? (const void *const *)s->dy : NULL, (const void *const *)s->y,
                     (void *const *)s->dz);
    if (!frnn_goes_further_back(g, s)) return 0;
    if (s->share.together) {
        if (frnn_barrier(team)) return 1; /* every column of dz must be there */
        frnn_fetch_rows(s->dz, s->n, row);
    }
    const frnn_term term = {.a = (const void *const *)s->dz, .b = ((const backward *)cell)->wh_t, .K = plan->H};
    if (frnn_multiply(team, member, k,
                      &(frnn_product){.term = {term},
                                      .start = g->zeros,
                                      .c = (void *const *)s->to,
                                      .rows = s->n,
                                      .N = plan->H,
                                      .first = s->share.panels.first,
                                      .last = s->share.panels.last,
                                      .activation = FRNN_LINEAR,
                                      .ahead = asks ? &ahead : NULL,
                                      .aside = s->aside,
                                      .backwards = s->step % 2}))
        return 1;
    for (size_t i = 0; i < s->n && g->tape->dropout; i++)
        k->multiply(plan->H, s->to[i], (const char *)g->tape->dropout + s->rows[i] * row, s->to[i]);
    return 0;
}

static int sum(const frnn_backward *g, frnn_team *team, size_t member, const frnn_tokens *t, const void *cell) {
    const backward *own = cell;
    const frnn_kernels *k = g->plan->kernels;
    const size_t row = g->plan->H * k->size;
    if (g->parts > 1) {
        if (frnn_add_own_parts(team, member, &own->sums, t, t->h, t->dz) || frnn_barrier(team)) return 1;
        frnn_join_parts(team, member, &own->sums, t->parts);
        return 0;
    }
    if (g->tape->dropout) {
        const frnn_range mine = frnn_part(t->n, frnn_team_size(team), member);
        for (size_t i = mine.first; i < mine.last; i++) {
            const char *factors = (const char *)g->tape->dropout + frnn_batch_row(g, t->dz[i]) * row;
            k->multiply(g->plan->H, t->h[i], factors, own->dropped + i * row);
        }
        for (size_t i = 0; i < t->n; i++) t->h[i] = own->dropped + i * row;
        if (frnn_barrier(team)) return 1;
    }
    return frnn_add_outer_products(team, member, &own->sums, t->first, t->n, t->initial, (const void *const *)t->x,
                                   (const void *const *)t->h, (const void *const *)t->dz);
}

static void turn_wx(const frnn_backward *g, frnn_range panels, frnn_use use, char *to, const void *cell) {
    (void)cell;
    const frnn_plan *plan = g->plan;
    const weights w = weights_in(plan, g->tape->prepared);
    frnn_transpose_panels(plan->kernels, plan->I, plan->H, w.wx, NULL, plan->H, panels, use, to);
}

static void backward_member(frnn_team *team, size_t member, void *job) {
    const backward *g = job;
    const frnn_plan *plan = g->common.plan;
    const size_t size = frnn_team_size(team);
    const weights w = weights_in(plan, g->common.tape->prepared);
    const frnn_share share = frnn_share_of(plan, 1, size, member, !g->common.tape->dropout);
    if (frnn_needs_wh(&g->common)
        && frnn_transpose(team, member, plan->kernels, plan->H, plan->H, w.wh, NULL, plan->H, FRNN_USED_LATER, g->wh_t))
        return;
    const frnn_way_back way = {.step = step_back,
                               .sum = sum,
                               .turn_wx = turn_wx,
                               .summed = g->common.parts > 1 ? FRNN_OWN_PARTS : FRNN_ALL_TOKENS,
                               .dx_asks = 1,
                               .cell = g};
    frnn_go_back(&g->common, team, member, share, &way);
}

frnn_status frnn_simple_rnn_backward_steps(const frnn_plan *plan, size_t *steps) {
    if (!frnn_is_sound(plan) || !steps) return FRNN_ERR_ARGUMENT;
    *steps = frnn_backward_span(plan, plan->H);
    return FRNN_OK;
}

frnn_status frnn_simple_rnn_backward_scratch_size(const frnn_plan *plan, const frnn_tape *tape,
                                                  const frnn_gradients *gradients, size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !tape || !gradients || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_backward(plan, tape, gradients, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

frnn_status frnn_simple_rnn_backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                     void *scratch) {
    if (!frnn_is_sound(plan) || !frnn_is_tape(plan, tape) || !frnn_are_gradients(plan, tape, gradients) || !scratch)
        return FRNN_ERR_ARGUMENT;
    if (plan->B && plan->T && !tape->y) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    const backward g = lay_out_backward(plan, tape, gradients, &l);
    frnn_begin_backward(&g.common);
    frnn_begin_outer_sums(&g.sums);
    const size_t members = frnn_backward_members(&g.common);
    const frnn_status status = frnn_run_by(plan, members, 2 * frnn_multiply_adds(plan, 1), backward_member, (void *)&g);
    frnn_end_outer_sums(&g.sums);
    return status;
}

/* ---- the same as a cell like the others ---- */

static frnn_status kept(const frnn_plan *plan, size_t *elements) {
    if (!plan || !elements) return FRNN_ERR_ARGUMENT;
    *elements = 0;
    return FRNN_OK;
}

static frnn_status forward_as_cell(const frnn_plan *plan, const frnn_tape *tape, void *h_last, void *c_last,
                                   void *scratch) {
    (void)c_last;
    return frnn_simple_rnn_forward(plan, tape, h_last, scratch);
}

const frnn_cell frnn_simple_rnn = {.gates = 1,
                                   .prepared_size = frnn_simple_rnn_prepared_size,
                                   .prepare = frnn_simple_rnn_prepare,
                                   .prepared_from = frnn_simple_rnn_prepared_from,
                                   .kept = kept,
                                   .forward_scratch_size = frnn_simple_rnn_forward_scratch_size,
                                   .forward = forward_as_cell,
                                   .backward_steps = frnn_simple_rnn_backward_steps,
                                   .backward_scratch_size = frnn_simple_rnn_backward_scratch_size,
                                   .backward = frnn_simple_rnn_backward,
                                   .unprepare = unprepare};
