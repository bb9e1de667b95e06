/* All tiles of matrix products, and what they ask for. */

/* Rows of b that a panel's only tile asks for before they are needed */
enum { F(ROWS_AHEAD) = 64 };

/* The panel that comes after those before `end`; after a product's last one the first of the next as many, in its direction. Past
 * all panels, if there is none. */
FRNN_INLINE size_t F(panel_after)(const frnn_product *g, size_t end) {
    const size_t count = g->last - g->first;
    if (end < g->last || !g->backwards) return end;
    return g->first >= count ? g->first - count : g->N / PANEL + 1;
}

FRNN_INLINE int F(is_wanted)(const frnn_ahead *ahead) { return ahead && ahead->next < ahead->end; }

/* How many of the tiles on a panel or a pair, the last ones, ask for what comes after it: in the third cache or in memory it
 * would be read more slowly than a first tile could multiply it. All of them, or half if the caller wants something, too; or where
 * requests take too much of a tile's time two on a panel, of two tiles one. An only one asks for what it has itself. */
FRNN_INLINE size_t F(tiles_asking)(const frnn_product *g, size_t width, size_t tiles) {
    const int is_wanted = F(is_wanted)(g->ahead);
    if (tiles <= 1) return tiles;
    if (!F(ASK_EVENLY)) return width > 1 ? 0 : is_wanted && tiles == 2 ? 1 : 2;
    if (g->N * (g->term[0].K + g->term[1].K) * sizeof(REAL) <= FRNN_KEPT_BYTES) return 0;
    return is_wanted ? tiles / 2 : tiles;
}

/* Lists what a tile asks for while it goes through each term, 0 for nothing: with every k as many bytes as a row of a panel has,
 * and each time so many further on as is returned. The share is one of as many as there are tiles asking, or it is for the caller,
 * if it is none of them. */
static __attribute__((noinline)) size_t F(list_requests)(const frnn_product *g, size_t panel, size_t width,
                                                         size_t tiles, size_t share, size_t asking, uintptr_t *next) {
    const size_t row = PANEL * sizeof(REAL), after = F(panel_after)(g, panel + width);
    const size_t step = share >= asking ? (g->ahead ? g->ahead->step : 0) : tiles == 1 ? row : width * row / asking;
    for (const frnn_term *term = g->term; term < g->term + 2; term++, next++) {
        const uintptr_t b = (uintptr_t)term->b;
        const size_t apart = frnn_apart(term) * row;
        if (term->K == 0) continue;
        if (share >= asking) {
            if (!F(is_wanted)(g->ahead)) continue;
            *next = (uintptr_t)g->ahead->next;
            g->ahead->next += term->K * step;
        } else if (tiles == 1) {
            *next = b + panel * apart + F(ROWS_AHEAD) * row;
        } else if (after * PANEL < g->N) {
            *next = b + after * apart + share * width * term->K * row / asking;
        }
    }
    return step;
}

/* Between two tiles */
static void F(ask_for_rows)(frnn_ahead *ahead) {
    for (size_t n = 0; n < ahead->some && ahead->row < ahead->count; n++, ahead->row++)
        for (int i = 0; i < 3; i++) {
            const struct frnn_ahead_rows *rows = &ahead->rows[i];
            const char *from = rows->first + (ptrdiff_t)ahead->row * rows->stride;
            for (size_t j = 0; j < rows->bytes; j += FRNN_LINE) __builtin_prefetch(from + j, 0, 2);
        }
}

FRNN_TILES(F(ROWS_0X), 0)
FRNN_TILES(ROWS, 1)
FRNN_TILES(F(ROWS_2X), 2)
FRNN_TILES(F(ROWS_4X), 4)
