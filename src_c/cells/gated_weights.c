/* The prepared weights of GRU and LSTM: packed with the gates of the same units side by side. */
#include <string.h>

#include "cells/gated.h"
#include "cells/gates.h"
#include "cells/packing.h"

static size_t padded_columns(const frnn_kernels *k, size_t columns, frnn_layout *l) {
    return frnn_times(l, frnn_panels(k, columns), k->panel);
}

static frnn_gated_part lay_out_part(const frnn_plan *plan, size_t gates_x, size_t gates, frnn_layout *l) {
    const size_t row_x = padded_columns(plan->kernels, frnn_times(l, gates_x, plan->H), l);
    const size_t row = padded_columns(plan->kernels, frnn_times(l, gates, plan->H), l), size = plan->kernels->size;
    frnn_gated_part p = {.gates_x = gates_x, .gates = gates};
    p.b = frnn_take(l, row_x, size);
    p.b_h = frnn_take(l, row, size);
    p.wx = frnn_take(l, frnn_times(l, row_x, plan->I), size);
    p.wh = frnn_take(l, frnn_times(l, row, plan->H), size);
    return p;
}

static frnn_gated_weights lay_out_weights(const frnn_gated *cell, const frnn_plan *plan, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t together_x = plan->H <= k->panel ? cell->gates : cell->together;
    frnn_gated_weights w;
    w.together = lay_out_part(plan, together_x, cell->together, l);
    w.candidate = lay_out_part(plan, cell->gates - together_x, cell->gates - cell->together, l);
    w.start = frnn_take(l, padded_columns(k, frnn_times(l, together_x, plan->H), l), k->size);
    return w;
}

frnn_gated_weights frnn_gated_weights_in(const frnn_gated *cell, const frnn_plan *plan, const void *prepared) {
    frnn_layout l = {.memory = (char *)prepared};
    return lay_out_weights(cell, plan, &l);
}

/* The user's matrices and where they are packed. */
enum { MATRICES = 8 };
typedef struct matrices {
    const frnn_kernels *kernels;
    frnn_gate_matrix of[MATRICES];
} matrices;

static matrices matrices_of(const frnn_gated *cell, const frnn_plan *plan, const char *wx, const char *wh,
                            const char *b, const void *prepared) {
    const frnn_gated_weights w = frnn_gated_weights_in(cell, plan, prepared);
    const size_t H = plan->H, columns = cell->gates * H, size = plan->kernels->size;
    const char *const b_h = b && cell->has_u ? b + columns * size : NULL;
    matrices m = {.kernels = plan->kernels};
    for (int i = 0; i < MATRICES; i += MATRICES / 2) {
        const frnn_gated_part part = i ? w.candidate : w.together;
        const size_t at = i ? cell->together * H * size : 0;
        m.of[i] = (frnn_gate_matrix){b ? b + at : NULL, 1, H, part.gates_x, columns, part.b};
        m.of[i + 1] = (frnn_gate_matrix){b_h ? b_h + at : NULL, 1, H, part.gates, columns, part.b_h};
        m.of[i + 2] = (frnn_gate_matrix){wx ? wx + at : NULL, plan->I, H, part.gates_x, columns, part.wx};
        m.of[i + 3] = (frnn_gate_matrix){wh + at, H, H, part.gates, columns, part.wh};
    }
    return m;
}

frnn_status frnn_gated_prepared_size(const frnn_gated *cell, const frnn_plan *plan, size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_weights(cell, plan, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

static void prepare_member(frnn_team *team, size_t member, void *job) {
    const matrices *m = job;
    for (int i = 0; i < MATRICES; i++) frnn_pack_gates(team, member, m->kernels, &m->of[i], FRNN_USED_LATER);
}

frnn_status frnn_gated_prepare(const frnn_gated *cell, const frnn_plan *plan, const void *wx, const void *wh,
                               const void *b, void *prepared) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared) return FRNN_ERR_ARGUMENT;
    matrices m = matrices_of(cell, plan, wx, wh, b, prepared);
    const frnn_gated_weights w = frnn_gated_weights_in(cell, plan, prepared);
    const frnn_kernels *k = plan->kernels;
    const frnn_status status = frnn_run(plan, frnn_packing_work(plan, cell->gates), prepare_member, &m);
    memcpy(w.start, w.together.b, frnn_panels(k, w.together.gates_x * plan->H) * k->panel * k->size);
    k->add(cell->together * plan->H, 1, w.together.b_h, 0, w.start); /* the others come after these */
    return status;
}

frnn_status frnn_gated_prepared_from(const frnn_gated *cell, const frnn_plan *plan, const void *wx, const void *wh,
                                     const void *b, const void *prepared, int *same) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared || !same) return FRNN_ERR_ARGUMENT;
    const matrices m = matrices_of(cell, plan, wx, wh, b, prepared);
    *same = frnn_are_gates_packed_from(plan->kernels, m.of, MATRICES);
    return FRNN_OK;
}

frnn_status frnn_gated_unprepare(const frnn_gated *cell, const frnn_plan *plan, const void *prepared, void *wx,
                                 void *wh, void *b) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared) return FRNN_ERR_ARGUMENT;
    const matrices m = matrices_of(cell, plan, wx, wh, b, prepared);
    frnn_unpack_gates(plan->kernels, m.of, MATRICES);
    return FRNN_OK;
}
