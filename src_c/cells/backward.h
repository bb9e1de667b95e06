/* The way back through time, the same for all cells.
 *
 * It carries only the gradients of the states. A step turns those after it into dz, the gradients of its
 * pre-activations, and into those before it. The weight gradients, sums of x^T dz and h^T dz over all tokens, and
 * dx = dz wx^T follow chunk by chunk while dz is still in cache. */
#ifndef FRNN_CELLS_BACKWARD_H
#define FRNN_CELLS_BACKWARD_H

#include "cells/outer_sums.h"
#include "cells/packing.h"
#include "cells/runs.h"
#include "cells/seats.h"
#include "cells/sequence.h"
#include "cells/team.h"

typedef struct frnn_backward {
    const frnn_plan *plan;
    const frnn_tape *tape;
    const frnn_gradients *gradients;
    size_t gates;        /* the gradients of x's products are the first gates * H columns of dz */
    size_t turned;       /* so many of these gates, the last ones, come first */
    size_t group;        /* so many rows of the batch stay with one member */
    const size_t *order; /* (B,): rows of the batch; blocks and shares of rows are places in it; NULL: as they are */
    size_t steps;        /* of a chunk, */
    int aside;           /* dx is computed beside the steps that follow */
    size_t span;         /* and of some chunks, through which a block of rows goes before the next one */
    frnn_place dz;       /* (B, steps, ...) */
    size_t parts;        /* of the rows of a block, unless a chunk is too small; if there are more than one, */
    char *tables;        /* (parts, V, gates * H): what each of them adds up in a chunk, where nobody else writes */
    char *zeros;         /* whole panels over the larger of H and I */
    char *wx_t;          /* (gates * H, I), packed; if dx is wanted. Or, used once, some panels at a time: */
    size_t late_panels;  /* so many, in memory of each member's own; else 0 */
    char *dh, *dc;       /* (B, H): the gradients of the states on their way back; dc is NULL if there is no c */
    size_t *rows;        /* per member (B,) */
    frnn_seats seats;    /* of all members */
    const char **dz_rows, **x_rows, **h_rows; /* per member (steps * B,): the chunk's active tokens */
    char **to;                                /* per member (steps * B,) */
} frnn_backward;

/* What a member has to do in a step: its share of the columns, for the rows that take part. */
typedef struct frnn_back_step {
    frnn_share share;
    size_t first;        /* of the chunk */
    frnn_range span;     /* the steps of it, after which */
    frnn_range next;     /* these rows are next, */
    size_t next_steps;   /* with so many steps before them */
    size_t step;         /* with a mask, how many there have been in the chunk */
    size_t n;            /* rows that take part, */
    const size_t *rows;  /* which ones of the batch, without a mask all of the share; */
    const size_t *steps; /* with a mask, at which step each of them is, */
    frnn_seats seats;    /* and who sits where; */
    const char **dz;     /* and memory for lists of n rows */
    const char **y, **dy;
    char **to;
    frnn_aside *aside; /* what its products are to compute beside themselves, or NULL */
} frnn_back_step;

/* A chunk's active tokens, all of them or those of one member's parts: one sequence after the other, as they lie in memory,
 * but those of the very first step before all others. */
typedef struct frnn_tokens {
    frnn_range rows; /* of the batch */
    size_t n;
    size_t initial; /* so many of them, the first ones, have zeros for a state before and add nothing to dwh */
    int first;      /* chunk of the call */
    const char **dz, **x, **h; /* h: the states before */
    char **dx;                 /* or their rows of dtable */
    size_t parts;              /* of this chunk */
    struct frnn_tokens_of_part {
        size_t first, n, initial;
    } part[FRNN_MOST_PARTS];
} frnn_tokens;

/* Which tokens a member's sums go over. */
typedef enum frnn_summed { FRNN_NO_TOKENS, FRNN_ALL_TOKENS, FRNN_OWN_PARTS } frnn_summed;

/* What a cell does differently; nonzero: the team is stopping. */
typedef struct frnn_way_back {
    /* Turns dh and dc, the gradients of the states after a step without dy, into those of the states before it, the former
     * if wh is needed at all; leaves the step's dz. */
    int (*step)(const frnn_backward *g, frnn_team *team, size_t member, const frnn_back_step *step, const void *cell);
    /* Or all steps of a chunk for some whole groups of rows at once, the last step first; NULL: step by step. */
    int (*steps)(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_range rows,
                 const void *cell);
    /* Adds a chunk's tokens to the gradients of the weights. May change the lists. Passes a barrier when it has read
     * the tokens. */
    int (*sum)(const frnn_backward *g, frnn_team *team, size_t member, const frnn_tokens *tokens, const void *cell);
    /* Some panels of wx^T, its rows in the order of dz. */
    void (*turn_wx)(const frnn_backward *g, frnn_range panels, frnn_use use, char *to, const void *cell);
    frnn_summed summed;
    int dx_asks; /* dx's product asks for what the next steps will read, where products do; otherwise the step sees to it */
    const void *cell;
} frnn_way_back;

/* Steps of a span, where the sums of the weight gradients are cut: it must not depend on the threads. `width` counts the
 * elements of dz. */
size_t frnn_backward_span(const frnn_plan *plan, size_t width);

/* Takes the scratch memory that all cells need. If that may be, and there are enough rows, the two halves of a chunk's rows
 * are parts, each of which is some members' and adds to a table of its own, unless there are too few tokens for every row of
 * it: members cannot share a table, whose rows may be shorter than lines of the cache. A chunk is twice as long then. */
frnn_backward frnn_lay_out_backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                    size_t gates, size_t width, int may_halve, frnn_layout *l);
/* Whether a cell's sums are so small that halves of the rows pay: members that shared them would wait for what the others
 * have written. */
int frnn_are_sums_small(const frnn_plan *plan, const frnn_tape *tape, size_t gates);

/* Adds a member's parts of a chunk's tokens to some sums, h being what wh was multiplied by. Nonzero: the team is stopping. */
int frnn_add_own_parts(frnn_team *team, size_t member, const frnn_outer_sums *sums, const frnn_tokens *tokens,
                       const char *const *h, const char *const *dz);

/* Members that have something to do: one alone, if a single row leaves too little besides its steps. */
size_t frnn_backward_members(const frnn_backward *g);

/* Before the members start. */
void frnn_begin_backward(const frnn_backward *g);

/* All of one member's share; every pointer of g and the cell's transposed wh must be there when all members are past the
 * first barrier in here. Nonzero: the team is stopping. */
int frnn_go_back(const frnn_backward *g, frnn_team *team, size_t member, frnn_share share, const frnn_way_back *way);

/* Moves a list of rows on from the last step to this one, with a mask: only seats that have changed are listed anew. */
void frnn_move_list(const frnn_back_step *s, const frnn_place *place, char **list);

static inline size_t frnn_back_step_of(const frnn_backward *g, const frnn_back_step *step, size_t i) {
    return g->tape->mask ? step->steps[i] : step->step;
}

/* Lists the rows of a step. With a mask the list must still be the last step's, unless the chunk begins. */
static inline void frnn_list_back(const frnn_backward *g, const frnn_back_step *s, frnn_place place, char **list) {
    if (!g->tape->mask) frnn_list(&place, s->n, NULL, NULL, s->share.rows.first, s->step, list);
    else frnn_move_list(s, &place, list);
}

/* An array of a chunk's steps, to list rows of that chunk without a division for each. */
static inline frnn_place frnn_chunk_of(const frnn_place *place, const frnn_back_step *s) {
    return frnn_place_at(place->first - (ptrdiff_t)s->first * place->time, place->batch, place->time);
}

/* Asks for what the steps before this one will read of y and dy: rows that lie as far apart as the sequences. For a cell's
 * step to call when it has read its own. */
void frnn_fetch_ahead(const frnn_backward *g, const frnn_back_step *step);

/* Whether they ask for y and dy, instead of the step itself. */
static inline int frnn_products_ask_back(const frnn_backward *g, frnn_share share) {
    return frnn_products_ask(g->plan, g->tape, share) && g->plan->H * g->plan->kernels->size >= FRNN_FETCHED_BYTES;
}

/* Has a product ask for that: y and dy of the next steps. */
void frnn_ask_for_next(const frnn_backward *g, const frnn_back_step *step, frnn_ahead *ahead);

/* 1 + the last active step of a row before this active one, 0 if there is none. */
static inline size_t frnn_before(const frnn_backward *g, size_t b, size_t step) {
    if (!step || frnn_is_active(g->plan, g->tape, b, step - 1)) return step;
    return step - frnn_mask_run(g->plan, g->tape, b, step - 1, step, 1);
}

/* The state h of a row before a step. */
static inline const char *frnn_h_before(const frnn_backward *g, size_t b, size_t step) {
    const size_t before = frnn_before(g, b, step);
    if (before) return frnn_y_at(g->tape, b, before - 1);
    return g->tape->h0 ? (const char *)g->tape->h0 + b * g->plan->H * g->plan->kernels->size : g->zeros;
}

/* Whether gradients go back through wh: the states before a single step may be of no interest. */
static inline int frnn_needs_wh(const frnn_backward *g) { return g->plan->T > 1 || g->gradients->dh0; }

/* The same at a step; masked rows are each at another. */
static inline int frnn_goes_further_back(const frnn_backward *g, const frnn_back_step *s) {
    return g->gradients->dh0 || (g->plan->T > 1 && (g->tape->mask || s->step > 0));
}

/* The gradient of a row's output, or NULL for zeros. */
static inline const char *frnn_dy_at(const frnn_gradients *g, size_t b, size_t step) {
    return g->dy ? (const char *)g->dy + (ptrdiff_t)b * g->dy_batch + (ptrdiff_t)step * g->dy_time : NULL;
}

static inline frnn_place frnn_place_of_dy(const frnn_gradients *g) {
    return frnn_place_at(g->dy, g->dy_batch, g->dy_time);
}

static inline frnn_place frnn_place_of_y(const frnn_tape *tape) {
    return frnn_place_at(tape->y, tape->y_batch, tape->y_time);
}

/* The row of the batch that a token's dz is of. */
size_t frnn_batch_row(const frnn_backward *g, const char *dz);

#endif
