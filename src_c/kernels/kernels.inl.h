/* Everything in this folder, compiled for the instruction set whose vocabulary was included before, for both types. */
#define FRNN_JOIN_(a, b) a##b
#define FRNN_JOIN(a, b) FRNN_JOIN_(a, b)
#define FRNN_TABLE_(type, isa) frnn_kernels_##type##__##isa
#define FRNN_TABLE(type, isa) FRNN_TABLE_(type, isa)
#define FRNN_STRING_(name) #name
#define FRNN_STRING(name) FRNN_STRING_(name)
#define FRNN_INLINE static inline __attribute__((always_inline))
#if defined(__clang__) /* which does not specialize functions for their callers */
#define FRNN_ONE_COPY static __attribute__((noinline))
#else
#define FRNN_ONE_COPY static __attribute__((noinline, noclone))
#endif
#define FRNN_UNROLL _Pragma("GCC unroll 64")
#define FRNN_ROLLED _Pragma("GCC unroll 1") /* for loops that are not worth their size unrolled */
#define FRNN_LINE 64                        /* bytes that come and go together */
#define FRNN_LEAST_PAIR_K 48                /* more k make tiles of two panels pay */

/* FRNN_UP_TO(n)(X, p) is X(1, p) X(2, p) ... X(n, p) */
#define FRNN_UP_TO(n) FRNN_JOIN(FRNN_UP_TO_, n)
#define FRNN_UP_TO_1(X, p) X(1, p)
#define FRNN_UP_TO_2(X, p) FRNN_UP_TO_1(X, p) X(2, p)
#define FRNN_UP_TO_3(X, p) FRNN_UP_TO_2(X, p) X(3, p)
#define FRNN_UP_TO_4(X, p) FRNN_UP_TO_3(X, p) X(4, p)
#define FRNN_UP_TO_5(X, p) FRNN_UP_TO_4(X, p) X(5, p)
#define FRNN_UP_TO_6(X, p) FRNN_UP_TO_5(X, p) X(6, p)
#define FRNN_UP_TO_7(X, p) FRNN_UP_TO_6(X, p) X(7, p)
#define FRNN_UP_TO_8(X, p) FRNN_UP_TO_7(X, p) X(8, p)
#define FRNN_UP_TO_9(X, p) FRNN_UP_TO_8(X, p) X(9, p)
#define FRNN_UP_TO_10(X, p) FRNN_UP_TO_9(X, p) X(10, p)
#define FRNN_UP_TO_11(X, p) FRNN_UP_TO_10(X, p) X(11, p)
#define FRNN_UP_TO_12(X, p) FRNN_UP_TO_11(X, p) X(12, p)
#define FRNN_UP_TO_13(X, p) FRNN_UP_TO_12(X, p) X(13, p)
#define FRNN_UP_TO_14(X, p) FRNN_UP_TO_13(X, p) X(14, p)

/* Of the element type at hand, TYPE */
#define V(word) FRNN_JOIN(FRNN_JOIN(v_, word), FRNN_JOIN(_, TYPE)) /* a word of the vocabulary: V(fma) is v_fma_f32 */
#define F(name) FRNN_JOIN(name, FRNN_JOIN(_, TYPE))                /* a name of ours: F(tile) is tile_f32 */
#define HALF(name) FRNN_JOIN(F(name), h)                           /* what half vectors have by that name */
#define VEC FRNN_JOIN(v_, TYPE)
#define LANES F(LANES)
#define VECTORS F(VECTORS)
#define ROWS F(ROWS)
#define AT_ONCE F(AT_ONCE)
#define PANEL ((size_t)VECTORS * LANES)
#define STORES_LINES (sizeof(VEC) == FRNN_LINE) /* with one vector: a Zen 4 takes two cycles for that */

#define REAL float
#if FRNN_HALVES
#define TYPE f32h
#include "kernels/halves.inl.h"
#undef TYPE
#endif
#define TYPE f32
#define DTYPE FRNN_F32
#include "kernels/table.inl.h"
#undef REAL
#undef TYPE
#undef DTYPE

#define REAL double
#if FRNN_HALVES
#define TYPE f64h
#include "kernels/halves.inl.h"
#undef TYPE
#endif
#define TYPE f64
#define DTYPE FRNN_F64
#include "kernels/table.inl.h"
#undef REAL
#undef TYPE
#undef DTYPE
