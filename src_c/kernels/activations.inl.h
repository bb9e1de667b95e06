/* tanh and sigmoid, at most 2 units in the last place from the truth for every argument.
 *
 * tanh: |x| = n ln 2 / 2 + r, N = 2^n, t = tanh r = r + r^3 P(r^2). By the sum of arguments, tanh |x| is m / (m + 1 - t)
 * with m = (N - 1 + (N + 1) t) / 2. Nothing cancels out while n = 0, for then m is t and m + 1 - t is 1; and for large n an
 * error of m is in both sides of the quotient. Between these, where |x| = 0.2, the roundings would add up to more than two
 * units: so n stays 0 up to |x| = 0.27, and r lies between 0.1 - ln 2 / 4 and 0.1 + ln 2 / 4.
 *
 * sigmoid: -x = n ln 2 - r with |r| <= ln 2 / 2, N = 2^n, e^-r = 1 - m, m = r - r^2 Q(r). 1 / (1 + e^-x) is
 * 1 / (N + (1 - N m)): the sum's larger part comes last, so that only its rounding counts.
 *
 * P and Q are minimax polynomials for the relative errors of t, 5.8e-9 (f32) and 1.7e-17 (f64), and of m, 1.3e-8 and
 * 1.8e-17. n is rounded to an integer in the last bits of a sum, with 1.5 * 2^23 (f64: 2^52). */

#ifndef FRNN_ACTIVATION_CONSTANTS
#define FRNN_ACTIVATION_CONSTANTS
#define CONSTANTS(real, type, terms_of_tanh, terms_of_sigmoid) \
    struct constants_##type { \
        real one, half, rounding; \
        real tanh_saturated; /* from here on tanh rounds to 1 */ \
        real tanh_shift, two_over_ln2, minus_half_ln2, P[terms_of_tanh]; \
        real sigmoid_vanished, sigmoid_saturated;   /* up to here sigmoid rounds to 0, from here on to 1 */ \
        real minus_one_over_ln2, ln2_high, ln2_low; /* n times ln2_high is exact */ \
        real scale; /* both sides of sigmoid's quotient are multiplied with it, so that no N overflows */ \
        real rounding_scaled, Q[terms_of_sigmoid]; \
    }
CONSTANTS(float, f32, 3, 5);
CONSTANTS(double, f64, 7, 10);
#undef CONSTANTS

static const struct constants_f32 constants_f32 = {
    .one = 1,
    .half = 0.5f,
    .rounding = 0x1.8p23f,
    .tanh_saturated = 10,
    .tanh_shift = 0.1f,
    .two_over_ln2 = 0x1.715476p1f,
    .minus_half_ln2 = -0x1.62e43p-2f,
    .P = {-0x1.a1726ep-5f, 0x1.10cdbap-3f, -0x1.5554ecp-2f},
    .sigmoid_vanished = -105,
    .sigmoid_saturated = 60,
    .minus_one_over_ln2 = -0x1.715476p0f,
    .ln2_high = 0x1.63p-1f,
    .ln2_low = -0x1.bd0106p-13f,
    .scale = 0x1p-24f,
    .rounding_scaled = 0x1.8p23f - 24,
    .Q = {0x1.6d99bep-10f, -0x1.12288p-7f, 0x1.555486p-5f, -0x1.5554aep-3f, 0x1p-1f},
};
static const struct constants_f64 constants_f64 = {
    .one = 1,
    .half = 0.5,
    .rounding = 0x1.8p52,
    .tanh_saturated = 20,
    .tanh_shift = 0.1,
    .two_over_ln2 = 0x1.71547652b82fep1,
    .minus_half_ln2 = -0x1.62e42fefa39efp-2,
    .P = {-0x1.52fdfe6b63fe8p-10, 0x1.d4554be4fdc43p-9, -0x1.22646a8f3c8dep-7, 0x1.664f1e0f08ebep-6,
          -0x1.ba1ba15775e65p-5, 0x1.11111110daaa2p-3, -0x1.5555555555410p-2},
    .sigmoid_vanished = -747,
    .sigmoid_saturated = 600,
    .minus_one_over_ln2 = -0x1.71547652b82fep0,
    .ln2_high = 0x1.62e42feep-1,
    .ln2_low = 0x1.a39ef35793c76p-33,
    .scale = 0x1p-56,
    .rounding_scaled = 0x1.8p52 - 56,
    .Q = {-0x1.af772160c0c84p-26, 0x1.28a30291ebbb8p-22, -0x1.71dde9c182151p-19, 0x1.a019a63231db9p-16,
          -0x1.a01a01b5f3578p-13, 0x1.6c16c17f51cbcp-10, -0x1.111111110e68fp-7, 0x1.5555555552094p-5,
          -0x1.555555555555cp-3, 0x1.0000000000005p-1},
};
#endif

/* Where the constants are: the compiler does not know, and reads them anew for each call. If they were kept in registers from
 * one round of a loop to the next, the dozen constants would drive the data out of them. */
FRNN_INLINE const struct F(constants) * F(constants_anew)(void) {
    const struct F(constants) *k = &F(constants);
    __asm__("" : "+r"(k));
    return k;
}
#define READ(name) V(set1)(k->name)

/* Every step of a function is taken for AT_ONCE vectors before the next: a single vector's steps would wait for each
 * other, and what the processor can look ahead is not enough to fill those waits. */
#define EACH_OF(count) FRNN_UNROLL for (int i = 0; i < count; i++)
#define EACH EACH_OF(AT_ONCE)

/* The polynomial of these coefficients, the highest power first */
FRNN_INLINE void F(polynomial)(const int count, const REAL *coefficients, const int n, const VEC *x, VEC *p) {
    VEC c = V(set1)(coefficients[0]);
    EACH_OF(count) p[i] = c;
    FRNN_UNROLL
    for (int j = 1; j < n; j++) {
        c = V(set1)(coefficients[j]);
        EACH_OF(count) p[i] = V(fma)(p[i], x[i], c);
    }
}
#define POLYNOMIAL(count, name, x, p) F(polynomial)(count, k->name, sizeof k->name / sizeof(REAL), x, p)

FRNN_INLINE void F(tanh)(const int count, VEC *x) {
    const struct F(constants) *const k = F(constants_anew)();
    VEC n[AT_ONCE], r[AT_ONCE], s[AT_ONCE], t[AT_ONCE], m[AT_ONCE], c, d, e;
    c = READ(tanh_saturated);
    EACH_OF(count) r[i] = V(min)(c, V(abs)(x[i]));
    c = READ(two_over_ln2);
    d = READ(rounding);
    e = READ(tanh_shift);
    EACH_OF(count) n[i] = V(fma)(r[i] - e, c, d);
    c = READ(minus_half_ln2);
    EACH_OF(count) r[i] = V(fma)(n[i] - d, c, r[i]);
    EACH_OF(count) s[i] = r[i] * r[i];
    POLYNOMIAL(count, P, s, t);
    EACH_OF(count) t[i] = V(fma)(r[i] * s[i], t[i], r[i]);
    c = READ(half);
    EACH_OF(count) n[i] = V(shift)(c, n[i]);
    EACH_OF(count) m[i] = V(fma)(n[i] + c, t[i], n[i] - c);
    c = READ(one);
    EACH_OF(count) x[i] = V(sign)(m[i] / (m[i] + (c - t[i])), x[i]);
}

FRNN_INLINE void F(sigmoid)(const int count, VEC *x) {
    const struct F(constants) *const k = F(constants_anew)();
    VEC n[AT_ONCE], r[AT_ONCE], m[AT_ONCE], c, d;
    c = READ(sigmoid_vanished);
    d = READ(sigmoid_saturated);
    EACH_OF(count) r[i] = V(max)(c, V(min)(d, x[i]));
    c = READ(minus_one_over_ln2);
    d = READ(rounding_scaled);
    EACH_OF(count) n[i] = V(fma)(r[i], c, d);
    c = READ(ln2_high);
    EACH_OF(count) r[i] = V(fma)(n[i] - d, c, r[i]);
    c = READ(ln2_low);
    EACH_OF(count) r[i] = V(fma)(n[i] - d, c, r[i]);
    POLYNOMIAL(count, Q, r, m);
    EACH_OF(count) m[i] = V(fnma)(r[i] * r[i], m[i], r[i]);
    c = READ(one);
    EACH_OF(count) n[i] = V(shift)(c, n[i]);
    c = READ(scale);
    EACH_OF(count) x[i] = c / (n[i] + V(fnma)(n[i], m[i], c));
}

/* So many vectors, a constant, in place */
FRNN_INLINE void F(act)(const int count, frnn_activation activation, VEC *x) {
    switch (activation) {
    case FRNN_TANH: F(tanh)(count, x); break;
    case FRNN_SIGMOID: F(sigmoid)(count, x); break;
    case FRNN_RELU: EACH_OF(count) x[i] = V(max)(V(set1)(0), x[i]); break;
    default: break;
    }
}

/* act'(z) times d, from y = act(z). tanh' = 1 - y^2 and sigmoid' = y (1 - y) are one parabola, a0 + y (a1 - y), with other
 * coefficients: one way less for each of the many that stand side by side in the gated cells. */
FRNN_INLINE VEC F(act_gradient)(frnn_activation activation, VEC y, VEC d) {
    static const REAL a[][2] = {[FRNN_TANH] = {1, 0}, [FRNN_SIGMOID] = {0, 1}};
    if (activation == FRNN_LINEAR) return d;
    if (activation == FRNN_RELU) return V(positive)(y, d);
    return d * V(fma)(y, V(set1)(a[activation][1]) - y, V(set1)(a[activation][0]));
}

/* f(activation, ...) with the activation a constant, so that the switch stands outside f's loops. */
#define FRNN_FOR_ACTIVATION(activation, f, ...) \
    switch (activation) { \
    case FRNN_TANH: f(FRNN_TANH, __VA_ARGS__); break; \
    case FRNN_SIGMOID: f(FRNN_SIGMOID, __VA_ARGS__); break; \
    case FRNN_RELU: f(FRNN_RELU, __VA_ARGS__); break; \
    default: f(FRNN_LINEAR, __VA_ARGS__); \
    }
