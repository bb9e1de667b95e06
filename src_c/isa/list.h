/* Every instruction set this library is compiled for, worst to best. One row adds one: FRNN_ISA(name, cpu_bits).
 * The file isa/<name>.c defines frnn_kernels_f32__<name> and frnn_kernels_f64__<name>. */
FRNN_ISA(generic, 0)
#if defined(__x86_64__)
FRNN_ISA(avx2, FRNN_CPU_AVX2 | FRNN_CPU_FMA)
FRNN_ISA(avx512, FRNN_CPU_AVX512)
#elif defined(__aarch64__)
FRNN_ISA(neon, FRNN_CPU_NEON)
#endif
