#include "isa/region.h"

#define FRNN_ISA_NAME generic
#include "isa/generic.h"
#include "kernels/kernels.inl.h"
