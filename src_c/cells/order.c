#include "cells/order.h"

#include <string.h>

#include "runtime/sizes.h"

static size_t active_steps(const uint8_t *mask, size_t T) {
    size_t n = 0;
    for (size_t t = 0; t < T; t++) n += mask[t] != 0;
    return n;
}

/* Rows that are no shorter than this share of the longest one, on average, gain less by smaller groups than these cost. */
static const double UNEVEN = 0.85;

/* Counts how many rows are as long, and so finds the places of each kind. */
frnn_status frnn_order_rows(size_t B, size_t T, const uint8_t *mask, size_t *order, size_t *scratch, int *pays) {
    if ((!mask && B && T) || (!order && B) || !scratch || !pays) return FRNN_ERR_ARGUMENT;
    size_t *const places = scratch, *const active = scratch + T + 1;
    size_t longest = 0;
    double total = 0;
    memset(places, 0, (T + 1) * sizeof *places);
    for (size_t b = 0; b < B; b++) {
        places[active[b] = active_steps(mask + b * T, T)]++;
        longest = frnn_most(longest, active[b]), total += (double)active[b];
    }
    *pays = total < UNEVEN * (double)longest * (double)B;
    for (size_t n = T + 1, before = 0; n-- > 0;) {
        const size_t same = places[n];
        places[n] = before, before += same;
    }
    for (size_t b = 0; b < B; b++) order[places[active[b]]++] = b;
    return FRNN_OK;
}
