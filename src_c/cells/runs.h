/* Masks: which rows take part in a step, and runs of steps in which a row does or does not. */
#ifndef FRNN_CELLS_RUNS_H
#define FRNN_CELLS_RUNS_H

#include "cells/sequence.h"
#include "cells/team.h"

/* Steps from `step` on, `most` at most, at which row b takes part if it does at the first, or does not if not there.
 * `back`: from `step` on towards the beginning. most > 0. */
size_t frnn_mask_run(const frnn_plan *plan, const frnn_tape *tape, size_t b, size_t step, size_t most, int back);

/* Bytes with a bit for each of B rows. */
static inline size_t frnn_row_bits(size_t B) { return B / 8 + (B % 8 != 0); }

/* bits (steps, frnn_row_bits of the number of rows): which rows take part in the steps of a chunk. */
void frnn_gather_mask(const frnn_plan *plan, const frnn_tape *tape, frnn_range rows, frnn_range steps, uint8_t *bits);

/* Lists the rows whose bits are in the one and not in the other, or NULL: in all, not in none. */
size_t frnn_list_rows(const uint8_t *in, const uint8_t *out, frnn_range rows, size_t *list);

#endif
