/* Sums of outer products, for the gradients of weights. */

FRNN_OUTERS(packed, 0, 0, VECTORS)
FRNN_OUTERS(packed_narrow, 0, 0, 1)
FRNN_OUTERS(a_in_rows, 1, 0, VECTORS)
FRNN_OUTERS(a_in_rows_narrow, 1, 0, 1)
FRNN_OUTERS(b_in_rows, 0, 1, VECTORS)
FRNN_OUTERS(b_in_rows_narrow, 0, 1, 1)

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
    const int from = g->b_rows ? 2 : g->a_rows && !pack ? 1 : 0;
#if FRNN_HALVES
    const size_t whole = g->columns / LANES * LANES, left = g->columns - whole;
    if (from < 2 && height < 2 && left > 0 && left <= LANES / 2 && (whole == 0 || v_halves_pay())) {
        frnn_outer some = *g;
        some.columns = whole;
        if (whole) functions[from][1][height](&some);
        some.columns = left;
        some.b = (const REAL *)g->b + whole;
        some.c = (REAL *)g->c + whole;
        HALF(outers)[from][height](&some);
        return;
    }
#endif
    functions[from][narrow][height](g);
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
