/* A register tile of a sum of outer products.
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
