/* AVX2 and FMA: 16 registers of 32 bytes. The words are described in isa/generic.h. */
#ifndef FRNN_AVX2_H
#define FRNN_AVX2_H

/* Masks for the first n lanes are read from the middle of ones followed by zeros. */
static const int32_t first_table_f32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
static const int64_t first_table_f64[8] = {-1, -1, -1, -1};

static inline void v_leave(void) { _mm256_zeroupper(); }
static inline void v_drain(void) { _mm_sfence(); }

typedef __m256 v_f32;
enum { LANES_f32 = 8 };
static inline __m256i first_f32(size_t n) { return _mm256_loadu_si256((const __m256i *)(first_table_f32 + 8 - n)); }
static inline v_f32 v_set1_f32(float s) { return _mm256_set1_ps(s); }
static inline v_f32 v_load_f32(const float *p) { return _mm256_loadu_ps(p); }
static inline v_f32 v_load_once_f32(const float *p) {
    v_f32 a = v_load_f32(p);
    __asm__("" : "+x"(a));
    return a;
}
static inline void v_store_f32(float *p, v_f32 a) { _mm256_storeu_ps(p, a); }
static inline void v_stream_f32(float *p, v_f32 a) { _mm256_stream_ps(p, a); }
static inline v_f32 v_load_n_f32(const float *p, size_t n) { return _mm256_maskload_ps(p, first_f32(n)); }
static inline void v_store_n_f32(float *p, v_f32 a, size_t n) { _mm256_maskstore_ps(p, first_f32(n), a); }
static inline v_f32 v_fma_f32(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fmadd_ps(a, b, c); }
/* Written out: gcc would let the sums change registers, at the price of moves, and write some to memory and back where a loop
 * takes four k at a time; and it would load once for several multiply-adds, which takes an instruction and a register. */
static inline v_f32 v_add_f32(v_f32 c, v_f32 a, v_f32 b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
static inline v_f32 v_add_at_f32(v_f32 c, v_f32 a, const float *p) {
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "m"(*(const __m256_u *)p));
    return c;
}
static inline v_f32 v_min_f32(v_f32 a, v_f32 b) { return _mm256_min_ps(a, b); }
static inline v_f32 v_max_f32(v_f32 a, v_f32 b) { return _mm256_max_ps(a, b); }
static inline v_f32 v_sqrt_f32(v_f32 a) { return _mm256_sqrt_ps(a); }
static inline v_f32 v_abs_f32(v_f32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline v_f32 v_sign_f32(v_f32 a, v_f32 s) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, s));
}
static inline v_f32 v_shift_f32(v_f32 a, v_f32 n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(n), 23)));
}
static inline v_f32 v_fnma_f32(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fnmadd_ps(a, b, c); }
static inline v_f32 v_positive_f32(v_f32 a, v_f32 b) {
    return _mm256_and_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GT_OQ), b);
}
static inline v_f32 v_zip_low_f32(v_f32 a, v_f32 b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
}
static inline v_f32 v_zip_high_f32(v_f32 a, v_f32 b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
}
static inline v_f32 v_repeat_f32(const float *p, int n) {
    if (n == 4) return _mm256_broadcast_ps((const __m128 *)p);
    double both;
    memcpy(&both, p, sizeof both);
    return _mm256_castpd_ps(_mm256_set1_pd(both));
}
static inline v_f32 v_fold_f32(v_f32 a, v_f32 b) {
    const __m256d sums = _mm256_castps_pd(_mm256_hadd_ps(a, b)); /* two of a, two of b, two of a, two of b */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(sums, 0xD8));
}

typedef __m256d v_f64;
enum { LANES_f64 = 4 };
static inline __m256i first_f64(size_t n) { return _mm256_loadu_si256((const __m256i *)(first_table_f64 + 4 - n)); }
static inline v_f64 v_set1_f64(double s) { return _mm256_set1_pd(s); }
static inline v_f64 v_load_f64(const double *p) { return _mm256_loadu_pd(p); }
static inline v_f64 v_load_once_f64(const double *p) {
    v_f64 a = v_load_f64(p);
    __asm__("" : "+x"(a));
    return a;
}
static inline void v_store_f64(double *p, v_f64 a) { _mm256_storeu_pd(p, a); }
static inline void v_stream_f64(double *p, v_f64 a) { _mm256_stream_pd(p, a); }
static inline v_f64 v_load_n_f64(const double *p, size_t n) { return _mm256_maskload_pd(p, first_f64(n)); }
static inline void v_store_n_f64(double *p, v_f64 a, size_t n) { _mm256_maskstore_pd(p, first_f64(n), a); }
static inline v_f64 v_fma_f64(v_f64 a, v_f64 b, v_f64 c) { return _mm256_fmadd_pd(a, b, c); }
static inline v_f64 v_add_f64(v_f64 c, v_f64 a, v_f64 b) {
    __asm__("vfmadd231pd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
static inline v_f64 v_add_at_f64(v_f64 c, v_f64 a, const double *p) {
    __asm__("vfmadd231pd %2, %1, %0" : "+x"(c) : "x"(a), "m"(*(const __m256d_u *)p));
    return c;
}
static inline v_f64 v_min_f64(v_f64 a, v_f64 b) { return _mm256_min_pd(a, b); }
static inline v_f64 v_max_f64(v_f64 a, v_f64 b) { return _mm256_max_pd(a, b); }
static inline v_f64 v_sqrt_f64(v_f64 a) { return _mm256_sqrt_pd(a); }
static inline v_f64 v_abs_f64(v_f64 a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
static inline v_f64 v_sign_f64(v_f64 a, v_f64 s) {
    const __m256d sign = _mm256_set1_pd(-0.0);
    return _mm256_or_pd(_mm256_andnot_pd(sign, a), _mm256_and_pd(sign, s));
}
static inline v_f64 v_shift_f64(v_f64 a, v_f64 n) {
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_slli_epi64(_mm256_castpd_si256(n), 52)));
}
static inline v_f64 v_fnma_f64(v_f64 a, v_f64 b, v_f64 c) { return _mm256_fnmadd_pd(a, b, c); }
static inline v_f64 v_positive_f64(v_f64 a, v_f64 b) {
    return _mm256_and_pd(_mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_GT_OQ), b);
}
static inline v_f64 v_zip_low_f64(v_f64 a, v_f64 b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20);
}
static inline v_f64 v_zip_high_f64(v_f64 a, v_f64 b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31);
}
static inline v_f64 v_repeat_f64(const double *p, int n) {
    return n == 4 ? _mm256_loadu_pd(p) : _mm256_broadcast_pd((const __m128d *)p);
}
static inline v_f64 v_fold_f64(v_f64 a, v_f64 b) { return _mm256_permute4x64_pd(_mm256_hadd_pd(a, b), 0xD8); }

/* 6 x 2 accumulators, 2 weight vectors and a broadcast fit 16 registers. A row of a tile is three eighths of a line.
 * A single vector leaves room for 8 rows, as many as two pipes of latency four need. */
#define ROWS_f32 6
#define VECTORS_f32 2
#define ROWS_2X_f32 3
#define ROWS_4X_f32 1
#define ROWS_0X_f32 8
#define PAIR_BYTES_f32 (24 * 1024)
#define FOUR_K_f32 1
#define FREE_MASKS_f32 0
#define ASK_EVENLY_f32 0
#define ASKED_CACHE_f32 2
#define ASIDE_ROWS_f32 4
#define ASIDE_WIDTH_f32 2
#define ASIDE_BYTES_f32 (1024 * 1024)
#define STRIP_f32 8
#define AT_ONCE_f32 4
#define ROWS_f64 6
#define VECTORS_f64 2
#define ROWS_2X_f64 3
#define ROWS_4X_f64 1
#define ROWS_0X_f64 8
#define PAIR_BYTES_f64 (24 * 1024)
#define FOUR_K_f64 1
#define FREE_MASKS_f64 0
#define ASK_EVENLY_f64 0
#define ASKED_CACHE_f64 2
#define ASIDE_ROWS_f64 4
#define ASIDE_WIDTH_f64 2
#define ASIDE_BYTES_f64 (1024 * 1024)
#define STRIP_f64 4
#define AT_ONCE_f64 4

#endif
