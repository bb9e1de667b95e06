/* For processors that have nothing better, which are few: small rather than fast. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#include "isa/region.h"

#define FRNN_ISA_NAME generic
#include "isa/generic.h"
#include "kernels/kernels.inl.h"
