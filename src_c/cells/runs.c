#include "cells/runs.h"

#include <string.h>

/* Eight steps of a row are looked at together, in the bytes of a word. */
static const uint64_t ONES = UINT64_MAX / 255;

static uint64_t load(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

size_t frnn_mask_run(const frnn_plan *plan, const frnn_tape *tape, size_t b, size_t step, size_t most, int back) {
    const uint8_t *at = tape->mask + b * plan->T + frnn_time_of(plan, step);
    const ptrdiff_t way = back == plan->go_backwards ? 1 : -1;
    const int active = *at != 0;
    size_t n = 1;
    for (; n + 8 <= most; n += 8) {
        const uint64_t word = load(at + way * (ptrdiff_t)n - (way < 0 ? 7 : 0));
        if (active ? (word - ONES) & ~word & (ONES << 7) : word) break; /* a zero among them, or something else */
    }
    while (n < most && (at[way * (ptrdiff_t)n] != 0) == active) n++;
    return n;
}
