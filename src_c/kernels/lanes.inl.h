/* Vectors that may have fewer elements than lanes. */

FRNN_INLINE VEC F(load_some)(const REAL *p, size_t n) { return n == LANES ? V(load)(p) : V(load_n)(p, n); }

FRNN_INLINE void F(store_some)(REAL *p, VEC a, size_t n) {
    if (n == LANES) V(store)(p, a);
    else V(store_n)(p, a, n);
}

FRNN_INLINE size_t F(lanes_left)(size_t n, size_t i) { return n - i < LANES ? n - i : LANES; }
