/* What few units need both ways: see gated_few.h. */
#include "cells/gated_few.h"

#include <string.h>

/* Rows of a group, 0 if units are not few: they leave a quarter of a vector idle, and the batch leaves hardly any of its
 * lanes. Two vectors are better than one, but there should be something for two threads to do. */
static size_t group_of(const frnn_plan *plan, const frnn_tape *tape) {
    const frnn_kernels *k = plan->kernels;
    const size_t lanes = (plan->B + k->lanes - 1) / k->lanes * k->lanes;
    const int few = plan->H <= k->lanes * 3 / 4 && plan->H <= FRNN_FEW_UNITS && k->panel * k->size <= FRNN_FEW_BYTES;
    const int once = plan->T == 1 && !tape->gates; /* the weights would have to be turned for a single step */
    if (!few || once || tape->dropout || lanes - plan->B > lanes / 6 || plan->B == 0) return 0;
    return plan->B >= 2 * k->panel ? k->panel : k->lanes;
}

frnn_few frnn_lay_out_few(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, frnn_layout *l) {
    const size_t size = plan->kernels->size, group = group_of(plan, tape);
    const size_t columns = group ? cell->gates * plan->H : 0; /* few, so that none of this overflows */
    return (frnn_few){.group = group,
                      .wh = frnn_take(l, columns * plan->H, size),
                      .wh_t = frnn_take(l, columns * plan->H, size),
                      .start = frnn_take(l, plan->H * group, size),
                      .zeros = frnn_take(l, columns, size)};
}

/* Columns of wh (H, gates * H) from their panels. */
static void unpack(const frnn_plan *plan, const frnn_gated_part *part, size_t all, char *wh) {
    const frnn_kernels *k = plan->kernels;
    const size_t H = plan->H, columns = part->gates * H;
    for (size_t first = 0; first < columns; first += k->panel) {
        const size_t width = frnn_least(k->panel, columns - first);
        const char *from = part->wh + first * H * k->size;
        for (size_t i = 0; i < H; i++, from += k->panel * k->size)
            memcpy(wh + (i * all + first) * k->size, from, width * k->size);
    }
}

void frnn_begin_few(const frnn_few *few, const frnn_gated *cell, const frnn_plan *plan, const frnn_gated_weights *w) {
    const frnn_kernels *k = plan->kernels;
    const size_t H = plan->H, columns = cell->gates * H;
    char *rows[FRNN_FEW_UNITS], *turned[FRNN_FEW_COLUMNS], *biases[FRNN_FEW_ROWS];
    if (!few->group) return;
    memset(few->zeros, 0, columns * k->size);
    unpack(plan, &w->together, columns, few->wh);
    if (w->candidate.gates) unpack(plan, &w->candidate, columns, few->wh + cell->together * H * k->size);
    frnn_list_strided(few->wh, columns * k->size, H, rows);
    frnn_list_strided(few->wh_t, H * k->size, columns, turned);
    k->turn(H, columns, (const void *const *)rows, (void *const *)turned);
    if (!cell->has_u) return;
    frnn_list_strided(w->candidate.b_h, 0, few->group, biases);
    frnn_list_strided(few->start, few->group * k->size, H, rows);
    k->turn(few->group, H, (const void *const *)biases, (void *const *)rows);
}

void frnn_turn_states(const frnn_plan *plan, const void *states, frnn_range rows, frnn_turned *to) {
    const frnn_kernels *k = plan->kernels;
    const size_t n = rows.last - rows.first, row = plan->H * k->size;
    char *from[FRNN_FEW_ROWS], *units[FRNN_FEW_UNITS];
    if (!states) {
        memset(to, 0, sizeof *to);
        return;
    }
    frnn_list_strided((const char *)states + rows.first * row, row, n, from);
    frnn_list_strided(to->bytes, k->panel * k->size, plan->H, units);
    k->turn(n, plan->H, (const void *const *)from, (void *const *)units);
}

void frnn_turn_back(const frnn_plan *plan, char *const *units, frnn_range rows, void *states) {
    const size_t n = rows.last - rows.first, row = plan->H * plan->kernels->size;
    char *to[FRNN_FEW_ROWS];
    if (!states) return;
    frnn_list_strided((char *)states + rows.first * row, row, n, to);
    plan->kernels->turn(plan->H, n, (const void *const *)units, (void *const *)to);
}

char *frnn_few_tape(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, frnn_range rows,
                    size_t *bytes) {
    const size_t token = frnn_pitch(plan, cell->kept * plan->H) * plan->kernels->size;
    *bytes = (rows.last - rows.first) * token;
    return (char *)tape->gates + rows.first * plan->T * token;
}
