#include "runtime/cpu.h"

unsigned frnn_cpu_features(void) {
    unsigned has = 0;
#if defined(__x86_64__)
    /* The compiler's runtime asks CPUID and, through XGETBV, whether the system saves the wide registers. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) has |= FRNN_CPU_AVX2;
    if (__builtin_cpu_supports("fma")) has |= FRNN_CPU_FMA;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) has |= FRNN_CPU_AVX512;
#elif defined(__aarch64__)
    has |= FRNN_CPU_NEON; /* part of the base architecture */
#endif
    return has;
}
