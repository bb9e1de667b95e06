#include "cells/backward.h"

#include <string.h>

size_t frnn_backward_chunk(const frnn_plan *plan, size_t width) {
    return frnn_chunk_steps(plan, frnn_most(plan->B, 1), plan->I + plan->H + width, FRNN_LEAST_TOKENS_BACKWARD);
}

frnn_backward frnn_lay_out_backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                    size_t gates, size_t width, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t size = k->size, threads = frnn_most_members(plan);
    const size_t steps = frnn_most(frnn_least(frnn_backward_chunk(plan, width), plan->T), 1);
    const size_t h_columns = frnn_times(l, frnn_panels(k, plan->H), k->panel);
    const size_t x_columns = frnn_times(l, frnn_panels(k, plan->I), k->panel);
    const size_t tokens = frnn_times(l, steps, plan->B), pointers = frnn_times(l, threads, tokens);
    const size_t chunks = plan->T / steps + (plan->T % steps != 0), wx_rows = frnn_times(l, gates, plan->H);
    frnn_backward g = {.plan = plan, .tape = tape, .gradients = gradients, .gates = gates, .steps = steps};
    g.zeros = frnn_take(l, frnn_most(h_columns, x_columns), size);
    g.wx_t = frnn_take(l, gradients->dx ? frnn_times(l, x_columns, wx_rows) : 0, size);
    g.dz = frnn_place_by_sequence(plan, steps, width, frnn_take(l, frnn_times(l, tokens, width), size));
    g.previous = frnn_take(l, tape->mask ? frnn_times(l, chunks, plan->B) : 0, sizeof *g.previous);
    g.before = frnn_take(l, tape->mask ? tokens : 0, sizeof *g.before);
    g.rows = frnn_take(l, frnn_times(l, threads, plan->B), sizeof *g.rows);
    g.dz_rows = frnn_take(l, pointers, sizeof *g.dz_rows);
    g.x_rows = frnn_take(l, pointers, sizeof *g.x_rows);
    g.h_rows = frnn_take(l, pointers, sizeof *g.h_rows);
    g.to = frnn_take(l, pointers, sizeof *g.to);
    return g;
}

void frnn_begin_backward(const frnn_backward *g) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t columns = frnn_most(frnn_panels(k, g->plan->H), frnn_panels(k, g->plan->I)) * k->panel;
    memset(g->zeros, 0, columns * k->size);
}

size_t frnn_batch_row(const frnn_backward *g, const char *dz) {
    return (size_t)(dz - g->dz.first) / (size_t)g->dz.batch;
}

static char *dx_at(const frnn_backward *g, size_t b, size_t step) {
    const frnn_plan *plan = g->plan;
    return (char *)g->gradients->dx + (b * plan->T + frnn_time_of(plan, step)) * plan->I * plan->kernels->size;
}

void frnn_fetch_ahead(const frnn_backward *g, frnn_share share, size_t step) {
    const size_t size = g->plan->kernels->size, offset = share.columns.first * size;
    const size_t bytes = (share.columns.last - share.columns.first) * size;
    for (size_t b = share.rows.first; b < share.rows.last; b++) {
        if (step >= 1 && g->gradients->dy) frnn_fetch(frnn_dy_at(g->gradients, b, step - 1) + offset, bytes);
        if (step >= 2) frnn_fetch(frnn_y_at(g->tape, b, step - 2) + offset, bytes);
    }
}

/* Fills `previous` for some rows. */
static void find_previous(const frnn_backward *g, frnn_range rows) {
    for (size_t b = rows.first; b < rows.last; b++)
        for (size_t step = 0, last = 0; step < g->plan->T; step++) {
            if (step % g->steps == 0) g->previous[step / g->steps * g->plan->B + b] = last;
            if (frnn_is_active(g->plan, g->tape, b, step)) last = step + 1;
        }
}

/* Fills `before` for some rows of a chunk. */
static void find_before(const frnn_backward *g, frnn_range steps, frnn_range rows) {
    const size_t B = g->plan->B;
    for (size_t b = rows.first; b < rows.last; b++) {
        size_t last = g->previous[steps.first / g->steps * B + b];
        for (size_t step = steps.first; step < steps.last; step++) {
            g->before[(step - steps.first) * B + b] = last;
            if (frnn_is_active(g->plan, g->tape, b, step)) last = step + 1;
        }
    }
}

/* Lists the active rows of a step. The others' output repeats the previous one or is zero. */
static size_t list_rows(const frnn_backward *g, frnn_share share, size_t step, size_t *rows) {
    const frnn_plan *plan = g->plan;
    const size_t row = plan->H * plan->kernels->size, offset = share.columns.first * plan->kernels->size;
    const int repeats = g->gradients->dy && !plan->zero_output_for_mask;
    size_t n = 0;
    for (size_t b = share.rows.first; b < share.rows.last; b++) {
        const int active = frnn_is_active(plan, g->tape, b, step);
        rows[n] = b;
        n += (size_t)active;
        if (!repeats || active) continue;
        const char *dy = frnn_dy_at(g->gradients, b, step) + offset;
        plan->kernels->add(share.columns.last - share.columns.first, dy, (char *)g->gradients->dh0 + b * row + offset);
    }
    return n;
}

/* x of masked steps is not used. */
static void clear_dx(const frnn_backward *g, frnn_range steps, frnn_range rows) {
    const size_t bytes = g->plan->I * g->plan->kernels->size;
    for (size_t b = rows.first; b < rows.last; b++)
        for (size_t step = steps.first; step < steps.last; step++)
            if (!frnn_is_active(g->plan, g->tape, b, step)) memset(dx_at(g, b, step), 0, bytes);
}

static void list_tokens(const frnn_backward *g, frnn_range steps, frnn_tokens *t) {
    const frnn_gradients *out = g->gradients;
    t->n = 0;
    t->later = g->tape->h0 != NULL;
    for (size_t b = 0; b < g->plan->B; b++)
        for (size_t step = steps.first; step < steps.last; step++) {
            if (!frnn_is_active(g->plan, g->tape, b, step)) continue;
            t->dz[t->n] = frnn_at(&g->dz, b, step);
            t->x[t->n] = frnn_x_at(g->plan, g->tape, b, step);
            t->h[t->n] = frnn_h_before(g, b, step);
            t->later |= frnn_before(g, b, step) > 0;
            if (out->dx) t->dx[t->n] = dx_at(g, b, step);
            if (out->dtable) t->dx[t->n] = frnn_row_of_token(g->plan, g->tape, g->gates, out->dtable, b, step);
            t->n++;
        }
}

/* dx = dz wx^T */
static int multiply_dx(const frnn_backward *g, frnn_team *team, size_t member, const frnn_tokens *t) {
    const frnn_plan *plan = g->plan;
    const frnn_range mine = frnn_part(t->n, frnn_team_size(team), member);
    const frnn_term term = {(const void *const *)t->dz + mine.first, g->wx_t, g->gates * plan->H};
    return frnn_multiply(team, member, plan->kernels,
                         (frnn_product){.term = {term},
                                        .start = g->zeros,
                                        .c = (void *const *)t->dx + mine.first,
                                        .rows = mine.last - mine.first,
                                        .N = plan->I,
                                        .first = 0,
                                        .last = frnn_panels(plan->kernels, plan->I),
                                        .activation = FRNN_LINEAR});
}

/* dtable[id] += dz, one member's columns of it: so each is summed over the tokens in their order. */
static void add_to_table(const frnn_backward *g, frnn_team *team, size_t member, const frnn_tokens *t) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t N = g->gates * g->plan->H, turned = g->turned * g->plan->H;
    const frnn_range panels = frnn_part(frnn_panels(k, N), frnn_team_size(team), member);
    const size_t first = panels.first * k->panel, last = frnn_least(panels.last * k->panel, N);
    const size_t middle = frnn_most(first, frnn_least(last, N - turned));
    const void *const *dz = (const void *const *)t->dz;
    void *const *rows = (void *const *)t->dx;
    if (first < middle) k->add_rows(t->n, middle - first, dz, first + turned, rows, first);
    if (middle < last) k->add_rows(t->n, last - middle, dz, middle + turned - N, rows, middle);
}

/* Writes zeros to one member's rows of dtable. */
static void clear_table(const frnn_backward *g, frnn_team *team, size_t member) {
    const size_t row = g->gates * g->plan->H * g->plan->kernels->size;
    const frnn_range rows = frnn_part(g->tape->V, frnn_team_size(team), member);
    memset((char *)g->gradients->dtable + rows.first * row, 0, (rows.last - rows.first) * row);
}

/* The gradient of the last states, where that of the initial ones will be. */
static void begin_states(const frnn_backward *g, frnn_share share, const void *last, void *initial) {
    const size_t size = g->plan->kernels->size, row = g->plan->H * size, offset = share.columns.first * size;
    const size_t bytes = (share.columns.last - share.columns.first) * size;
    for (size_t b = share.rows.first; b < share.rows.last; b++) {
        char *to = (char *)initial + b * row + offset;
        if (last) memmove(to, (const char *)last + b * row + offset, bytes);
        else memset(to, 0, bytes);
    }
}

int frnn_go_back(const frnn_backward *g, frnn_team *team, size_t member, frnn_share share, const frnn_way_back *way) {
    const frnn_plan *plan = g->plan;
    const frnn_gradients *out = g->gradients;
    const size_t tokens = member * g->steps * plan->B;
    const frnn_range own = frnn_part(plan->B, frnn_team_size(team), member);
    frnn_tokens t = {.dz = g->dz_rows + tokens, .x = g->x_rows + tokens, .h = g->h_rows + tokens, .dx = g->to + tokens};
    frnn_back_step s = {
        .share = share, .rows = g->rows + member * plan->B, .dz = t.dz, .y = t.x, .dy = t.h, .to = t.dx};

    if (g->tape->mask) find_previous(g, own);
    if (out->dtable && !out->accumulate) clear_table(g, team, member);
    begin_states(g, share, out->dh_last, out->dh0);
    if (out->dc0) begin_states(g, share, out->dc_last, out->dc0);
    if (frnn_barrier(team)) return 1;

    t.first = 1, t.later = 0, t.n = 0;
    if (plan->T == 0) return way->sum(g, team, member, &t, way->cell); /* the sums are zeros */
    for (frnn_range steps = {0, plan->T}; steps.last > 0; steps.last = steps.first, t.first = 0) {
        steps.first = (steps.last - 1) / g->steps * g->steps;
        if (g->tape->mask) {
            find_before(g, steps, own);
            if (out->dx) clear_dx(g, steps, own);
            if (share.together && frnn_barrier(team)) return 1;
        }
        for (s.step = steps.last; s.step-- > steps.first;) {
            s.n = list_rows(g, share, s.step, s.rows);
            if (way->step(g, team, member, &s, way->cell)) return 1;
        }
        if (frnn_barrier(team)) return 1; /* dz of all rows must be there */
        list_tokens(g, steps, &t);
        if (out->dx && multiply_dx(g, team, member, &t)) return 1;
        if (out->dtable) add_to_table(g, team, member, &t);
        if (way->sum(g, team, member, &t, way->cell)) return 1;
    }
    return 0;
}
