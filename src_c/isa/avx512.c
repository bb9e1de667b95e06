#if defined(__x86_64__)
#include <immintrin.h>

#include "isa/region.h"

FRNN_REGION_BEGIN("avx512f,avx512dq,avx2,fma")
#define FRNN_ISA_NAME avx512
#include "isa/avx512.h"
#include "kernels/kernels.inl.h"
FRNN_REGION_END
#endif
