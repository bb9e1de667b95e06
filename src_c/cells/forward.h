/* The way forward through time, the same for all cells: chunks, projections, lists of rows.
 *
 * A chunk of time that fits the cache is first projected, x wx + b for all its tokens in one product; then the cell
 * computes step after step from that. If a step has enough rows and the weights are small, a cell may compute both
 * products at once instead. With a mask, a step's rows need not be at the same step. Of tokens that come as ids the
 * projections are there already, rows of a table. */
#ifndef FRNN_CELLS_FORWARD_H
#define FRNN_CELLS_FORWARD_H

#include "cells/seats.h"
#include "cells/sequence.h"
#include "cells/team.h"

/* x wx + start of some gates. */
typedef struct frnn_projection {
    const void *wx, *start; /* (I, gates * H), packed; (gates * H,) and padding: the bias */
    size_t gates;
} frnn_projection;

typedef struct frnn_forward {
    const frnn_plan *plan;
    const frnn_tape *tape;
    void *h_last;                   /* (B, H) or NULL */
    const size_t *order;            /* (B,): rows of the batch; a share's rows are places in it; NULL: as they are */
    size_t gates;                   /* the table has gates * H columns */
    frnn_projection projections[2]; /* the second may have no gates */
    size_t interleaved;             /* rows in a group of the projection's matrix, if it is interleaved */
    frnn_place y;                   /* (steps or T, B, H): outputs */
    frnn_place z;                   /* (steps or T, B, ...): projections, one's columns after the other's; may be y */
    size_t steps;                   /* of a chunk at most: there is memory for so many */
    size_t chunk;                   /* and usually */
    int aside;                      /* its projection is computed beside the steps of the one before */
    char *no_z;                     /* (gates * H,): for steps that a short last chunk does not have */
    char *zeros;                    /* (H,) */
    char *h;                        /* (B, H) states between chunks, if y is not kept */
    const char **x;                 /* per member (steps * B,): rows that a product reads */
    char **to;                      /* per member (steps * B,): and those that it writes */
    char **hidden;                  /* per member (B,) */
    char **state;                   /* per member (B,): where each row's last state is */
    char *x_apart, *h_apart; /* (steps * B, I) and (B, H): rows moved apart, if they would meet in the nearest cache */
    frnn_seats seats;        /* of all members */
} frnn_forward;

/* What a member has to do in a step: its share of the columns, for the rows that take part. */
typedef struct frnn_step {
    frnn_share share;
    size_t step;         /* with a mask, how many there have been */
    int fused;           /* there is no projection */
    frnn_aside *aside;   /* what its products are to compute beside themselves, or NULL */
    size_t n;            /* rows that take part: */
    const size_t *rows;  /* with a mask, which ones of the batch, else all of the share, */
    const size_t *steps; /* and at which step each of them is */
    const char **x;      /* their inputs, or their rows of the table, */
    char **h;            /* their states before the step; the cell may exchange them */
    char **y;            /* and where the states after it are to be written */
    char **state;        /* where every row's last state is, whether it takes part or not */
    char **outputs;      /* memory for y */
} frnn_step;

static inline size_t frnn_row_of(const frnn_forward *f, const frnn_step *step, size_t i) {
    return f->tape->mask ? step->rows[i] : step->share.rows.first + i;
}

static inline size_t frnn_step_of(const frnn_forward *f, const frnn_step *step, size_t i) {
    return f->tape->mask ? step->steps[i] : step->step;
}

/* Lists the rows of a step. */
static inline void frnn_list_rows(const frnn_forward *f, const frnn_step *s, frnn_place place, char **list) {
    frnn_list(&place, s->n, s->rows, f->tape->mask ? s->steps : NULL, s->share.rows.first, s->step, list);
}

/* A member's rows go through time in so many blocks, one after the other; if it has none, but helps the others, in one. */
size_t frnn_row_blocks(const frnn_forward *f, const frnn_team *team, frnn_share share);

static inline frnn_share frnn_row_block(frnn_share share, size_t blocks, size_t i) {
    const frnn_range block = frnn_part(share.rows.last - share.rows.first, blocks, i);
    share.rows = (frnn_range){share.rows.first + block.first, share.rows.first + block.last};
    return share;
}

/* Nonzero: the team is stopping. */
typedef int (*frnn_step_function)(const frnn_forward *f, frnn_team *team, size_t member, const frnn_step *step,
                                  const void *cell);

/* Takes the scratch memory that all cells need. */
frnn_forward frnn_lay_out_forward(const frnn_plan *plan, const frnn_tape *tape, size_t gates, frnn_layout *l);

/* Members that have something to do: one alone, if of a single row neither the units nor the projection are shared. */
size_t frnn_forward_members(const frnn_forward *f);

/* Before the members start. */
void frnn_begin_forward(const frnn_forward *f);

/* x wx + b for the active tokens of a chunk, the rows of the step's share, to z; uses its lists x and outputs. */
int frnn_project(const frnn_forward *f, frnn_team *team, size_t member, frnn_range steps, const frnn_step *s);

/* Whether steps of so many rows had better compute x wx, too, instead of a projection of the whole chunk. */
int frnn_fusing_pays(const frnn_forward *f, size_t rows);

/* All steps of one member's share; `recur` computes one. Nonzero: the team is stopping. */
int frnn_go_forward(const frnn_forward *f, frnn_team *team, size_t member, frnn_share share, int fused,
                    frnn_step_function recur, const void *cell);

#endif
