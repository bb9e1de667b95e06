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
    /* Rows in order should be nearly as long as their group's longest one: smaller groups of more kinds. */
    return plan->B >= (tape->mask && tape->order ? 8 : 2) * k->panel ? k->panel : k->lanes;
}

frnn_few frnn_lay_out_few(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, frnn_layout *l) {
    const size_t size = plan->kernels->size, group = group_of(plan, tape);
    if (!group) return (frnn_few){0};
    const size_t columns = cell->gates * plan->H; /* few, so that none of this overflows */
    const int sorts = tape->mask && tape->order;
    size_t *const order = frnn_take(l, sorts ? plan->B : 0, sizeof *order);
    return (frnn_few){.group = group,
                      .order = sorts ? order : NULL,
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

/* The first group and the last one of the caller's order, the second and the last but one, and so on: whoever gets some groups
 * in a row has as many long ones as others. */
static void order_rows(const frnn_few *few, size_t B, const size_t *order) {
    size_t first = 0, last = B;
    for (size_t at = 0, n; at < B; at += n) {
        n = frnn_least(few->group, B - at);
        const int from_the_end = at / few->group % 2 == 1;
        if (from_the_end) last -= n;
        memcpy(few->order + at, order + (from_the_end ? last : first), n * sizeof *order);
        if (!from_the_end) first += n;
    }
}

void frnn_begin_few(const frnn_few *few, const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                    const frnn_gated_weights *w) {
    const frnn_kernels *k = plan->kernels;
    const size_t H = plan->H, columns = cell->gates * H;
    char *rows[FRNN_FEW_UNITS], *turned[FRNN_FEW_COLUMNS], *biases[FRNN_FEW_ROWS];
    if (!few->group) return;
    if (few->order) order_rows(few, plan->B, tape->order);
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

void frnn_list_group(const frnn_few *few, frnn_range places, frnn_group *g) {
    g->places = places, g->n = places.last - places.first;
    for (size_t i = 0; i < g->n; i++) g->row[i] = frnn_row_in(few->order, places.first + i);
}

/* At the beginning of some steps, or at their end. */
static size_t idle_steps(const frnn_plan *plan, const frnn_tape *tape, size_t b, frnn_range steps, int back) {
    const size_t at = back ? steps.last - 1 : steps.first;
    if (steps.first == steps.last || frnn_is_active(plan, tape, b, at)) return 0;
    return frnn_mask_run(plan, tape, b, at, steps.last - steps.first, back);
}

frnn_range frnn_active_steps(const frnn_plan *plan, const frnn_tape *tape, const frnn_group *g, frnn_range steps) {
    frnn_range active = {steps.last, steps.first};
    if (!tape->mask) return steps;
    for (size_t i = 0; i < g->n; i++) {
        const size_t before = idle_steps(plan, tape, g->row[i], steps, 0);
        if (before == steps.last - steps.first) continue;
        active.first = frnn_least(active.first, steps.first + before);
        active.last = frnn_most(active.last, steps.last - idle_steps(plan, tape, g->row[i], steps, 1));
    }
    return active.first < active.last ? active : (frnn_range){steps.first, steps.first};
}

int frnn_is_active_before(const frnn_plan *plan, const frnn_tape *tape, const frnn_group *g, size_t step) {
    if (!tape->mask || step == 0) return step > 0;
    for (size_t i = 0; i < g->n; i++)
        if (frnn_is_active(plan, tape, g->row[i], step - 1)
            || frnn_mask_run(plan, tape, g->row[i], step - 1, step, 1) < step)
            return 1;
    return 0;
}

static void list_states(const frnn_plan *plan, const void *states, const frnn_group *g, char **rows) {
    for (size_t i = 0; i < g->n; i++) rows[i] = (char *)states + g->row[i] * plan->H * plan->kernels->size;
}

void frnn_turn_states(const frnn_plan *plan, const void *states, const frnn_group *g, frnn_turned *to) {
    const frnn_kernels *k = plan->kernels;
    char *from[FRNN_FEW_ROWS], *units[FRNN_FEW_UNITS];
    if (!states) {
        memset(to, 0, sizeof *to);
        return;
    }
    list_states(plan, states, g, from);
    frnn_list_strided(to->bytes, k->panel * k->size, plan->H, units);
    k->turn(g->n, plan->H, (const void *const *)from, (void *const *)units);
}

void frnn_turn_back(const frnn_plan *plan, char *const *units, const frnn_group *g, void *states) {
    char *to[FRNN_FEW_ROWS];
    if (!states) return;
    list_states(plan, states, g, to);
    plan->kernels->turn(plan->H, g->n, (const void *const *)units, (void *const *)to);
}

char *frnn_few_tape(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, const frnn_group *g,
                    size_t *bytes) {
    const size_t token = frnn_pitch(plan, cell->kept * plan->H) * plan->kernels->size;
    *bytes = g->n * token;
    return (char *)tape->gates + g->places.first * plan->T * token;
}
