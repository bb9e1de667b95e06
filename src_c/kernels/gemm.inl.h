/* Matrix products on register tiles.
 *
 * A tile of `rows` rows by `vectors` vectors of c stays in registers while k runs: per k, load the vectors of b,
 * broadcast one element of each row of a, multiply and add. Every loop over rows and vectors has constant bounds and
 * unrolls completely, so that `acc` is made of registers. Few rows alone would leave the multiply-add pipes waiting
 * for each other's results; they get wider tiles (two or four panels) instead.
 *
 * What else runs on a processor's core takes turns with us at the instructions: then their number limits a tile, jumps
 * counting double, while the multiply-add pipes are idle. So tiles ask for memory only where they must, AVX2 takes four k
 * between two jumps, and where the nearest cache holds a pair of panels, tiles of half the rows and twice the columns, which
 * take a tenth fewer instructions for the same work. */

#define FRNN_MOST_VECTORS (4 * VECTORS)

/* Rows of b that a panel's only tile asks for before they are needed */
enum { F(ROWS_AHEAD) = 64 };

/* Lists what one of a panel's tiles asks for while it goes through each term, 0 for nothing: with every k as many bytes as a
 * row of a panel has, and each time so many further on as is returned. The last two tiles ask for the next panel, half of it
 * each: large matrices come from the third cache or from memory, slower than a panel's first tile could read them. An only
 * one asks for its own panel, the others, and pairs, for what the caller wants, and so does the first of two. */
static __attribute__((noinline)) size_t F(list_requests)(const frnn_product *g, size_t panel, size_t width, size_t tile,
                                                         size_t tiles, uintptr_t *next) {
    const size_t row = PANEL * sizeof(REAL), left = tiles - 1 - tile;
    const int is_wanted = g->ahead && g->ahead->next < g->ahead->end;
    const int asks_for_next = width == 1 && tiles > 1 && left < (tiles == 2 && is_wanted ? 1 : 2);
    for (const frnn_term *term = g->term; term < g->term + 2; term++, next++) {
        const uintptr_t b = (uintptr_t)term->b + panel * frnn_apart(term) * row;
        if (term->K == 0) continue;
        if (asks_for_next) {
            if ((panel + 1) * PANEL < g->N) *next = b + frnn_apart(term) * row + (1 - left) * term->K * row / 2;
        } else if (tiles == 1) {
            *next = b + F(ROWS_AHEAD) * row;
        } else if (is_wanted) {
            *next = (uintptr_t)g->ahead->next;
            g->ahead->next += term->K * row;
        }
    }
    return asks_for_next ? row / 2 : row;
}

/* Between two tiles */
static void F(ask_for_rows)(frnn_ahead *ahead) {
    for (size_t n = 0; n < ahead->some && ahead->row < ahead->count; n++, ahead->row++)
        for (int i = 0; i < 3; i++) {
            const struct frnn_ahead_rows *rows = &ahead->rows[i];
            const char *from = rows->first + (ptrdiff_t)ahead->row * rows->stride;
            for (size_t j = 0; j < rows->bytes; j += FRNN_LINE) __builtin_prefetch(from + j, 0, 3);
        }
}

/* Rows of a tile whose pointers stay in registers while k runs. Left to itself, the compiler would put what goes beyond that
 * into a vector register, and take a turn of the multiply-add pipes to get it back. */
enum { F(HELD) = 9 };

/* The tiles that multiply pairs of panels with many rows, see PAIR_BYTES in isa/generic.h */
#define IS_OF_PAIR(rows, vectors) (F(PAIR_BYTES) > 0 && (rows) == F(ROWS_2X) && (vectors) == 2 * VECTORS)

/* The tiles that ask for memory: others have few rows, which are done too soon. */
#define MAY_ASK(rows, vectors) ((vectors) == VECTORS || IS_OF_PAIR(rows, vectors))

/* acc += a b for one k. */
FRNN_INLINE void F(tile_add)(const int rows, const int vectors, const int asks, VEC (*acc)[FRNN_MOST_VECTORS],
                             const REAL *const *a, const REAL *const volatile *beyond, size_t k, const REAL *b,
                             size_t panel_size, uintptr_t next) {
    VEC w[FRNN_MOST_VECTORS];
    /* A pair's last vector has no register: its multiply-adds read it. Two such vectors would be too many loads. */
    const int loaded = IS_OF_PAIR(rows, vectors) ? vectors - 1 : vectors;
    const REAL *const last =
        b + (size_t)((vectors - 1) / VECTORS) * panel_size + (size_t)((vectors - 1) % VECTORS) * LANES;
    FRNN_UNROLL
    for (int v = 0; v < loaded; v++)
        w[v] = V(load)(b + (size_t)(v / VECTORS) * panel_size + (size_t)(v % VECTORS) * LANES);
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) {
        const VEC s = V(set1)((r < F(HELD) ? a[r] : beyond[r])[k]);
        FRNN_UNROLL
        for (int v = 0; v < loaded; v++)
            acc[r][v] =
                rows > 2 ? V(add)(acc[r][v], s, w[v]) : V(fma)(s, w[v], acc[r][v]); /* which may read w itself */
        if (loaded < vectors) acc[r][loaded] = V(add_at)(acc[r][loaded], s, last);
    }
    FRNN_UNROLL
    for (size_t i = 0; i < PANEL * sizeof(REAL) && asks; i += FRNN_LINE) __builtin_prefetch((const char *)next + i);
}

/* acc += a b. The tiles that do most of the work may take four k between two jumps. */
FRNN_INLINE void F(tile_sum)(const int rows, const int vectors, const int asks, VEC (*acc)[FRNN_MOST_VECTORS],
                             const REAL *const *a, const REAL *const volatile *beyond, size_t K, const REAL *b,
                             size_t panel_size, uintptr_t next, size_t step) {
    const int four = F(FOUR_K) && (IS_OF_PAIR(rows, vectors) || (rows > ROWS - 2 && vectors == VECTORS));
    size_t k = 0;
    for (; four && k + 4 <= K; k += 4, b += 4 * PANEL, next += 4 * step) {
        F(tile_add)(rows, vectors, asks, acc, a, beyond, k, b, panel_size, next);
        F(tile_add)(rows, vectors, asks, acc, a, beyond, k + 1, b + PANEL, panel_size, next + step);
        F(tile_add)(rows, vectors, asks, acc, a, beyond, k + 2, b + 2 * PANEL, panel_size, next + 2 * step);
        F(tile_add)(rows, vectors, asks, acc, a, beyond, k + 3, b + 3 * PANEL, panel_size, next + 3 * step);
    }
    for (; k < K; k++, b += PANEL, next += step)
        F(tile_add)(rows, vectors, asks, acc, a, beyond, k, b, panel_size, next);
}

FRNN_INLINE void F(tile)(const int rows, const int vectors, const int asks, const frnn_product *g, size_t row,
                         size_t panel, uintptr_t next, uintptr_t second, size_t step) {
    /* Volatile: read when needed and not before. While k runs, the general registers are for the pointers of a. */
    void *const volatile *c = g->c + row;
    const void *const volatile *from = (g->starts ? g->starts : (const void *const *)g->c) + row;
    VEC acc[F(ROWS_0X)][FRNN_MOST_VECTORS];
    const size_t column = panel * PANEL;
    /* Elements that exist in the tile's last vector; the ones before it are whole. */
    const size_t end = g->N - column - (size_t)(vectors - 1) * LANES;

    FRNN_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (g->start) {
            const VEC start = V(load)((const REAL *)g->start + column + v * LANES);
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) acc[r][v] = start;
        } else if (v < vectors - 1 || end >= LANES) {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) acc[r][v] = V(load)((const REAL *)from[r] + column + v * LANES);
        } else {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) acc[r][v] = V(load_n)((const REAL *)from[r] + column + v * LANES, end);
        }
    }
    for (const frnn_term *t = g->term; t < g->term + 2; t++, next = second) {
        if (t->K == 0) continue;
        const REAL *a[F(ROWS_0X)], *volatile beyond[F(ROWS_0X)];
        const size_t K = t->K, panel_size = frnn_apart(t) * PANEL;
        const REAL *b = (const REAL *)t->b + panel * panel_size;
        FRNN_UNROLL
        for (int r = 0; r < rows; r++) {
            if (r < F(HELD)) a[r] = t->a[row + r];
            else beyond[r] = t->a[row + r];
        }
        if (asks && next) F(tile_sum)(rows, vectors, 1, acc, a, beyond, K, b, panel_size, next, step);
        else F(tile_sum)(rows, vectors, 0, acc, a, beyond, K, b, panel_size, 0, 0);
    }
    FRNN_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (v < vectors - 1 || end >= LANES) {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) V(store)((REAL *)c[r] + column + v * LANES, acc[r][v]);
        } else {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) V(store_n)((REAL *)c[r] + column + v * LANES, acc[r][v], end);
        }
    }
}

/* clang-format off */
/* One function a shape of tile, named after its rows and panels (0: the first vector of a panel alone). */
#define FRNN_TILE(rows, panels) \
    static __attribute__((noinline)) void F(tile_##rows##x##panels)(const frnn_product *g, size_t row, size_t panel, \
                                                                    uintptr_t next, uintptr_t second, size_t step) { \
        const int vectors = panels ? panels * VECTORS : 1; \
        F(tile)(rows, vectors, MAY_ASK(rows, vectors), g, row, panel, next, second, step); \
    }
#define FRNN_TILE_ENTRY(rows, panels) [rows] = F(tile_##rows##x##panels),
FRNN_UP_TO(F(ROWS_0X))(FRNN_TILE, 0)
FRNN_UP_TO(ROWS)(FRNN_TILE, 1)
FRNN_UP_TO(F(ROWS_2X))(FRNN_TILE, 2)
FRNN_UP_TO(F(ROWS_4X))(FRNN_TILE, 4)
typedef void (*const F(tile_function))(const frnn_product *g, size_t row, size_t panel, uintptr_t next, uintptr_t second,
                                       size_t step);
static F(tile_function) F(tiles_x0)[] = {FRNN_UP_TO(F(ROWS_0X))(FRNN_TILE_ENTRY, 0)};
static F(tile_function) F(tiles_x1)[] = {FRNN_UP_TO(ROWS)(FRNN_TILE_ENTRY, 1)};
static F(tile_function) F(tiles_x2)[] = {FRNN_UP_TO(F(ROWS_2X))(FRNN_TILE_ENTRY, 2)};
static F(tile_function) F(tiles_x4)[] = {FRNN_UP_TO(F(ROWS_4X))(FRNN_TILE_ENTRY, 4)};
#undef FRNN_TILE
#undef FRNN_TILE_ENTRY
/* clang-format on */

/* AT_ONCE rows side by side, whole vectors of them: n elements from `column` on. */
FRNN_INLINE void F(activate_whole)(frnn_activation activation, void *const *c, size_t rows, size_t column, size_t n) {
    VEC a[AT_ONCE];
    for (size_t r = 0; r < rows; r += AT_ONCE)
        for (size_t v = column; v < column + n; v += LANES) {
            EACH a[i] = V(load)((REAL *)c[r + i] + v);
            F(act)(AT_ONCE, activation, a);
            EACH V(store)((REAL *)c[r + i] + v, a[i]);
        }
}

/* Activates columns `column` .. `column + n - 1` of some rows; what vectors are left over in one sequence. */
static void F(activate_rows)(frnn_activation activation, void *const *c, size_t rows, size_t column, size_t n) {
    VEC a[AT_ONCE];
    REAL *at[AT_ONCE];
    size_t some[AT_ONCE];
    const size_t whole = n / LANES * LANES, whole_rows = rows / AT_ONCE * AT_ONCE;
    FRNN_FOR_ACTIVATION(activation, F(activate_whole), c, whole_rows, column, whole);
    size_t r = whole < n ? 0 : whole_rows, v = r < whole_rows ? whole : 0;
    while (r < rows) {
        int count = 0;
        FRNN_ROLLED for (; count < AT_ONCE && r < rows; count++) {
            at[count] = (REAL *)c[r] + column + v;
            some[count] = F(lanes_left)(n, v);
            a[count] = F(load_some)(at[count], some[count]);
            if ((v += LANES) >= n) r++, v = r < whole_rows ? whole : 0;
        }
        F(act_vectors)(activation, count, a);
        FRNN_ROLLED for (int i = 0; i < count; i++) F(store_some)(at[i], a[i], some[i]);
    }
}

/* Elements that are activated together, still in the nearest cache after they were stored. */
enum { F(ACTIVATED) = 20480 / sizeof(REAL) };

/* Whether the nearest cache holds two panels beside everything else, which may make tiles of both the better ones; with few
 * k their rows, fewer, would be too often new. */
FRNN_INLINE int F(has_pairs)(const frnn_product *g) {
    const size_t pair = 2 * (g->term[0].K + g->term[1].K) * PANEL * sizeof(REAL);
    return pair <= F(PAIR_BYTES) && pair > F(PAIR_BYTES) / 4;
}

/* Panel by panel: each comes from its cache once for all rows. */
static void F(panels)(const frnn_product *g) {
    /* Panels of a tile */
    size_t width = g->rows <= F(ROWS_4X) ? 4 : g->rows <= F(ROWS_2X) || F(has_pairs)(g) ? 2 : 1;
    size_t activated = g->first * PANEL; /* columns before this one are done */
    for (size_t panel = g->first; panel < g->last; panel += width) {
        const size_t left = g->N - panel * PANEL;
        /* Every vector of a tile but the last must be whole. */
        while (width > g->last - panel || (width > 1 && left + LANES <= width * PANEL)) width /= 2;
        /* As few tiles as possible, of heights that differ by one at most: no small tile is left over. */
        const size_t most = left <= LANES ? F(ROWS_0X) : width > 1 ? F(ROWS_2X) : ROWS;
        const size_t tiles = g->rows > most ? (g->rows + most - 1) / most : g->rows > 0;
        const size_t height = tiles > 1 ? g->rows / tiles : g->rows;
        const size_t higher = g->rows - tiles * height; /* tiles that have a row more */
        F(tile_function) *tile = left <= LANES ? F(tiles_x0)
                                 : width == 4  ? F(tiles_x4)
                                 : width == 2  ? F(tiles_x2)
                                               : F(tiles_x1);
        for (size_t i = 0, row = 0; i < tiles; i++) {
            const size_t rows = height + (i < higher);
            uintptr_t next[2] = {0, 0};
            size_t step = 0;
            if (left > LANES && MAY_ASK(rows, width * VECTORS) && (i + 2 >= tiles || g->ahead))
                step = F(list_requests)(g, panel, width, i, tiles, next);
            tile[rows](g, row, panel, next[0], next[1], step);
            if (g->ahead) F(ask_for_rows)(g->ahead);
            row += rows;
        }
        if (g->activation == FRNN_LINEAR) continue;
        const size_t end = (panel + width) * PANEL < g->N ? (panel + width) * PANEL : g->N;
        if (panel + width < g->last && g->rows * (end + PANEL - activated) <= F(ACTIVATED)) continue;
        F(activate_rows)(g->activation, g->c, g->rows, activated, end - activated);
        activated = end;
    }
}

/* Panels that are gone through in their own order, even if the product goes backwards. */
enum { F(IN_ORDER) = 4 };

/* The same from the last panels to the first. */
static void F(panels_backwards)(const frnn_product *g) {
    frnn_product part = *g;
    for (part.last = g->last; part.last > g->first; part.last = part.first) {
        const size_t count = part.last - g->first, some = count % F(IN_ORDER) ? count % F(IN_ORDER) : F(IN_ORDER);
        part.first = part.last - some;
        F(panels)(&part);
    }
}

/* Bytes of b that stay in the nearest cache beside everything else; and panels that make it worth while. */
enum { F(NEAR) = 24 * 1024, F(MANY) = 4 };

static void F(product)(const frnn_product *g) {
    if (g->interleaved) {
        F(product_of_interleaved)(g);
        return;
    }
    const size_t panel_bytes = (g->term[0].K + g->term[1].K) * PANEL * sizeof(REAL);
    const size_t most = F(has_pairs)(g) ? F(ROWS_2X) : ROWS, tiles = (g->rows + most - 1) / most;
    if (tiles <= 1 || panel_bytes * F(MANY) >= F(NEAR) || g->last - g->first < F(MANY)) {
        (g->backwards && g->last - g->first > F(IN_ORDER) ? F(panels_backwards) : F(panels))(g);
        return;
    }
    /* Few k and many columns: c is what goes through the caches, so it is written in the order of memory. */
    const size_t near = F(NEAR) / (panel_bytes + 1);
    frnn_product part = *g;
    for (; part.first < g->last; part.first = part.last) {
        part.last = g->last - part.first > near ? part.first + near : g->last;
        for (size_t i = 0, row = 0; i < tiles; i++, row += part.rows) {
            part.rows = (g->rows - row + tiles - i - 1) / (tiles - i);
            for (int t = 0; t < 2; t++)
                if (g->term[t].K) part.term[t].a = g->term[t].a + row;
            if (g->starts) part.starts = g->starts + row;
            part.c = g->c + row;
            F(panels)(&part);
        }
    }
}
