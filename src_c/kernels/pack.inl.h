/* Bringing matrices into the order in which the products read them. */

static void F(pack)(size_t count, const void *const *rows, size_t k0, size_t K, size_t N, size_t first, size_t last,
                    void *packed) {
    assert(k0 + count <= K && last <= (N + PANEL - 1) / PANEL);
    for (size_t panel = first; panel < last; panel++) {
        const size_t column = panel * PANEL, width = N - column < PANEL ? N - column : PANEL;
        REAL *to = (REAL *)packed + panel * K * PANEL + k0 * PANEL;
        for (size_t k = 0; k < count; k++, to += PANEL) {
            const REAL *from = (const REAL *)rows[k] + column;
            FRNN_UNROLL
            for (size_t v = 0; v < PANEL; v += LANES)
                V(store)(to + v, v < width ? F(load_some)(from + v, F(lanes_left)(width, v)) : V(set1)(0));
        }
    }
}

static void F(pack_whole)(size_t rows, size_t panels, const void *from, size_t stride, void *to, size_t step,
                          int past_caches) {
    for (size_t p = 0; p < panels; p++)
        for (size_t r = 0; r < rows; r++) {
            const REAL *const row = (const REAL *)from + r * stride + p * PANEL;
            REAL *const packed = (REAL *)to + p * step + r * PANEL;
            FRNN_UNROLL
            for (size_t v = 0; v < PANEL; v += LANES) {
                if (past_caches) V(stream)(packed + v, V(load)(row + v));
                else V(store)(packed + v, V(load)(row + v));
            }
        }
    if (past_caches) v_drain();
}

static void F(pack_some)(size_t rows, size_t columns, const void *from, size_t stride, void *to) {
    for (size_t v = 0; v < columns; v += LANES) {
        const size_t n = F(lanes_left)(columns, v);
        for (size_t r = 0; r < rows; r++)
            F(store_some)((REAL *)to + r * PANEL + v, F(load_some)((const REAL *)from + r * stride + v, n), n);
    }
}

/* Turns around LANES x LANES elements: as many rounds as LANES has bits, each an interleaving of the first half of the
 * vectors with the second, which moves every element's row number one bit further into its column number. */
FRNN_INLINE void F(transpose_square)(VEC *v) {
    FRNN_UNROLL
    for (int round = 1; round < LANES; round *= 2) {
        VEC next[LANES];
        FRNN_UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = V(zip_low)(v[i], v[i + LANES / 2]);
            next[2 * i + 1] = V(zip_high)(v[i], v[i + LANES / 2]);
        }
        FRNN_UNROLL
        for (int i = 0; i < LANES; i++) v[i] = next[i];
    }
}

/* Rows that lie anywhere, a square of them at a time. */
static void F(turn)(size_t rows, size_t columns, const void *const *from, void *const *to) {
    for (size_t row = 0; row < rows; row += LANES) {
        const size_t height = F(lanes_left)(rows, row);
        for (size_t column = 0; column < columns; column += LANES) {
            const size_t width = F(lanes_left)(columns, column);
            VEC v[LANES];
            FRNN_UNROLL
            for (size_t i = 0; i < LANES; i++)
                v[i] = F(load_some)((const REAL *)from[row + (i < height ? i : 0)] + column, width);
            F(transpose_square)(v);
            FRNN_UNROLL
            for (size_t i = 0; i < LANES; i++)
                if (i < width) F(store_some)((REAL *)to[column + i] + row, v[i], height);
        }
    }
}

/* Both sides are made of blocks of PANEL x PANEL elements that lie in one piece: each is turned around by itself. */
static void F(transpose)(size_t K, size_t N, const void *packed, const size_t *order, size_t rows, size_t first,
                         size_t last, int past_caches, void *transposed) {
    for (size_t to_panel = first; to_panel < last; to_panel++) {
        const size_t k0 = to_panel * PANEL;
        for (size_t n0 = 0; n0 < N; n0 += LANES) {
            const REAL *from = (const REAL *)packed + n0 / PANEL * K * PANEL + n0 % PANEL;
            REAL *to = (REAL *)transposed + (to_panel - first) * rows * PANEL;
            for (size_t k = k0; k < k0 + PANEL; k += LANES, to += LANES) {
                VEC v[LANES];
                FRNN_UNROLL
                for (size_t i = 0; i < LANES; i++) {
                    v[i] = k + i < K ? V(load)(from + (k + i) * PANEL) : V(set1)(0);
                    __builtin_prefetch(from + (K + k + i) * PANEL); /* the next panel, far away */
                }
                F(transpose_square)(v);
                FRNN_UNROLL
                for (size_t i = 0; i < LANES; i++) {
                    if (n0 + i == N) break;
                    REAL *const row = to + (order ? order[n0 + i] : n0 + i) * PANEL;
                    if (past_caches) V(stream)(row, v[i]);
                    else V(store)(row, v[i]);
                }
            }
        }
    }
    if (past_caches) v_drain();
}
