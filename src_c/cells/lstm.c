/* LSTM: i, f, o = rec_act(x wx + b + h' wh), g = act(x wx + b + h' wh), c = f c' + i g, h = o act(c).
 *
 * One product a step, of all gates; back, dh = [di df dg do] wh^T. */
#include "cells/lstm.h"

#include "cells/gated.h"

static int step(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s,
                frnn_gated_rows *rows) {
    const frnn_gated_product product = frnn_gated_together(f, s, rows);
    return frnn_gated_multiply(f, team, member, s, rows, &product, 1, f->common.plan->kernels->lstm);
}

static int step_back(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                     frnn_gated_rows *rows) {
    g->common.plan->kernels->lstm_back(rows);
    frnn_gated_fetch_ahead(g, s, rows);
    if (s->share.together && frnn_barrier(team)) return 1; /* every column of dz must be there */
    return frnn_gated_multiply_back(g, team, member, s, rows, 0, 4, g->wh_t, NULL);
}

static const frnn_gated cell = {
    .gates = 4, .together = 4, .kept = 5, .dz = 4, .has_c = 1, .step = step, .step_back = step_back};

static const frnn_gated *cell_of(const frnn_plan *plan) {
    (void)plan;
    return &cell;
}

FRNN_GATED_CELL(frnn_lstm, 4, cell_of)
