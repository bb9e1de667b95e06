/* Products with few columns: at most half a panel.
 *
 * b stands in *pairs*: b0[0] b1[0] b0[1] b1[1] ..., then rows 2 and 3, and so on, each padded with zeros to whole vectors.
 * Elements k and k + 1 of a row of a come together, in one broadcast. In a panel, half a vector's multiply-adds would be
 * with zeros, and one vector would need as many broadcasts as it has multiply-adds. At the end the sums over even and
 * over odd k are added to each other. */

FRNN_INLINE void F(tile_of_pairs)(const int height, const int vectors, const frnn_product *g, size_t row, size_t rows) {
    const frnn_term *t = g->term;
    const REAL *a[ROWS], *b = t->b;
    VEC acc[ROWS][VECTORS];
    FRNN_UNROLL
    for (int r = 0; r < height; r++) {
        a[r] = t->a[row + ((size_t)r < rows ? (size_t)r : 0)]; /* what is missing is not stored */
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = V(set1)(0);
    }
    for (size_t k = 0; k + 2 <= t->K; k += 2, b += vectors * LANES) {
        VEC w[VECTORS];
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) w[v] = V(load)(b + v * LANES);
        FRNN_UNROLL
        for (int r = 0; r < height; r++) {
            const VEC s = V(pair)(a[r] + k);
            FRNN_UNROLL
            for (int v = 0; v < vectors; v++) acc[r][v] = V(fma)(s, w[v], acc[r][v]);
        }
    }
    VEC sums[ROWS][VECTORS]; /* in memory: unrolled, all that follows would be most of the function */
    FRNN_UNROLL
    for (int r = 0; r < height; r++) {
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) sums[r][v] = acc[r][v];
    }
    _Pragma("GCC unroll 1") for (size_t r = 0; r < rows; r++) {
        REAL *c = g->c[row + r];
        for (size_t v = 0, i = 0; i < g->N; v++, i += LANES / 2) {
            const size_t some = g->N - i < LANES / 2 ? g->N - i : LANES / 2;
            const REAL *start = g->start ? (const REAL *)g->start : c;
            VEC sum = sums[r][v];
            if (t->K % 2) sum = V(fma)(V(single)((const REAL *)t->a[row + r] + t->K - 1), V(load)(b + v * LANES), sum);
            V(store_n)(c + i, V(load_n)(start + i, some) + V(fold)(sum), some);
        }
    }
}

/* Few rows do not pay for many. */
enum { F(PAIRS_HIGH) = ROWS, F(PAIRS_LOW) = (ROWS + 2) / 3 };

#define FRNN_PAIRS(height, vectors) \
    static __attribute__((noinline)) void F(pairs_##height##_##vectors)(const frnn_product *g, size_t row, \
                                                                        size_t rows) { \
        F(tile_of_pairs)(F(height), vectors, g, row, rows); \
    }
FRNN_PAIRS(PAIRS_HIGH, 1)
FRNN_PAIRS(PAIRS_HIGH, 2)
FRNN_PAIRS(PAIRS_LOW, 1)
FRNN_PAIRS(PAIRS_LOW, 2)
#undef FRNN_PAIRS

static void F(product_of_pairs)(const frnn_product *g) {
    typedef void (*const function)(const frnn_product *, size_t row, size_t rows);
    static function functions[2][2] = {{F(pairs_PAIRS_LOW_1), F(pairs_PAIRS_LOW_2)},
                                       {F(pairs_PAIRS_HIGH_1), F(pairs_PAIRS_HIGH_2)}};
    _Static_assert(VECTORS == 2, "there are tiles of one vector and of two");
    assert(2 * g->N <= PANEL && g->term[1].K == 0 && g->activation == FRNN_LINEAR);
    for (size_t row = 0; row < g->rows;) {
        const size_t left = g->rows - row, rows = left < ROWS ? left : ROWS;
        functions[rows > F(PAIRS_LOW)][2 * g->N > LANES](g, row, rows);
        row += rows;
    }
}
