#if defined(__aarch64__)
#include <arm_neon.h>

#include "isa/region.h"

#define FRNN_ISA_NAME neon
#include "isa/neon.h"
#include "kernels/kernels.inl.h"
#endif
