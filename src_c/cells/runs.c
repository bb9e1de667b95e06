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

void frnn_gather_mask(const frnn_plan *plan, const frnn_tape *tape, frnn_range rows, frnn_range steps, uint8_t *bits) {
    const size_t pitch = frnn_row_bits(rows.last - rows.first), count = steps.last - steps.first;
    const size_t time = frnn_time_of(plan, plan->go_backwards ? steps.last - 1 : steps.first);
    for (size_t b = rows.first; b < rows.last; b += 8, bits++)
        for (size_t t = 0; t < count; t += 8) {
            const size_t height = frnn_least(rows.last - b, 8), width = frnn_least(count - t, 8);
            const uint8_t *mask = tape->mask + b * plan->T + time + t;
            uint8_t found[8] = {0};
            uint64_t word, all = 0;
            for (size_t i = 0; i < height; i++, mask += plan->T) {
                if (width == 8) word = load(mask);
                else memcpy(found, mask, width), word = load(found);
                /* Bit 7 of every byte that is not zero; in bit i it is row i's. */
                word = ((word & ~(ONES << 7)) + (ONES << 7) - ONES) | word;
                all |= (word >> 7 & ONES) << i;
            }
            memcpy(found, &all, sizeof all);
            for (size_t j = 0; j < width; j++)
                bits[(plan->go_backwards ? count - 1 - t - j : t + j) * pitch] = found[j];
        }
}

size_t frnn_list_rows(const uint8_t *in, const uint8_t *out, frnn_range rows, size_t *list) {
    size_t n = 0;
    for (size_t b = rows.first, i = 0; b < rows.last; b += 8, i++) {
        unsigned some = (in ? in[i] : 255u) & ~(out ? out[i] : 0u);
        if (rows.last - b < 8) some &= (1u << (rows.last - b)) - 1;
        for (; some; some &= some - 1) list[n++] = b + (size_t)__builtin_ctz(some);
    }
    return n;
}
