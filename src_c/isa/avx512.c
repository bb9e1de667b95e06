#if defined(__x86_64__)
/* What -O3 adds makes this file a tenth larger and nothing faster, except that loops are split where a condition changes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2", "split-loops")
#endif
#include <immintrin.h>

#include "isa/region.h"

FRNN_REGION_BEGIN("avx512f,avx512dq,avx2,fma")
#define FRNN_ISA_NAME avx512
#include "isa/avx512.h"
#include "kernels/kernels.inl.h"
FRNN_REGION_END
#endif
