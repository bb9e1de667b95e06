#include "cells/sequence.h"

#include <string.h>

/* Bytes of x and y, or of x, h and dz, that a chunk of time may take. */
static const size_t CHUNK_BYTES = 256 * 1024;
enum { MOST_TOKENS = 4096 };
/* Of x and y, which do not stay in the caches. */
static const double STREAMED_BYTES = 8e6;

size_t frnn_chunk_tokens(const frnn_plan *plan, size_t token_elements) {
    return frnn_least(CHUNK_BYTES / plan->kernels->size / frnn_most(token_elements, 1), MOST_TOKENS);
}

int frnn_is_sound(const frnn_plan *plan) {
    return plan && plan->kernels && (unsigned)plan->activation < FRNN_ACTIVATIONS
           && (unsigned)plan->recurrent_activation < FRNN_ACTIVATIONS && plan->H > 0;
}

int frnn_is_tape(const frnn_plan *plan, const frnn_tape *tape) {
    const int tokens = plan->B && plan->T;
    if (!tape || !tape->prepared) return 0;
    return tape->table ? !plan->I && (!tokens || tape->ids) : !tokens || !plan->I || tape->x;
}

int frnn_are_gradients(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *g) {
    return g && (!plan->I || g->dwx) && g->dwh && (!g->dtable || tape->table);
}

double frnn_multiply_adds(const frnn_plan *plan, size_t gates) {
    return (double)plan->B * (double)plan->T * (double)gates * (double)plan->H * (double)(plan->I + plan->H);
}

size_t frnn_pitch(const frnn_plan *plan, size_t width) {
    return width * plan->kernels->size % 1024 ? width : width + 64 / plan->kernels->size;
}

int frnn_are_streams(const frnn_plan *plan, size_t rows) {
    const double bytes = (double)plan->B * (double)plan->T * (double)(plan->I + plan->H) * (double)plan->kernels->size;
    return rows < plan->kernels->tile && bytes > STREAMED_BYTES;
}

frnn_place frnn_dense_place(const frnn_plan *plan, size_t steps, size_t width, char *first) {
    const size_t row = width * plan->kernels->size;
    return (frnn_place){.first = first, .batch = (ptrdiff_t)row, .time = (ptrdiff_t)(plan->B * row), .steps = steps};
}

frnn_place frnn_place_by_sequence(const frnn_plan *plan, size_t steps, size_t width, char *first) {
    const size_t row = width * plan->kernels->size;
    return (frnn_place){.first = first, .batch = (ptrdiff_t)(steps * row), .time = (ptrdiff_t)row, .steps = steps};
}

/* Lists take a tenth of a call with few units: four rows at a time, in two vectors, for the compiler keeps one of four in
 * memory. */
typedef uintptr_t two_rows __attribute__((vector_size(2 * sizeof(uintptr_t))));

void frnn_list_strided(const char *first, ptrdiff_t stride, size_t n, char **list) {
    size_t i = 0;
    if (n >= 4) {
        const uintptr_t at = (uintptr_t)first, by = (uintptr_t)stride;
        two_rows rows = {at, at + by}, more = rows + 2 * by;
        for (; i + 4 <= n; i += 4, rows += 4 * by, more += 4 * by) {
            memcpy(list + i, &rows, sizeof rows);
            memcpy(list + i + 2, &more, sizeof more);
        }
    }
    for (; i < n; i++) list[i] = (char *)first + (ptrdiff_t)i * stride;
}

void frnn_list_many(const frnn_place *place, size_t n, const size_t *rows, const size_t *steps, size_t row, size_t step,
                    char **list) {
    if (steps) {
        for (size_t i = 0; i < n; i++) list[i] = frnn_at(place, rows[i], steps[i]);
        return;
    }
    frnn_list_strided(frnn_at(place, row, step), place->batch, n, list);
}
