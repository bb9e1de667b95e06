#include "isa/isa.h"

#include <string.h>

#include "runtime/cpu.h"

#define FRNN_ISA(name, bits) extern const frnn_kernels frnn_kernels_f32__##name, frnn_kernels_f64__##name;
#include "isa/list.h"
#undef FRNN_ISA

static const struct {
    const char *name;
    unsigned needs;
    const frnn_kernels *kernels[2]; /* by frnn_dtype */
} isas[] = {
#define FRNN_ISA(name, bits) {#name, bits, {&frnn_kernels_f32__##name, &frnn_kernels_f64__##name}},
#include "isa/list.h"
#undef FRNN_ISA
};

enum { COUNT = sizeof isas / sizeof *isas };

const char *frnn_isa_name(size_t i) { return i < COUNT ? isas[i].name : NULL; }

const frnn_kernels *frnn_find_kernels(const char *isa, frnn_dtype dtype) {
    const unsigned has = frnn_cpu_features();
    if (dtype != FRNN_F32 && dtype != FRNN_F64) return NULL;
    for (size_t i = COUNT; i-- > 0;)
        if ((isas[i].needs & ~has) == 0 && (!isa || strcmp(isa, isas[i].name) == 0)) return isas[i].kernels[dtype];
    return NULL;
}
