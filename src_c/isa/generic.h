/* The portable vocabulary: 16-byte vectors of the compiler's own making. Reads like the specification of the others.
 *
 * A vocabulary defines, for f32 and f64 alike (v_*_f32, v_*_f64):
 *   v_T, LANES_T               the vector and how many elements it holds
 *   v_set1(s)                  all lanes s
 *   v_load(p), v_store(p, a)   p aligned like an element
 *   v_load_once(p)             v_load(p) into a register, from which everything takes it that uses it
 *   v_stream(p, a)             v_store(p, a) past the caches, p aligned like a vector
 *   v_load_n(p, n)             the first n lanes from memory, 0 in the others; 0 < n <= LANES, no byte past them is read
 *   v_store_n(p, a, n)         the first n lanes to memory
 *   v_fma(a, b, c)             a * b + c; one rounding where the instruction exists
 *   v_fnma(a, b, c)            c - a * b; the same
 *   v_add(c, a, b)             v_fma(a, b, c) for a sum c that has a register and keeps it, if that must be said
 *   v_add_at(c, a, p)          v_add(c, a, v_load(p)) with no register for b
 *   v_min(a, b), v_max(a, b)   a < b ? a : b and a > b ? a : b, so that a NaN in b stays
 *   v_sqrt(a)                  the square root
 *   v_abs(a), v_sign(a, s)     |a|; |a| with the sign of s
 *   v_shift(a, n)              a * 2^k for the k in the last bits of n = 1.5 * 2^23 + k (2^52); a and that are normal
 *   v_zip_low(a, b)            a0 b0 a1 b1 ..., from the first halves of a and b; v_zip_high: from the second
 *   v_repeat(p, n)             p0 ... p(n-1) p0 ...: n is a constant, 2, or 4 if there are so many lanes
 *   v_fold(a, b)               a0 + a1, a2 + a3, ..., b0 + b1, b2 + b3, ...
 *   v_positive(a, b)           lanes of b where a > 0, else 0
 * once, without a type,
 *   v_drain()                  what was stored past the caches can be seen by other threads
 *   v_leave()                  no vector is needed any more, where the processor wants to know
 * and for the tiles
 *   ROWS_T, VECTORS_T          rows and vectors of the register tile
 *   ROWS_0X_T                  rows of one with a single vector
 *   ROWS_2X_T, ROWS_4X_T       up to so many rows, a tile is twice or four times as wide
 *   PAIR_BYTES_T               and with more rows, too, if two panels have so many bytes at most; 0: never
 *   ASIDE_ROWS_T               rows of a product that is computed aside, 0: there is none; a multiple of
 *   ASIDE_WIDTH_T              the panels that the one row beside it has in a tile; and what that pays for:
 *   ASIDE_BYTES_T              most bytes of both products' weights, on the processor that runs this
 *   FOUR_K_T                   whether the highest tiles take four k between two jumps
 *   FREE_MASKS_T               whether loads and stores of some elements cost no more than of all
 *   ASK_EVENLY_T               whether all tiles ask for some of the next panel, not only the last ones
 *   ASKED_CACHE_T              the cache that the next panel is asked into: 1, the nearest, or 2
 *   STRIP_T                    tiles of outer products that are packed together
 * and for the activations AT_ONCE_T, vectors that go through them side by side. Vectors support + - * /
 * as C expressions.
 *
 * Where a processor may take half the time for half a vector, FRNN_HALVES is 1, and for f32h and f64h, v_T of half a vector,
 * there is what tiles need of the above, and
 *   v_join(a, b)               the vector of two halves
 *   v_low(a), v_high(a)        the halves of a vector
 *   v_halves_pay()             whether this processor does take half the time */
#ifndef FRNN_GENERIC_H
#define FRNN_GENERIC_H

static inline void v_leave(void) {}
static inline void v_drain(void) {}

/* Compiled for size, a compiler would call these words. And in a loop over the lanes gcc does not see that all get the same. */
#define WORD static inline __attribute__((always_inline))

/* clang-format off */
#define GENERIC_VOCABULARY(T, REAL, INT, MOST, COUNT, MANTISSA, ROOT) \
    typedef REAL v_##T __attribute__((vector_size(16))); \
    typedef INT v_int_##T __attribute__((vector_size(16))); \
    typedef u##INT v_bits_##T __attribute__((vector_size(16))); \
    enum { LANES_##T = COUNT }; \
    WORD v_##T v_load_##T(const REAL *p) { v_##T a; memcpy(&a, p, sizeof a); return a; } \
    WORD v_##T v_load_once_##T(const REAL *p) { return v_load_##T(p); } \
    WORD void v_store_##T(REAL *p, v_##T a) { memcpy(p, &a, sizeof a); } \
    WORD v_##T v_set1_##T(REAL s) { return s - (v_##T){0}; } \
    WORD void v_stream_##T(REAL *p, v_##T a) { v_store_##T(p, a); } \
    WORD v_##T v_load_n_##T(const REAL *p, size_t n) { \
        v_##T a = {0}; \
        for (size_t i = 0; i < n; i++) a[i] = p[i]; \
        return a; \
    } \
    WORD void v_store_n_##T(REAL *p, v_##T a, size_t n) { for (size_t i = 0; i < n; i++) p[i] = a[i]; } \
    WORD v_##T v_fma_##T(v_##T a, v_##T b, v_##T c) { return a * b + c; } \
    WORD v_##T v_add_##T(v_##T c, v_##T a, v_##T b) { return v_fma_##T(a, b, c); } \
    WORD v_##T v_add_at_##T(v_##T c, v_##T a, const REAL *p) { return v_fma_##T(a, v_load_##T(p), c); } \
    WORD v_##T v_choose_##T(v_int_##T mask, v_##T a, v_##T b) { \
        return (v_##T)((mask & (v_int_##T)a) | (~mask & (v_int_##T)b)); \
    } \
    WORD v_##T v_min_##T(v_##T a, v_##T b) { return v_choose_##T(a < b, a, b); } \
    WORD v_##T v_max_##T(v_##T a, v_##T b) { return v_choose_##T(a > b, a, b); } \
    WORD v_##T v_sqrt_##T(v_##T a) { for (int i = 0; i < COUNT; i++) a[i] = ROOT(a[i]); return a; } \
    WORD v_##T v_abs_##T(v_##T a) { return (v_##T)((v_int_##T)a & MOST); } \
    WORD v_##T v_sign_##T(v_##T a, v_##T s) { \
        return (v_##T)(((v_int_##T)a & MOST) | ((v_int_##T)s & ~MOST)); \
    } \
    WORD v_##T v_shift_##T(v_##T a, v_##T n) { return (v_##T)((v_bits_##T)a + ((v_bits_##T)n << MANTISSA)); } \
    WORD v_##T v_fnma_##T(v_##T a, v_##T b, v_##T c) { return c - a * b; } \
    WORD v_##T v_positive_##T(v_##T a, v_##T b) { \
        return (v_##T)((v_int_##T)(a > 0) & (v_int_##T)b); \
    } \
    WORD v_##T v_repeat_##T(const REAL *p, int n) { \
        v_##T a; \
        for (int i = 0; i < COUNT; i++) a[i] = p[i % n]; \
        return a; \
    } \
    WORD v_##T v_fold_##T(v_##T a, v_##T b) { \
        v_##T sums; \
        for (int i = 0; i < COUNT / 2; i++) sums[i] = a[2 * i] + a[2 * i + 1], sums[COUNT / 2 + i] = b[2 * i] + b[2 * i + 1]; \
        return sums; \
    }
/* clang-format on */

GENERIC_VOCABULARY(f32, float, int32_t, INT32_MAX, 4, 23, __builtin_sqrtf)
GENERIC_VOCABULARY(f64, double, int64_t, INT64_MAX, 2, 52, __builtin_sqrt)

WORD v_f32 v_zip_low_f32(v_f32 a, v_f32 b) { return (v_f32){a[0], b[0], a[1], b[1]}; }
WORD v_f32 v_zip_high_f32(v_f32 a, v_f32 b) { return (v_f32){a[2], b[2], a[3], b[3]}; }

WORD v_f64 v_zip_low_f64(v_f64 a, v_f64 b) { return (v_f64){a[0], b[0]}; }
WORD v_f64 v_zip_high_f64(v_f64 a, v_f64 b) { return (v_f64){a[1], b[1]}; }

#undef WORD

#define ROWS_f32 4
#define VECTORS_f32 2
#define ROWS_2X_f32 2
#define ROWS_4X_f32 1
#define ROWS_0X_f32 4
#define PAIR_BYTES_f32 0
#define FOUR_K_f32 0
#define FREE_MASKS_f32 0
#define ASK_EVENLY_f32 0
#define ASKED_CACHE_f32 1
#define ASIDE_ROWS_f32 0
#define ASIDE_WIDTH_f32 1
#define ASIDE_BYTES_f32 0
#define STRIP_f32 8
#define AT_ONCE_f32 4
#define ROWS_f64 4
#define VECTORS_f64 2
#define ROWS_2X_f64 2
#define ROWS_4X_f64 1
#define ROWS_0X_f64 4
#define PAIR_BYTES_f64 0
#define FOUR_K_f64 0
#define FREE_MASKS_f64 0
#define ASK_EVENLY_f64 0
#define ASKED_CACHE_f64 1
#define ASIDE_ROWS_f64 0
#define ASIDE_WIDTH_f64 1
#define ASIDE_BYTES_f64 0
#define STRIP_f64 8
#define AT_ONCE_f64 4

#endif
