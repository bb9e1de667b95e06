/* Bringing matrices into the order in which the products read them. */

static void F(pack)(size_t count, const void *const *rows, size_t k0, size_t K, size_t N, size_t first, size_t last,
                    void *packed) {
    assert(k0 + count <= K && last <= (N + PANEL - 1) / PANEL);
    for (size_t panel = first; panel < last; panel++) {
        const size_t column = panel * PANEL, width = N - column < PANEL ? N - column : PANEL;
        REAL *to = (REAL *)packed + panel * K * PANEL + k0 * PANEL;
        for (size_t k = 0; k < count; k++, to += PANEL) {
            const REAL *from = (const REAL *)rows[k] + column;
            if (width == PANEL) {
                for (size_t v = 0; v < PANEL; v += LANES) V(store)(to + v, V(load)(from + v));
            } else {
                for (size_t i = 0; i < PANEL; i++) to[i] = i < width ? from[i] : 0;
            }
        }
    }
}

/* Both sides are made of blocks of PANEL x PANEL elements that lie in one piece: each is turned around by itself. */
static void F(transpose)(size_t K, size_t N, const void *packed, size_t first, size_t last, void *transposed) {
    for (size_t to_panel = first; to_panel < last; to_panel++) {
        const size_t k0 = to_panel * PANEL, rows = K - k0 < PANEL ? K - k0 : PANEL;
        for (size_t from_panel = 0; from_panel * PANEL < N; from_panel++) {
            const size_t n0 = from_panel * PANEL, columns = N - n0 < PANEL ? N - n0 : PANEL;
            const REAL *from = (const REAL *)packed + from_panel * K * PANEL + k0 * PANEL;
            REAL *to = (REAL *)transposed + to_panel * N * PANEL + n0 * PANEL;
            for (size_t n = 0; n < columns; n++)
                for (size_t k = 0; k < PANEL; k++) to[n * PANEL + k] = k < rows ? from[k * PANEL + n] : 0;
        }
    }
}

static void F(pack_tile)(size_t n, const void *const *rows, size_t column, size_t width, void *packed) {
    assert(width <= ROWS);
    REAL *to = packed;
    for (size_t i = 0; i < n; i++, to += ROWS) {
        const REAL *from = (const REAL *)rows[i] + column;
        if (width == ROWS) memcpy(to, from, ROWS * sizeof(REAL));
        else
            for (size_t r = 0; r < ROWS; r++) to[r] = r < width ? from[r] : 0;
    }
}
