/* GRU and LSTM of few units: the lanes of a vector hold rows of the batch, not units.
 *
 * Eight units leave half of a vector of sixteen lanes idle, and what a row costs besides arithmetic is most of its time. So
 * the batch is cut into groups of rows, and a group is turned around: a unit becomes a row in memory, as long as the
 * group. To the kernels that is a step of as many rows as there are units: the states of a group are the packed matrix
 * of a product, and wh^T its rows on the left. The order of the sums in a step stays, and so do its bits.
 *
 * Outside of a step everything is as ever: x wx + b or the token's row is turned as it comes, y and dz as they go. The tape
 * holds, group by group and step by step, what a unit's row keeps side by side. The gradient of wh is summed lane by
 * lane, and over the lanes at the end of a chunk. */
#ifndef FRNN_CELLS_GATED_FEW_H
#define FRNN_CELLS_GATED_FEW_H

#include "cells/gated.h"

/* The weights as such steps need them: memory, and before the members start. The group's size is 0 where there are none: it
 * depends on nothing that may differ between the calls that write a tape and read it, such as threads. */
frnn_few frnn_lay_out_few(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, frnn_layout *l);
void frnn_begin_few(const frnn_few *few, const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                    const frnn_gated_weights *w);

/* The same for the gradients' sums. */
void frnn_lay_out_few_sums(frnn_few *few, const frnn_gated *cell, const frnn_plan *plan, frnn_layout *l);
void frnn_begin_few_sums(const frnn_gated_backward *g);

/* All of one member's groups. Nonzero: the team is stopping. */
int frnn_few_forward(const frnn_gated_forward *f, frnn_team *team, size_t member);
/* The groups in these places, through a chunk's steps. */
int frnn_few_back(const frnn_backward *common, frnn_team *team, size_t member, frnn_range steps, frnn_range places,
                  const void *job);
/* Adds a chunk's sums of these places' groups to the gradients; by one member. */
void frnn_add_few_sums(const frnn_gated_backward *g, frnn_range places);

/* What frnn_gated_multiply and frnn_gated_multiply_back are for a group. */
int frnn_few_multiply(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s,
                      frnn_gated_rows *rows, const frnn_gated_product *products, size_t count,
                      void (*update)(const frnn_gated_rows *rows));
int frnn_few_multiply_back(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_gated_rows *rows,
                           size_t gate, size_t gates, void *const *to);

/* ---- for both ways ---- */

/* Units that are few; and the longest row of a group in bytes, two vectors, and in elements. */
enum { FRNN_FEW_UNITS = 12, FRNN_FEW_BYTES = 128, FRNN_FEW_ROWS = FRNN_FEW_BYTES / 4 };
enum { FRNN_FEW_COLUMNS = FRNN_MOST_GATES * FRNN_FEW_UNITS };

/* Some numbers of each unit: a row of a panel for every one. */
typedef struct frnn_turned {
    _Alignas(64) char bytes[FRNN_FEW_UNITS * FRNN_FEW_BYTES];
} frnn_turned;

/* The rows of a group, and their places in the order. */
typedef struct frnn_group {
    frnn_range places;
    size_t n, row[FRNN_FEW_ROWS];
} frnn_group;

void frnn_list_group(const frnn_few *few, frnn_range places, frnn_group *g);

/* Which of some steps are neither before all of a group's active ones nor after them; without any, the first none. */
frnn_range frnn_active_steps(const frnn_plan *plan, const frnn_tape *tape, const frnn_group *g, frnn_range steps);

/* Whether some row of a group is active before a step. */
int frnn_is_active_before(const frnn_plan *plan, const frnn_tape *tape, const frnn_group *g, size_t step);

/* Which rows of a group take part in a step, and whether all of them do. */
static inline int frnn_list_lanes(const frnn_plan *plan, const frnn_tape *tape, const frnn_group *g, size_t step,
                                  uint8_t *active) {
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) n += active[i] = (uint8_t)frnn_is_active(plan, tape, g->row[i], step);
    return n == g->n;
}

/* A group's rows of (B, H) states as a matrix; NULL: zeros. And such units as rows; NULL: they are not wanted. */
void frnn_turn_states(const frnn_plan *plan, const void *states, const frnn_group *g, frnn_turned *to);
void frnn_turn_back(const frnn_plan *plan, char *const *units, const frnn_group *g, void *states);

/* Where the tape of a group begins, and its bytes of one step. */
char *frnn_few_tape(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, const frnn_group *g,
                    size_t *bytes);

#endif
