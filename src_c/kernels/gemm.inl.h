/* Matrix products: which tiles they are made of, in which order, and their activations. */

#if FRNN_HALVES
/* The last columns of some rows, half a vector or less: those of two rows go through an activation in one. */
FRNN_INLINE void F(activate_pairs)(frnn_activation activation, void *const *c, const int rows, size_t column,
                                   size_t n) {
    VEC a[AT_ONCE];
    REAL *const *const at = (REAL *const *)c;
    FRNN_ROLLED for (int i = 0; i < rows; i += 2) a[i / 2] =
        V(join)(HALF(load_some)(at[i] + column, n), HALF(load_some)(at[i + 1 < rows ? i + 1 : i] + column, n));
    F(act_vectors)(activation, (rows + 1) / 2, a);
    FRNN_ROLLED for (int i = 0; i < rows; i += 2) {
        HALF(store_some)(at[i] + column, V(low)(a[i / 2]), n);
        if (i + 1 < rows) HALF(store_some)(at[i + 1] + column, V(high)(a[i / 2]), n);
    }
}

static void F(activate_halves)(frnn_activation activation, void *const *c, size_t rows, size_t column, size_t n) {
    for (; rows >= 2 * AT_ONCE; rows -= 2 * AT_ONCE, c += 2 * AT_ONCE)
        F(activate_pairs)(activation, c, 2 * AT_ONCE, column, n);
    F(activate_pairs)(activation, c, (int)rows, column, n);
}
#endif

/* Activates columns `column` .. `column + n - 1` of some rows: of AT_ONCE rows side by side the whole vectors where they are and
 * the last ones in copies, of the rows that are left over all vectors in one sequence of copies, or pairs of halves if they have
 * nothing else. */
FRNN_ONE_COPY void F(activate_rows)(frnn_activation activation, void *const *c, size_t rows, size_t column, size_t n) {
    VEC a[AT_ONCE];
    REAL *at[AT_ONCE];
    size_t some[AT_ONCE];
    const size_t last = n % LANES, whole = column + n - last, whole_rows = rows / AT_ONCE * AT_ONCE;
    if (whole > column && whole_rows) F(act_rows)(activation, (int)whole_rows, (void *volatile *)c, column, whole);
    size_t done = last ? 0 : whole_rows; /* rows whose last ones are activated */
#if FRNN_HALVES
    if (last && last <= LANES / 2) {
        done = whole > column ? whole_rows : rows;
        F(activate_halves)(activation, c, done, whole, last);
    }
#endif
    for (; done < whole_rows; done += AT_ONCE) {
        EACH a[i] = V(load_n)((REAL *)c[done + i] + whole, last);
        F(act_vectors)(activation, AT_ONCE, a);
        EACH V(store_n)((REAL *)c[done + i] + whole, a[i], last);
    }
    for (size_t r = done, v = 0; r < rows;) {
        int count = 0;
        FRNN_ROLLED for (; count < AT_ONCE && r < rows; count++) {
            at[count] = (REAL *)c[r] + column + v;
            some[count] = F(lanes_left)(n, v);
            a[count] = F(load_some)(at[count], some[count]);
            if ((v += LANES) >= n) r++, v = 0;
        }
        F(act_vectors)(activation, count, a);
        FRNN_ROLLED for (int i = 0; i < count; i++) F(store_some)(at[i], a[i], some[i]);
    }
}

/* Elements that are activated together, still in the nearest cache after they were stored. */
enum { F(ACTIVATED) = 20480 / sizeof(REAL) };

/* Whether tiles of two panels are the better ones; with few k their rows, fewer, would be too often new. */
enum { F(PAIR_K) = F(PAIR_BYTES) / (2 * PANEL * sizeof(REAL)) };

FRNN_INLINE int F(has_pairs)(const frnn_product *g) {
    const size_t K = g->term[0].K + g->term[1].K;
    return K > FRNN_LEAST_PAIR_K && K <= F(PAIR_K);
}

/* All rows of some tiles one below the other. As few as possible, of heights that differ by one at most: no small tile is left over. */
FRNN_INLINE void F(pile)(const frnn_product *g, size_t panel, size_t width, size_t most, int may_ask,
                         F(tile_function) * tile) {
    const size_t tiles = g->rows > most ? (g->rows + most - 1) / most : g->rows > 0;
    const size_t height = tiles > 1 ? g->rows / tiles : g->rows;
    const size_t higher = g->rows - tiles * height; /* tiles that have a row more */
    const size_t asking = may_ask ? F(tiles_asking)(g, width, tiles) : 0;
    for (size_t i = 0, row = 0; i < tiles; i++) {
        const size_t rows = height + (i < higher);
        uintptr_t next[2] = {0, 0};
        size_t step = 0;
        if (may_ask && MAY_ASK(rows, width * VECTORS) && (i + asking >= tiles || g->ahead))
            step = F(list_requests)(g, panel, width, tiles, i + asking - tiles, asking, next);
        tile[rows](g, row, panel, next[0], next[1], step);
        if (g->ahead) F(ask_for_rows)(g->ahead);
        row += rows;
    }
}

/* Lanes of a tile's last vector that must not be idle, because something narrower would do. A vector before it, in the same panel,
 * would have to do without it in a tile of its own. */
FRNN_INLINE size_t F(idle_lanes)(const frnn_product *g) {
#if FRNN_HALVES
    if (g->rows >= HALF(LEAST_ROWS) && (g->N % PANEL <= LANES || v_halves_pay())) return LANES / 2;
#endif
    (void)g;
    return LANES;
}

#if FRNN_HALVES
/* The last panel, whose last vector is half one or less. */
static __attribute__((noinline)) void F(tiles_and_halves)(const frnn_product *g, size_t panel) {
    if (g->N - panel * PANEL > LANES) F(pile)(g, panel, 1, F(ROWS_0X), 0, F(tiles_x0));
    F(pile)(g, panel, 1, HALF(MOST_ROWS), 0, HALF(tiles_x0));
}
#endif

/* All rows of a tile's panels. */
FRNN_INLINE void F(tiles)(const frnn_product *g, size_t panel, size_t width) {
    const size_t left = g->N - panel * PANEL;
#if FRNN_HALVES
    if (left < PANEL && left % LANES && left % LANES + F(idle_lanes)(g) <= LANES) {
        F(tiles_and_halves)(g, panel);
        return;
    }
#endif
    const size_t most = left <= LANES ? F(ROWS_0X) : width > 1 ? F(ROWS_2X) : ROWS;
    F(tile_function) *tile = left <= LANES ? F(tiles_x0)
                             : width == 4  ? F(tiles_x4)
                             : width == 2  ? F(tiles_x2)
                                           : F(tiles_x1);
    F(pile)(g, panel, width, most, left > LANES, tile);
}

/* Panel by panel: each comes from its cache once for all rows. */
static void F(panels)(const frnn_product *g) {
    /* Panels of a tile */
    size_t width = g->rows <= F(ROWS_4X) ? 4 : g->rows <= F(ROWS_2X) || F(has_pairs)(g) ? 2 : 1;
    size_t activated = g->first * PANEL; /* columns before this one are done */
    for (size_t panel = g->first; panel < g->last; panel += width) {
        const size_t left = g->N - panel * PANEL;
        const int has_aside = F(has_aside)(g);
        if (has_aside && width > F(ASIDE_WIDTH)) width = F(ASIDE_WIDTH);
        /* Every vector of a tile but the last must be whole. */
        while (width > g->last - panel || (width > 1 && left + F(idle_lanes)(g) <= width * PANEL)) width /= 2;
        if (has_aside && width == F(ASIDE_WIDTH)) F(tile_with_aside)(g, panel);
        else F(tiles)(g, panel, width);
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
