/* Masks: runs of steps in which a row takes part or does not. */
#ifndef FRNN_CELLS_RUNS_H
#define FRNN_CELLS_RUNS_H

#include <string.h>

#include "cells/sequence.h"

/* Every byte is 1. */
static const uint64_t FRNN_ONES = UINT64_MAX / 255;

/* Eight steps of a row are looked at together, in the bytes of a word: 1 where it takes part, 0 where not; the
 * first one lowest. */
static inline uint64_t frnn_eight_steps(const uint8_t *mask) {
    uint64_t word;
    memcpy(&word, mask, sizeof word);
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
    return (((word & FRNN_ONES * 127) + FRNN_ONES * 127) | word) >> 7 & FRNN_ONES;
}

/* Steps from `step` on, `most` at most, at which row b takes part if it does at the first, or does not if not there.
 * `back`: from `step` on towards the beginning. most > 0. */
size_t frnn_mask_run(const frnn_plan *plan, const frnn_tape *tape, size_t b, size_t step, size_t most, int back);

#endif
