#if defined(__aarch64__)
/* As for AVX2; not measured */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif
#include <arm_neon.h>

#include "isa/region.h"

#define FRNN_ISA_NAME neon
#include "isa/neon.h"
#include "kernels/kernels.inl.h"
#endif
