/* A chunk's tokens on the way back: lists of them for the sums, and their part in the gradient of a table. */
#include <string.h>

#include "cells/backward_inner.h"

/* Multiply-adds with zeros that cost more than to list those tokens apart. */
enum { LEFT_OUT = 4096 };

int frnn_add_own_parts(frnn_team *team, size_t member, const frnn_outer_sums *sums, const frnn_tokens *t,
                       const char *const *h, const char *const *dz) {
    const frnn_own_parts mine = frnn_own_parts_of_tokens(t, team, member);
    for (size_t i = mine.parts.first; i < mine.parts.last; i++) {
        const struct frnn_tokens_of_part *part = &t->part[i];
        if (frnn_add_part(team, member, mine.crew, sums, i, t->first, part->n, part->initial,
                          (const void *const *)t->x + part->first, h ? (const void *const *)h + part->first : NULL,
                          (const void *const *)dz + part->first))
            return 1;
    }
    return 0;
}

/* All tokens, those of the very first step, which have no state before, or the others. */
typedef enum listed { ALL, INITIAL, LATER } listed;

/* Adds some rows' tokens to the lists, with their rows of a table or NULL. */
static void list_tokens(const frnn_backward *g, frnn_range steps, frnn_range rows, listed which, char *table,
                        frnn_tokens *t) {
    const frnn_plan *plan = g->plan;
    const ptrdiff_t way = plan->go_backwards ? -1 : 1, x_time = way * g->tape->x_time;
    const ptrdiff_t dx_time = way * (ptrdiff_t)(plan->I * plan->kernels->size);
    for (size_t place = rows.first; place < rows.last; place++) {
        const size_t b = frnn_row_in(g->order, place);
        for (size_t step = steps.first, run; step < steps.last; step += run) {
            run = g->tape->mask ? frnn_mask_run(plan, g->tape, b, step, steps.last - step, 0) : steps.last - step;
            if (!frnn_is_active(plan, g->tape, b, step)) continue;
            const char *h = frnn_h_before(g, b, step);
            const size_t initial = which != ALL && step == 0, n = t->n;
            size_t from = step, count = run;
            if (which == INITIAL) count = initial;
            else if (initial) h = frnn_y_at(g->tape, b, from++), count--;
            if (count == 0) continue;
            frnn_list_strided(frnn_at(&g->dz, b, from), g->dz.time, count, (char **)t->dz + n);
            frnn_list_strided(frnn_x_at(plan, g->tape, b, from), x_time, count, (char **)t->x + n);
            frnn_list_strided(frnn_y_at(g->tape, b, from), g->tape->y_time, count - 1, (char **)t->h + n + 1);
            t->h[n] = h;
            if (g->gradients->dx) frnn_list_strided(frnn_dx_at(g, b, from), dx_time, count, t->dx + n);
            for (size_t i = 0; table && i < count; i++)
                t->dx[n + i] = frnn_row_of_token(plan, g->tape, g->gates, table, b, from + i);
            t->n += count;
        }
    }
}

static size_t table_bytes(const frnn_backward *g) {
    return g->tape->V * g->gates * g->plan->H * g->plan->kernels->size;
}

/* Where a part of the rows adds to. */
static char *table_of_part(const frnn_backward *g, size_t part) {
    return g->parts > 1 ? g->tables + part * table_bytes(g) : g->gradients->dtable;
}

/* Lists where the tokens from `first` on add to, and adds them. */
static void add_to_table(const frnn_backward *g, const frnn_tokens *t, size_t first) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t N = g->gates * g->plan->H, turned = g->turned * g->plan->H;
    const void *const *dz = (const void *const *)t->dz + first;
    void *const *rows = (void *const *)t->dx + first;
    k->add_rows(t->n - first, N - turned, dz, turned, rows, 0);
    if (turned) k->add_rows(t->n - first, turned, dz, 0, rows, N - turned);
}

/* Whether tokens without a state before are listed apart. With a mask there may be others later, but where time is cut
 * these have a state, of zeros, and must come in the same order. */
static int leaves_initial_out(const frnn_backward *g, frnn_range steps) {
    return !g->tape->h0 && steps.first == 0 && g->gates * g->plan->H * g->plan->H >= LEFT_OUT;
}

void frnn_list_tokens(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_range rows,
                      frnn_tokens *t, frnn_summed needed) {
    t->parts = frnn_parts_in(g, steps, rows);
    const frnn_own_parts mine = frnn_own_parts_of_tokens(t, team, member);
    for (size_t part = 0; part < t->parts; part++) {
        const frnn_range some = frnn_part_of_groups(rows.last - rows.first, g->group, t->parts, part);
        const size_t first = t->n;
        const int own = mine.parts.first <= part && part < mine.parts.last;
        const int adds = own && mine.crew.place == 0 && g->gradients->dtable;
        t->part[part] = (struct frnn_tokens_of_part){.first = first};
        if (!adds && !(own && needed == FRNN_OWN_PARTS) && needed != FRNN_ALL_TOKENS) continue;
        char *const table = adds ? table_of_part(g, part) : NULL;
        if (adds && g->parts > 1) memset(table, 0, table_bytes(g));
        const frnn_range of_part = {rows.first + some.first, rows.first + some.last};
        const int leaves_out = leaves_initial_out(g, steps);
        if (leaves_out) list_tokens(g, steps, of_part, INITIAL, table, t);
        t->part[part].initial = t->n - first;
        list_tokens(g, steps, of_part, leaves_out ? LATER : ALL, table, t);
        t->part[part].n = t->n - first;
        if (adds) add_to_table(g, t, first);
    }
    t->initial = t->part[0].initial; /* without parts */
}

/* One member's rows of a table in bytes. */
static frnn_range table_rows(const frnn_backward *g, frnn_team *team, size_t member) {
    const size_t row = g->gates * g->plan->H * g->plan->kernels->size;
    const frnn_range rows = frnn_part(g->tape->V, frnn_team_size(team), member);
    return (frnn_range){rows.first * row, rows.last * row};
}

void frnn_clear_table(const frnn_backward *g, frnn_team *team, size_t member) {
    const frnn_range mine = table_rows(g, team, member);
    if (!g->gradients->accumulate) memset((char *)g->gradients->dtable + mine.first, 0, mine.last - mine.first);
}

void frnn_join_tables(const frnn_backward *g, frnn_team *team, size_t member, size_t parts) {
    const frnn_range mine = table_rows(g, team, member);
    const frnn_kernels *k = g->plan->kernels;
    for (size_t part = 0; part < parts; part++)
        k->add((mine.last - mine.first) / k->size, 1, table_of_part(g, part) + mine.first, 0,
               (char *)g->gradients->dtable + mine.first);
}
