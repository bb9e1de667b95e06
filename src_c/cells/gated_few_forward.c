/* GRU and LSTM of few units, forward: see gated_few.h. */
#include <string.h>

#include "cells/gated_few.h"

enum { GATES, CANDIDATE, U, STATE, NEXT, C, NEXT_C, RH, LISTS };

typedef struct group {
    frnn_group in;
    frnn_range steps;       /* from the first to the last that some row is active at */
    char *gates;            /* of the first step */
    size_t stride, kept;    /* bytes from one step to the next, and from one unit to the next */
    frnn_turned h[2], c[2]; /* states before and after a step, in turns */
    frnn_turned near[FRNN_MOST_GATES + 1], rh;
    char *lists[LISTS][FRNN_FEW_UNITS];
    uint8_t active[FRNN_FEW_ROWS];
} group;

static void list_units(const frnn_gated_forward *f, group *g, size_t step) {
    const frnn_gated *cell = f->cell;
    const frnn_plan *plan = f->common.plan;
    const size_t H = plan->H, row = g->in.n * plan->kernels->size, panel = plan->kernels->panel * plan->kernels->size;
    char *const gates = g->gates + step * g->stride;
    frnn_list_strided(gates, g->kept, H, g->lists[GATES]);
    frnn_list_strided(gates + cell->together * row, g->kept, H, g->lists[CANDIDATE]);
    frnn_list_strided(gates + cell->gates * row, g->kept, H, g->lists[U]);
    frnn_list_strided(g->h[step % 2].bytes, panel, H, g->lists[STATE]);
    frnn_list_strided(g->h[(step + 1) % 2].bytes, panel, H, g->lists[NEXT]);
    frnn_list_strided(g->rh.bytes, panel, H, g->lists[RH]);
    if (!cell->has_c) return;
    if (step == g->steps.first || !f->common.tape->gates)
        frnn_list_strided(g->c[step % 2].bytes, panel, H, g->lists[C]);
    else memcpy(g->lists[C], g->lists[NEXT_C], sizeof g->lists[C]);
    if (f->common.tape->gates) memcpy(g->lists[NEXT_C], g->lists[U], sizeof g->lists[U]);
    else frnn_list_strided(g->c[(step + 1) % 2].bytes, panel, H, g->lists[NEXT_C]);
}

/* x wx + b of all gates, or the tokens' rows of the table, to where the step's gates will be. */
static void turn_inputs(const frnn_gated_forward *f, const group *g, size_t step) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    const size_t gates = f->cell->gates, H = plan->H, row = g->in.n * plan->kernels->size;
    const char *from[FRNN_FEW_ROWS];
    char *to[FRNN_FEW_COLUMNS];
    for (size_t i = 0; i < g->in.n; i++) {
        const size_t b = g->in.row[i];
        from[i] = !g->active[i] ? f->few.zeros
                  : tape->table ? frnn_row_of_token(plan, tape, gates, tape->table, b, step)
                                : frnn_at(&f->common.z, b, step);
    }
    for (size_t gate = 0; gate < gates; gate++)
        for (size_t j = 0; j < H; j++) to[gate * H + j] = g->lists[GATES][j] + gate * row;
    plan->kernels->turn(g->in.n, gates * H, (const void *const *)from, (void *const *)to);
}

int frnn_few_multiply(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s,
                      frnn_gated_rows *rows, const frnn_gated_product *products, size_t count,
                      void (*update)(const frnn_gated_rows *rows)) {
    const frnn_plan *plan = f->common.plan;
    const frnn_kernels *k = plan->kernels;
    const size_t H = plan->H;
    char *left[FRNN_FEW_COLUMNS], *c[FRNN_FEW_COLUMNS], *starts[FRNN_FEW_UNITS];
    for (const frnn_gated_product *m = products; m < products + count; m++) {
        const int of_zeros = s->step == 0 && !f->common.tape->h0 && m->a == (void *const *)s->h; /* they add nothing */
        if (of_zeros && !m->start) continue;
        frnn_list_strided(f->few.wh_t + m->gate * H * H * k->size, H * k->size, m->gates * H, left);
        frnn_list_strided(f->few.start, f->few.group * k->size, H, starts);
        for (size_t gate = 0; gate < m->gates; gate++)
            for (size_t j = 0; j < H; j++) c[gate * H + j] = (char *)m->c[j] + gate * rows->H * k->size;
        if (frnn_multiply(team, member, k,
                          &(frnn_product){.term = {{(const void *const *)left, m->a[0], of_zeros ? 0 : H}},
                                          .c = (void *const *)c,
                                          .starts = m->start ? (const void *const *)starts : NULL,
                                          .rows = m->gates * H,
                                          .N = rows->H,
                                          .first = 0,
                                          .last = 1,
                                          .activation = FRNN_LINEAR}))
            return 1;
    }
    update(rows);
    return 0;
}

/* The outputs after a step. */
static void turn_outputs(const frnn_gated_forward *f, const group *g, size_t step) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    char *rows[FRNN_FEW_ROWS];
    for (size_t i = 0; i < g->in.n; i++) rows[i] = frnn_y_at(tape, g->in.row[i], step);
    plan->kernels->turn(plan->H, g->in.n, (const void *const *)g->lists[NEXT], (void *const *)rows);
    for (size_t i = 0; i < g->in.n && plan->zero_output_for_mask; i++)
        if (!g->active[i]) memset(rows[i], 0, plan->H * plan->kernels->size);
}

/* The outputs where no row of the group is active: the one before again, at the beginning the state, or zeros. */
static void repeat_outputs(const frnn_gated_forward *f, const group *g) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    const size_t row = plan->H * plan->kernels->size;
    const frnn_range steps = g->steps;
    for (size_t i = 0; i < g->in.n; i++) {
        const size_t b = g->in.row[i];
        const char *zeros = f->common.zeros, *h = tape->h0 ? (const char *)tape->h0 + b * row : zeros;
        if (plan->zero_output_for_mask) h = zeros;
        plan->kernels->repeat(plan->H, steps.first, h, frnn_y_at(tape, b, 0), tape->y_time);
        if (steps.first < steps.last && !plan->zero_output_for_mask) h = frnn_y_at(tape, b, steps.last - 1);
        plan->kernels->repeat(plan->H, plan->T - steps.last, h, frnn_y_at(tape, b, steps.last), tape->y_time);
    }
}

static int go_step(const frnn_gated_forward *f, frnn_team *team, size_t member, frnn_step *s, group *g) {
    const frnn_plan *plan = f->common.plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_tape *tape = f->common.tape;
    list_units(f, g, s->step);
    const int all = frnn_list_lanes(plan, tape, &g->in, s->step, g->active);
    turn_inputs(f, g, s->step);
#define LIST(which) ((void *const *)g->lists[which])
#define INPUT(which) ((const void *const *)g->lists[which])
    s->n = plan->H, s->h = g->lists[STATE];
    frnn_gated_rows rows = {.rows = plan->H,
                            .H = g->in.n,
                            .last = 1,
                            .gates = LIST(GATES),
                            .candidate = LIST(CANDIDATE),
                            .u = LIST(U),
                            .h = INPUT(STATE),
                            .c = INPUT(C),
                            .y = LIST(NEXT),
                            .next_c = LIST(NEXT_C),
                            .rh = LIST(RH),
                            .activation = plan->activation,
                            .recurrent_activation = plan->recurrent_activation,
                            .keep = tape->gates != NULL};
    if (f->cell->step(f, team, member, s, &rows)) return 1;
    if (!all) {
        k->restore(plan->H, g->in.n, g->active, INPUT(STATE), LIST(NEXT));
        if (f->cell->has_c) k->restore(plan->H, g->in.n, g->active, INPUT(C), LIST(NEXT_C));
    }
#undef LIST
#undef INPUT
    if (tape->y) turn_outputs(f, g, s->step);
    return 0;
}

static int go_group(const frnn_gated_forward *f, frnn_team *team, size_t member, frnn_range places) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    const size_t size = plan->kernels->size, H = plan->H, tokens = member * f->common.steps * plan->B;
    group g;
    frnn_list_group(&f->few, places, &g.in);
    frnn_step s = {.share.rows = places,
                   .share.panels.last = 1,
                   .share.columns.last = H,
                   .x = f->common.x + tokens,
                   .outputs = f->common.to + tokens};
    g.steps = frnn_active_steps(plan, tape, &g.in, (frnn_range){0, plan->T});
    if (g.in.n % plan->kernels->lanes) { /* what products read beyond the group, and drop */
        memset(g.h, 0, sizeof g.h);
        memset(&g.rh, 0, sizeof g.rh);
    }
    g.gates = g.near->bytes, g.stride = 0;
    g.kept = (f->cell->gates + (size_t)f->cell->has_u) * g.in.n * size;
    if (tape->gates) {
        g.gates = frnn_few_tape(f->cell, plan, tape, &g.in, &g.stride);
        g.kept = f->cell->kept * g.in.n * size;
    }
    frnn_turn_states(plan, tape->h0, &g.in, &g.h[g.steps.first % 2]);
    if (f->cell->has_c) frnn_turn_states(plan, tape->c0, &g.in, &g.c[g.steps.first % 2]);
    for (frnn_range steps = {g.steps.first, g.steps.first}; steps.first < g.steps.last; steps.first = steps.last) {
        steps.last = frnn_least(steps.first + f->common.chunk, g.steps.last);
        if (!tape->table && frnn_project(&f->common, team, member, steps, &s)) return 1;
        for (s.step = steps.first; s.step < steps.last; s.step++)
            if (go_step(f, team, member, &s, &g)) return 1;
    }
    if (tape->y && tape->mask) repeat_outputs(f, &g);
    list_units(f, &g, g.steps.last);
    frnn_turn_back(plan, g.lists[STATE], &g.in, f->common.h_last);
    if (f->c_last) frnn_turn_back(plan, g.lists[C], &g.in, f->c_last);
    return 0;
}

int frnn_few_forward(const frnn_gated_forward *f, frnn_team *team, size_t member) {
    const size_t group = f->few.group, B = f->common.plan->B;
    const frnn_range mine = frnn_part_of_groups(B, group, frnn_team_size(team), member);
    for (size_t place = mine.first; place < mine.last; place += group)
        if (go_group(f, team, member, (frnn_range){place, frnn_least(place + group, mine.last)})) return 1;
    return 0;
}
