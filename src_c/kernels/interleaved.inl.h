/* Products with few columns: at most half a panel.
 *
 * Two or four rows of b are interleaved: b0[0] b1[0] b0[1] b1[1] ..., then rows 2 and 3, and so on, each group padded with
 * zeros to whole vectors. As many elements of a row of a come together, in one broadcast. In a panel, half a vector's
 * multiply-adds would be with zeros, and one vector would need as many broadcasts as it has multiply-adds: two pay for one.
 * At the end the sums over k, k + 2, ... and over k + 1, k + 3, ... are added to each other; those of four, twice. */

/* `count` elements of a row of a, and zeros for the others of a group. */
FRNN_INLINE VEC F(last_group)(const int depth, const REAL *a, size_t count) {
    REAL group[4] = {0};
    for (size_t i = 0; i < count; i++) group[i] = a[i];
    return V(repeat)(group, depth);
}

FRNN_INLINE void F(tile_interleaved)(const int height, const int vectors, const int depth, const frnn_product *g,
                                     size_t row, size_t rows) {
    const frnn_term *t = g->term;
    const size_t left = t->K % (size_t)depth, whole = t->K - left;
    const REAL *a[ROWS], *b = t->b;
    VEC acc[ROWS][VECTORS];
    FRNN_UNROLL
    for (int r = 0; r < height; r++) {
        a[r] = t->a[row + ((size_t)r < rows ? (size_t)r : 0)]; /* what is missing is not stored */
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = V(set1)(0);
    }
    for (size_t k = 0; k < whole; k += (size_t)depth, b += vectors * LANES) {
        VEC w[VECTORS];
        FRNN_UNROLL
        for (int v = 0; v < vectors; v++) w[v] = V(load)(b + v * LANES);
        FRNN_UNROLL
        for (int r = 0; r < height; r++) {
            const VEC s = V(repeat)(a[r] + k, depth);
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
    FRNN_ROLLED for (size_t r = 0; r < rows; r++) {
        REAL *c = g->c[row + r];
        const REAL *start = g->start ? (const REAL *)g->start : c;
        VEC *const of_row = sums[r];
        if (left) {
            const VEC last = F(last_group)(depth, (const REAL *)t->a[row + r] + whole, left);
            FRNN_UNROLL
            for (int v = 0; v < vectors; v++) of_row[v] = V(fma)(last, V(load)(b + v * LANES), of_row[v]);
        }
        VEC sum = V(fold)(of_row[0], of_row[vectors - 1]);
        if (depth == 4) sum = V(fold)(sum, sum);
        V(store_n)(c, V(load_n)(start, g->N) + sum, g->N);
    }
}

/* 8 x 2 sums keep the multiply-add pipes busy, one vector needs more rows; and few rows do not pay for many. */
enum {
    F(HIGH_OF_1) = ROWS,
    F(HIGH_OF_2) = ROWS < 8 ? ROWS : 8,
    F(LOW_OF_1) = (ROWS + 2) / 3,
    F(LOW_OF_2) = F(LOW_OF_1)
};

/* One function a shape: rows, vectors, and how many rows of b are a group. */
#define FRNN_INTERLEAVED(height, vectors, depth) \
    static __attribute__((noinline)) void F(interleaved_##height##_##vectors##_##depth)(const frnn_product *g, \
                                                                                        size_t row, size_t rows) { \
        F(tile_interleaved)(F(height##_OF_##vectors), vectors, depth, g, row, rows); \
    }
FRNN_INTERLEAVED(HIGH, 2, 2)
FRNN_INTERLEAVED(LOW, 2, 2)
FRNN_INTERLEAVED(HIGH, 1, 4)
FRNN_INTERLEAVED(LOW, 1, 4)
FRNN_INTERLEAVED(HIGH, 2, 4)
FRNN_INTERLEAVED(LOW, 2, 4)
#undef FRNN_INTERLEAVED

static void F(product_of_interleaved)(const frnn_product *g) {
    typedef void (*const function)(const frnn_product *, size_t row, size_t rows);
    static function functions[2][2][2] = {
        {{NULL, NULL}, {F(interleaved_LOW_2_2), F(interleaved_HIGH_2_2)}},
        {{F(interleaved_LOW_1_4), F(interleaved_HIGH_1_4)}, {F(interleaved_LOW_2_4), F(interleaved_HIGH_2_4)}}};
    assert((g->interleaved == 2 || (g->interleaved == 4 && LANES >= 4)) && g->interleaved * g->N <= PANEL);
    assert(g->term[1].K == 0 && g->activation == FRNN_LINEAR);
    const int fours = g->interleaved == 4, wide = !fours || 4 * g->N > LANES;
    const size_t high = wide ? F(HIGH_OF_2) : F(HIGH_OF_1), low = wide ? F(LOW_OF_2) : F(LOW_OF_1);
    for (size_t row = 0, rows; row < g->rows; row += rows) {
        const size_t left = g->rows - row;
        rows = left < high ? left : high;
        functions[fours][wide][rows > low](g, row, rows);
    }
}
