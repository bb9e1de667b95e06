#include "cells/packing.h"

#include <string.h>

/* Of a matrix. A step of training goes through some ten times as much, which is what third-level caches have room for. */
static const double PAST_CACHES_BYTES = 3e6;

/* Bytes that weigh as much as a multiply-add. */
static const double BYTES_PER_WORK = 3;

double frnn_packing_work(const frnn_plan *plan, size_t gates) {
    const double elements = (double)gates * (double)plan->H * ((double)plan->I + (double)plan->H);
    return elements * (double)plan->kernels->size / BYTES_PER_WORK;
}

int frnn_goes_past_caches(const frnn_kernels *k, size_t K, size_t N, frnn_use use) {
    return use == FRNN_USED_LATER && (double)K * (double)N * (double)k->size >= PAST_CACHES_BYTES;
}

size_t frnn_interleaved(const frnn_kernels *k, size_t N) { return 4 * N <= k->panel && k->lanes >= 4 ? 4 : 2; }

/* Elements of a group: a vector of four rows, or a panel. Two rows would fit a vector only if it had but two lanes. */
static size_t group_elements(const frnn_kernels *k, size_t N) {
    return frnn_interleaved(k, N) == 4 && 4 * N <= k->lanes ? k->lanes : k->panel;
}

size_t frnn_interleaved_elements(const frnn_kernels *k, size_t K, size_t N, frnn_layout *l) {
    const size_t rows = frnn_interleaved(k, N);
    return frnn_times(l, K / rows + (K % rows != 0), group_elements(k, N));
}

/* With the size of an element a constant, which makes its copy a single instruction. */
static inline __attribute__((always_inline)) void interleave(size_t size, size_t K, size_t N, size_t rows, size_t group,
                                                             const char *from, char *to) {
    for (size_t i = 0; i < K; i++, to += i % rows ? size : group - (rows - 1) * size) {
        if (i % rows == 0) memset(to, 0, group);
        for (size_t n = 0; n < N; n++, from += size) memcpy(to + n * rows * size, from, size);
    }
}

void frnn_interleave(const frnn_kernels *k, const void *w, size_t K, size_t N, void *packed) {
    const size_t rows = frnn_interleaved(k, N), group = group_elements(k, N) * k->size;
    if (k->size == 4) interleave(4, K, N, rows, group, w, packed);
    else interleave(8, K, N, rows, group, w, packed);
}

int frnn_transpose(frnn_team *team, size_t member, const frnn_kernels *k, size_t K, size_t N, const void *packed,
                   const size_t *order, size_t rows, frnn_use use, void *transposed) {
    const frnn_range panels = frnn_part(frnn_panels(k, K), frnn_team_size(team), member);
    for (size_t panel = panels.first; panel < panels.last; panel++) {
        char *const to = (char *)transposed + panel * rows * k->panel * k->size;
        frnn_transpose_panels(k, K, N, packed, order, rows, (frnn_range){panel, panel + 1}, use, to);
        if (frnn_worked(team, member, (double)N * (double)k->panel)) return 1;
    }
    return 0;
}
