/* What this processor and its operating system can do. */
#ifndef FRNN_CPU_H
#define FRNN_CPU_H

enum { FRNN_CPU_AVX2 = 1, FRNN_CPU_FMA = 2, FRNN_CPU_AVX512 = 4, FRNN_CPU_NEON = 8 };

unsigned frnn_cpu_features(void);

#endif
