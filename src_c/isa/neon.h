/* NEON (AArch64): 32 registers of 16 bytes. The words are described in isa/generic.h. */
#ifndef FRNN_NEON_H
#define FRNN_NEON_H

static inline void v_leave(void) {}
static inline void v_drain(void) {}

typedef float32x4_t v_f32;
enum { LANES_f32 = 4 };
static inline v_f32 v_set1_f32(float s) { return vdupq_n_f32(s); }
static inline v_f32 v_load_f32(const float *p) { return vld1q_f32(p); }
static inline v_f32 v_load_once_f32(const float *p) { return v_load_f32(p); }
static inline void v_store_f32(float *p, v_f32 a) { vst1q_f32(p, a); }
static inline void v_stream_f32(float *p, v_f32 a) { v_store_f32(p, a); }
static inline v_f32 v_load_n_f32(const float *p, size_t n) {
    float a[LANES_f32] = {0};
    for (size_t i = 0; i < n; i++) a[i] = p[i];
    return vld1q_f32(a);
}
static inline void v_store_n_f32(float *p, v_f32 a, size_t n) {
    float all[LANES_f32];
    vst1q_f32(all, a);
    for (size_t i = 0; i < n; i++) p[i] = all[i];
}
static inline v_f32 v_fma_f32(v_f32 a, v_f32 b, v_f32 c) { return vfmaq_f32(c, a, b); }
static inline v_f32 v_add_f32(v_f32 c, v_f32 a, v_f32 b) { return v_fma_f32(a, b, c); }
static inline v_f32 v_add_at_f32(v_f32 c, v_f32 a, const float *p) { return v_fma_f32(a, v_load_f32(p), c); }
static inline v_f32 v_min_f32(v_f32 a, v_f32 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline v_f32 v_max_f32(v_f32 a, v_f32 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline v_f32 v_sqrt_f32(v_f32 a) { return vsqrtq_f32(a); }
static inline v_f32 v_abs_f32(v_f32 a) { return vabsq_f32(a); }
static inline v_f32 v_sign_f32(v_f32 a, v_f32 s) { return vbslq_f32(vdupq_n_u32(0x80000000u), s, a); }
static inline v_f32 v_shift_f32(v_f32 a, v_f32 n) {
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), vshlq_n_u32(vreinterpretq_u32_f32(n), 23)));
}
static inline v_f32 v_fnma_f32(v_f32 a, v_f32 b, v_f32 c) { return vfmsq_f32(c, a, b); }
static inline v_f32 v_positive_f32(v_f32 a, v_f32 b) {
    return vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(a), vreinterpretq_u32_f32(b)));
}
static inline v_f32 v_zip_low_f32(v_f32 a, v_f32 b) { return vzip1q_f32(a, b); }
static inline v_f32 v_zip_high_f32(v_f32 a, v_f32 b) { return vzip2q_f32(a, b); }
static inline v_f32 v_repeat_f32(const float *p, int n) {
    const float32x2_t first = vld1_f32(p);
    return n == 4 ? vld1q_f32(p) : vcombine_f32(first, first);
}
static inline v_f32 v_fold_f32(v_f32 a, v_f32 b) { return vpaddq_f32(a, b); }

typedef float64x2_t v_f64;
enum { LANES_f64 = 2 };
static inline v_f64 v_set1_f64(double s) { return vdupq_n_f64(s); }
static inline v_f64 v_load_f64(const double *p) { return vld1q_f64(p); }
static inline v_f64 v_load_once_f64(const double *p) { return v_load_f64(p); }
static inline void v_store_f64(double *p, v_f64 a) { vst1q_f64(p, a); }
static inline void v_stream_f64(double *p, v_f64 a) { v_store_f64(p, a); }
static inline v_f64 v_load_n_f64(const double *p, size_t n) {
    return n < LANES_f64 ? vsetq_lane_f64(*p, vdupq_n_f64(0), 0) : vld1q_f64(p);
}
static inline void v_store_n_f64(double *p, v_f64 a, size_t n) {
    if (n < LANES_f64) *p = vgetq_lane_f64(a, 0);
    else vst1q_f64(p, a);
}
static inline v_f64 v_fma_f64(v_f64 a, v_f64 b, v_f64 c) { return vfmaq_f64(c, a, b); }
static inline v_f64 v_add_f64(v_f64 c, v_f64 a, v_f64 b) { return v_fma_f64(a, b, c); }
static inline v_f64 v_add_at_f64(v_f64 c, v_f64 a, const double *p) { return v_fma_f64(a, v_load_f64(p), c); }
static inline v_f64 v_min_f64(v_f64 a, v_f64 b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
static inline v_f64 v_max_f64(v_f64 a, v_f64 b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
static inline v_f64 v_sqrt_f64(v_f64 a) { return vsqrtq_f64(a); }
static inline v_f64 v_abs_f64(v_f64 a) { return vabsq_f64(a); }
static inline v_f64 v_sign_f64(v_f64 a, v_f64 s) { return vbslq_f64(vdupq_n_u64(0x8000000000000000u), s, a); }
static inline v_f64 v_shift_f64(v_f64 a, v_f64 n) {
    return vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(a), vshlq_n_u64(vreinterpretq_u64_f64(n), 52)));
}
static inline v_f64 v_fnma_f64(v_f64 a, v_f64 b, v_f64 c) { return vfmsq_f64(c, a, b); }
static inline v_f64 v_positive_f64(v_f64 a, v_f64 b) {
    return vreinterpretq_f64_u64(vandq_u64(vcgtzq_f64(a), vreinterpretq_u64_f64(b)));
}
static inline v_f64 v_zip_low_f64(v_f64 a, v_f64 b) { return vzip1q_f64(a, b); }
static inline v_f64 v_zip_high_f64(v_f64 a, v_f64 b) { return vzip2q_f64(a, b); }
static inline v_f64 v_repeat_f64(const double *p, int n) {
    (void)n; /* two are all lanes */
    return vld1q_f64(p);
}
static inline v_f64 v_fold_f64(v_f64 a, v_f64 b) { return vpaddq_f64(a, b); }

/* 8 x 2 accumulators fill four pipes of latency four; more rows would not fit the general registers. */
#define ROWS_f32 8
#define VECTORS_f32 2
#define ROWS_2X_f32 5
#define ROWS_4X_f32 2
#define ROWS_0X_f32 8
#define PAIR_BYTES_f32 0
#define FOUR_K_f32 0
#define FREE_MASKS_f32 0
#define ASK_EVENLY_f32 0
#define ASKED_CACHE_f32 1
#define ASIDE_ROWS_f32 0
#define ASIDE_WIDTH_f32 1
#define ASIDE_BYTES_f32 0
#define STRIP_f32 1
#define AT_ONCE_f32 4
#define ROWS_f64 8
#define VECTORS_f64 2
#define ROWS_2X_f64 5
#define ROWS_4X_f64 2
#define ROWS_0X_f64 8
#define PAIR_BYTES_f64 0
#define FOUR_K_f64 0
#define FREE_MASKS_f64 0
#define ASK_EVENLY_f64 0
#define ASKED_CACHE_f64 1
#define ASIDE_ROWS_f64 0
#define ASIDE_WIDTH_f64 1
#define ASIDE_BYTES_f64 0
#define STRIP_f64 1
#define AT_ONCE_f64 4

#endif
