/* Kernels that go over vectors element by element. */

/* Vectors side by side, from one column of theirs to another. */
FRNN_INLINE void F(act_columns)(const int count, frnn_activation activation, void *const volatile *at, size_t column,
                                size_t end) {
    REAL *here[AT_ONCE];
    VEC a[AT_ONCE];
    EACH_OF(count) here[i] = at[i];
    for (; column < end; column += LANES) {
        EACH_OF(count) a[i] = V(load)(here[i] + column);
        F(act)(count, activation, a);
        EACH_OF(count) V(store)(here[i] + column, a[i]);
    }
}

FRNN_INLINE void F(act_all)(frnn_activation activation, int n, void *const volatile *at, size_t column, size_t end) {
    for (; n > AT_ONCE / 2; n -= AT_ONCE, at += AT_ONCE) F(act_columns)(AT_ONCE, activation, at, column, end);
    for (; n > 0 && STORES_LINES; n -= 2, at += 2) F(act_columns)(2, activation, at, column, end);
}

/* Activates whole vectors of n rows where they are, from one column to another. Unless vectors are whole lines, n is a
 * multiple of AT_ONCE; if it is none, the list has room for one. It is volatile, lest the compiler gather places and store them as
 * a vector, whose parts can be read only when all of it is in the cache. */
FRNN_ONE_COPY void F(act_rows)(frnn_activation activation, int n, void *volatile *at, size_t column, size_t end) {
    if (n == 1 && (end - column) % (2 * LANES) == 0) { /* a single row is two of half as many columns */
        end -= (end - column) / 2;
        at[n++] = (REAL *)at[0] + (end - column);
    }
    const int left = n % AT_ONCE, width = left > AT_ONCE / 2 ? AT_ONCE : 2, whole = (n + width - 1) / width * width;
    assert(STORES_LINES || left == 0);
    FRNN_ROLLED for (int i = n; i < whole; i++) at[i] = at[n - 1];
    FRNN_FOR_ACTIVATION(activation, F(act_all), n, at, column, end);
}

/* n vectors, in place; x has room for a multiple of AT_ONCE. One copy, as of the above, for all who can afford a call: so much code is
 * worth a place in the instruction cache. */
FRNN_ONE_COPY void F(act_vectors)(frnn_activation activation, int n, VEC *x) {
    for (; n > AT_ONCE / 2; n -= AT_ONCE, x += AT_ONCE) {
        for (int i = n; i < AT_ONCE; i++) x[i] = x[n - 1];
        F(act)(AT_ONCE, activation, x);
    }
    if (n & 1) x[n] = x[n - 1];
    for (; n > 0; n -= 2, x += 2) F(act)(2, activation, x);
}

static void F(activate)(frnn_activation activation, size_t n, const void *x, void *y) {
    VEC a[AT_ONCE];
    for (size_t first = 0, i; first < n; first = i) {
        int count = 0;
        FRNN_ROLLED
        for (i = first; i < n && count < AT_ONCE; i += LANES)
            a[count++] = F(load_some)((const REAL *)x + i, F(lanes_left)(n, i));
        F(act_vectors)(activation, count, a);
        count = 0;
        FRNN_ROLLED
        for (i = first; i < n && count < AT_ONCE; i += LANES)
            F(store_some)((REAL *)y + i, a[count++], F(lanes_left)(n, i));
    }
}

FRNN_INLINE void F(differentiate_rows)(frnn_activation activation, size_t rows, size_t column, size_t n,
                                       const void *const *dh, const void *const *dy, const void *const *y,
                                       void *const *dz) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = column; i < column + n; i += LANES) {
            const size_t some = F(lanes_left)(column + n, i);
            VEC d = F(load_some)((const REAL *)dh[r] + i, some);
            if (dy) d = d + F(load_some)((const REAL *)dy[r] + i, some);
            const VEC out = F(load_some)((const REAL *)y[r] + i, some);
            F(store_some)((REAL *)dz[r] + i, F(act_gradient)(activation, out, d), some);
        }
}

static void F(differentiate)(frnn_activation activation, size_t rows, size_t column, size_t n, const void *const *dh,
                             const void *const *dy, const void *const *y, void *const *dz) {
    FRNN_FOR_ACTIVATION(activation, F(differentiate_rows), rows, column, n, dh, dy, y, dz);
}

static void F(multiply)(size_t n, const void *a, const void *b, void *c) {
    for (size_t i = 0; i < n; i += LANES) {
        const size_t some = F(lanes_left)(n, i);
        const VEC product = F(load_some)((const REAL *)a + i, some) * F(load_some)((const REAL *)b + i, some);
        F(store_some)((REAL *)c + i, product, some);
    }
}

static void F(repeat)(size_t n, size_t rows, const void *a, void *c, ptrdiff_t stride) {
    for (size_t i = 0; i < n; i += LANES) {
        const size_t some = F(lanes_left)(n, i);
        const VEC v = F(load_some)((const REAL *)a + i, some);
        char *row = (char *)((REAL *)c + i);
        for (size_t r = 0; r < rows; r++, row += stride) F(store_some)((REAL *)row, v, some);
    }
}

static void F(add)(size_t n, size_t rows, const void *a, ptrdiff_t stride, void *c) {
    for (size_t i = 0; i < n; i += LANES) {
        const size_t some = F(lanes_left)(n, i);
        const char *row = (const char *)((const REAL *)a + i);
        VEC sum = F(load_some)((const REAL *)c + i, some);
        for (size_t r = 0; r < rows; r++, row += stride) sum = sum + F(load_some)((const REAL *)row, some);
        F(store_some)((REAL *)c + i, sum, some);
    }
}

static void F(add_rows)(size_t rows, size_t n, const void *const *a, size_t a_column, void *const *c, size_t c_column) {
    for (size_t r = 0; r < rows; r++) F(add)(n, 1, (const REAL *)a[r] + a_column, 0, (REAL *)c[r] + c_column);
}

/* As many streams as the processor follows by itself. */
enum { F(ROWS_COMBINED) = 8 };

FRNN_INLINE void F(combine_some)(const int rows, size_t n, const REAL *a, const REAL *b, size_t stride, REAL *c) {
    VEC factor[F(ROWS_COMBINED)];
    size_t i = 0;
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) factor[r] = V(set1)(a[r]);
    for (; i + LANES <= n; i += LANES) {
        VEC sum = V(load)(c + i);
        FRNN_UNROLL
        for (int r = 0; r < rows; r++) sum = V(fma)(factor[r], V(load)(b + (size_t)r * stride + i), sum);
        V(store)(c + i, sum);
    }
    if (i == n) return;
    VEC sum = V(load_n)(c + i, n - i);
    FRNN_UNROLL
    for (int r = 0; r < rows; r++) sum = V(fma)(factor[r], V(load_n)(b + (size_t)r * stride + i, n - i), sum);
    V(store_n)(c + i, sum, n - i);
}

static void F(combine)(size_t n, size_t rows, const void *a, const void *b, size_t stride, void *c) {
    const REAL *factors = a, *row = b;
    for (; rows >= F(ROWS_COMBINED); rows -= F(ROWS_COMBINED)) {
        F(combine_some)(F(ROWS_COMBINED), n, factors, row, stride, c);
        factors += F(ROWS_COMBINED), row += F(ROWS_COMBINED) * stride;
    }
    for (; rows > 0; rows--, factors++, row += stride) F(combine_some)(1, n, factors, row, stride, c);
}

/* A tile of c stays in registers over all steps. */
FRNN_INLINE void F(correlate_tile)(const int rows, const int columns, const frnn_correlation *g, size_t row,
                                   size_t column) {
    const REAL *a = (const REAL *)g->a + row * PANEL, *b = (const REAL *)g->b + column * PANEL;
    REAL *const c = (REAL *)g->c + (row * g->stride + column) * LANES;
    VEC sum[2][4];
    FRNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FRNN_UNROLL
        for (int j = 0; j < columns; j++) sum[i][j] = V(load)(c + (i * g->stride + j) * LANES);
    }
    for (size_t step = 0; step < g->steps; step++, a += g->a_step, b += g->b_step)
        for (size_t v = 0; v < g->n; v += LANES) {
            VEC of_a[2];
            FRNN_UNROLL
            for (int i = 0; i < rows; i++) of_a[i] = V(load)(a + i * PANEL + v);
            FRNN_UNROLL
            for (int j = 0; j < columns; j++) {
                const VEC of_b = V(load)(b + j * PANEL + v);
                FRNN_UNROLL
                for (int i = 0; i < rows; i++) sum[i][j] = V(fma)(of_a[i], of_b, sum[i][j]);
            }
        }
    FRNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FRNN_UNROLL
        for (int j = 0; j < columns; j++) V(store)(c + (i * g->stride + j) * LANES, sum[i][j]);
    }
}

static void F(correlate)(const frnn_correlation *g) {
    for (size_t i = 0, height; i < g->rows; i += height) {
        height = g->rows - i < 2 ? 1 : 2;
        for (size_t j = 0, width; j < g->columns; j += width) {
            width = g->columns - j < 4 ? 1 : 4;
            if (height == 2 && width == 4) F(correlate_tile)(2, 4, g, i, j);
            else if (height == 2) F(correlate_tile)(2, 1, g, i, j);
            else if (width == 4) F(correlate_tile)(1, 4, g, i, j);
            else F(correlate_tile)(1, 1, g, i, j);
        }
    }
}

static void F(restore)(size_t rows, size_t n, const uint8_t *active, const void *const *from, void *const *to) {
    REAL on[PANEL]; /* as wide as the elements, so that the compiler makes vectors of what follows */
    for (size_t i = 0; i < n; i++) on[i] = active[i];
    for (size_t r = 0; r < rows; r++) {
        const REAL *const old = from[r];
        REAL *const at = to[r];
        for (size_t i = 0; i < n; i++) at[i] = on[i] > 0 ? at[i] : old[i];
    }
}

/* Sums side by side: one addition waits for the one before it, four cycles long. */
enum { F(SUMS) = 4 };

static void F(sum)(size_t n, const void *panel, void *sum) {
    REAL *total = sum;
    VEC part[F(SUMS)][VECTORS];
    const REAL *row = panel;
    FRNN_UNROLL
    for (size_t i = 0; i < F(SUMS) * VECTORS; i++) part[i / VECTORS][i % VECTORS] = V(set1)(0);
    for (; n >= F(SUMS); n -= F(SUMS), row += F(SUMS) * PANEL) {
        FRNN_UNROLL
        for (size_t i = 0; i < F(SUMS) * VECTORS; i++)
            part[i / VECTORS][i % VECTORS] = part[i / VECTORS][i % VECTORS] + V(load)(row + i * LANES);
    }
    for (; n > 0; n--, row += PANEL)
        for (size_t v = 0; v < VECTORS; v++) part[0][v] = part[0][v] + V(load)(row + v * LANES);
    for (size_t v = 0; v < VECTORS; v++) {
        for (size_t i = 1; i < F(SUMS); i++) part[0][v] = part[0][v] + part[i][v];
        V(store)(total + v * LANES, V(load)(total + v * LANES) + part[0][v]);
    }
}
