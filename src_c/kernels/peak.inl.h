/* The yardstick of the benches: the multiply-adds of a tile without its loads. Every accumulator is a chain of its own;
 * there are as many as the products keep in registers, enough to hide the latency of each. */
static double F(multiply_adds)(size_t times) {
    VEC acc[ROWS * VECTORS];
    volatile REAL kept; /* so that nothing is optimized away */
    const VEC factor = V(set1)((REAL)0.5), term = V(set1)(1);
    FRNN_UNROLL
    for (int i = 0; i < ROWS * VECTORS; i++) acc[i] = V(set1)((REAL)i); /* all go to 2, on different ways */
    for (size_t n = 0; n < times; n++) {
        FRNN_UNROLL
        for (int i = 0; i < ROWS * VECTORS; i++) acc[i] = V(fma)(acc[i], factor, term);
    }
    FRNN_UNROLL
    for (int i = 1; i < ROWS * VECTORS; i++) acc[0] = acc[0] + acc[i];
    REAL lanes[LANES];
    V(store)(lanes, acc[0]);
    kept = lanes[0];
    (void)kept;
    return (double)times * ROWS * VECTORS * LANES;
}
