/* Sums of outer products on register tiles, for the gradients of weights.
 *
 * As in a product, a tile of c stays in registers: per outer product, load the vectors of b, broadcast the elements of a,
 * multiply and add. Here a and b may be packed or lie in rows anywhere. */

/* Heights of tiles, so that few rows do not pay for many. */
enum { F(ROWS_HIGH) = ROWS, F(ROWS_MIDDLE) = ROWS * 2 / 3, F(ROWS_LOW) = (ROWS + 2) / 3 };

/* acc += the nth outer product. */
FRNN_INLINE void F(outer_add)(const int rows, const int vectors, const int a_in_rows, const int b_in_rows,
                              VEC (*acc)[VECTORS], const frnn_outer *g, size_t n) {
    REAL *const tile = g->a, *const to = g->keep ? tile : NULL;
    const size_t last = g->columns - (size_t)(vectors - 1) * LANES; /* elements of the last vector */
    const REAL *a = a_in_rows ? (const REAL *)g->a_rows[n] + g->a_column : tile + n * ROWS;
    const REAL *b = b_in_rows ? (const REAL *)g->b_rows[n] + g->b_column : (const REAL *)g->b + n * PANEL;
    VEC w[VECTORS];
    FRNN_UNROLL
    for (int v = 0; v < vectors; v++) {
        const int whole = !b_in_rows || v < vectors - 1;
        w[v] = whole ? V(load)(b + v * LANES) : F(load_some)(b + v * LANES, last < LANES ? last : LANES);
    }
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) {
        const VEC s = V(set1)(a[r]);
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = V(fma)(s, w[v], acc[r][v]);
    }
    /* What the next tile of the same rows needs may have to come from memory. */
    if (a_in_rows) {
        __builtin_prefetch(a + 2 * rows);
        if (to) memcpy(to + n * ROWS, a, (size_t)rows * sizeof(REAL));
    }
    if (b_in_rows) {
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) __builtin_prefetch(b + PANEL + v * LANES);
    }
}

FRNN_INLINE void F(outer_tile)(const int rows, const int vectors, const int a_in_rows, const int b_in_rows,
                               const frnn_outer *g) {
    VEC acc[ROWS][VECTORS];
    const size_t last = g->columns - (size_t)(vectors - 1) * LANES; /* elements of the last vector */
    if (!g->fresh) /* c, which is wanted at the end, comes from far away */
        for (size_t r = 0; r < g->rows; r++)
            for (size_t i = 0; i < g->columns; i += FRNN_LINE / sizeof(REAL))
                __builtin_prefetch((const REAL *)g->c + r * g->stride + i, 1);
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = V(set1)(0);
    }
    /* What most of the work goes through takes four at a time: fewer jumps. */
    const int four = rows == ROWS && vectors == VECTORS && !a_in_rows && !b_in_rows;
    size_t n = 0;
    for (; four && n + 4 <= g->n; n += 4) {
        F(outer_add)(rows, vectors, a_in_rows, b_in_rows, acc, g, n);
        F(outer_add)(rows, vectors, a_in_rows, b_in_rows, acc, g, n + 1);
        F(outer_add)(rows, vectors, a_in_rows, b_in_rows, acc, g, n + 2);
        F(outer_add)(rows, vectors, a_in_rows, b_in_rows, acc, g, n + 3);
    }
    for (; n < g->n; n++) F(outer_add)(rows, vectors, a_in_rows, b_in_rows, acc, g, n);
    if (rows == ROWS && vectors == VECTORS && !b_in_rows && g->rows == ROWS && last == LANES) {
        const size_t stride = g->stride;
        REAL *c = g->c; /* the usual case, in 60 cycles less */
        if (!g->fresh) {
            FRNN_UNROLL
            for (int r = 0; r < rows; r++) {
                FRNN_UNROLL
                for (int v = 0; v < vectors; v++) acc[r][v] = acc[r][v] + V(load)(c + (size_t)r * stride + v * LANES);
            }
        }
        FRNN_UNROLL
        for (int r = 0; r < rows; r++, c += stride) {
            FRNN_UNROLL
            for (int v = 0; v < vectors; v++) V(store)(c + v * LANES, acc[r][v]);
        }
        return;
    }
    VEC sums[ROWS][VECTORS]; /* in memory: unrolled, all that follows would be most of the function */
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) sums[r][v] = acc[r][v];
    }
    FRNN_ROLLED for (size_t r = 0; r < g->rows; r++) {
        REAL *c = (REAL *)g->c + r * g->stride;
        FRNN_ROLLED for (int v = 0; v < vectors; v++) {
            const size_t some = F(lanes_left)(g->columns, v * LANES);
            VEC sum = sums[r][v];
            if (!g->fresh) sum = sum + F(load_some)(c + v * LANES, some);
            F(store_some)(c + v * LANES, sum, some);
        }
    }
}

/* One function a shape: where a and b are, and the height and width of the tile. */
#define FRNN_OUTER(name, a_in_rows, b_in_rows, height, vectors) \
    static __attribute__((noinline)) void F(outer_##name##_##height)(const frnn_outer *g) { \
        F(outer_tile)(F(height), vectors, a_in_rows, b_in_rows, g); \
    }
#define FRNN_OUTERS(name, a_in_rows, b_in_rows, vectors) \
    FRNN_OUTER(name, a_in_rows, b_in_rows, ROWS_HIGH, vectors) \
    FRNN_OUTER(name, a_in_rows, b_in_rows, ROWS_MIDDLE, vectors) \
    FRNN_OUTER(name, a_in_rows, b_in_rows, ROWS_LOW, vectors)
FRNN_OUTERS(packed, 0, 0, VECTORS)
FRNN_OUTERS(packed_narrow, 0, 0, 1)
FRNN_OUTERS(a_in_rows, 1, 0, VECTORS)
FRNN_OUTERS(a_in_rows_narrow, 1, 0, 1)
FRNN_OUTERS(b_in_rows, 0, 1, VECTORS)
FRNN_OUTERS(b_in_rows_narrow, 0, 1, 1)
#undef FRNN_OUTER
#undef FRNN_OUTERS

/* Several tiles at a time, for a line of memory holds parts of more than one. What a vector stores beyond a row of a tile is
 * written over by the next row, and after the last one there is room for it. */
static void F(pack_tiles)(size_t n, const void *const *rows, size_t first, size_t end, size_t columns, void *packed) {
    enum { WIDTH = (ROWS + LANES - 1) / LANES * LANES, AHEAD = 8 };
    for (size_t i = 0; i < n; i++) {
        const REAL *from = rows[i];
        REAL *to = (REAL *)packed + i * ROWS;
        for (size_t column = first; i + AHEAD < n && column < end; column += FRNN_LINE / sizeof(REAL))
            __builtin_prefetch((const REAL *)rows[i + AHEAD] + column);
        for (size_t column = first; column < end; column += ROWS, to += (n + 1) * ROWS) {
            if (column + WIDTH <= columns) {
                FRNN_UNROLL
                for (size_t v = 0; v < WIDTH; v += LANES) V(store)(to + v, V(load)(from + column + v));
            } else {
                for (size_t r = 0; r < ROWS; r++) to[r] = column + r < columns ? from[column + r] : 0;
            }
        }
    }
}

/* Some columns of n rows as a packed tile, padded with zeros. */
static void F(pack_tile)(size_t n, const void *const *rows, size_t column, size_t width, REAL *packed) {
    for (size_t i = 0; i < n; i++, packed += ROWS) {
        const REAL *from = (const REAL *)rows[i] + column;
        for (size_t r = 0; r < ROWS; r++) packed[r] = r < width ? from[r] : 0;
    }
}

static void F(outer)(const frnn_outer *g) {
    typedef void (*const function)(const frnn_outer *);
#define FRNN_HEIGHTS(name) \
    { F(outer_##name##_ROWS_HIGH), F(outer_##name##_ROWS_MIDDLE), F(outer_##name##_ROWS_LOW) }
    static function functions[3][2][3] = {
        {FRNN_HEIGHTS(packed), FRNN_HEIGHTS(packed_narrow)},
        {FRNN_HEIGHTS(a_in_rows), FRNN_HEIGHTS(a_in_rows_narrow)},
        {FRNN_HEIGHTS(b_in_rows), FRNN_HEIGHTS(b_in_rows_narrow)},
    };
#undef FRNN_HEIGHTS
    assert(g->rows <= ROWS && g->columns <= PANEL);
    static const size_t heights[] = {ROWS, F(ROWS_MIDDLE), F(ROWS_LOW)};
    const size_t narrow = g->columns <= LANES, height = g->rows <= heights[2] ? 2 : g->rows <= heights[1] ? 1 : 0;
    /* The functions go over whole heights of a, and read it and b from rows not both at once. */
    const int pack = g->a_rows && (g->b_rows || g->rows != heights[height]);
    if (pack) F(pack_tile)(g->n, g->a_rows, g->a_column, g->rows, g->a);
    functions[g->b_rows ? 2 : g->a_rows && !pack ? 1 : 0][narrow][height](g);
}

FRNN_INLINE void F(outer_rows_of)(const int n, const frnn_outer *g) {
    const REAL *a[FRNN_FEW_OUTER], *b[FRNN_FEW_OUTER];
    const VEC zero = V(set1)(0);
    const size_t whole = g->columns / LANES * LANES, left = g->columns - whole;
    REAL *c = g->c;
    FRNN_UNROLL
    for (int i = 0; i < n; i++) {
        a[i] = (const REAL *)g->a_rows[i] + g->a_column;
        b[i] = (const REAL *)g->b_rows[i] + g->b_column;
    }
    for (size_t r = 0; r < g->rows; r++, c += g->stride) {
        VEC s[FRNN_FEW_OUTER];
        FRNN_UNROLL
        for (int i = 0; i < n; i++) s[i] = V(set1)(a[i][r]);
        for (size_t column = 0; column < whole; column += LANES) {
            VEC sum = zero;
            FRNN_UNROLL
            for (int i = 0; i < n; i++) sum = V(fma)(s[i], V(load)(b[i] + column), sum);
            if (!g->fresh) sum = sum + V(load)(c + column);
            V(store)(c + column, sum);
        }
        if (!left) continue;
        VEC sum = zero;
        FRNN_UNROLL
        for (int i = 0; i < n; i++) sum = V(fma)(s[i], V(load_n)(b[i] + whole, left), sum);
        if (!g->fresh) sum = sum + V(load_n)(c + whole, left);
        V(store_n)(c + whole, sum, left);
    }
}

/* clang-format off */
#define FRNN_OUTER_ROWS(n, unused) \
    static __attribute__((noinline)) void F(outer_rows_of_##n)(const frnn_outer *g) { F(outer_rows_of)(n, g); }
#define FRNN_OUTER_ROWS_ENTRY(n, unused) [n] = F(outer_rows_of_##n),
FRNN_UP_TO(4)(FRNN_OUTER_ROWS, )
static void F(outer_rows)(const frnn_outer *g) {
    typedef void (*const function)(const frnn_outer *);
    static function functions[] = {FRNN_UP_TO(4)(FRNN_OUTER_ROWS_ENTRY, )};
    assert(g->n >= 1 && g->n <= FRNN_FEW_OUTER);
    functions[g->n](g);
}
#undef FRNN_OUTER_ROWS
#undef FRNN_OUTER_ROWS_ENTRY
/* clang-format on */
