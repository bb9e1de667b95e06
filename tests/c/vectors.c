#include "vectors.h"

/* Compilers see to it from -O2 on, but sanitized programs are built with -O1. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void clear_vectors(void) {
    if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroupper" ::: "memory");
}

int are_vectors_clear(void) {
    unsigned char upper[16][16] = {{0}};
    if (!__builtin_cpu_supports("avx")) return 1;
#define STORE(n) __asm__ volatile("vextractf128 $1, %%ymm" #n ", %0" : "=m"(upper[n]))
    STORE(0);
    STORE(1);
    STORE(2);
    STORE(3);
    STORE(4);
    STORE(5);
    STORE(6);
    STORE(7);
    STORE(8);
    STORE(9);
    STORE(10);
    STORE(11);
    STORE(12);
    STORE(13);
    STORE(14);
    STORE(15);
#undef STORE
    for (unsigned i = 0; i < sizeof upper; i++)
        if (upper[i / 16][i % 16]) return 0;
    return 1;
}
#else
void clear_vectors(void) {}

int are_vectors_clear(void) { return 1; }
#endif
