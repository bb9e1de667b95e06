/* All tiles of matrix products, and what they ask for. */

/* Rows of b that a panel's only tile asks for before they are needed */
enum { F(ROWS_AHEAD) = 64 };

/* Lists what one of a panel's tiles asks for while it goes through each term, 0 for nothing: with every k as many bytes as a
 * row of a panel has, and each time so many further on as is returned. The last two tiles ask for the next panel, half of it
 * each: large matrices come from the third cache or from memory, slower than a panel's first tile could read them. An only
 * one asks for its own panel, the others, and pairs, for what the caller wants, and so does the first of two. */
static __attribute__((noinline)) size_t F(list_requests)(const frnn_product *g, size_t panel, size_t width, size_t tile,
                                                         size_t tiles, uintptr_t *next) {
    const size_t row = PANEL * sizeof(REAL), left = tiles - 1 - tile;
    const int is_wanted = g->ahead && g->ahead->next < g->ahead->end;
    const int asks_for_next = width == 1 && tiles > 1 && left < (tiles == 2 && is_wanted ? 1 : 2);
    for (const frnn_term *term = g->term; term < g->term + 2; term++, next++) {
        const uintptr_t b = (uintptr_t)term->b + panel * frnn_apart(term) * row;
        if (term->K == 0) continue;
        if (asks_for_next) {
            if ((panel + 1) * PANEL < g->N) *next = b + frnn_apart(term) * row + (1 - left) * term->K * row / 2;
        } else if (tiles == 1) {
            *next = b + F(ROWS_AHEAD) * row;
        } else if (is_wanted) {
            *next = (uintptr_t)g->ahead->next;
            g->ahead->next += term->K * g->ahead->step;
        }
    }
    return asks_for_next ? row / 2 : is_wanted ? g->ahead->step : row;
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
