#if defined(__x86_64__)
/* With less, back-propagation takes 1 to 5 % longer. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif
#include <immintrin.h>

#include "isa/region.h"

FRNN_REGION_BEGIN("avx2,fma")
#define FRNN_ISA_NAME avx2
#include "isa/avx2.h"
#include "kernels/kernels.inl.h"
FRNN_REGION_END
#endif
