/* Masked batches: which rows take part in a step.
 *
 * Rows do not need each other, so they need not be at the same step either. A row takes a seat of a chunk's steps, uses it
 * for all of its active steps, one after the other, and leaves it to the next. Rows of different lengths fill about as many
 * seats as there are active tokens at a step; the longest come first, so that the seats are empty at about the same time.
 * Rows that are all nearly as long have a seat each, for two in one would take twice as many steps. */
#ifndef FRNN_CELLS_SEATS_H
#define FRNN_CELLS_SEATS_H

#include "cells/sequence.h"
#include "cells/team.h"

typedef struct frnn_seats {
    const frnn_plan *plan;
    const frnn_tape *tape;
    frnn_range rows, steps;
    int back;         /* from the last step to the first */
    size_t n;         /* seats that are taken: */
    size_t *row;      /* by which row, */
    size_t *step;     /* at which step it is */
    size_t *end;      /* and when its run of active steps is over */
    size_t *changed;  /* seats that are not one step further than before, in their order; some may be gone, */
    size_t changes;   /* so many */
    size_t now, next; /* how many steps have been gone, and how many will have been when the next run is over */
    size_t *queue;    /* all rows, the longest first */
    size_t called;    /* so many of them have had a seat */
    size_t *counts;   /* of rows, by their active steps */
    size_t words;     /* of 64 steps */
    uint64_t *bits;   /* (rows, words): which steps of a row are active, in the order of going */
} frnn_seats;

/* Takes memory for all members, for chunks of at most so many steps; nothing without a mask. */
frnn_seats frnn_lay_out_seats(const frnn_plan *plan, const frnn_tape *tape, size_t steps, frnn_layout *l);

/* One member's, with the first rows in their seats, before their first step. */
frnn_seats frnn_take_seats(const frnn_seats *all, size_t member, frnn_range rows, frnn_range steps, int back);

/* The first seat from i on whose row is not at an active step, n if there is none. */
size_t frnn_idle_seat(frnn_seats *s, size_t i);
/* Has its row go to its next active step or the end of the chunk, and returns the steps between. */
frnn_range frnn_skip(frnn_seats *s, size_t i);
static inline int frnn_is_idle(const frnn_seats *s, size_t i) { return s->end[i] <= s->now; }
/* Gives the seat of a row at the end of the chunk to the next one; 0 if there is none: then the last seat is here now. */
int frnn_next_row(frnn_seats *s, size_t i);

/* Has all rows go one step. Nonzero: some seats are idle. */
int frnn_go_step(frnn_seats *s);

#endif
