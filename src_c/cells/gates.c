#include "cells/gates.h"

#include <string.h>

#include "runtime/sizes.h"

frnn_range frnn_gate_panels(const frnn_kernels *k, size_t H, size_t gates, frnn_range blocks) {
    const size_t all = frnn_panels(k, gates * H);
    return (frnn_range){frnn_least(blocks.first * gates, all), frnn_least(blocks.last * gates, all)};
}

/* Columns that lie side by side in the matrix and in one panel. */
typedef struct run {
    size_t from;          /* of the matrix */
    size_t panel, column; /* where they are in the panels */
    size_t count;
} run;

/* The run that begins at column n of the panels. */
static run run_at(const frnn_kernels *k, size_t H, size_t gates, size_t n) {
    const size_t first = n / (gates * k->panel) * k->panel, width = frnn_least(k->panel, H - first);
    const size_t gate = (n - first * gates) / width, unit = (n - first * gates) % width;
    const size_t column = n % k->panel;
    return (run){gate * H + first + unit, n / k->panel, column, frnn_least(width - unit, k->panel - column)};
}

void frnn_order_gates(const frnn_kernels *k, size_t H, size_t gates, size_t *order) {
    for (size_t n = 0; n < gates * H;) {
        const run r = run_at(k, H, gates, n);
        for (size_t i = 0; i < r.count; i++) order[n++] = r.from + i;
    }
}

/* Rows of a matrix that are packed side by side: as many streams as the processor follows by itself. */
enum { ROWS_AT_ONCE = 8 };

/* Panels of whole blocks, some rows of a gate after those of another, as they lie in memory. Returns the panel after them. */
static size_t pack_blocks(const frnn_kernels *k, const frnn_gate_matrix *m, frnn_range panels, frnn_use use) {
    const size_t gates = m->gates, whole = m->H / k->panel * gates;
    const size_t last = frnn_most(panels.first, frnn_least(panels.last, whole));
    const int past_caches = frnn_goes_past_caches(k, m->K, gates * m->H, use);
    for (size_t row = 0; row < m->K; row += ROWS_AT_ONCE)
        for (size_t gate = 0; gate < gates; gate++) {
            const size_t first = panels.first + (gates + gate - panels.first % gates) % gates;
            if (first >= last) continue;
            const size_t column = gate * m->H + first / gates * k->panel;
            k->pack_whole(frnn_least(m->K - row, ROWS_AT_ONCE), (last - first + gates - 1) / gates,
                          (const char *)m->w + (row * m->stride + column) * k->size, m->stride,
                          m->packed + (first * m->K + row) * k->panel * k->size, gates * m->K * k->panel, past_caches);
        }
    return last;
}

void frnn_pack_gates(const frnn_team *team, size_t member, const frnn_kernels *k, const frnn_gate_matrix *m,
                     frnn_use use) {
    const size_t N = m->gates * m->H, panel_row = k->panel * k->size;
    const frnn_range panels = frnn_part(frnn_panels(k, N), frnn_team_size(team), member);
    const size_t zeros = frnn_most(panels.first, m->w ? N / k->panel : 0); /* panels before are full */
    if (zeros < panels.last) memset(m->packed + zeros * m->K * panel_row, 0, (panels.last - zeros) * m->K * panel_row);
    const size_t first = m->w ? pack_blocks(k, m, panels, use) : panels.first;
    for (size_t n = first * k->panel; n < frnn_least(panels.last * k->panel, N) && m->w;) {
        const run r = run_at(k, m->H, m->gates, n);
        const char *from = (const char *)m->w + r.from * k->size;
        k->pack_some(m->K, r.count, from, m->stride, m->packed + r.panel * m->K * panel_row + r.column * k->size);
        n += r.count;
    }
}

static int is_zero(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i]) return 0;
    return 1;
}

/* Copies a matrix back, or says whether it is the one that was packed. */
static int copy_or_compare(const frnn_kernels *k, const frnn_gate_matrix *m, int copies) {
    const size_t row = k->panel * k->size;
    for (size_t n = 0; n < m->gates * m->H;) {
        const run r = run_at(k, m->H, m->gates, n);
        const size_t bytes = r.count * k->size;
        const char *at = m->packed + r.panel * m->K * row + r.column * k->size;
        for (size_t i = 0; i < m->K; i++, at += row) {
            char *const own = m->w ? (char *)m->w + (i * m->stride + r.from) * k->size : NULL;
            if (copies) memcpy(own, at, bytes);
            else if (own ? memcmp(own, at, bytes) != 0 : !is_zero(at, bytes)) return 0;
        }
        n += r.count;
    }
    return 1;
}

int frnn_are_gates_packed_from(const frnn_kernels *k, const frnn_gate_matrix *matrices, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!copy_or_compare(k, &matrices[i], 0)) return 0;
    return 1;
}

void frnn_unpack_gates(const frnn_kernels *k, const frnn_gate_matrix *matrices, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (matrices[i].w) copy_or_compare(k, &matrices[i], 1);
}
