#include "cells/outer_sums.h"

#include <string.h>

#include "cells/sequence.h"

/* Panels of dz that stay in the second-level cache meanwhile; and so few that a packed copy of x or h does not pay. */
enum { GROUP = 8, FEW_PANELS = 2 };
/* Rows of a gradient between two looks at whether to stop, where tokens are few. */
enum { ROWS_AT_ONCE = 64 };
/* Rows and columns of a gradient that are turned around together */
enum { AT_ONCE = 64 };

static size_t tiles_of(const frnn_kernels *k, size_t rows) { return rows / k->tile + (rows % k->tile != 0); }

/* Whether tiles of x and h are packed beforehand, several at a time. */
static int has_strips(const frnn_outer_sums *s) {
    return s->kernels->strip > 1 && frnn_panels(s->kernels, s->N) > FEW_PANELS;
}

/* A member's packed tiles of a block of tokens. */
static size_t packed_bytes(const frnn_outer_sums *s) {
    const frnn_kernels *k = s->kernels;
    const size_t most = frnn_most(tiles_of(k, frnn_most(s->I, s->H)), 1);
    const size_t tiles = has_strips(s) ? frnn_least(k->strip, most) : 1;
    return tiles * (FRNN_MOST_BLOCK + 1) * k->tile * k->size;
}

frnn_outer_sums frnn_lay_out_outer_sums(const frnn_plan *plan, size_t parts, size_t I, size_t H, size_t N,
                                        size_t stride, void *dwx, void *dwh, void *db, void *db_h, int accumulate,
                                        frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t columns = frnn_times(l, frnn_panels(k, N), k->panel);
    /* Few columns fill a vector badly, but a tile well: then x gives the vectors, straight from where it is. */
    const int across = N <= k->tile && I >= k->panel;
    frnn_outer_sums s = {.kernels = k, .I = I, .H = H, .N = N, .stride = stride, .dwx = dwx, .dwh = dwh};
    s.db = db, s.db_h = db_h, s.accumulate = accumulate;
    s.tiles = frnn_take(l, frnn_times(l, frnn_most_members(plan), packed_bytes(&s)), 1);
    for (size_t i = 0; i < parts; i++) {
        struct frnn_sums_of_part *part = &s.part[i];
        part->stride = i ? N : stride;
        part->dwx = i ? frnn_take(l, across ? 0 : frnn_times(l, I, N), k->size) : dwx;
        part->dwh = i ? frnn_take(l, frnn_times(l, H, N), k->size) : dwh;
        part->dwx_t = frnn_take(l, across ? frnn_times(l, I, N) : 0, k->size);
        if (!across) part->dwx_t = NULL;
        part->db_panels = frnn_take(l, frnn_times(l, columns, !i && db_h ? 2 : 1), k->size);
        part->dz_panels = frnn_take(l, frnn_times(l, columns, FRNN_MOST_BLOCK), k->size);
    }
    return s;
}

typedef struct matrix {
    char *first;
    size_t stride; /* elements */
} matrix;

/* to (columns, rows) is the transpose of from (rows, columns). */
static void turn(const frnn_kernels *k, size_t rows, size_t columns, matrix from, matrix to) {
    char *left[AT_ONCE], *right[AT_ONCE];
    for (size_t i = 0; i < rows; i += AT_ONCE)
        for (size_t j = 0; j < columns; j += AT_ONCE) {
            const size_t height = frnn_least(rows - i, AT_ONCE), width = frnn_least(columns - j, AT_ONCE);
            const ptrdiff_t from_stride = (ptrdiff_t)(from.stride * k->size),
                            to_stride = (ptrdiff_t)(to.stride * k->size);
            frnn_list_strided(from.first + (i * from.stride + j) * k->size, from_stride, height, left);
            frnn_list_strided(to.first + (j * to.stride + i) * k->size, to_stride, width, right);
            k->turn(height, width, (const void *const *)left, (void *const *)right);
        }
}

static size_t bias_bytes(const frnn_outer_sums *s) {
    return frnn_panels(s->kernels, s->N) * s->kernels->panel * s->kernels->size;
}

/* Whether db_h needs sums of its own, because they start from something else than those of db. */
static int has_db_h(const frnn_outer_sums *s) { return s->db_h && s->accumulate; }

static char *db_h_panels(const frnn_outer_sums *s) { return s->part[0].db_panels + bias_bytes(s); }

static void clear_bias(const frnn_outer_sums *s, size_t part, frnn_range panels) {
    const size_t bytes = s->kernels->panel * s->kernels->size;
    memset(s->part[part].db_panels + panels.first * bytes, 0, (panels.last - panels.first) * bytes);
}

static frnn_range all_panels(const frnn_outer_sums *s) { return (frnn_range){0, frnn_panels(s->kernels, s->N)}; }

void frnn_begin_outer_sums(const frnn_outer_sums *s) {
    const size_t size = s->kernels->size;
    const struct frnn_sums_of_part *all = &s->part[0];
    clear_bias(s, 0, all_panels(s));
    if (!s->accumulate) return;
    if (s->db) memcpy(all->db_panels, s->db, s->N * size);
    if (s->db_h) {
        memset(db_h_panels(s), 0, bias_bytes(s));
        memcpy(db_h_panels(s), s->db_h, s->N * size);
    }
    if (all->dwx_t) turn(s->kernels, s->I, s->N, (matrix){s->dwx, s->stride}, (matrix){all->dwx_t, s->I});
}

void frnn_end_outer_sums(const frnn_outer_sums *s) {
    const size_t size = s->kernels->size;
    const struct frnn_sums_of_part *all = &s->part[0];
    if (s->db) memcpy(s->db, all->db_panels, s->N * size);
    if (s->db_h) memcpy(s->db_h, has_db_h(s) ? db_h_panels(s) : all->db_panels, s->N * size);
    if (all->dwx_t) turn(s->kernels, s->N, s->I, (matrix){all->dwx_t, s->I}, (matrix){s->dwx, s->stride});
}

/* A block of tokens. */
typedef struct block {
    const frnn_outer_sums *sums;
    size_t part;
    size_t n, initial; /* so many of them, the first ones, do not count for dwh */
    int fresh;         /* there is no sum yet */
    frnn_crew crew;    /* who share it, */
    int waits;         /* for each other, and then the tiles of all panels; or each has some panels to itself */
} block;

/* The panels of dz that a member packs. */
static frnn_range own_panels(const block *b) {
    return frnn_part(frnn_panels(b->sums->kernels, b->sums->N), b->crew.size, b->crew.place);
}

/* The panels of which it computes tiles, and which of n tiles are its own. */
static frnn_range panels_of(const block *b) { return b->waits ? all_panels(b->sums) : own_panels(b); }
static frnn_range tiles_in(const block *b, size_t n, size_t place) {
    return b->waits ? frnn_part(n, b->crew.size, place) : (frnn_range){0, n};
}

/* Where nobody waits, an element of a gradient must be the same member's in every block. A few tokens and zeros are shared by rows
 * instead, as those of a first step may leave: but then their block is the only one of the part. */
_Static_assert(FRNN_MOST_ROWS / 2 + FRNN_FEW_OUTER < FRNN_MOST_BLOCK / 2,
               "a block of several may have few later tokens");

/* Tokens from one packed panel to the next: where others may still read the block before, it must not move. */
static size_t apart(const block *b) { return b->waits || b->crew.size == 1 ? b->n : FRNN_MOST_BLOCK; }

/* A gradient (width, N) = sum of a^T dz over a block's last n tokens. */
typedef struct gradient {
    size_t width, n;
    const void *const *a;
    char *first;
} gradient;

/* Adds one tile of it and one panel, with a packed or to be packed. */
static int add_tile(frnn_team *team, size_t member, const block *b, const gradient *g, size_t tile, size_t panel,
                    const void *const *rows, char *packed, int keep) {
    const frnn_outer_sums *s = b->sums;
    const struct frnn_sums_of_part *to = &s->part[b->part];
    const frnn_kernels *k = s->kernels;
    const size_t i = tile * k->tile, j = panel * k->panel;
    const char *const dz_panel = to->dz_panels + j * apart(b) * k->size;
    k->outer(&(frnn_outer){.n = g->n,
                           .rows = frnn_least(k->tile, g->width - i),
                           .columns = frnn_least(k->panel, s->N - j),
                           .a_rows = rows,
                           .a_column = i,
                           .a = packed,
                           .keep = keep,
                           .b = dz_panel + (b->n - g->n) * k->panel * k->size,
                           .c = g->first + (i * to->stride + j) * k->size,
                           .stride = to->stride,
                           .fresh = b->fresh});
    return frnn_worked(team, member, (double)g->n * (double)k->tile * (double)k->panel);
}

/* Adds share `place` of the tiles, each of them packed on the way through its first panel, if more than two need it. */
static int add_tiles(frnn_team *team, size_t member, size_t place, const block *b, const gradient *g) {
    const frnn_kernels *k = b->sums->kernels;
    const frnn_range panels = panels_of(b);
    const size_t height = tiles_of(k, g->width);
    char *const packed = b->sums->tiles + member * packed_bytes(b->sums);
    for (size_t first = panels.first; first < panels.last; first += GROUP) {
        const size_t group = frnn_least(panels.last - first, GROUP);
        const frnn_range units = tiles_in(b, height * group, place);
        for (size_t unit = units.first; unit < units.last; unit++) {
            const int begins = unit == units.first || unit % group == 0, few = group <= FEW_PANELS;
            const int keep = !few && unit + 1 < units.last && (unit + 1) % group != 0;
            if (add_tile(team, member, b, g, unit / group, first + unit % group, begins || few ? g->a : NULL, packed,
                         keep))
                return 1;
        }
    }
    return 0;
}

/* The same with some tiles packed beforehand: then every line of a's rows is read once. */
static int add_strips(frnn_team *team, size_t member, size_t place, const block *b, const gradient *g) {
    const frnn_kernels *k = b->sums->kernels;
    const frnn_range of_dz = panels_of(b);
    const size_t panels = of_dz.last - of_dz.first, packed_tile = (g->n + 1) * k->tile * k->size;
    char *const packed = b->sums->tiles + member * packed_bytes(b->sums);
    if (panels == 0) return 0;
    const frnn_range units = tiles_in(b, tiles_of(k, g->width) * panels, place);
    const size_t end = (units.last + panels - 1) / panels;
    for (size_t strip = units.first / panels, next; strip < end; strip = next) {
        next = frnn_least(strip + k->strip, end);
        k->pack_tiles(g->n, g->a, strip * k->tile, frnn_least(next * k->tile, g->width), g->width, packed);
        for (size_t first = 0; first < panels; first += GROUP)
            for (size_t tile = strip; tile < next; tile++) {
                const size_t unit = tile * panels; /* and those of its other panels follow */
                const size_t last = frnn_least(frnn_least(first + GROUP, panels), units.last - unit);
                size_t panel = frnn_most(first, frnn_most(unit, units.first) - unit);
                for (; panel < last; panel++)
                    if (add_tile(team, member, b, g, tile, of_dz.first + panel, NULL,
                                 packed + (tile - strip) * packed_tile, 0))
                        return 1;
            }
    }
    return 0;
}

/* Its share of the rows, for few tokens, of which dz is: nothing would be gained in tiles. */
static int add_rows(frnn_team *team, size_t member, size_t place, const block *b, const gradient *g,
                    const void *const *dz) {
    const frnn_outer_sums *s = b->sums;
    const frnn_kernels *k = s->kernels;
    const size_t stride = s->part[b->part].stride;
    const frnn_range rows = frnn_part(g->width, b->crew.size, place);
    for (size_t i = rows.first, n; i < rows.last; i += n) {
        n = frnn_least(rows.last - i, ROWS_AT_ONCE);
        k->outer_rows(&(frnn_outer){.n = g->n,
                                    .rows = n,
                                    .columns = s->N,
                                    .a_rows = g->a,
                                    .a_column = i,
                                    .b_rows = dz,
                                    .c = g->first + i * stride * k->size,
                                    .stride = stride,
                                    .fresh = b->fresh});
        if (frnn_worked(team, member, (double)g->n * (double)n * (double)s->N)) return 1;
    }
    return 0;
}

static int add(frnn_team *team, size_t member, size_t place, const block *b, const gradient *g, const void *const *dz) {
    if (g->n > 0 && g->n <= FRNN_FEW_OUTER) return add_rows(team, member, place, b, g, dz + (b->n - g->n));
    return (has_strips(b->sums) ? add_strips : add_tiles)(team, member, place, b, g);
}

/* Adds one member's panels of the transposed dwx = sum of dz^T x. */
static int add_across(frnn_team *team, size_t member, const block *b, const void *const *x, const void *const *dz) {
    const frnn_outer_sums *s = b->sums;
    const frnn_kernels *k = s->kernels;
    const frnn_range panels = frnn_part(frnn_panels(k, s->I), b->crew.size, b->crew.place);
    for (size_t panel = panels.first; panel < panels.last; panel++) {
        const size_t j = panel * k->panel;
        k->outer(&(frnn_outer){.n = b->n,
                               .rows = s->N,
                               .columns = frnn_least(k->panel, s->I - j),
                               .a_rows = panel == panels.first ? dz : NULL,
                               .a = s->tiles + member * packed_bytes(s),
                               .keep = 1,
                               .b_rows = x,
                               .b_column = j,
                               .c = s->part[b->part].dwx_t + j * k->size,
                               .stride = s->I,
                               .fresh = b->fresh});
        if (frnn_worked(team, member, (double)b->n * (double)k->tile * (double)k->panel)) return 1;
    }
    return 0;
}

/* Writes zeros to one member's rows of a gradient (width, N) that nothing has been added to. */
static void clear(const block *b, size_t width, char *gradient) {
    const size_t size = b->sums->kernels->size, stride = b->sums->part[b->part].stride;
    const frnn_range rows = frnn_part(b->fresh ? width : 0, b->crew.size, b->crew.place);
    for (size_t i = rows.first; i < rows.last; i++) memset(gradient + i * stride * size, 0, b->sums->N * size);
}

static int add_block(frnn_team *team, size_t member, const block *b, const void *const *x, const void *const *h,
                     const void *const *dz) {
    const frnn_outer_sums *s = b->sums;
    const struct frnn_sums_of_part *to = &s->part[b->part];
    const frnn_kernels *k = s->kernels;
    const frnn_range panels = own_panels(b);
    const int meets = b->waits && b->crew.size > 1;
    for (size_t panel = panels.first; panel < panels.last; panel++) {
        const size_t column = panel * k->panel;
        const char *dz_panel = to->dz_panels + column * apart(b) * k->size;
        k->pack(b->n, dz, 0, apart(b), s->N, panel, panel + 1, to->dz_panels);
        k->sum(b->n, dz_panel, to->db_panels + column * k->size);
        if (!b->part && has_db_h(s)) k->sum(b->n, dz_panel, db_h_panels(s) + column * k->size);
    }
    if (meets && frnn_barrier(team)) return 1;
    const size_t later = b->n - b->initial;
    const gradient dwx = {s->I, b->n, x, to->dwx}, dwh = {s->H, later, later ? h + b->initial : NULL, to->dwh};
    if (to->dwx_t ? add_across(team, member, b, x, dz) : add(team, member, b->crew.place, b, &dwx, dz)) return 1;
    /* Who got the larger part of x gets the smaller one of h. */
    if (later && add(team, member, b->crew.size - 1 - b->crew.place, b, &dwh, dz)) return 1;
    if (!later) clear(b, s->H, to->dwh);
    return meets && frnn_barrier(team);
}

/* All of n tokens, for a part of the sums. */
static int add_tokens(frnn_team *team, size_t member, frnn_crew crew, int waits, const frnn_outer_sums *s, size_t part,
                      int first, size_t n, size_t initial, const void *const *x, const void *const *h,
                      const void *const *dz) {
    const size_t blocks = frnn_most((n + FRNN_MOST_BLOCK - 1) / FRNN_MOST_BLOCK, 1);
    for (size_t i = 0; i < blocks; i++) { /* once for no tokens too: the sums must be written */
        const frnn_range tokens = frnn_part(n, blocks, i);
        const size_t at = tokens.first, count = tokens.last - at;
        const block b = {.sums = s,
                         .part = part,
                         .n = count,
                         .initial = frnn_least(initial - frnn_least(initial, at), count),
                         .fresh = first && i == 0,
                         .crew = crew,
                         .waits = waits};
        if (add_block(team, member, &b, x ? x + at : NULL, h ? h + at : NULL, dz + at)) return 1;
    }
    return 0;
}

int frnn_add_outer_products(frnn_team *team, size_t member, const frnn_outer_sums *s, int first, size_t n,
                            size_t initial, const void *const *x, const void *const *h, const void *const *dz) {
    const frnn_kernels *k = s->kernels;
    const size_t size = frnn_team_size(team), tiles = (tiles_of(k, s->I) + tiles_of(k, s->H)) * frnn_panels(k, s->N);
    const int fresh = first && !s->accumulate;
    if (tiles > 2) return add_tokens(team, member, (frnn_crew){size, member}, 1, s, 0, fresh, n, initial, x, h, dz);
    /* Two tiles at most would share no more than the wait for each other: the last member takes them. */
    if (member + 1 == size && add_tokens(team, member, (frnn_crew){1, 0}, 0, s, 0, fresh, n, initial, x, h, dz))
        return 1;
    return frnn_barrier(team);
}

/* Adds a member's share of the rows of another part's matrix. */
static void join(const frnn_team *team, size_t member, const frnn_kernels *k, size_t rows, size_t columns, matrix other,
                 matrix sum) {
    const frnn_range mine = frnn_part(rows, frnn_team_size(team), member);
    for (size_t i = mine.first; i < mine.last; i++)
        k->add(columns, 1, other.first + i * other.stride * k->size, 0, sum.first + i * sum.stride * k->size);
}

/* And of all of its sums. */
static void join_part(const frnn_team *team, size_t member, const frnn_outer_sums *s, size_t i) {
    const frnn_kernels *k = s->kernels;
    const struct frnn_sums_of_part *all = &s->part[0], *part = &s->part[i];
    if (all->dwx_t) join(team, member, k, s->N, s->I, (matrix){part->dwx_t, s->I}, (matrix){all->dwx_t, s->I});
    else join(team, member, k, s->I, s->N, (matrix){part->dwx, part->stride}, (matrix){all->dwx, all->stride});
    join(team, member, k, s->H, s->N, (matrix){part->dwh, part->stride}, (matrix){all->dwh, all->stride});
    if (member > 0) return;
    k->add(s->N, 1, part->db_panels, 0, all->db_panels);
    if (has_db_h(s)) k->add(s->N, 1, part->db_panels, 0, db_h_panels(s));
}

int frnn_add_part(frnn_team *team, size_t member, frnn_crew crew, const frnn_outer_sums *s, size_t part, int first,
                  size_t n, size_t initial, const void *const *x, const void *const *h, const void *const *dz) {
    /* Who is alone needs no memory for a part of a single block: what a block comes to is added to the sums at its end. */
    const int alone = frnn_team_size(team) == 1;
    const size_t to = alone && n <= FRNN_MOST_BLOCK ? 0 : part;
    const int fresh = to || (!part && first && !s->accumulate);
    if (to) clear_bias(s, to, frnn_part(all_panels(s).last, crew.size, crew.place));
    if (add_tokens(team, member, crew, 0, s, to, fresh, n, initial, x, h, dz)) return 1;
    if (alone && to) join_part(team, member, s, to);
    return 0;
}

void frnn_join_parts(const frnn_team *team, size_t member, const frnn_outer_sums *s, size_t parts) {
    for (size_t i = 1; i < parts && frnn_team_size(team) > 1; i++) join_part(team, member, s, i);
}
