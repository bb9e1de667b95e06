/* A register tile of a matrix product.
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

#define FRNN_TILE_ROWS (ROWS > F(ROWS_0X) ? ROWS : F(ROWS_0X))
#define FRNN_MOST_VECTORS (4 * VECTORS)

/* Half vectors, of which a panel has four: a tile of these is one for the columns after the last whole vector. */
#define IS_OF_HALVES (VECTORS == 4)

/* The tiles that multiply pairs of panels with many rows, see PAIR_BYTES in isa/generic.h */
#define IS_OF_PAIR(rows, vectors) (F(PAIR_BYTES) > 0 && (rows) == F(ROWS_2X) && (vectors) == 2 * VECTORS)

/* Vectors of a tile's row of b that are in registers. A pair's last one is not: its multiply-adds read it. Two such vectors would be
 * too many loads. */
#define LOADED(rows, vectors) (IS_OF_PAIR(rows, vectors) ? (vectors) - 1 : (vectors))

/* Low tiles, whose vectors of b gcc would have every multiply-add read for itself: more loads than a processor has time for. */
#define LOADS_ONCE(rows) ((rows) == 2 || (rows) == 3)

/* A vector of a tile's row of b. */
FRNN_INLINE const REAL *F(tile_b)(const REAL *b, const int v, size_t panel_size) {
    return b + (size_t)(v / VECTORS) * panel_size + (size_t)(v % VECTORS) * LANES;
}

FRNN_INLINE void F(tile_load_b)(const int rows, const int vectors, const REAL *b, size_t panel_size, VEC *w) {
    const int loaded = LOADED(rows, vectors);
    FRNN_UNROLL
    for (int v = 0; v < loaded; v++) {
        const REAL *const at = F(tile_b)(b, v, panel_size);
        w[v] = LOADS_ONCE(rows) ? V(load_once)(at) : V(load)(at);
    }
}

/* acc += a b for one k of one row, with the row of b whose vectors are in w. */
FRNN_INLINE void F(row_add)(const int rows, const int vectors, VEC *acc, const REAL *a, const VEC *w, const REAL *b,
                            size_t panel_size) {
    const int loaded = LOADED(rows, vectors);
    const VEC s = V(set1)(*a);
    FRNN_UNROLL
    for (int v = 0; v < loaded; v++)
        acc[v] = rows > 2 ? V(add)(acc[v], s, w[v]) : V(fma)(s, w[v], acc[v]); /* which may read w itself */
    if (loaded < vectors) acc[loaded] = V(add_at)(acc[loaded], s, F(tile_b)(b, loaded, panel_size));
}

/* acc += a b for one k, some of b's vectors. */
FRNN_INLINE void F(tile_add_some)(const int rows, const int vectors, VEC (*acc)[FRNN_MOST_VECTORS], const int first,
                                  const REAL *const *a, size_t k, const REAL *b, size_t panel_size) {
    VEC w[FRNN_MOST_VECTORS];
    F(tile_load_b)(rows, vectors, b, panel_size, w);
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) F(row_add)(rows, vectors, acc[r] + first, a[r] + k, w, b, panel_size);
}

/* acc += a b for one k. If the widest tiles had all of b's vectors in registers, there would be none left for the sums. */
FRNN_INLINE void F(tile_add)(const int rows, const int vectors, const int asks, VEC (*acc)[FRNN_MOST_VECTORS],
                             const REAL *const *a, size_t k, const REAL *b, size_t panel_size, uintptr_t next) {
    const int half = LOADS_ONCE(rows) && vectors == FRNN_MOST_VECTORS ? vectors / 2 : 0;
    if (half) F(tile_add_some)(rows, half, acc, half, a, k, F(tile_b)(b, half, panel_size), panel_size);
    F(tile_add_some)(rows, vectors - half, acc, 0, a, k, b, panel_size);
    FRNN_UNROLL
    for (size_t i = 0; i < PANEL * sizeof(REAL) && asks; i += FRNN_LINE)
        __builtin_prefetch((const char *)next + i, 0, 4 - F(ASKED_CACHE));
}

/* acc += a b. The tiles that do most of the work may take four k between two jumps. */
FRNN_INLINE void F(tile_sum)(const int rows, const int vectors, const int asks, VEC (*acc)[FRNN_MOST_VECTORS],
                             const REAL *const *a, size_t K, const REAL *b, size_t panel_size, uintptr_t next,
                             size_t step) {
    const int four = F(FOUR_K) && (IS_OF_PAIR(rows, vectors) || (rows > ROWS - 2 && vectors == VECTORS));
    size_t k = 0;
    for (; four && k + 4 <= K; k += 4, b += 4 * PANEL, next += 4 * step) {
        F(tile_add)(rows, vectors, asks, acc, a, k, b, panel_size, next);
        F(tile_add)(rows, vectors, asks, acc, a, k + 1, b + PANEL, panel_size, next + step);
        F(tile_add)(rows, vectors, asks, acc, a, k + 2, b + 2 * PANEL, panel_size, next + 2 * step);
        F(tile_add)(rows, vectors, asks, acc, a, k + 3, b + 3 * PANEL, panel_size, next + 3 * step);
    }
    for (; k < K; k++, b += PANEL, next += step) F(tile_add)(rows, vectors, asks, acc, a, k, b, panel_size, next);
}

/* Elements that exist in the last of a tile's vectors; the ones before it are whole. */
FRNN_INLINE size_t F(tile_end)(const int vectors, const frnn_product *g, size_t column) {
    const size_t left = g->N - column - (size_t)(vectors - 1) * LANES;
    return left < LANES ? left : LANES;
}

/* Whether a tile's vector is to be taken as a whole. Where a mask costs nothing, high tiles take the last one with a mask, whole or
 * not: it saves a second way. The next step of a few rows would have to wait for what was stored with a mask. */
#define IS_WHOLE(rows, vectors, v, end) \
    ((v) < (vectors) - 1 || (!(F(FREE_MASKS) && (rows) * (vectors) >= 16) && (end) == LANES))

/* What the sums of a tile start from. The lists of rows are volatile: read when needed and not before. While k runs, the
 * general registers are for the pointers of a. */
FRNN_INLINE void F(tile_load)(const int rows, const int vectors, const frnn_product *g, size_t row, size_t column,
                              VEC (*acc)[FRNN_MOST_VECTORS]) {
    const void *const volatile *from = (g->starts ? g->starts : (const void *const *)g->c) + row;
    const size_t end = F(tile_end)(vectors, g, column);
    FRNN_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (g->start) {
            const VEC start = V(load)((const REAL *)g->start + column + v * LANES);
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) acc[r][v] = start;
        } else if (IS_WHOLE(rows, vectors, v, end)) {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) acc[r][v] = V(load)((const REAL *)from[r] + column + v * LANES);
        } else {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) acc[r][v] = V(load_n)((const REAL *)from[r] + column + v * LANES, end);
        }
    }
}

FRNN_INLINE void F(tile_store)(const int rows, const int vectors, const frnn_product *g, size_t row, size_t column,
                               VEC (*acc)[FRNN_MOST_VECTORS]) {
    void *const volatile *c = g->c + row;
    const size_t end = F(tile_end)(vectors, g, column);
    FRNN_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (IS_WHOLE(rows, vectors, v, end)) {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) V(store)((REAL *)c[r] + column + v * LANES, acc[r][v]);
        } else {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) V(store_n)((REAL *)c[r] + column + v * LANES, acc[r][v], end);
        }
    }
}

/* k of the last term whose sums are made a few rows after the others, each of which is stored while the next ones are summed. If
 * all stores of whole lines came at a tile's end, no multiply-add would pass those behind the first dozen. */
enum { F(STAGGERED) = 4 };
#define IS_STAGGERED(rows, vectors) (STORES_LINES && (rows) * (vectors) >= 20 && (vectors) <= 2 * VECTORS)

/* acc += a b for these k, b being their rows. */
FRNN_INLINE void F(tile_stagger)(const int rows, const int vectors, const frnn_product *g, size_t row, size_t column,
                                 VEC (*acc)[FRNN_MOST_VECTORS], const REAL *const *a, size_t k, const REAL *b,
                                 size_t panel_size) {
    const size_t end = F(tile_end)(vectors, g, column);
    const int at_once = vectors < 4 ? 4 / vectors : 1; /* rows: as many sums as multiply-adds take to be done */
    VEC w[F(STAGGERED)][FRNN_MOST_VECTORS];
    FRNN_UNROLL
    for (int i = 0; i < F(STAGGERED); i++) F(tile_load_b)(rows, vectors, b + i * (int)PANEL, panel_size, w[i]);
    FRNN_UNROLL
    for (int first = 0; first < rows; first += at_once) {
        const int last = first + at_once < rows ? first + at_once : rows;
        FRNN_UNROLL
        for (int i = 0; i < F(STAGGERED); i++) {
            FRNN_UNROLL
            for (int r = first; r < last; r++)
                F(row_add)(rows, vectors, acc[r], a[r] + k + i, w[i], b + i * (int)PANEL, panel_size);
        }
        FRNN_UNROLL
        for (int r = first; r < last; r++) {
            REAL *const c = (REAL *)((void *const volatile *)g->c)[row + (size_t)r] + column;
            FRNN_UNROLL
            for (int v = 0; v < vectors - 1; v++) V(store)(c + v * LANES, acc[r][v]);
            V(store_n)(c + (vectors - 1) * LANES, acc[r][vectors - 1], end);
        }
    }
}

/* Asks for where a tile's sums will be written, so that they do not wait for it. */
FRNN_INLINE void F(ask_for_c)(const int rows, const int vectors, void *const volatile *c, size_t column) {
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) {
        const char *at = (const char *)((REAL *)c[r] + column);
        FRNN_UNROLL
        for (int i = 0; i < vectors * LANES * (int)sizeof(REAL); i += FRNN_LINE) __builtin_prefetch(at + i, 1, 3);
    }
}

FRNN_INLINE void F(tile)(const int rows, const int vectors, const int asks, const frnn_product *g, size_t row,
                         size_t panel, uintptr_t next, uintptr_t second, size_t step) {
    VEC acc[FRNN_TILE_ROWS][FRNN_MOST_VECTORS];
    const size_t column = IS_OF_HALVES ? g->N / (2 * LANES) * (2 * LANES) : panel * PANEL;
    F(tile_load)(rows, vectors, g, row, column, acc);
    if (rows > 2 && vectors > 1 && g->c_is_far) F(ask_for_c)(rows, vectors, g->c + row, column);
    const frnn_term *const last = g->term[1].K ? g->term + 1 : g->term;
    const size_t staggered = IS_STAGGERED(rows, vectors) && last->K >= F(STAGGERED) ? F(STAGGERED) : 0;
    for (const frnn_term *t = g->term; t < g->term + 2; t++, next = second) {
        if (t->K == 0) continue;
        const REAL *a[FRNN_TILE_ROWS];
        const size_t K = t == last ? t->K - staggered : t->K, panel_size = frnn_apart(t) * PANEL;
        const REAL *b = (const REAL *)t->b + panel * panel_size + (IS_OF_HALVES ? column % PANEL : 0);
        FRNN_UNROLL
        for (int r = 0; r < rows; r++) a[r] = t->a[row + r];
        if (asks && next) F(tile_sum)(rows, vectors, 1, acc, a, K, b, panel_size, next, step);
        else F(tile_sum)(rows, vectors, 0, acc, a, K, b, panel_size, 0, 0);
        if (t < last || !staggered) continue;
        F(tile_stagger)(rows, vectors, g, row, column, acc, a, K, b + K * PANEL, panel_size);
        return;
    }
    F(tile_store)(rows, vectors, g, row, column, acc);
}

/* The tiles that ask for memory: others have few rows, which are done too soon. */
#define MAY_ASK(rows, vectors) \
    (((vectors) == VECTORS && (rows) > ROWS / 2) \
     || (F(PAIR_BYTES) > 0 && (rows) >= F(ROWS_2X) - 1 && (vectors) == 2 * VECTORS))

/* clang-format off */
/* One function a shape of tile, named after its rows and panels (0: a single vector). */
typedef void (*const F(tile_function))(const frnn_product *g, size_t row, size_t panel, uintptr_t next, uintptr_t second,
                                       size_t step);
#define FRNN_TILE(rows, panels) \
    static __attribute__((noinline)) void F(tile_##rows##x##panels)(const frnn_product *g, size_t row, size_t panel, \
                                                                    uintptr_t next, uintptr_t second, size_t step) { \
        const int vectors = panels ? panels * VECTORS : 1; \
        F(tile)(rows, vectors, MAY_ASK(rows, vectors), g, row, panel, next, second, step); \
    }
#define FRNN_TILE_ENTRY(rows, panels) [rows] = F(tile_##rows##x##panels),
#define FRNN_TILES(most, panels) \
    FRNN_UP_TO(most)(FRNN_TILE, panels) \
    static F(tile_function) F(tiles_x##panels)[] = {FRNN_UP_TO(most)(FRNN_TILE_ENTRY, panels)};
/* clang-format on */
