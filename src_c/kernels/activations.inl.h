/* tanh and sigmoid, at most 2 units in the last place from the truth for every argument.
 *
 * Both stand on expm1 of a reduced argument: x = n ln 2 + r with |r| <= ln 2 / 2, e^r - 1 = r + r^2 P(r). P is the
 * minimax polynomial of ((e^r - 1 - r) / r^2) for the relative error of e^r - 1: 1.3e-8 (f32), 1.8e-17 (f64). ln 2 is
 * split so that n times its high part is exact without a fused multiply-add, too. */

#ifndef FRNN_EXPM1_CONSTANTS
#define FRNN_EXPM1_CONSTANTS
static const float expm1_P_f32[] = {0x1.6d99bep-10f, 0x1.12288p-7f, 0x1.555486p-5f, 0x1.5554aep-3f, 0x1p-1f};
static const double expm1_P_f64[] = {0x1.af772160c0c84p-26, 0x1.28a30291ebbb8p-22, 0x1.71dde9c182151p-19,
                                     0x1.a019a63231db9p-16, 0x1.a01a01b5f3578p-13, 0x1.6c16c17f51cbcp-10,
                                     0x1.111111110e68fp-7,  0x1.5555555552094p-5,  0x1.555555555555cp-3,
                                     0x1.0000000000005p-1};
static const float ln2_high_f32 = 0x1.63p-1f, ln2_low_f32 = -0x1.bd0106p-13f;
static const double ln2_high_f64 = 0x1.62e42feep-1, ln2_low_f64 = 0x1.a39ef35793c76p-33;
/* Beyond these, tanh rounds to 1 and sigmoid(-x) to 0. */
static const float tanh_saturated_f32 = 10.0f, sigmoid_vanished_f32 = 105.0f;
static const double tanh_saturated_f64 = 20.0, sigmoid_vanished_f64 = 747.0;
#endif

/* Every step of a function is taken for AT_ONCE vectors before the next: a single vector's steps would wait for each
 * other, and what the processor can look ahead is not enough to fill those waits. */
#define EACH FRNN_UNROLL for (int i = 0; i < AT_ONCE; i++)

/* q = e^r - 1 for |r| <= ln 2 / 2 */
FRNN_INLINE void F(expm1_reduced)(const VEC *r, VEC *q) {
    const REAL *P = F(expm1_P);
    EACH q[i] = V(set1)(P[0]);
    FRNN_UNROLL
    for (size_t k = 1; k < sizeof F(expm1_P) / sizeof(REAL); k++) EACH q[i] = V(fma)(q[i], r[i], V(set1)(P[k]));
    EACH q[i] = V(fma)(r[i] * r[i], q[i], r[i]);
}

/* With m = e^(2a) - 1 and a = |x|, tanh a = m / (m + 2): no cancellation anywhere. For small a the roundings of m, of the
 * sum and of the quotient would add up to more than two units in the last place; there the same is written as
 * a + (m - 2a - a m) / (m + 2), so that the last two hit only a small correction. */
FRNN_INLINE void F(tanh)(VEC *x) {
    const VEC zero = V(set1)(0), one = V(set1)(1), two = V(set1)(2), small = V(set1)((REAL)0.3);
    VEC a[AT_ONCE], n[AT_ONCE], m[AT_ONCE], s[AT_ONCE], rest[AT_ONCE];
    EACH a[i] = V(min)(V(set1)(F(tanh_saturated)), V(abs)(x[i]));
    EACH n[i] = V(round)(a[i] * V(set1)((REAL)(2 * 1.4426950408889634))); /* 2 / ln 2 */
    EACH s[i] = V(fma)(n[i], V(set1)(-F(ln2_high)), a[i] + a[i]);
    EACH s[i] = V(fma)(n[i], V(set1)(-F(ln2_low)), s[i]);
    F(expm1_reduced)(s, m);
    EACH s[i] = V(pow2)(n[i]);
    EACH m[i] = V(fma)(s[i], m[i], s[i] - one);
    EACH rest[i] = V(fma)(zero - a[i], m[i], m[i] - (a[i] + a[i]));
    EACH rest[i] = V(if_negative)(a[i] - small, rest[i], m[i]);
    EACH s[i] = V(if_negative)(a[i] - small, a[i], zero);
    EACH x[i] = V(sign)(s[i] + rest[i] / (m[i] + two), x[i]);
}

/* With e = e^-|x|, sigmoid is 1 / (1 + e) for x >= 0, and for x < 0 e / (1 + e), written as e - e^2 / (1 + e) for the same
 * reason. */
FRNN_INLINE void F(sigmoid)(VEC *x) {
    const VEC zero = V(set1)(0), one = V(set1)(1);
    VEC a[AT_ONCE], n[AT_ONCE], r[AT_ONCE], e[AT_ONCE];
    EACH a[i] = V(min)(V(set1)(F(sigmoid_vanished)), V(abs)(x[i]));
    EACH n[i] = V(round)(a[i] * V(set1)((REAL)-1.4426950408889634)); /* 1 / ln 2 */
    EACH r[i] = V(fma)(n[i], V(set1)(-F(ln2_high)), zero - a[i]);
    EACH r[i] = V(fma)(n[i], V(set1)(-F(ln2_low)), r[i]);
    F(expm1_reduced)(r, e);
    EACH e[i] = V(scale)(e[i] + one, n[i]);
    EACH a[i] = V(if_negative)(x[i], e[i], zero);
    EACH r[i] = V(if_negative)(x[i], zero - e[i] * e[i], one);
    EACH x[i] = a[i] + r[i] / (e[i] + one);
}

/* AT_ONCE vectors, in place */
FRNN_INLINE void F(act)(frnn_activation activation, VEC *x) {
    switch (activation) {
    case FRNN_TANH: F(tanh)(x); break;
    case FRNN_SIGMOID: F(sigmoid)(x); break;
    case FRNN_RELU: EACH x[i] = V(max)(V(set1)(0), x[i]); break;
    default: break;
    }
}

/* act'(z) times d, from y = act(z) */
FRNN_INLINE VEC F(act_gradient)(frnn_activation activation, VEC y, VEC d) {
    const VEC one = V(set1)(1);
    switch (activation) {
    case FRNN_TANH: return d * V(fma)(V(set1)(0) - y, y, one);
    case FRNN_SIGMOID: return d * (y * (one - y));
    case FRNN_RELU: return V(positive)(y, d);
    default: return d;
    }
}

/* f(activation, ...) with the activation a constant, so that the switch stands outside f's loops. */
#define FRNN_FOR_ACTIVATION(activation, f, ...) \
    switch (activation) { \
    case FRNN_TANH: f(FRNN_TANH, __VA_ARGS__); break; \
    case FRNN_SIGMOID: f(FRNN_SIGMOID, __VA_ARGS__); break; \
    case FRNN_RELU: f(FRNN_RELU, __VA_ARGS__); break; \
    default: f(FRNN_LINEAR, __VA_ARGS__); \
    }
