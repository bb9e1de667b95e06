#include "cells/runs.h"

size_t frnn_mask_run(const frnn_plan *plan, const frnn_tape *tape, size_t b, size_t step, size_t most, int back) {
    const uint8_t *at = tape->mask + b * plan->T + frnn_time_of(plan, step);
    const int rises = back == plan->go_backwards, active = *at != 0;
    if (most < 8) {
        size_t n = 1;
        while (n < most && (*(rises ? at + n : at - n) != 0) == active) n++;
        return n;
    }
    const uint64_t same = active ? FRNN_ONES : 0;
    for (size_t n = 0; n < most; n += 8) {
        n = frnn_least(n, most - 8); /* of the last eight, some are known already */
        const uint64_t others = frnn_eight_steps(rises ? at + n : at - n - 7) ^ same;
        if (others) return n + (size_t)(rises ? __builtin_ctzll(others) : __builtin_clzll(others)) / 8;
    }
    return most;
}
