/* The activations by themselves: within 2 units in the last place, whatever the argument and wherever it lies. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guard.h"
#include "kernels/kernels.h"
#include "tests.h"

typedef long double precise;

static precise exact(frnn_activation activation, precise x) {
    if (activation == FRNN_TANH) return tanhl(x);
    return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}

/* The distance between the values of a type around y. */
static precise spacing(frnn_dtype dtype, precise y) {
    const int digits = dtype == FRNN_F32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    const int least = dtype == FRNN_F32 ? FLT_MIN_EXP - FLT_MANT_DIG : DBL_MIN_EXP - DBL_MANT_DIG;
    int exponent;
    frexpl(y, &exponent);
    return ldexpl(1, exponent - digits > least ? exponent - digits : least);
}

static double make(frnn_dtype dtype, int negative, size_t exponent, uint64_t mantissa) {
    if (dtype == FRNN_F32) {
        const uint32_t bits = (uint32_t)negative << 31 | (uint32_t)exponent << 23 | (uint32_t)(mantissa & 0x7fffff);
        float x;
        memcpy(&x, &bits, sizeof x);
        return (double)x;
    }
    const uint64_t bits = (uint64_t)negative << 63 | (uint64_t)exponent << 52 | (mantissa & UINT64_C(0xfffffffffffff));
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void check_value(frnn_dtype dtype, frnn_activation activation, double x, double y) {
    const char *name = activation_name(activation);
    if (isnan(x)) {
        CHECK(isnan(y), "%s(NaN) = %g", name, y);
    } else if (activation == FRNN_LINEAR || activation == FRNN_RELU) {
        CHECK(y == (activation == FRNN_LINEAR || x > 0 ? x : 0), "%s(%a) = %a", name, x, y);
    } else {
        /* Where long double is no longer than double, its own errors count, too. */
        const precise allowed = dtype == FRNN_F64 && LDBL_MANT_DIG == DBL_MANT_DIG ? 4 : 2;
        const precise want = exact(activation, (precise)x), off = fabsl((precise)y - want) / spacing(dtype, want);
        CHECK(off <= allowed, "%s(%a) = %a is off by %.2Lf units in the last place", name, x, y, off);
        CHECK(activation != FRNN_TANH || signbit(x) == signbit(y), "tanh(%a) = %a has the other sign", x, y);
    }
}

/* All exponents, subnormal and infinite ones included, both signs and some mantissas of each. */
static void check_values(const frnn_kernels *kernels, frnn_activation activation, size_t mantissas) {
    const frnn_dtype dtype = kernels->dtype;
    const size_t exponents = dtype == FRNN_F32 ? 256 : 2048, n = 2 * exponents * mantissas;
    void *x = guard_take(n * kernels->size, kernels->size), *y = guard_take(n * kernels->size, kernels->size);
    size_t i = 0;
    for (size_t exponent = 0; exponent < exponents; exponent++)
        for (size_t m = 0; m < mantissas; m++)
            for (int negative = 0; negative < 2; negative++) {
                const uint64_t mantissa = m == 0 ? 0 : m == 1 ? UINT64_MAX : random_bits();
                put(dtype, x, i++, make(dtype, negative, exponent, mantissa));
            }
    guard_freeze(x);
    CHECK(api->activate(kernels, activation, n, x, y) == FRNN_OK, "activate");
    for (i = 0; i < n; i++) check_value(dtype, activation, get(dtype, x, i), get(dtype, y, i));
    guard_release();
}

/* Random arguments where the functions bend. */
static void check_bend(const frnn_kernels *kernels, frnn_activation activation, size_t n) {
    void *x = guard_take(n * kernels->size, kernels->size), *y = guard_take(n * kernels->size, kernels->size);
    for (size_t i = 0; i < n; i++) {
        const double limit = i % 2 ? 3 : kernels->dtype == FRNN_F32 ? 110 : 760;
        put(kernels->dtype, x, i, random_between(-limit, limit));
    }
    CHECK(api->activate(kernels, activation, n, x, y) == FRNN_OK, "activate");
    for (size_t i = 0; i < n; i++)
        check_value(kernels->dtype, activation, get(kernels->dtype, x, i), get(kernels->dtype, y, i));
    guard_release();
}

/* An element's value depends neither on its neighbors nor on its place, in another array or in place. */
static void check_lengths(const frnn_kernels *kernels, frnn_activation activation) {
    enum { MOST = 140 };
    const size_t size = kernels->size;
    char all[MOST * sizeof(double)];
    double values[MOST];
    for (size_t i = 0; i < MOST; i++) {
        values[i] = random_between(-4, 4);
        put(kernels->dtype, all, i, values[i]);
    }
    CHECK(api->activate(kernels, activation, MOST, all, all) == FRNN_OK, "activate");
    for (size_t n = 0; n <= MOST; n = n < 70 ? n + 1 : n + 7)
        for (int at_end = 0; at_end < 2; at_end++) {
            guard_at_end(at_end);
            char *x = guard_take(n * size, size), *y = guard_take(n * size, size);
            for (size_t i = 0; i < n; i++) put(kernels->dtype, x, i, values[MOST - n + i]);
            CHECK(api->activate(kernels, activation, n, x, y) == FRNN_OK, "activate");
            CHECK(memcmp(y, all + (MOST - n) * size, n * size) == 0, "%zu elements have other bits", n);
            CHECK(api->activate(kernels, activation, n, x, x) == FRNN_OK, "activate");
            CHECK(memcmp(x, y, n * size) == 0, "%zu elements have other bits in place", n);
            guard_release();
        }
}

void test_activations(const frnn_kernels *kernels, effort effort) {
    seed_random(7);
    const size_t mantissas = kernels->dtype == FRNN_F32 ? 64 : 8;
    for (frnn_activation a = FRNN_LINEAR; a < FRNN_ACTIVATIONS; a++) {
        set_case("%s on %s, %s", activation_name(a), kernels->isa, type_name(kernels->dtype));
        check_values(kernels, a, effort == FULL ? mantissas : mantissas / 4 + 1);
        check_bend(kernels, a, effort == FULL ? 20000 : 2000);
        check_lengths(kernels, a);
    }
}
