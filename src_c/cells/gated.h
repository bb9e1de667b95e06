/* What GRU and LSTM share: their prepared weights, their tapes, and how a step's products meet the cell's equations.
 *
 * x wx + b of a chunk is projected to where the tape keeps the gates, or to scratch. A step adds h' wh there for a few rows
 * and blocks of units at a time, as many as stay in the nearest cache, and at once sends these units through the cell's
 * equations (kernels/gru.inl.h, kernels/lstm.inl.h). Where the weights are small, a step computes both products. */
#ifndef FRNN_CELLS_GATED_H
#define FRNN_CELLS_GATED_H

#include "cells/backward.h"
#include "cells/forward.h"
#include "cells/outer_sums.h"

enum { FRNN_MOST_GATES = 4 };

typedef struct frnn_gated frnn_gated;

/* Weights of some gates, packed with these gates side by side: (gates * H,) and (I or H, gates * H). */
typedef struct frnn_gated_part {
    size_t gates_x, gates; /* of b and wx, and of b_h and wh */
    char *b, *b_h;         /* b_h is added to h' wh */
    char *wx, *wh;
} frnn_gated_part;

/* Of the cell's `together` gates, and of the others. If the units are one block, all gates of b and wx are together: few
 * columns make the better product. */
typedef struct frnn_gated_weights {
    frnn_gated_part together, candidate;
    char *start; /* like together.b: b + b_h */
} frnn_gated_weights;

/* Where they lie in prepared memory. */
frnn_gated_weights frnn_gated_weights_in(const frnn_gated *cell, const frnn_plan *plan, const void *prepared);

/* What few units need, see gated_few.h. */
typedef struct frnn_few {
    size_t group;    /* rows of the batch in one; 0: there are none */
    size_t *order;   /* (B,): rows of the batch, group by group; NULL: as they are */
    char *wh, *wh_t; /* (H, gates * H), and its transpose */
    char *start;     /* (H, group): the candidate's b_h, for every row */
    char *zeros;     /* (gates * H,) */
    char *ones;      /* (group,) */
    char *lanes;     /* back, per member: sums for every lane by itself */
    char *sums;      /* and per group of the batch: (H * gates * H + dz * H,), of a chunk */
} frnn_few;

typedef struct frnn_gated_forward {
    frnn_forward common;
    frnn_few few;
    const frnn_gated *cell;
    frnn_gated_weights w;
    int fused; /* there are no projections: a step computes them */
    void *c_last;
    char *c;       /* (B, H): c before the first step; without a tape, also after it */
    char *dropped; /* (gates, B, H): h' times dropout */
    char *rh;      /* (B, H): r h' */
    char *u;       /* (B, H): h' wh + b_h of the candidate, if the tape does not keep it */
    char *near;    /* per member: gates and u of some rows and blocks, where nothing of them is needed later */
    char *other;   /* per member: a block of one row, if there is dropout */
    char **lists;  /* per member, (B,) each */
} frnn_gated_forward;

/* Gradients of some gates' weights, of wx or wh or both. */
typedef struct frnn_gated_sum {
    frnn_outer_sums sums;
    size_t gate, dz; /* the first of these gates; which H elements of dz are its */
} frnn_gated_sum;

typedef struct frnn_gated_backward {
    frnn_backward common;
    frnn_few few;
    const frnn_gated *cell;
    frnn_gated_weights w;
    size_t *order_x, *order_h;   /* where the columns of wx and wh of the gates together come in the transposes */
    char *wh_t, *wh_candidate_t; /* packed transposes */
    frnn_place rh;               /* (B, steps, H): r h' */
    char *dropped;               /* (steps * B, H): h' times dropout */
    char *undropped;             /* (B, H): dz wh^T, before it is multiplied by dropout */
    char **lists;                /* per member, (B,) each */
    const char **left;           /* per member (steps * B,): what wh was multiplied by */
    frnn_gated_sum sums[1 + FRNN_MOST_GATES];
    size_t count; /* of sums */
} frnn_gated_backward;

/* What a cell is made of. */
struct frnn_gated {
    size_t gates;
    size_t
        together; /* gates that are x wx + h' wh, the first ones; another is a candidate, which the reset gate is for */
    size_t kept;  /* of a token in the tape, in units of H elements: the gates and what follows them, */
    size_t dz;    /* and in dz; */
    int has_rh;   /* the candidate needs r h' */
    int has_u;    /* the candidate needs h' wh + b_h by itself; the bias has a second row for it */
    int has_c;
    /* One step, all lists of rows filled in. Nonzero: the team is stopping. */
    int (*step)(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s, frnn_gated_rows *rows);
    int (*step_back)(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                     frnn_gated_rows *rows);
};

/* Which H elements of dz are the gradient of a gate's product with x, and with h' or r h'. Those of the candidate
 * stand at the two ends, so that each kind lies in one piece. */
static inline size_t frnn_dz_of_x(const frnn_gated *cell, size_t gate) {
    return (gate + cell->gates - cell->together) % cell->gates;
}

static inline size_t frnn_dz_of_h(const frnn_gated *cell, size_t gate) {
    return (gate + cell->gates - cell->together) % cell->dz;
}

/* c = start + x wx + a wh for some gates, `gate` and those after it. */
typedef struct frnn_gated_product {
    size_t gate, gates;
    const char *wx;            /* or NULL */
    const char *wh;            /* or NULL */
    void *const *a, *const *c; /* rows; a is NULL for h' times dropout */
    const char *start;         /* NULL: what c holds */
} frnn_gated_product;

/* The products that a step begins with: of the gates together, and what is x wx + b only if it has not been projected. */
frnn_gated_product frnn_gated_together(const frnn_gated_forward *f, const frnn_step *s, const frnn_gated_rows *rows);
frnn_gated_product frnn_gated_candidate(const frnn_gated_forward *f, const frnn_gated_rows *rows);

/* Computes some products for the member's units and has `update` deal with them, `rows` being the step's. */
int frnn_gated_multiply(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s,
                        frnn_gated_rows *rows, const frnn_gated_product *products, size_t count,
                        void (*update)(const frnn_gated_rows *rows));

/* The gradient that some gates' dz make of what their wh was multiplied with, dz wh^T, for the member's units: added to
 * dh, or with `to` written there. Dropout counts for dh only. */
int frnn_gated_multiply_back(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                             const frnn_gated_rows *rows, size_t gate, size_t gates, const char *wh_t, void *const *to);

/* Asks for what the steps before will read, unless the products are to do that. To be called when the step's equations have
 * read what they need, and before a product that takes its time. */
void frnn_gated_fetch_ahead(const frnn_gated_backward *g, const frnn_back_step *s, const frnn_gated_rows *rows);

/* The entries of the API; their contracts stand in fastrnn.h. */
frnn_status frnn_gated_prepared_size(const frnn_gated *cell, const frnn_plan *plan, size_t *bytes);
frnn_status frnn_gated_prepare(const frnn_gated *cell, const frnn_plan *plan, const void *wx, const void *wh,
                               const void *b, void *prepared);
frnn_status frnn_gated_prepared_from(const frnn_gated *cell, const frnn_plan *plan, const void *wx, const void *wh,
                                     const void *b, const void *prepared, int *same);
frnn_status frnn_gated_unprepare(const frnn_gated *cell, const frnn_plan *plan, const void *prepared, void *wx,
                                 void *wh, void *b);
frnn_status frnn_gated_kept(const frnn_gated *cell, const frnn_plan *plan, size_t *elements);
frnn_status frnn_gated_forward_scratch_size(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                                            size_t *bytes);
frnn_status frnn_gated_go_forward(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, void *h_last,
                                  void *c_last, void *scratch);
frnn_status frnn_gated_backward_steps(const frnn_gated *cell, const frnn_plan *plan, size_t *steps);
frnn_status frnn_gated_backward_scratch_size(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                                             const frnn_gradients *gradients, size_t *bytes);
frnn_status frnn_gated_go_back(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                               const frnn_gradients *gradients, void *scratch);

/* Defines them for one cell: `of(plan)` is its frnn_gated, `name` a frnn_cell with so many gates. */
#define FRNN_GATED_CELL(name, count, of) \
    static frnn_status prepared_size(const frnn_plan *plan, size_t *bytes) { \
        return frnn_gated_prepared_size(of(plan), plan, bytes); \
    } \
    static frnn_status prepare(const frnn_plan *plan, const void *wx, const void *wh, const void *b, void *prepared) { \
        return frnn_gated_prepare(of(plan), plan, wx, wh, b, prepared); \
    } \
    static frnn_status prepared_from(const frnn_plan *plan, const void *wx, const void *wh, const void *b, \
                                     const void *prepared, int *same) { \
        return frnn_gated_prepared_from(of(plan), plan, wx, wh, b, prepared, same); \
    } \
    static frnn_status kept(const frnn_plan *plan, size_t *elements) { \
        return frnn_gated_kept(of(plan), plan, elements); \
    } \
    static frnn_status forward_scratch_size(const frnn_plan *plan, const frnn_tape *tape, size_t *bytes) { \
        return frnn_gated_forward_scratch_size(of(plan), plan, tape, bytes); \
    } \
    static frnn_status forward(const frnn_plan *plan, const frnn_tape *tape, void *h_last, void *c_last, \
                               void *scratch) { \
        return frnn_gated_go_forward(of(plan), plan, tape, h_last, c_last, scratch); \
    } \
    static frnn_status backward_steps(const frnn_plan *plan, size_t *steps) { \
        return frnn_gated_backward_steps(of(plan), plan, steps); \
    } \
    static frnn_status backward_scratch_size(const frnn_plan *plan, const frnn_tape *tape, \
                                             const frnn_gradients *gradients, size_t *bytes) { \
        return frnn_gated_backward_scratch_size(of(plan), plan, tape, gradients, bytes); \
    } \
    static frnn_status backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients, \
                                void *scratch) { \
        return frnn_gated_go_back(of(plan), plan, tape, gradients, scratch); \
    } \
    static frnn_status unprepare(const frnn_plan *plan, const void *prepared, void *wx, void *wh, void *b) { \
        return frnn_gated_unprepare(of(plan), plan, prepared, wx, wh, b); \
    } \
    const frnn_cell name = { \
        count,          prepared_size,         prepare,  prepared_from, kept, forward_scratch_size, forward, \
        backward_steps, backward_scratch_size, backward, unprepare};

#endif
