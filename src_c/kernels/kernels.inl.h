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

#define REAL float
#define TYPE f32
#define DTYPE FRNN_F32
#include "kernels/table.inl.h"
#undef REAL
#undef TYPE
#undef DTYPE

#define REAL double
#define TYPE f64
#define DTYPE FRNN_F64
#include "kernels/table.inl.h"
#undef REAL
#undef TYPE
#undef DTYPE
