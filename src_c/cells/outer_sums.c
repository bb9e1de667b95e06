#include "cells/outer_sums.h"

#include <string.h>

/* Tokens whose packed panel of dz stays in the nearest cache while the tiles of x and h pass by. */
enum { BLOCK = 256 };

static size_t tiles_of(const frnn_kernels *k, size_t rows) { return rows / k->tile + (rows % k->tile != 0); }

frnn_outer_sums frnn_lay_out_outer_sums(const frnn_kernels *k, size_t I, size_t H, size_t N, void *dwx, void *dwh,
                                        void *db, frnn_layout *l) {
    frnn_outer_sums s = {.I = I, .H = H, .N = N, .dwx = dwx, .dwh = dwh, .db = db};
    const size_t columns = frnn_times(l, frnn_panels(k, N), k->panel);
    s.db_panels = frnn_take(l, columns, k->size);
    s.dz_panels = frnn_take(l, frnn_times(l, columns, BLOCK), k->size);
    s.x_tiles = frnn_take(l, frnn_times(l, frnn_times(l, tiles_of(k, I), k->tile), BLOCK), k->size);
    s.h_tiles = frnn_take(l, frnn_times(l, frnn_times(l, tiles_of(k, H), k->tile), BLOCK), k->size);
    return s;
}

void frnn_begin_outer_sums(const frnn_kernels *k, const frnn_outer_sums *s, int accumulate) {
    memset(s->db_panels, 0, frnn_panels(k, s->N) * k->panel * k->size);
    if (accumulate && s->db) memcpy(s->db_panels, s->db, s->N * k->size);
    if (accumulate) return;
    if (s->I) memset(s->dwx, 0, s->I * s->N * k->size);
    memset(s->dwh, 0, s->H * s->N * k->size);
}

void frnn_end_outer_sums(const frnn_kernels *k, const frnn_outer_sums *s) {
    if (s->db) memcpy(s->db, s->db_panels, s->N * k->size);
}

static void pack_tiles(const frnn_kernels *k, size_t n, const void *const *rows, size_t columns, frnn_range tiles,
                       char *packed) {
    for (size_t tile = tiles.first; tile < tiles.last; tile++) {
        const size_t i = tile * k->tile;
        k->pack_tile(n, rows, i, frnn_least(k->tile, columns - i), packed + i * n * k->size);
    }
}

/* Adds n outer products to one member's part of the (tiles, panels) of a gradient (rows, N). */
static int add_to(frnn_team *team, size_t member, const frnn_kernels *k, const frnn_outer_sums *s, size_t n,
                  size_t rows, const char *tiles, char *gradient) {
    const size_t height = tiles_of(k, rows);
    const frnn_range units = frnn_part(height * frnn_panels(k, s->N), frnn_team_size(team), member);
    for (size_t unit = units.first; unit < units.last; unit++) {
        const size_t i = unit % height * k->tile, j = unit / height * k->panel;
        k->outer(&(frnn_outer){.n = n,
                               .rows = frnn_least(k->tile, rows - i),
                               .columns = frnn_least(k->panel, s->N - j),
                               .a = tiles + i * n * k->size,
                               .b = s->dz_panels + j * n * k->size,
                               .c = gradient + (i * s->N + j) * k->size,
                               .stride = s->N});
        if (frnn_worked(team, member, (double)n * (double)k->tile * (double)k->panel)) return 1;
    }
    return 0;
}

static int add_block(frnn_team *team, size_t member, const frnn_kernels *k, const frnn_outer_sums *s, size_t n,
                     const void *const *x, const void *const *h, const void *const *dz) {
    const size_t size = frnn_team_size(team);
    const frnn_range panels = frnn_part(frnn_panels(k, s->N), size, member);
    k->pack(n, dz, 0, n, s->N, panels.first, panels.last, s->dz_panels);
    for (size_t panel = panels.first; panel < panels.last; panel++) {
        const size_t column = panel * k->panel;
        k->sum(n, s->dz_panels + column * n * k->size, s->db_panels + column * k->size);
    }
    pack_tiles(k, n, x, s->I, frnn_part(tiles_of(k, s->I), size, member), s->x_tiles);
    pack_tiles(k, n, h, s->H, frnn_part(tiles_of(k, s->H), size, member), s->h_tiles);
    return frnn_barrier(team) || add_to(team, member, k, s, n, s->I, s->x_tiles, s->dwx)
           || add_to(team, member, k, s, n, s->H, s->h_tiles, s->dwh)
           || frnn_barrier(team); /* the packed copies are about to be overwritten */
}

int frnn_add_outer_products(frnn_team *team, size_t member, const frnn_kernels *k, const frnn_outer_sums *s, size_t n,
                            const void *const *x, const void *const *h, const void *const *dz) {
    for (size_t i = 0; i < n; i += BLOCK)
        if (add_block(team, member, k, s, frnn_least(n - i, BLOCK), x + i, h + i, dz + i)) return 1;
    return 0;
}
