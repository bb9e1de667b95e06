/* AVX-512 (F and DQ): 32 registers of 64 bytes, masked loads and stores. The words are described in isa/generic.h. */
#ifndef FRNN_AVX512_H
#define FRNN_AVX512_H

/* The compiler cannot know it from now on, nor read it again instead. */
#ifndef IN_A_REGISTER
#define IN_A_REGISTER(a) __asm__("" : "+v"(a))
#endif

static inline void v_leave(void) { _mm256_zeroupper(); }
static inline void v_drain(void) { _mm_sfence(); }

typedef __m512 v_f32;
enum { LANES_f32 = 16 };
static inline __mmask16 first_f32(size_t n) { return (__mmask16)((1u << n) - 1); }
static inline v_f32 v_set1_f32(float s) { return _mm512_set1_ps(s); }
static inline v_f32 v_load_f32(const float *p) { return _mm512_loadu_ps(p); }
static inline v_f32 v_load_once_f32(const float *p) {
    v_f32 a = v_load_f32(p);
    IN_A_REGISTER(a);
    return a;
}
static inline void v_store_f32(float *p, v_f32 a) { _mm512_storeu_ps(p, a); }
static inline void v_stream_f32(float *p, v_f32 a) { _mm512_stream_ps(p, a); }
static inline v_f32 v_load_n_f32(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first_f32(n), p); }
static inline void v_store_n_f32(float *p, v_f32 a, size_t n) { _mm512_mask_storeu_ps(p, first_f32(n), a); }
static inline v_f32 v_fma_f32(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fmadd_ps(a, b, c); }
static inline v_f32 v_add_f32(v_f32 c, v_f32 a, v_f32 b) { return v_fma_f32(a, b, c); }
static inline v_f32 v_add_at_f32(v_f32 c, v_f32 a, const float *p) { return v_fma_f32(a, v_load_f32(p), c); }
static inline v_f32 v_min_f32(v_f32 a, v_f32 b) { return _mm512_min_ps(a, b); }
static inline v_f32 v_max_f32(v_f32 a, v_f32 b) { return _mm512_max_ps(a, b); }
static inline v_f32 v_sqrt_f32(v_f32 a) { return _mm512_sqrt_ps(a); }
static inline v_f32 v_abs_f32(v_f32 a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
static inline v_f32 v_sign_f32(v_f32 a, v_f32 s) {
    const __m512i sign = _mm512_set1_epi32(INT32_MIN); /* 0xCA: where sign is set take s, else a */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(sign, _mm512_castps_si512(s), _mm512_castps_si512(a), 0xCA));
}
static inline v_f32 v_shift_f32(v_f32 a, v_f32 n) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(n), 23)));
}
static inline v_f32 v_fnma_f32(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fnmadd_ps(a, b, c); }
static inline v_f32 v_positive_f32(v_f32 a, v_f32 b) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GT_OQ), b);
}
static inline v_f32 v_zip_low_f32(v_f32 a, v_f32 b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
static inline v_f32 v_zip_high_f32(v_f32 a, v_f32 b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
                                  b);
}
static inline v_f32 v_repeat_f32(const float *p, int n) {
    if (n == 4) return _mm512_broadcast_f32x4(_mm_loadu_ps(p));
    double both;
    memcpy(&both, p, sizeof both);
    return _mm512_castpd_ps(_mm512_set1_pd(both));
}
static inline v_f32 v_fold_f32(v_f32 a, v_f32 b) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_permutex2var_ps(a, even, b) + _mm512_permutex2var_ps(a, odd, b);
}

typedef __m512d v_f64;
enum { LANES_f64 = 8 };
static inline __mmask8 first_f64(size_t n) { return (__mmask8)((1u << n) - 1); }
static inline v_f64 v_set1_f64(double s) { return _mm512_set1_pd(s); }
static inline v_f64 v_load_f64(const double *p) { return _mm512_loadu_pd(p); }
static inline v_f64 v_load_once_f64(const double *p) {
    v_f64 a = v_load_f64(p);
    IN_A_REGISTER(a);
    return a;
}
static inline void v_store_f64(double *p, v_f64 a) { _mm512_storeu_pd(p, a); }
static inline void v_stream_f64(double *p, v_f64 a) { _mm512_stream_pd(p, a); }
static inline v_f64 v_load_n_f64(const double *p, size_t n) { return _mm512_maskz_loadu_pd(first_f64(n), p); }
static inline void v_store_n_f64(double *p, v_f64 a, size_t n) { _mm512_mask_storeu_pd(p, first_f64(n), a); }
static inline v_f64 v_fma_f64(v_f64 a, v_f64 b, v_f64 c) { return _mm512_fmadd_pd(a, b, c); }
static inline v_f64 v_add_f64(v_f64 c, v_f64 a, v_f64 b) { return v_fma_f64(a, b, c); }
static inline v_f64 v_add_at_f64(v_f64 c, v_f64 a, const double *p) { return v_fma_f64(a, v_load_f64(p), c); }
static inline v_f64 v_min_f64(v_f64 a, v_f64 b) { return _mm512_min_pd(a, b); }
static inline v_f64 v_max_f64(v_f64 a, v_f64 b) { return _mm512_max_pd(a, b); }
static inline v_f64 v_sqrt_f64(v_f64 a) { return _mm512_sqrt_pd(a); }
static inline v_f64 v_abs_f64(v_f64 a) { return _mm512_andnot_pd(_mm512_set1_pd(-0.0), a); }
static inline v_f64 v_sign_f64(v_f64 a, v_f64 s) {
    const __m512i sign = _mm512_set1_epi64(INT64_MIN);
    return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(sign, _mm512_castpd_si512(s), _mm512_castpd_si512(a), 0xCA));
}
static inline v_f64 v_shift_f64(v_f64 a, v_f64 n) {
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), _mm512_slli_epi64(_mm512_castpd_si512(n), 52)));
}
static inline v_f64 v_fnma_f64(v_f64 a, v_f64 b, v_f64 c) { return _mm512_fnmadd_pd(a, b, c); }
static inline v_f64 v_positive_f64(v_f64 a, v_f64 b) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_GT_OQ), b);
}
static inline v_f64 v_zip_low_f64(v_f64 a, v_f64 b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
}
static inline v_f64 v_zip_high_f64(v_f64 a, v_f64 b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
}
static inline v_f64 v_repeat_f64(const double *p, int n) {
    return n == 4 ? _mm512_broadcast_f64x4(_mm256_loadu_pd(p)) : _mm512_broadcast_f64x2(_mm_loadu_pd(p));
}
static inline v_f64 v_fold_f64(v_f64 a, v_f64 b) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
                  odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    return _mm512_permutex2var_pd(a, even, b) + _mm512_permutex2var_pd(a, odd, b);
}

/* Half vectors for tiles of few columns: what has only half as much to do takes half the time on a Zen 4 (family 19h), whose
 * multiply-adds are of 32 bytes. Elsewhere it takes as long, but has twice as many rows. */
#define FRNN_HALVES 1
static inline int v_halves_pay(void) { return __builtin_cpu_is("amdfam19h"); }
typedef __m256 v_f32h;
enum { LANES_f32h = 8 };
static inline v_f32h v_set1_f32h(float s) { return _mm256_set1_ps(s); }
static inline v_f32h v_load_f32h(const float *p) { return _mm256_loadu_ps(p); }
static inline v_f32h v_load_once_f32h(const float *p) { return v_load_f32h(p); }
static inline void v_store_f32h(float *p, v_f32h a) { _mm256_storeu_ps(p, a); }
static inline v_f32h v_load_n_f32h(const float *p, size_t n) { return _mm512_castps512_ps256(v_load_n_f32(p, n)); }
static inline void v_store_n_f32h(float *p, v_f32h a, size_t n) { v_store_n_f32(p, _mm512_castps256_ps512(a), n); }
static inline v_f32h v_fma_f32h(v_f32h a, v_f32h b, v_f32h c) { return _mm256_fmadd_ps(a, b, c); }
static inline v_f32h v_add_f32h(v_f32h c, v_f32h a, v_f32h b) { return v_fma_f32h(a, b, c); }
static inline v_f32h v_add_at_f32h(v_f32h c, v_f32h a, const float *p) { return v_fma_f32h(a, v_load_f32h(p), c); }
static inline v_f32 v_join_f32(v_f32h a, v_f32h b) { return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1); }
static inline v_f32h v_low_f32(v_f32 a) { return _mm512_castps512_ps256(a); }
static inline v_f32h v_high_f32(v_f32 a) { return _mm512_extractf32x8_ps(a, 1); }

typedef __m256d v_f64h;
enum { LANES_f64h = 4 };
static inline v_f64h v_set1_f64h(double s) { return _mm256_set1_pd(s); }
static inline v_f64h v_load_f64h(const double *p) { return _mm256_loadu_pd(p); }
static inline v_f64h v_load_once_f64h(const double *p) { return v_load_f64h(p); }
static inline void v_store_f64h(double *p, v_f64h a) { _mm256_storeu_pd(p, a); }
static inline v_f64h v_load_n_f64h(const double *p, size_t n) { return _mm512_castpd512_pd256(v_load_n_f64(p, n)); }
static inline void v_store_n_f64h(double *p, v_f64h a, size_t n) { v_store_n_f64(p, _mm512_castpd256_pd512(a), n); }
static inline v_f64h v_fma_f64h(v_f64h a, v_f64h b, v_f64h c) { return _mm256_fmadd_pd(a, b, c); }
static inline v_f64h v_add_f64h(v_f64h c, v_f64h a, v_f64h b) { return v_fma_f64h(a, b, c); }
static inline v_f64h v_add_at_f64h(v_f64h c, v_f64h a, const double *p) { return v_fma_f64h(a, v_load_f64h(p), c); }
static inline v_f64 v_join_f64(v_f64h a, v_f64h b) { return _mm512_insertf64x4(_mm512_castpd256_pd512(a), b, 1); }
static inline v_f64h v_low_f64(v_f64 a) { return _mm512_castpd512_pd256(a); }
static inline v_f64h v_high_f64(v_f64 a) { return _mm512_extractf64x4_pd(a, 1); }

/* In an Intel processor's nearest cache no line can be read while another one comes from the second: one row takes as long as these
 * lines come and are read, and all that is read aside makes it longer. */
#define BYTES_THAT_PAY (__builtin_cpu_is("intel") ? 0 : SIZE_MAX)

/* 12 x 2 accumulators, 2 weight vectors and a broadcast fit 32 registers, 12 row pointers fit the general ones. */
#define ROWS_f32 12
#define VECTORS_f32 2
#define ROWS_2X_f32 6
#define ROWS_4X_f32 3
#define ROWS_0X_f32 8
#define PAIR_BYTES_f32 (160 * 1024)
#define FOUR_K_f32 0
#define FREE_MASKS_f32 1
#define ASK_EVENLY_f32 1
#define ASKED_CACHE_f32 1
#define ASIDE_ROWS_f32 8
#define ASIDE_WIDTH_f32 4
#define ASIDE_BYTES_f32 BYTES_THAT_PAY
#define STRIP_f32 1
#define AT_ONCE_f32 8
#define ROWS_f64 12
#define VECTORS_f64 2
#define ROWS_2X_f64 6
#define ROWS_4X_f64 3
#define ROWS_0X_f64 8
#define PAIR_BYTES_f64 (160 * 1024)
#define FOUR_K_f64 0
#define FREE_MASKS_f64 1
#define ASK_EVENLY_f64 1
#define ASKED_CACHE_f64 1
#define ASIDE_ROWS_f64 8
#define ASIDE_WIDTH_f64 4
#define ASIDE_BYTES_f64 BYTES_THAT_PAY
#define STRIP_f64 1
#define AT_ONCE_f64 8
#define ROWS_f32h 12
#define VECTORS_f32h 4
#define ROWS_2X_f32h 0
#define ROWS_0X_f32h 12
#define PAIR_BYTES_f32h 0
#define FOUR_K_f32h 0
#define FREE_MASKS_f32h 1
#define ASK_EVENLY_f32h 1
#define ASKED_CACHE_f32h 1
#define ROWS_f64h 12
#define VECTORS_f64h 4
#define ROWS_2X_f64h 0
#define ROWS_0X_f64h 8
#define PAIR_BYTES_f64h 0
#define FOUR_K_f64h 0
#define FREE_MASKS_f64h 1
#define ASK_EVENLY_f64h 1
#define ASKED_CACHE_f64h 1

#endif
