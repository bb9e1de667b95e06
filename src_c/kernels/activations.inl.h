/* tanh and sigmoid, at most 2 units in the last place from the truth for every argument.
 *
 * Both stand on q = (e^(2r) - 1) / 2 of a reduced argument: x = n ln 2 + 2r with |r| <= ln 2 / 4, q = r + r^2 Q(r). Q is
 * the minimax polynomial of (q - r) / r^2 for the relative error of q: 1.3e-8 (f32), 1.8e-17 (f64). */

#ifndef FRNN_ACTIVATION_CONSTANTS
#define FRNN_ACTIVATION_CONSTANTS
static const float Q_f32[] = {0x1.6d99bep-5f, 0x1.12288p-3f, 0x1.555486p-2f, 0x1.5554aep-1f, 0x1p0f};
static const double Q_f64[] = {
    0x1.af772160c0c84p-16, 0x1.28a30291ebbb8p-13, 0x1.71dde9c182151p-11, 0x1.a019a63231db9p-9, 0x1.a01a01b5f3578p-7,
    0x1.6c16c17f51cbcp-5,  0x1.111111110e68fp-3,  0x1.5555555552094p-2,  0x1.555555555555cp-1, 0x1.0000000000005p0};

#define CONSTANT(name, f32, f64) \
    static const float name##_f32 = f32; \
    static const double name##_f64 = f64;
CONSTANT(one, 1, 1)
CONSTANT(two, 2, 2)
CONSTANT(half, 0.5f, 0.5)
CONSTANT(two_over_ln2, 0x1.715476p1f, 0x1.71547652b82fep1)
CONSTANT(minus_half_ln2, -0x1.62e43p-2f, -0x1.62e42fefa39efp-2)
CONSTANT(minus_half_ln2_high, -0x1.63p-2f, -0x1.62e42feep-2) /* n times this is exact */
CONSTANT(minus_half_ln2_low, 0x1.bd0106p-14f, -0x1.a39ef35793c76p-34)
CONSTANT(tanh_small, 0.3f, 0.3)            /* up to here tanh needs its second form */
CONSTANT(tanh_saturated, 10, 20)           /* from here on tanh rounds to 1 */
CONSTANT(sigmoid_vanished, -52.5f, -373.5) /* and at twice this sigmoid to 0 */
#undef CONSTANT
#endif

/* A constant, read here and now. If they were kept in registers from one round of a loop to the next, the dozen
 * constants would drive the data out of them. */
FRNN_INLINE VEC F(read)(const REAL *p) {
    __asm__("" : "+r"(p));
    return V(set1)(*p);
}
#define READ(name) F(read)(&F(name))

/* Every step of a function is taken for AT_ONCE vectors before the next: a single vector's steps would wait for each
 * other, and what the processor can look ahead is not enough to fill those waits. */
#define EACH_OF(count) FRNN_UNROLL for (int i = 0; i < count; i++)
#define EACH EACH_OF(AT_ONCE)

/* q = (e^(2r) - 1) / 2 for |r| <= ln 2 / 4 */
FRNN_INLINE void F(expm1_reduced)(const int count, const VEC *r, VEC *q) {
    VEC c = F(read)(F(Q));
    EACH_OF(count) q[i] = c;
    FRNN_UNROLL
    for (size_t k = 1; k < sizeof F(Q) / sizeof(REAL); k++) {
        c = F(read)(F(Q) + k);
        EACH_OF(count) q[i] = V(fma)(q[i], r[i], c);
    }
    EACH_OF(count) q[i] = V(fma)(r[i] * r[i], q[i], r[i]);
}

/* With m = (e^(2a) - 1) / 2 and a = |x|, tanh a = m / (m + 1): no cancellation anywhere. For small a the roundings of m,
 * of the sum and of the quotient would add up to more than two units in the last place; there the same is written as
 * a + (m - a - a m) / (m + 1), so that the last two hit only a small correction. */
FRNN_INLINE void F(tanh)(const int count, VEC *x) {
    VEC a[AT_ONCE], n[AT_ONCE], r[AT_ONCE], m[AT_ONCE], c;
    c = READ(tanh_saturated);
    EACH_OF(count) a[i] = V(min)(c, V(abs)(x[i]));
    c = READ(two_over_ln2);
    EACH_OF(count) n[i] = V(round)(a[i] * c);
    c = READ(minus_half_ln2);
    EACH_OF(count) r[i] = V(fma)(n[i], c, a[i]);
    EACH_OF(count) n[i] = V(pow2)(n[i]);
    F(expm1_reduced)(count, r, m);
    c = READ(half);
    EACH_OF(count) r[i] = V(fma)(n[i], c, V(set1)(0) - c);
    EACH_OF(count) m[i] = V(fma)(n[i], m[i], r[i]);
    c = READ(tanh_small);
    EACH_OF(count) a[i] = V(below)(a[i], c); /* 0 where a is not small: the second form becomes the first */
    EACH_OF(count) r[i] = V(fnma)(a[i], m[i], m[i] - a[i]);
    c = READ(one);
    EACH_OF(count) r[i] = a[i] + r[i] / (m[i] + c);
    EACH_OF(count) x[i] = V(sign)(r[i], x[i]);
}

/* With e = e^-|x|, sigmoid is 1 / (1 + e) for x >= 0, and for x < 0 e / (1 + e), written as e - e^2 / (1 + e) for the
 * same reason as above. */
FRNN_INLINE void F(sigmoid)(const int count, VEC *x) {
    const VEC zero = V(set1)(0);
    VEC n[AT_ONCE], r[AT_ONCE], e[AT_ONCE], c, d;
    c = READ(sigmoid_vanished);
    d = READ(half);
    EACH_OF(count) e[i] = V(max)(c, V(fnma)(V(abs)(x[i]), d, zero));
    c = READ(two_over_ln2);
    EACH_OF(count) n[i] = V(round)(e[i] * c);
    c = READ(minus_half_ln2_high);
    EACH_OF(count) r[i] = V(fma)(n[i], c, e[i]);
    c = READ(minus_half_ln2_low);
    EACH_OF(count) r[i] = V(fma)(n[i], c, r[i]);
    F(expm1_reduced)(count, r, e);
    c = READ(one);
    d = READ(two);
    EACH_OF(count) e[i] = V(scale)(V(fma)(e[i], d, c), n[i]);
    EACH_OF(count) r[i] = V(if_negative)(x[i], V(fnma)(e[i], e[i], zero), c) / (e[i] + c);
    EACH_OF(count) x[i] = V(if_negative)(x[i], e[i] + r[i], r[i]);
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

/* act'(z) times d, from y = act(z) */
FRNN_INLINE VEC F(act_gradient)(frnn_activation activation, VEC y, VEC d) {
    const VEC one = V(set1)(1);
    switch (activation) {
    case FRNN_TANH: return d * V(fnma)(y, y, one);
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
