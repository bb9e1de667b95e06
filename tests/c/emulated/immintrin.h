/* AVX-512 for a processor that has none, so that its kernels are tested everywhere: SIMDe's functions under Intel's names,
 * compiled for AVX2 and FMA, and the nine that SIMDe 0.7.4 lacks. It stands before the compiler's own <immintrin.h>, to which
 * it adds. It cannot show whether the processor's instructions do the same, nor how fast they are. */
#ifndef EMULATED_IMMINTRIN_H
#define EMULATED_IMMINTRIN_H

#include_next <immintrin.h>

#include "isa/region.h"

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#define IN_A_REGISTER(a) (void)(a) /* none is large enough */

/* The region would allow the instructions themselves. */
#undef FRNN_REGION_BEGIN
#undef FRNN_REGION_END
#define FRNN_REGION_BEGIN(features)
#define FRNN_REGION_END

/* Only what is asked for is touched: the arrays lie before forbidden pages. */
#define MASKED(suffix, real, lanes, vector, mask) \
    static inline vector emulated_maskz_loadu_##suffix(mask which, const real *p) { \
        vector a = {0}; \
        for (int i = 0; i < lanes; i++) \
            if (which >> i & 1) a[i] = p[i]; \
        return a; \
    } \
    static inline void emulated_mask_storeu_##suffix(real *p, mask which, vector a) { \
        for (int i = 0; i < lanes; i++) \
            if (which >> i & 1) p[i] = a[i]; \
    }
MASKED(ps, float, 16, __m512, __mmask16)
MASKED(pd, double, 8, __m512d, __mmask8)
#undef MASKED

/* Within each 16 bytes: two bits of the order for a float, and one for each double. */
static inline __m512 emulated_permute_ps(__m512 a, int order) {
    __m512 b;
    for (int i = 0; i < 16; i++) b[i] = a[i / 4 * 4 + (order >> i % 4 * 2 & 3)];
    return b;
}
static inline __m512d emulated_permute_pd(__m512d a, int order) {
    __m512d b;
    for (int i = 0; i < 8; i++) b[i] = a[i / 2 * 2 + (order >> i & 1)];
    return b;
}

static inline __m256 emulated_extractf32x8_ps(__m512 a, int half) {
    __m256 b;
    for (int i = 0; i < 8; i++) b[i] = a[8 * half + i];
    return b;
}

#define _mm512_extractf32x8_ps emulated_extractf32x8_ps
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_maskz_loadu_pd emulated_maskz_loadu_pd
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_mask_storeu_pd emulated_mask_storeu_pd
#define _mm512_permute_ps emulated_permute_ps
#define _mm512_permute_pd emulated_permute_pd
#define _mm512_stream_ps _mm512_store_ps
#define _mm512_stream_pd _mm512_store_pd

#endif
