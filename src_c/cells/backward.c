/* The way back through time, step by step and chunk by chunk. */
#include <string.h>

#include "cells/backward_inner.h"

size_t frnn_batch_row(const frnn_backward *g, const char *dz) {
    return (size_t)(dz - g->dz.first) / (size_t)g->dz.batch;
}

void frnn_fetch_ahead(const frnn_backward *g, const frnn_back_step *s) {
    const size_t size = g->plan->kernels->size, offset = s->share.columns.first * size;
    const size_t bytes = (s->share.columns.last - s->share.columns.first) * size;
    if (bytes < FRNN_FETCHED_BYTES) return;
    for (size_t i = 0; i < s->n; i++) {
        const size_t b = s->rows[i], step = frnn_back_step_of(g, s, i);
        if (step >= 1 && g->gradients->dy) frnn_fetch(frnn_dy_at(g->gradients, b, step - 1) + offset, bytes);
        if (step >= 2) frnn_fetch(frnn_y_at(g->tape, b, step - 2) + offset, bytes);
    }
}

typedef struct token {
    int exists;
    size_t row, step;
} token;

/* The first row's token some steps later: perhaps at the next rows, of which as many are meant. */
static token later(const frnn_back_step *s, size_t steps) {
    const size_t left = s->step - s->span.first, rows = s->share.rows.last - s->share.rows.first;
    if (steps <= left) return (token){1, s->share.rows.first, s->step - steps};
    steps -= left;
    return (token){s->next_steps >= steps && s->next.last >= rows, s->next.last - rows, s->next_steps - steps};
}

void frnn_ask_for_next(const frnn_backward *g, const frnn_back_step *s, frnn_ahead *a) {
    const frnn_gradients *out = g->gradients;
    const size_t row = g->plan->H * g->plan->kernels->size;
    const token next = later(s, 1), second = later(s, 2);
    if (next.exists && out->dy)
        a->rows[0] = (struct frnn_ahead_rows){frnn_dy_at(out, next.row, next.step), out->dy_batch, row};
    if (second.exists)
        a->rows[1] = (struct frnn_ahead_rows){frnn_y_at(g->tape, second.row, second.step), g->tape->y_batch, row};
}

/* A masked step's output repeats the one before: adds the gradients of all such outputs. */
static void add_repeated(const frnn_backward *g, frnn_share share, size_t b, frnn_range steps) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t row = g->plan->H * k->size, offset = share.columns.first * k->size;
    k->add(share.columns.last - share.columns.first, steps.last - steps.first,
           frnn_dy_at(g->gradients, b, steps.last - 1) + offset, -g->gradients->dy_time, g->dh + b * row + offset);
}

/* Has idle seats' rows skip what is masked, or leave. */
static void fill_seats(const frnn_backward *g, frnn_back_step *s) {
    frnn_seats *const seats = &s->seats;
    const int repeats = g->gradients->dy && !g->plan->zero_output_for_mask;
    for (size_t i = 0; (i = frnn_idle_seat(seats, i)) < seats->n;) {
        const size_t b = seats->row[i];
        const frnn_range skipped = frnn_skip(seats, i);
        if (repeats && skipped.first < skipped.last) add_repeated(g, s->share, b, skipped);
        if (frnn_is_idle(seats, i)) frnn_next_row(seats, i);
    }
    s->n = seats->n;
}

void frnn_move_list(const frnn_back_step *s, const frnn_place *place, char **list) {
    if (s->step > 0 && place->time) frnn_move_rows(list, s->n, -place->time);
    for (size_t j = 0; j < s->seats.changes; j++) {
        const size_t i = s->seats.changed[j];
        if (i < s->n) list[i] = frnn_at(place, s->rows[i], s->steps[i]);
    }
}

/* A member's steps of a chunk with a mask. */
static int go_through_seats(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_back_step *s,
                            const frnn_way_back *way) {
    s->seats = frnn_take_seats(&g->seats, member, s->share.rows, steps, 1);
    frnn_dx_aside dx;
    frnn_begin_dx_aside(g, steps, &dx);
    s->rows = s->seats.row, s->steps = s->seats.step, s->step = 0;
    for (fill_seats(g, s); s->n; s->step++) {
        if (way->step(g, team, member, s, way->cell) || frnn_go_on_dx_aside(g, team, member, s, &dx)) return 1;
        if (frnn_go_step(&s->seats)) fill_seats(g, s);
    }
    return frnn_end_dx_aside(g, team, member, s, &dx);
}

/* Asks for what the sums of the chunk after this one read and write of a step. */
static void fetch_next_chunk(const frnn_backward *g, const frnn_back_step *s) {
    const size_t bytes = g->plan->I * g->plan->kernels->size;
    if (s->step < g->steps || !frnn_are_streams(g->plan, s->n)) return;
    for (size_t i = 0, step = s->step - g->steps; i < s->n; i++) {
        if (g->tape->x) frnn_fetch_row(frnn_x_at(g->plan, g->tape, s->rows[i], step), bytes);
        if (g->gradients->dx) frnn_fetch_row(frnn_dx_at(g, s->rows[i], step), bytes);
    }
}

/* And without. */
static int go_through_steps(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_back_step *s,
                            const frnn_way_back *way) {
    size_t *const rows = g->rows + member * g->plan->B;
    s->n = 0, s->rows = rows;
    for (size_t b = s->share.rows.first; b < s->share.rows.last; b++) rows[s->n++] = b;
    frnn_dx_aside dx;
    frnn_begin_dx_aside(g, steps, &dx);
    for (s->step = steps.last; s->step-- > steps.first;) {
        if (way->step(g, team, member, s, way->cell)) return 1;
        fetch_next_chunk(g, s);
        if (s->n && frnn_go_on_dx_aside(g, team, member, s, &dx)) return 1;
    }
    return frnn_end_dx_aside(g, team, member, s, &dx);
}

/* The gradient of the last states, from where it goes back to the initial ones. */
static void begin_states(const frnn_backward *g, frnn_share share, const void *last, char *states) {
    const size_t size = g->plan->kernels->size, row = g->plan->H * size, offset = share.columns.first * size;
    const size_t bytes = (share.columns.last - share.columns.first) * size;
    for (size_t b = share.rows.first; b < share.rows.last; b++) {
        char *to = states + b * row + offset;
        if (last) memmove(to, (const char *)last + b * row + offset, bytes);
        else memset(to, 0, bytes);
    }
}

/* A member's rows of a block. */
static frnn_range own_rows(const frnn_backward *g, frnn_team *team, size_t member, frnn_range rows) {
    const frnn_range part = frnn_part_of_groups(rows.last - rows.first, g->group, frnn_team_size(team), member);
    return (frnn_range){rows.first + part.first, rows.first + part.last};
}

/* Every member's share of a block of rows, for the steps of a chunk, and then for the sums over its tokens. */
static int go_through_block(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_range rows,
                            frnn_back_step *s, frnn_tokens *t, const frnn_way_back *way) {
    const frnn_range own = own_rows(g, team, member, rows);
    s->share.rows = s->share.together ? rows : own;
    s->first = steps.first;
    if (g->tape->mask && g->gradients->dx) frnn_clear_dx(g, steps, own);
    if (way->steps ? way->steps(g, team, member, steps, own, way->cell)
                   : (g->tape->mask ? go_through_seats : go_through_steps)(g, team, member, steps, s, way))
        return 1;
    if (frnn_barrier(team)) return 1; /* dz of all rows must be there */
    const frnn_summed needed = g->gradients->dx && way->summed == FRNN_NO_TOKENS ? FRNN_ALL_TOKENS : way->summed;
    t->n = 0, t->rows = rows;
    frnn_list_tokens(g, team, member, steps, rows, t, needed);
    s->step = steps.first;
    const size_t n = t->n - frnn_tokens_aside(g, steps);
    if (g->gradients->dx && frnn_multiply_dx(g, team, member, s, t, n, way, needed == FRNN_OWN_PARTS)) return 1;
    if (way->sum(g, team, member, t, way->cell)) return 1;
    if (g->gradients->dtable && g->parts > 1) frnn_join_tables(g, team, member, t->parts);
    return 0;
}

int frnn_go_back(const frnn_backward *g, frnn_team *team, size_t member, frnn_share share, const frnn_way_back *way) {
    const frnn_plan *plan = g->plan;
    const frnn_gradients *out = g->gradients;
    const size_t tokens = member * g->steps * plan->B, blocks = frnn_back_blocks(plan->B);
    frnn_tokens t = {.dz = g->dz_rows + tokens,
                     .x = g->x_rows + tokens,
                     .h = g->h_rows + tokens,
                     .dx = g->to + tokens,
                     .parts = g->parts};
    frnn_back_step s = {.share = share, .dz = t.dz, .y = t.x, .dy = t.h, .to = t.dx};

    if (out->dx && !g->late_panels && frnn_turn_wx(g, team, member, way)) return 1;
    if (out->dtable) frnn_clear_table(g, team, member);
    begin_states(g, share, out->dh_last, g->dh);
    if (g->dc) begin_states(g, share, out->dc_last, g->dc);
    if (frnn_barrier(team)) return 1;

    t.first = 1;
    if (plan->T == 0 || plan->B == 0) return way->sum(g, team, member, &t, way->cell); /* the sums are zeros */
    for (frnn_range span = {0, plan->T}; span.last > 0; span.last = span.first) {
        span.first = (span.last - 1) / g->span * g->span;
        for (size_t i = 0; i < blocks; i++) {
            const frnn_range rows = frnn_part_of_groups(plan->B, g->group, blocks, i);
            const int more = i + 1 < blocks;
            s.span = span;
            s.next = own_rows(g, team, member, frnn_part_of_groups(plan->B, g->group, blocks, more ? i + 1 : 0));
            s.next_steps = more ? span.last : span.first;
            for (frnn_range steps = span; steps.last > span.first; steps.last = steps.first, t.first = 0) {
                steps.first = (steps.last - 1) / g->steps * g->steps;
                if (go_through_block(g, team, member, steps, rows, &s, &t, way)) return 1;
            }
        }
    }
    return 0;
}
