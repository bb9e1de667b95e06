/* GRU: z, r = rec_act(x wx + b + h' wh), h = z h' + (1 - z) g, where g = act(x wx + b + (r h') wh), or with reset_after
 * g = act(x wx + b[0] + r (h' wh + b[1])).
 *
 * With reset_after there is one product a step, of all gates. Without it z and r come first and g needs another. */
#include "cells/gru.h"

#include "cells/gated.h"

static int step_after(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s,
                      frnn_gated_rows *rows) {
    const frnn_gated_part *w = &f->w.candidate;
    const frnn_gated_product together = frnn_gated_together(f, s, rows);
    const frnn_gated_product u = {.gate = 2, .gates = 1, .wh = w->wh, .a = together.a, .c = rows->u, .start = w->b_h};
    const frnn_gated_product products[] = {together, u, frnn_gated_candidate(f, rows)};
    return frnn_gated_multiply(f, team, member, s, rows, products, f->fused ? 3 : 2, f->common.plan->kernels->gru);
}

static int step_back_after(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                           frnn_gated_rows *rows) {
    g->common.plan->kernels->gru_back(rows);
    frnn_gated_fetch_ahead(g, s, rows);
    if (s->share.together && frnn_barrier(team)) return 1; /* every column of dz must be there */
    return frnn_gated_multiply_back(g, team, member, s, rows, 0, 3, g->wh_t, NULL);
}

static int step_before(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s,
                       frnn_gated_rows *rows) {
    const frnn_kernels *k = f->common.plan->kernels;
    const frnn_gated_product together = frnn_gated_together(f, s, rows);
    frnn_gated_product candidate = frnn_gated_candidate(f, rows);
    candidate.wh = f->w.candidate.wh, candidate.a = rows->rh;
    if (frnn_gated_multiply(f, team, member, s, rows, &together, 1, k->gru_reset)) return 1;
    if (s->share.together && frnn_barrier(team)) return 1; /* every column of r h' must be there */
    return frnn_gated_multiply(f, team, member, s, rows, &candidate, 1, k->gru_candidate);
}

static int step_back_before(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                            frnn_gated_rows *rows) {
    const frnn_kernels *k = g->common.plan->kernels;
    k->gru_candidate_back(rows);
    frnn_gated_fetch_ahead(g, s, rows);
    if (s->share.together && frnn_barrier(team)) return 1;
    if (frnn_gated_multiply_back(g, team, member, s, rows, 2, 1, g->wh_candidate_t, rows->rh)) return 1;
    k->gru_reset_back(rows);
    if (s->share.together && frnn_barrier(team)) return 1;
    return frnn_gated_multiply_back(g, team, member, s, rows, 0, 2, g->wh_t, NULL);
}

static const frnn_gated after = {
    .gates = 3, .together = 2, .kept = 4, .dz = 4, .has_u = 1, .step = step_after, .step_back = step_back_after};
static const frnn_gated before = {
    .gates = 3, .together = 2, .kept = 3, .dz = 3, .has_rh = 1, .step = step_before, .step_back = step_back_before};

static const frnn_gated *cell_of(const frnn_plan *plan) { return plan && plan->reset_after ? &after : &before; }

FRNN_GATED_CELL(frnn_gru, 3, cell_of)
