/* Masks: runs of steps in which a row takes part or does not. */
#ifndef FRNN_CELLS_RUNS_H
#define FRNN_CELLS_RUNS_H

#include "cells/sequence.h"

/* Steps from `step` on, `most` at most, at which row b takes part if it does at the first, or does not if not there.
 * `back`: from `step` on towards the beginning. most > 0. */
size_t frnn_mask_run(const frnn_plan *plan, const frnn_tape *tape, size_t b, size_t step, size_t most, int back);

#endif
