/* A tile of one row that computes some of another product while it waits for b.
 *
 * One row takes each number of b for one multiply-add. So it is as fast as the cache that b comes from, and uses half of the
 * multiply-adds at best. A projection of as many rows as the registers have room for uses hardly anything else. Both take as
 * many multiply-adds here: after every ASIDE_K of the row's own k comes one of the other product's. */

enum { F(ASIDE_K) = F(ASIDE_ROWS) / F(ASIDE_WIDTH) };
_Static_assert(F(ASIDE_ROWS) <= FRNN_MOST_ASIDE, "there are no lists for so many");

static size_t F(aside_bytes)(void) { return F(ASIDE_BYTES); }

/* Whether there is anything to do aside. */
FRNN_INLINE int F(has_aside)(const frnn_product *g) {
    frnn_aside *const aside = g->aside;
    if (!F(ASIDE_ROWS) || !aside || !g->term->K) return 0;
    assert(g->rows == 1 && g->term[1].K == 0);
    while (aside->product < aside->end && aside->product->first == aside->product->last) aside->product++;
    return aside->product < aside->end;
}

static __attribute__((noinline)) void F(tile_with_aside)(const frnn_product *g, size_t panel) {
    enum { WIDE = F(ASIDE_WIDTH) * VECTORS, HIGH = F(ASIDE_ROWS) };
    frnn_aside *const aside = g->aside;
    frnn_product other = *aside->product;
    const frnn_term *const t = g->term, *const u = other.term;
    const size_t K = t->K, panel_size = frnn_apart(t) * PANEL, left = u->K - aside->k;
    const REAL *a[1] = {t->a[0]}, *others[HIGH];
    const REAL *b = (const REAL *)t->b + panel * panel_size;
    const REAL *other_b = (const REAL *)u->b + (other.first * u->K + aside->k) * PANEL;
    VEC acc[1][FRNN_MOST_VECTORS], sums[HIGH][FRNN_MOST_VECTORS];
    size_t k = 0, some = 0;
    if (aside->k) other.start = NULL;
    FRNN_UNROLL
    for (int r = 0; r < HIGH; r++) others[r] = (const REAL *)u->a[r] + aside->k;
    F(tile_load)(1, WIDE, g, 0, panel * PANEL, acc);
    F(tile_load)(HIGH, VECTORS, &other, 0, other.first * PANEL, sums);
    for (; some < left && k + F(ASIDE_K) <= K; some++, k += F(ASIDE_K), other_b += PANEL) {
        FRNN_UNROLL
        for (int i = 0; i < F(ASIDE_K); i++, b += PANEL)
            F(tile_add)(1, WIDE, 0, acc, a, k + (size_t)i, b, panel_size, 0);
        F(tile_add)(HIGH, VECTORS, 0, sums, others, some, other_b, 0, 0);
    }
    F(tile_store)(HIGH, VECTORS, &other, 0, other.first * PANEL, sums);
    for (; k < K; k++, b += PANEL) F(tile_add)(1, WIDE, 0, acc, a, k, b, panel_size, 0);
    F(tile_store)(1, WIDE, g, 0, panel * PANEL, acc);
    aside->k += some;
    if (some < left) return;
    aside->k = 0;
    aside->product->first++;
}
