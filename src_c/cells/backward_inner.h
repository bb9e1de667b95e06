/* What the files of the way back share, and nobody else needs: see backward.h.
 *
 * backward.c goes through the steps, backward_dx.c makes dx of what they leave, backward_tokens.c lists it for the sums and
 * adds it to a table; backward_layout.c cuts time and rows into chunks, blocks and parts. */
#ifndef FRNN_CELLS_BACKWARD_INNER_H
#define FRNN_CELLS_BACKWARD_INNER_H

#include "cells/aside.h"
#include "cells/backward.h"

/* Rows go through a chunk's steps and sums in blocks of equal size: with more, what the steps leave would have gone from
 * the caches when the sums need it. */
static inline size_t frnn_back_blocks(size_t B) { return (B + FRNN_MOST_ROWS - 1) / FRNN_MOST_ROWS; }

/* Parts of some rows in a chunk. Those who share one part's sums read each other's tokens, and of two parts one is added to
 * the other, which a few rows or a single step may not be worth. A few tokens are added as one sum. */
size_t frnn_parts_in(const frnn_backward *g, frnn_range steps, frnn_range rows);

/* ---- dx ---- */

static inline char *frnn_dx_at(const frnn_backward *g, size_t b, size_t step) {
    const frnn_plan *plan = g->plan;
    return (char *)g->gradients->dx + (b * plan->T + frnn_time_of(plan, step)) * plan->I * plan->kernels->size;
}

/* Clears dx of the tokens that take no part: their x is not used. */
void frnn_clear_dx(const frnn_backward *g, frnn_range steps, frnn_range rows);

/* Tokens of a chunk whose dx is computed aside: those of the last steps, in whole groups, after which there are others. */
size_t frnn_tokens_aside(const frnn_backward *g, frnn_range steps);

/* A chunk's dx of a single row, as far as it is computed aside. */
typedef struct frnn_dx_aside {
    frnn_work_aside work;
    size_t left;                     /* tokens that are still to go aside */
    size_t n, gone[FRNN_MOST_ASIDE]; /* steps behind us that wait to be a whole group */
} frnn_dx_aside;

void frnn_begin_dx_aside(const frnn_backward *g, frnn_range steps, frnn_dx_aside *dx);

/* After a step, and after the last one of a chunk. Nonzero: the team is stopping. */
int frnn_go_on_dx_aside(const frnn_backward *g, frnn_team *team, size_t member, frnn_back_step *s, frnn_dx_aside *dx);
int frnn_end_dx_aside(const frnn_backward *g, frnn_team *team, size_t member, frnn_back_step *s, frnn_dx_aside *dx);

/* wx^T, by all members. Nonzero: the team is stopping. */
int frnn_turn_wx(const frnn_backward *g, frnn_team *team, size_t member, const frnn_way_back *way);

/* dx = dz wx^T for the first n tokens, which are a member's own parts or everybody's. Nonzero: the team is stopping. */
int frnn_multiply_dx(const frnn_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                     const frnn_tokens *t, size_t n, const frnn_way_back *way, int own);

/* ---- tokens ---- */

static inline frnn_own_parts frnn_own_parts_of_tokens(const frnn_tokens *t, const frnn_team *team, size_t member) {
    return frnn_own_parts_of(t->parts, frnn_team_size(team), member);
}

/* The tokens of a block that a member needs, and its parts of them to the table. */
void frnn_list_tokens(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_range rows,
                      frnn_tokens *t, frnn_summed needed);

/* A member's rows of the table: zeros, before any tokens are added, */
void frnn_clear_table(const frnn_backward *g, frnn_team *team, size_t member);

/* and after a chunk what the parts of it have added to tables of their own. */
void frnn_join_tables(const frnn_backward *g, frnn_team *team, size_t member, size_t parts);

#endif
