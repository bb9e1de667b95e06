/* GRU and LSTM of few units, back through time: see gated_few.h. */
#include <string.h>

#include "cells/gated_few.h"

/* The sums of a group's tokens in a chunk: dwh, as h^T dz, and dz by itself. */
static size_t sum_elements(const frnn_gated *cell, const frnn_plan *plan) {
    return (cell->gates * plan->H + cell->dz) * plan->H;
}

/* The same for every lane. */
static size_t lane_elements(const frnn_gated *cell, const frnn_plan *plan) {
    return sum_elements(cell, plan) * plan->kernels->lanes;
}

void frnn_lay_out_few_sums(frnn_few *few, const frnn_gated *cell, const frnn_plan *plan, frnn_layout *l) {
    const size_t size = plan->kernels->size, group = few->group;
    if (!group) return;
    const size_t groups = plan->B / group + 1;
    few->lanes = frnn_take(l, frnn_times(l, frnn_most_members(plan), lane_elements(cell, plan)), size);
    few->sums = frnn_take(l, frnn_times(l, groups, sum_elements(cell, plan)), size);
    few->ones = frnn_take(l, group, size);
}

/* Adds the lanes of each of n vectors to its sum. */
static void add_lanes(const frnn_kernels *k, size_t n, char *lanes, char *sums) {
    char turned[FRNN_FEW_UNITS * FRNN_FEW_BYTES], *from[FRNN_FEW_UNITS], *to[FRNN_FEW_ROWS];
    for (size_t i = 0; i < n; i += FRNN_FEW_UNITS) {
        const size_t some = frnn_least(n - i, FRNN_FEW_UNITS);
        frnn_list_strided(lanes + i * k->lanes * k->size, k->lanes * k->size, some, from);
        frnn_list_strided(turned, some * k->size, k->lanes, to);
        k->turn(some, k->lanes, (const void *const *)from, (void *const *)to);
        k->add(some, k->lanes, turned, (ptrdiff_t)(some * k->size), sums + i * k->size);
    }
}

void frnn_begin_few_sums(const frnn_gated_backward *g) {
    const frnn_gradients *out = g->common.gradients;
    const size_t size = g->common.plan->kernels->size, row = g->cell->gates * g->common.plan->H * size;
    for (size_t i = 0; i < g->few.group; i++) {
        if (size == sizeof(float)) ((float *)g->few.ones)[i] = 1;
        else ((double *)g->few.ones)[i] = 1;
    }
    if (out->accumulate) return;
    memset(out->dwh, 0, g->common.plan->H * row);
    if (out->db) memset(out->db, 0, (g->cell->has_u ? 2 : 1) * row);
}

void frnn_add_few_sums(const frnn_gated_backward *g, frnn_range places) {
    const frnn_gated *cell = g->cell;
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_gradients *out = g->common.gradients;
    const size_t H = plan->H, gates = cell->gates, elements = sum_elements(cell, plan);
    for (size_t place = places.first; place < places.last; place += g->few.group) {
        const char *sums = g->few.sums + place / g->few.group * elements * k->size;
        k->add(H * gates * H, 1, sums, 0, out->dwh);
        sums += H * gates * H * k->size;
        for (size_t gate = 0; gate < gates && out->db; gate++) {
            char *const db = (char *)out->db + gate * H * k->size;
            k->add(H, 1, sums + frnn_dz_of_x(cell, gate) * H * k->size, 0, db);
            if (cell->has_u) k->add(H, 1, sums + frnn_dz_of_h(cell, gate) * H * k->size, 0, db + gates * H * k->size);
        }
    }
}

enum { BACK_GATES, BACK_H, BACK_DY, BACK_DH, BACK_C, BACK_NEXT_C, BACK_DC, BACK_DZ, BACK_RH, BACK_LISTS };

/* Steps whose tokens are added to the sums at once: so much less often the sums go through registers. */
enum { STEPS_ADDED = 4 };

typedef struct group_back {
    frnn_group in;
    size_t
        first;   /* step that some row is active at, of the whole sequence: before it the states are the initial ones */
    char *gates; /* of the first step */
    size_t stride, kept; /* bytes from one step to the next, and from one unit to the next */
    size_t kept_steps;   /* whose tokens have not been added to the sums yet: */
    frnn_turned h[STEPS_ADDED], rh[STEPS_ADDED], dz[STEPS_ADDED][FRNN_MOST_GATES];
    frnn_turned dy, dh, c0, dc;
    frnn_turned later_dh, later_dc; /* of the states after the step, where it is masked */
    char *lists[BACK_LISTS][FRNN_FEW_UNITS];
    uint8_t active[FRNN_FEW_ROWS];
} group_back;

/* What a step needs that lies in rows: the states before it, and dy. */
static void turn_needed(const frnn_gated_backward *g, group_back *own, size_t step) {
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_tape *tape = g->common.tape;
    char *rows[FRNN_FEW_ROWS];
    if (step && !tape->mask)
        frnn_list_strided(frnn_y_at(tape, own->in.row[0], step - 1), (size_t)tape->y_batch, own->in.n, rows);
    for (size_t i = 0; i < own->in.n && (!step || tape->mask); i++)
        rows[i] = own->active[i] ? (char *)frnn_h_before(&g->common, own->in.row[i], step) : g->few.zeros;
    k->turn(own->in.n, plan->H, (const void *const *)rows, (void *const *)own->lists[BACK_H]);
    if (!g->common.gradients->dy) return;
    for (size_t i = 0; i < own->in.n; i++) {
        const int counts = own->active[i] || !plan->zero_output_for_mask;
        rows[i] = counts ? (char *)frnn_dy_at(g->common.gradients, own->in.row[i], step) : g->few.zeros;
    }
    k->turn(own->in.n, plan->H, (const void *const *)rows, (void *const *)own->lists[BACK_DY]);
}

/* And what the sums need that it leaves. */
static void turn_left(const frnn_gated_backward *g, group_back *own, size_t step) {
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    char *units[FRNN_FEW_COLUMNS], *rows[FRNN_FEW_ROWS];
    frnn_list_strided(own->dz[own->kept_steps]->bytes, k->panel * k->size, g->cell->gates * plan->H, units);
    char *const dz = frnn_at(&g->common.dz, 0, step);
    for (size_t i = 0; i < own->in.n; i++) rows[i] = dz + (ptrdiff_t)own->in.row[i] * g->common.dz.batch;
    k->turn(g->cell->gates * plan->H, own->in.n, (const void *const *)units, (void *const *)rows);
}

/* dy counts where a step is masked, too: the output is that of the step before. */
static void keep_later(const frnn_gated_backward *g, group_back *own) {
    const frnn_plan *plan = g->common.plan;
    const size_t row = plan->kernels->panel * plan->kernels->size;
    own->later_dh = own->dh, own->later_dc = own->dc;
    for (size_t j = 0; j < plan->H && g->common.gradients->dy; j++)
        plan->kernels->add(own->in.n, 1, own->dy.bytes + j * row, 0, own->later_dh.bytes + j * row);
}

/* Adds the tokens of some steps to the lanes' sums. */
static void add_steps(const frnn_gated_backward *g, group_back *own, char *lanes) {
    const frnn_gated *cell = g->cell;
    const frnn_kernels *k = g->common.plan->kernels;
    const size_t H = g->common.plan->H, columns = cell->gates * H, panel = k->panel * k->size;
    frnn_correlation c = {.rows = H,
                          .n = own->in.n,
                          .steps = own->kept_steps,
                          .a_step = sizeof(frnn_turned) / k->size,
                          .b_step = FRNN_MOST_GATES * sizeof(frnn_turned) / k->size,
                          .stride = columns};
    for (size_t gate = 0, more; gate < cell->gates; gate += more) {
        more = !cell->has_rh ? cell->gates : gate < cell->together ? cell->together : cell->gates - cell->together;
        c.columns = more * H;
        c.a = cell->has_rh && gate >= cell->together ? own->rh : own->h;
        c.b = own->dz[0]->bytes + frnn_dz_of_h(cell, gate) * H * panel;
        c.c = lanes + gate * H * k->lanes * k->size;
        k->correlate(&c);
    }
    c.rows = 1, c.columns = cell->dz * H;
    c.a = g->few.ones, c.a_step = 0, c.b = own->dz, c.c = lanes + H * columns * k->lanes * k->size;
    k->correlate(&c);
    own->kept_steps = 0;
}

/* And these to the group's sums. */
static void end_chunk(const frnn_gated_backward *g, const group_back *own, char *lanes) {
    const frnn_kernels *k = g->common.plan->kernels;
    const size_t elements = sum_elements(g->cell, g->common.plan);
    char *const sums = g->few.sums + own->in.places.first / g->few.group * elements * k->size;
    memset(sums, 0, elements * k->size);
    add_lanes(k, elements, lanes, sums);
}

/* What a masked row has after a step it has before it; its dz is none. */
static void restore_later(const frnn_gated_backward *g, group_back *own) {
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    char *later[FRNN_FEW_UNITS];
    frnn_list_strided(own->later_dh.bytes, k->panel * k->size, plan->H, later);
    k->restore(plan->H, own->in.n, own->active, (const void *const *)later, (void *const *)own->lists[BACK_DH]);
    frnn_list_strided(own->later_dc.bytes, k->panel * k->size, plan->H, later);
    if (g->cell->has_c)
        k->restore(plan->H, own->in.n, own->active, (const void *const *)later, (void *const *)own->lists[BACK_DC]);
    char *dz[FRNN_FEW_COLUMNS], *zeros[FRNN_FEW_COLUMNS];
    frnn_list_strided(own->dz[own->kept_steps]->bytes, k->panel * k->size, g->cell->dz * plan->H, dz);
    frnn_list_strided(g->common.zeros, 0, g->cell->dz * plan->H, zeros);
    k->restore(g->cell->dz * plan->H, own->in.n, own->active, (const void *const *)zeros, (void *const *)dz);
}

int frnn_few_multiply_back(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_gated_rows *rows,
                           size_t gate, size_t gates, void *const *to) {
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    const size_t H = plan->H;
    char *left[FRNN_FEW_UNITS];
    frnn_list_strided(g->few.wh + gate * H * k->size, g->cell->gates * H * k->size, H, left);
    const char *const dz = (const char *)rows->dz[0] + frnn_dz_of_h(g->cell, gate) * rows->dz_stride * k->size;
    return frnn_multiply(team, member, k,
                         &(frnn_product){.term = {{(const void *const *)left, dz, gates * H}},
                                         .c = to ? to : rows->dh,
                                         .start = to ? g->common.zeros : NULL,
                                         .rows = H,
                                         .N = rows->H,
                                         .first = 0,
                                         .last = 1,
                                         .activation = FRNN_LINEAR});
}

static int step_back(const frnn_gated_backward *g, frnn_team *team, size_t member, frnn_back_step *s, group_back *own) {
    const frnn_gated *cell = g->cell;
    const frnn_plan *plan = g->common.plan;
    const frnn_tape *tape = g->common.tape;
    const size_t c = cell->gates * own->in.n * plan->kernels->size, panel = plan->kernels->panel * plan->kernels->size;
    char *const gates = own->gates + s->step * own->stride;
    frnn_list_strided(gates, own->kept, plan->H, own->lists[BACK_GATES]);
    frnn_list_strided(gates + c, own->kept, plan->H, own->lists[BACK_NEXT_C]);
    if (s->step > own->first) frnn_list_strided(gates + c - own->stride, own->kept, plan->H, own->lists[BACK_C]);
    else frnn_list_strided(own->c0.bytes, panel, plan->H, own->lists[BACK_C]);
    frnn_list_strided(own->h[own->kept_steps].bytes, panel, plan->H, own->lists[BACK_H]);
    frnn_list_strided(own->rh[own->kept_steps].bytes, panel, plan->H, own->lists[BACK_RH]);
    frnn_list_strided(own->dz[own->kept_steps]->bytes, panel, plan->H, own->lists[BACK_DZ]);
    const int all = frnn_list_lanes(plan, tape, &own->in, s->step, own->active);
    turn_needed(g, own, s->step);
    if (!all) keep_later(g, own);
#define LIST(which) ((void *const *)own->lists[which])
#define INPUT(which) ((const void *const *)own->lists[which])
    frnn_gated_rows rows = {.rows = plan->H,
                            .H = own->in.n,
                            .last = 1,
                            .gates = LIST(BACK_GATES),
                            .h = INPUT(BACK_H),
                            .c = INPUT(BACK_C),
                            .next_c = LIST(BACK_NEXT_C),
                            .rh = LIST(BACK_RH),
                            .dy = g->common.gradients->dy ? INPUT(BACK_DY) : NULL,
                            .dh = LIST(BACK_DH),
                            .dc = LIST(BACK_DC),
                            .dz = LIST(BACK_DZ),
                            .dz_stride = plan->H * plan->kernels->panel,
                            .activation = plan->activation,
                            .recurrent_activation = plan->recurrent_activation};
#undef LIST
#undef INPUT
    if (cell->step_back(g, team, member, s, &rows)) return 1;
    if (!all) restore_later(g, own);
    turn_left(g, own, s->step);
    return 0;
}

/* Where no row of the group is active, only dy counts: each of these outputs is that of the step before. */
static void add_repeated(const frnn_gated_backward *g, const group_back *own, frnn_range steps) {
    const frnn_plan *plan = g->common.plan;
    const frnn_gradients *out = g->common.gradients;
    if (!out->dy || plan->zero_output_for_mask || steps.first == steps.last) return;
    for (size_t i = 0; i < own->in.n; i++)
        plan->kernels->add(plan->H, steps.last - steps.first, frnn_dy_at(out, own->in.row[i], steps.last - 1),
                           -out->dy_time, g->common.dh + own->in.row[i] * plan->H * plan->kernels->size);
}

static int go_group_back(const frnn_gated_backward *g, frnn_team *team, size_t member, frnn_range steps,
                         frnn_range places) {
    const frnn_plan *plan = g->common.plan;
    const frnn_tape *tape = g->common.tape;
    const size_t size = plan->kernels->size, panel = plan->kernels->panel * size;
    group_back own; /* large: what there is of it is filled before it is read */
    frnn_list_group(&g->few, places, &own.in);
    const frnn_range active = frnn_active_steps(plan, tape, &own.in, steps);
    own.first = frnn_is_active_before(plan, tape, &own.in, active.first) ? 0 : active.first, own.kept_steps = 0;
    if (own.in.n % plan->kernels->lanes) { /* what the sums read beyond the group */
        memset(own.h, 0, sizeof own.h);
        memset(own.rh, 0, sizeof own.rh);
        memset(own.dz, 0, sizeof own.dz);
    }
    frnn_list_strided(own.dy.bytes, panel, plan->H, own.lists[BACK_DY]);
    frnn_list_strided(own.dh.bytes, panel, plan->H, own.lists[BACK_DH]);
    frnn_list_strided(own.dc.bytes, panel, plan->H, own.lists[BACK_DC]);
    own.gates = frnn_few_tape(g->cell, plan, tape, &own.in, &own.stride), own.kept = g->cell->kept * own.in.n * size;
    add_repeated(g, &own, (frnn_range){active.last, steps.last});
    frnn_turn_states(plan, g->common.dh, &own.in, &own.dh);
    if (g->cell->has_c) {
        frnn_turn_states(plan, tape->c0, &own.in, &own.c0);
        frnn_turn_states(plan, g->common.dc, &own.in, &own.dc);
    }
    frnn_back_step s = {.share.rows = places};
    char *const lanes = g->few.lanes + member * lane_elements(g->cell, plan) * size;
    memset(lanes, 0, lane_elements(g->cell, plan) * size);
    for (s.step = active.last; s.step-- > active.first;) {
        if (step_back(g, team, member, &s, &own)) return 1;
        if (++own.kept_steps == STEPS_ADDED || s.step == active.first) add_steps(g, &own, lanes);
    }
    end_chunk(g, &own, lanes);
    frnn_turn_back(plan, own.lists[BACK_DH], &own.in, g->common.dh);
    if (g->cell->has_c) frnn_turn_back(plan, own.lists[BACK_DC], &own.in, g->common.dc);
    add_repeated(g, &own, (frnn_range){steps.first, active.first});
    return 0;
}

int frnn_few_back(const frnn_backward *common, frnn_team *team, size_t member, frnn_range steps, frnn_range places,
                  const void *job) {
    const frnn_gated_backward *g = job;
    const size_t group = g->few.group;
    (void)common;
    for (size_t place = places.first; place < places.last; place += group)
        if (go_group_back(g, team, member, steps, (frnn_range){place, frnn_least(place + group, places.last)}))
            return 1;
    return 0;
}
