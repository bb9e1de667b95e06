/* Which kernels there are, and which of them this processor runs. */
#ifndef FRNN_ISA_H
#define FRNN_ISA_H

#include "kernels/kernels.h"

const char *frnn_isa_name(size_t i);
const frnn_kernels *frnn_find_kernels(const char *isa, frnn_dtype dtype);

#endif
