/* What the gated cells share: the vectors of units that go through their equations, and where to find their gates.
 *
 * A kernel takes UNITS vectors at a time, for the reason that activations.inl.h gives. Only the activations are
 * unrolled, in one copy for all these kernels; the rest is loops, for all the cells together must leave room in the
 * instruction cache. */

typedef struct F(units) {
    size_t row, unit; /* some vectors' units of a row, from this one on; */
    size_t lanes;     /* of the last vector */
    size_t width;     /* of the block that they belong to; its gates are so many elements apart: */
    REAL *gates;      /* the first gate of these units */
} F(units);

/* In which order: a step goes block by block, as their products were computed; the way back row by row, as the tape lies in
 * memory. */
enum { F(BY_BLOCKS), F(BY_ROWS) };

/* Vectors of units that are taken together: of some activations there is one for each of them, and those that follow each
 * other in such a row of vectors hide each other's latency. */
enum { F(UNITS) = 2 * AT_ONCE };

/* The units after some that were listed: in the same row first, or in the same block. */
FRNN_INLINE void F(next_block)(const frnn_gated_rows *g, int order, size_t begin, size_t end, size_t *row,
                               size_t *first) {
    const size_t end_row = g->row + g->rows;
    if (order == F(BY_ROWS)) {
        if ((*first += PANEL) >= end && ++*row < end_row) *first = begin;
    } else {
        if (++*row == end_row && (*first += PANEL) < end) *row = g->row;
    }
}

/* Lists units from a row and a first unit on, a vector in each, as many as there is room for of whole blocks, and says where
 * the next ones begin. It is a function of its own because it needs all the registers it can get. */
FRNN_ONE_COPY int F(list_vectors)(const frnn_gated_rows *g, int order, size_t gates, size_t *next_row,
                                  size_t *next_first, F(units) * u) {
    const size_t begin = g->first * PANEL, end = g->last * PANEL < g->H ? g->last * PANEL : g->H;
    const size_t end_row = g->row + g->rows;
    size_t row = *next_row, first = *next_first;
    int n = 0;
    while (row < end_row && first < end) {
        const size_t width = g->H - first < PANEL ? g->H - first : PANEL;
        REAL *const of_gates = (REAL *)g->gates[row] + gates * first;
        if (n + (int)((width + LANES - 1) / LANES) > F(UNITS)) break;
        for (size_t unit = 0; unit < width; unit += LANES)
            u[n++] = (F(units)){row, first + unit, F(lanes_left)(width, unit), width, of_gates + unit};
        F(next_block)(g, order, begin, end, &row, &first);
    }
    *next_row = row, *next_first = first;
    return n;
}

/* The same with all vectors of a block in one, where blocks are whole. */
FRNN_ONE_COPY int F(list_blocks)(const frnn_gated_rows *g, int order, size_t gates, size_t *next_row,
                                 size_t *next_first, F(units) * u) {
    const size_t begin = g->first * PANEL, end = g->last * PANEL, end_row = g->row + g->rows;
    size_t row = *next_row, first = *next_first;
    int n = 0;
    while (n < F(UNITS) / VECTORS && row < end_row && first < end) {
        u[n++] = (F(units)){row, first, LANES, PANEL, (REAL *)g->gates[row] + gates * first};
        F(next_block)(g, order, begin, end, &row, &first);
    }
    *next_row = row, *next_first = first;
    return n;
}

typedef void F(update)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors);

/* Calls `update` for the units of some blocks, at most UNITS vectors at a time, so many vectors of a row together. */
FRNN_INLINE void F(for_blocks)(const frnn_gated_rows *rows, size_t first, size_t last, int order, size_t gates,
                               int vectors, F(update) * update) {
    frnn_gated_rows g = *rows;
    g.first = first, g.last = last;
    size_t row = g.row, unit = first * PANEL;
    F(units) u[F(UNITS)];
    for (;;) {
        const int n = vectors > 1 ? F(list_blocks)(&g, order, gates, &row, &unit, u)
                                  : F(list_vectors)(&g, order, gates, &row, &unit, u);
        if (n == 0) break;
        update(&g, u, n, vectors);
    }
}

/* The same for all units. In a block so many gates stand side by side. Of whole blocks up to `most` vectors of a row go
 * together: that halves the way to find them, and doubles the code. A last one that is not whole goes by itself. */
FRNN_INLINE void F(for_units)(const frnn_gated_rows *g, int order, size_t gates, int most, F(update) * update) {
    const size_t blocks = most > 1 ? g->H / PANEL : 0;
    const size_t whole = blocks < g->first ? g->first : blocks < g->last ? blocks : g->last;
    if (g->first < whole) F(for_blocks)(g, g->first, whole, order, gates, most, update);
    if (whole < g->last) F(for_blocks)(g, whole, g->last, order, gates, 1, update);
}

/* All vectors i, v being their place in units[e]. One after the other, whatever the compiler thinks. What a kernel reads and
 * writes, it reads for all before it writes one: where rows are shorter than a vector, each load would wait for the store
 * before it. */
#define EACH_UNIT \
    FRNN_ROLLED for (int e = 0; e < n; e++) FRNN_UNROLL for (int v = 0, i = e * vectors; v < vectors; v++, i++)

/* Of vector i: one of the gates that stand side by side, and what has H elements a row for each part. */
#define LANES_HERE (vectors > 1 ? LANES : u[e].lanes)
#define GATE_AT(gate) (u[e].gates + (gate) * (vectors > 1 ? PANEL : u[e].width) + v * LANES)
#define AT(array, part) ((REAL *)g->array[u[e].row] + (part) * g->H + u[e].unit + v * LANES)
#define GATE(gate) F(load_some)(GATE_AT(gate), LANES_HERE)
#define IN(array, part) F(load_some)(AT(array, part), LANES_HERE)
#define SET_GATE(gate, value) F(store_some)(GATE_AT(gate), value, LANES_HERE)
#define OUT(array, part, value) F(store_some)(AT(array, part), value, LANES_HERE)
#define OUT_DZ(part, value) \
    F(store_some)((REAL *)g->dz[u[e].row] + (part) * g->dz_stride + u[e].unit + v * LANES, value, LANES_HERE)

/* Whether gates are activated where they lie. A copy of them takes a store, which is long for a whole line; but what stores some of a
 * vector holds up what reads it. */
#define IN_PLACE(vectors) (STORES_LINES && (vectors) > 1)

/* Activates some gates, `count` of them side by side from `first` on. */
FRNN_INLINE void F(act_gates)(frnn_activation activation, const F(units) * u, int n, int vectors, const int first,
                              const int count, VEC *copies) {
    if (IN_PLACE(vectors)) {
        void *volatile at[AT_ONCE];
        FRNN_ROLLED for (int e = 0; e < n; e++) at[e] = u[e].gates;
        F(act_rows)(activation, n, at, (size_t)first * PANEL, (size_t)(first + count) * PANEL);
        return;
    }
    EACH_UNIT {
        FRNN_UNROLL
        for (int gate = 0; gate < count; gate++) copies[i * count + gate] = GATE(first + gate);
    }
    F(act_vectors)(activation, count * n * vectors, copies);
}

/* Of vector i, one of these gates, and what leaves it to the tape */
#define ACTIVE(gate, copy) (IN_PLACE(vectors) ? GATE(gate) : (copy))
#define KEEP(gate, copy) \
    if (!IN_PLACE(vectors)) SET_GATE(gate, copy)

/* The kernel `name` from name_units. That it leaves the vectors must be said: gcc, which lets some of them live across the calls
 * of what lists units, would forget it, and the next instruction of the old kind could take 100 ns. */
#define FRNN_GATED_KERNEL(name, order, gates, most) \
    static void F(name)(const frnn_gated_rows *g) { \
        F(for_units)(g, F(order), gates, most, F(name##_units)); \
        v_leave(); \
    }
