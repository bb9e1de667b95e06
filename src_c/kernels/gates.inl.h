/* What the gated cells share: the vectors of units that go through their equations, and where to find their gates.
 *
 * AT_ONCE vectors go side by side, for the reason that activations.inl.h gives. At the end the last one is repeated; each
 * array is read for all of them before it is written. */

typedef struct F(units) {
    size_t row, unit, lanes;    /* so many units of a row from this one on */
    size_t block, first, width; /* they belong to a block of units: its number, its first unit, its units */
} F(units);

FRNN_INLINE size_t F(least)(size_t a, size_t b) { return a < b ? a : b; }

FRNN_INLINE F(units) F(first_units)(const frnn_gated_rows *g, size_t block) {
    const size_t first = block * PANEL, width = F(least)(g->H - first, PANEL);
    return (F(units)){g->row, first, F(least)(width, LANES), block, first, width};
}

/* In which order: a step goes block by block, the products of a block being in the nearest cache; the way back row by row,
 * as the tape lies in memory. */
enum { F(BY_BLOCKS), F(BY_ROWS) };

/* Takes the next AT_ONCE vectors from `at` on. Returns 0 when these are the last. */
FRNN_INLINE int F(take_units)(const frnn_gated_rows *g, int order, F(units) * at, F(units) * u) {
    int more = 1;
    for (int i = 0; i < AT_ONCE; i++) {
        const int last_row = at->row + 1 == g->row + g->rows, last_block = at->block + 1 == g->last;
        u[i] = *at;
        if (at->unit + LANES < at->first + at->width) {
            at->unit += LANES;
            at->lanes = F(least)(at->first + at->width - at->unit, LANES);
        } else if (last_row && last_block) {
            more = 0;
        } else {
            const int next_row = order == F(BY_ROWS) ? last_block : !last_row;
            const size_t row = next_row ? at->row + 1 : order == F(BY_ROWS) ? at->row : g->row;
            const size_t block = !next_row ? at->block + 1 : order == F(BY_ROWS) ? g->first : at->block;
            *at = F(first_units)(g, block);
            at->row = row;
        }
    }
    return more;
}

#define FOR_UNITS(g, order) \
    F(units) u[AT_ONCE], at = F(first_units)(g, (g)->first); \
    for (int more = (g)->rows > 0, some; more && (some = 1, more = F(take_units)(g, F(order), &at, u), some);)

/* Columns of a gate: where `gates` of them stand side by side in every block; the same in a row that begins with block
 * g->first; and where each gate has H columns of its own. */
#define GATE(gates, gate) ((gates) * u[i].first + (gate) * u[i].width + (u[i].unit - u[i].first))
#define PART(gates, gate) (GATE(gates, gate) - (gates) * PANEL * g->first)
#define UNIT(gate) ((gate) * g->H + u[i].unit)

#define READ_UNITS(p) (whole ? V(load)(p) : V(load_n)(p, u[i].lanes))
#define IN(array, column) READ_UNITS((const REAL *)g->array[u[i].row] + (column))
#define PRODUCT(column) READ_UNITS((const REAL *)g->product[u[i].row - g->row] + (column))
#define OUT(array, column, value) \
    (whole ? V(store)((REAL *)g->array[u[i].row] + (column), value) \
           : V(store_n)((REAL *)g->array[u[i].row] + (column), value, u[i].lanes))

/* One copy of each activation for all these kernels: they would not fit the instruction cache otherwise. */
static __attribute__((noinline)) void F(act_units)(frnn_activation activation, VEC *x) { F(act)(activation, x); }

/* The kernel `name` from name_units(g, whole), which may take it that all vectors of units are whole. */
#define FRNN_GATED_KERNEL(name) \
    static void F(name)(const frnn_gated_rows *g) { \
        if (g->H % LANES) F(name##_units)(g, 0); \
        else F(name##_units)(g, 1); \
    }

/* d times act' of AT_ONCE vectors, from y = act(z) */
FRNN_INLINE void F(act_back)(frnn_activation activation, const VEC *y, VEC *d) {
    switch (activation) {
    case FRNN_TANH: EACH d[i] = F(act_gradient)(FRNN_TANH, y[i], d[i]); break;
    case FRNN_SIGMOID: EACH d[i] = F(act_gradient)(FRNN_SIGMOID, y[i], d[i]); break;
    case FRNN_RELU: EACH d[i] = F(act_gradient)(FRNN_RELU, y[i], d[i]); break;
    default: break;
    }
}
