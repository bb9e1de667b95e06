/* How the way back cuts time and rows, and the memory that it needs. */
#include <string.h>

#include "cells/backward_inner.h"

/* Steps, in whole chunks, that a block of rows goes through before the next one does: its states and what was asked for ahead
 * are in cache as long. */
enum { LEAST_STEPS = 16 };

/* Rows, bytes of gradients, and tokens of a chunk for every row of a table, at which two parts pay; fewer rows if the halves
 * are equal. */
enum { HALVED_ROWS = 6, HALVED_BYTES = 1024 * 1024, TOKENS_PER_ROW = 2 };

/* What a single row's steps leave of dz is used so often for the gradients, at which it pays to send it to other members. */
enum { LEAST_USES = 64 };

/* Panels of wx^T that stay in the second-level cache between being turned around and being used, no more than a row's tile has
 * at one time; and tokens that do so beside them. */
enum { LATE_BYTES = 512 * 1024, LATE_PANELS = 4, LATE_TOKENS_BYTES = 128 * 1024 };

/* Steps of a chunk that has one part. */
static size_t steps_of_part(const frnn_plan *plan, size_t width) {
    const size_t blocks = frnn_most(frnn_back_blocks(plan->B), 1), rows = (plan->B + blocks - 1) / blocks;
    /* As many tokens as fill the sums' blocks, but not a few more: those would be a block that takes as long. */
    const size_t room = frnn_chunk_tokens(plan, plan->I + plan->H + width) / FRNN_USUAL_BLOCK * FRNN_MOST_BLOCK;
    return frnn_most(frnn_most(room, FRNN_MOST_BLOCK) / frnn_most(rows, 1), 1);
}

static size_t most_parts(const frnn_plan *plan) {
    const int has_equal_halves = plan->B > 0 && plan->B % 2 == 0;
    return plan->B >= HALVED_ROWS || has_equal_halves ? FRNN_MOST_PARTS : 1;
}

/* None of this may depend on T: cutting time must not change a bit. */
static size_t parts_of(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients, size_t width,
                       int may_halve) {
    const size_t tokens = steps_of_part(plan, width) * plan->B, rows = gradients->dtable ? tape->V : 0;
    return may_halve && rows <= tokens / TOKENS_PER_ROW ? most_parts(plan) : 1;
}

size_t frnn_backward_span(const frnn_plan *plan, size_t width) {
    const size_t chunk = steps_of_part(plan, width) * most_parts(plan);
    return frnn_back_blocks(plan->B) > 1 ? (LEAST_STEPS + chunk - 1) / chunk * chunk : chunk;
}

size_t frnn_parts_in(const frnn_backward *g, frnn_range steps, frnn_range rows) {
    const size_t count = steps.last - steps.first, tokens = count * (rows.last - rows.first);
    const double left = (double)g->plan->I + (double)g->plan->H, right = (double)g->gates * (double)g->plan->H;
    const int are_many = g->plan->B >= HALVED_ROWS && count > 1;
    const int pay = are_many || (double)tokens * (left + right) > left * right;
    return pay && tokens > FRNN_FEW_OUTER ? g->parts : 1;
}

/* Panels of wx^T that are turned around right before a product of all tokens needs them, if there is one such product. Written for
 * all, they would go to the third-level cache and back. */
static size_t late_panels(const frnn_backward *g) {
    const frnn_plan *plan = g->plan;
    const double row = (double)g->gates * (double)plan->H * (double)plan->kernels->size;
    const double panel = row * (double)plan->kernels->panel;
    const int is_one_chunk = plan->T <= g->steps && frnn_back_blocks(plan->B) <= 1;
    if (!is_one_chunk || (g->aside && plan->T > 1) || (double)plan->T * (double)plan->B * row > LATE_TOKENS_BYTES
        || frnn_parts_in(g, (frnn_range){0, plan->T}, (frnn_range){0, plan->B}) > 1)
        return 0;
    size_t panels = LATE_PANELS;
    while (panels > 1 && (double)panels * panel > LATE_BYTES) panels--;
    return panels;
}

frnn_backward frnn_lay_out_backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                    size_t gates, size_t width, int may_halve, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t size = k->size, threads = frnn_most_members(plan);
    const size_t parts = parts_of(plan, tape, gradients, width, may_halve);
    const size_t steps = frnn_most(frnn_least(steps_of_part(plan, width) * parts, plan->T), 1);
    const size_t h_columns = frnn_times(l, frnn_panels(k, plan->H), k->panel);
    const size_t x_columns = frnn_times(l, frnn_panels(k, plan->I), k->panel);
    const size_t tokens = frnn_times(l, steps, plan->B), pointers = frnn_times(l, threads, tokens);
    const size_t wx_rows = frnn_times(l, gates, plan->H);
    frnn_backward g = {.plan = plan, .tape = tape, .gradients = gradients, .gates = gates, .group = 1, .steps = steps};
    g.span = frnn_backward_span(plan, width);
    g.parts = parts;
    /* Who has no row computes dx, too, which gains more if it is no smaller than the steps. */
    const int shares_dx = threads > 1 && !frnn_share_of(plan, gates, threads, 0, !tape->dropout).together;
    g.aside =
        gradients->dx && !(shares_dx && plan->I >= plan->H) && frnn_goes_aside(plan, tape, gates, plan->H, threads);
    if (parts > 1 && gradients->dtable)
        g.tables = frnn_take(l, frnn_times(l, parts * gates, frnn_times(l, tape->V, plan->H)), size);
    g.zeros = frnn_take(l, frnn_most(h_columns, x_columns), size);
    g.late_panels = gradients->dx ? late_panels(&g) : 0;
    const size_t columns = g.late_panels ? frnn_times(l, threads, g.late_panels * k->panel) : x_columns;
    g.wx_t = frnn_take(l, gradients->dx ? frnn_times(l, columns, wx_rows) : 0, size);
    g.dh = gradients->dh0 ? gradients->dh0 : frnn_take(l, frnn_times(l, plan->B, plan->H), size);
    g.dz = frnn_place_by_sequence(plan, steps, width, frnn_take(l, frnn_times(l, tokens, width), size));
    g.seats = frnn_lay_out_seats(plan, tape, steps, l);
    g.rows = frnn_take(l, frnn_times(l, threads, plan->B), sizeof *g.rows);
    g.dz_rows = frnn_take(l, pointers, sizeof *g.dz_rows);
    g.x_rows = frnn_take(l, pointers, sizeof *g.x_rows);
    g.h_rows = frnn_take(l, pointers, sizeof *g.h_rows);
    g.to = frnn_take(l, pointers, sizeof *g.to);
    return g;
}

int frnn_are_sums_small(const frnn_plan *plan, const frnn_tape *tape, size_t gates) {
    const double elements = (double)gates * (double)plan->H * ((double)plan->I + (double)plan->H);
    /* Dropout gives the tokens other left-hand sides, which members make for each other. */
    return !tape->dropout && elements * (double)plan->kernels->size <= HALVED_BYTES;
}

size_t frnn_backward_members(const frnn_backward *g) {
    const frnn_plan *plan = g->plan;
    const size_t members = frnn_most_members(plan);
    const frnn_share share = frnn_share_of(plan, g->gates, members, 0, !g->tape->dropout);
    const size_t uses = plan->H + (g->gradients->dx ? 2 : 1) * plan->I;
    return plan->B > 1 || share.together || uses > LEAST_USES ? members : 1;
}

void frnn_begin_backward(const frnn_backward *g) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t columns = frnn_most(frnn_panels(k, g->plan->H), frnn_panels(k, g->plan->I)) * k->panel;
    memset(g->zeros, 0, columns * k->size);
}
