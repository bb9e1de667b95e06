/* Dense layers: beside sums in double precision, between guards, with the same bits for any number of threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guard.h"
#include "kernels/kernels.h"
#include "naive.h"
#include "tests.h"

/* Numbers in guarded memory, and the same in double precision. */
typedef struct matrix {
    size_t rows, columns;
    void *array;
    double *numbers;
} matrix;

static matrix take(const frnn_kernels *k, size_t rows, size_t columns) {
    const size_t n = rows * columns;
    return (matrix){rows, columns, guard_take(n * k->size, k->size), calloc(n + 1, sizeof(double))};
}

static matrix given(const frnn_kernels *k, size_t rows, size_t columns, double scale) {
    const matrix m = take(k, rows, columns);
    for (size_t i = 0; i < rows * columns; i++) {
        put(k->dtype, m.array, i, random_between(-scale, scale));
        m.numbers[i] = get(k->dtype, m.array, i);
    }
    guard_freeze(m.array);
    return m;
}

/* One side of a product: rows `row` apart, the elements of each k apart; and how large these are as rounding sees them. */
typedef struct factor {
    const double *first, *sizes;
    size_t row, k;
} factor;

static void check_product(const char *what, const frnn_kernels *k, const matrix *found, factor a, factor b, size_t K,
                          const double *start, frnn_activation activation) {
    const double u = k->dtype == FRNN_F32 ? 0x1p-24 : 0x1p-53;
    for (size_t i = 0; i < found->rows; i++)
        for (size_t j = 0; j < found->columns; j++) {
            double sum = start ? start[j] : 0, terms = fabs(sum);
            for (size_t n = 0; n < K; n++) {
                const size_t of_a = i * a.row + n * a.k, of_b = j * b.row + n * b.k;
                sum += a.first[of_a] * b.first[of_b], terms += fabs(a.sizes[of_a] * b.sizes[of_b]);
            }
            const double want = naive_activate(activation, sum),
                         got = get(k->dtype, found->array, i * found->columns + j);
            const double tolerance = u * ((double)(K + 6) * terms + 4 * fabs(want));
            CHECK(fabs(got - want) <= tolerance, "%s[%zu, %zu] is %.9g instead of %.9g, tolerance %.1e", what, i, j,
                  got, want, tolerance);
        }
}

static void *scratch_for(const frnn_plan *plan, const frnn_dense *d) {
    size_t bytes;
    CHECK(api->dense_scratch_size(plan, d, &bytes) == FRNN_OK, "scratch_size");
    return guard_take((bytes + 63) / 64 * 64, 64);
}

static void check_same(const char *what, const frnn_kernels *k, const matrix *a, const void *b) {
    CHECK(memcmp(a->array, b, a->rows * a->columns * k->size) == 0, "%s has other bits with more threads", what);
}

typedef struct sizes {
    size_t B, I, H, threads;
} sizes;

static void check_dense(const frnn_kernels *k, sizes s, frnn_activation activation) {
    set_case("dense on %s, %s: %zu rows, %zu inputs, %zu units, %s, %zu threads", k->isa, type_name(k->dtype), s.B, s.I,
             s.H, activation_name(activation), s.threads);
    guard_at_end((int)random_below(2));
    const frnn_plan plan = {.kernels = k, .B = s.B, .I = s.I, .H = s.H, .activation = activation, .threads = s.threads};
    const int bias = (int)random_below(2), dx = (int)random_below(2), db = (int)random_below(2);
    matrix m[9] = {given(k, s.B, s.I, 1), given(k, s.I, s.H, 1), given(k, 1, s.H, 1), take(k, s.B, s.H)};
    frnn_dense d = {.x = m[0].array, .w = m[1].array, .b = bias ? m[2].array : NULL, .y = m[3].array};
    CHECK(api->dense_forward(&plan, &d, scratch_for(&plan, &d)) == FRNN_OK, "forward");
    const double *x = m[0].numbers, *w = m[1].numbers;
    check_product("y", k, &m[3], (factor){x, x, s.I, 1}, (factor){w, w, 1, s.H}, s.I, bias ? m[2].numbers : NULL,
                  activation);

    m[4] = given(k, s.B, s.H, 1), m[5] = take(k, s.B, s.I), m[6] = take(k, s.I, s.H), m[7] = take(k, 1, s.H);
    m[8] = (matrix){.numbers = calloc(s.B * s.H + 1, sizeof(double))}; /* dz, from the y that was found */
    for (size_t i = 0; i < s.B * s.H; i++)
        m[8].numbers[i] = m[4].numbers[i] * naive_derivative(activation, get(k->dtype, m[3].array, i));
    guard_freeze(m[3].array);
    d.dy = m[4].array, d.dx = dx ? m[5].array : NULL, d.dw = m[6].array, d.db = db ? m[7].array : NULL;
    if (activation == FRNN_LINEAR) d.y = NULL;
    CHECK(api->dense_backward(&plan, &d, scratch_for(&plan, &d)) == FRNN_OK, "backward");
    /* The derivative is rounded as a difference of numbers up to 1: dz is off by some u dy. */
    const double *dz = m[8].numbers, *dy = m[4].numbers, one = 1;
    if (dx) check_product("dx", k, &m[5], (factor){dz, dy, s.H, 1}, (factor){w, w, s.H, 1}, s.H, NULL, FRNN_LINEAR);
    check_product("dw", k, &m[6], (factor){x, x, 1, s.I}, (factor){dz, dy, 1, s.H}, s.B, NULL, FRNN_LINEAR);
    if (db) check_product("db", k, &m[7], (factor){&one, &one, 0, 0}, (factor){dz, dy, 1, s.H}, s.B, NULL, FRNN_LINEAR);

    if (s.threads > 1) {
        frnn_plan alone = plan;
        alone.threads = 1;
        frnn_dense again = {.x = d.x, .w = d.w, .b = bias ? m[2].array : NULL};
        again.y = guard_take(s.B * s.H * k->size, k->size);
        CHECK(api->dense_forward(&alone, &again, scratch_for(&alone, &again)) == FRNN_OK, "forward");
        check_same("y", k, &m[3], again.y);
        again.dy = d.dy, again.dw = guard_take(s.I * s.H * k->size, k->size);
        again.dx = guard_take(s.B * s.I * k->size, k->size);
        CHECK(api->dense_backward(&alone, &again, scratch_for(&alone, &again)) == FRNN_OK, "backward");
        check_same("dw", k, &m[6], again.dw);
        if (dx) check_same("dx", k, &m[5], again.dx);
    }
    for (size_t i = 0; i < sizeof m / sizeof *m; i++) free(m[i].numbers);
    guard_release();
}

static void check_refused(const frnn_kernels *k) {
    set_case("dense on %s, %s: arguments", k->isa, type_name(k->dtype));
    double room[512], memory[64] = {0};
    void *const scratch = (void *)(((uintptr_t)room + 63) / 64 * 64);
    size_t bytes;
    const frnn_plan plan = {.kernels = k, .B = 2, .I = 2, .H = 2, .threads = 1};
    const frnn_dense forward = {.x = memory, .w = memory + 8, .y = memory + 16};
    frnn_dense back = forward;
    back.dy = memory + 24, back.dw = memory + 32;
    frnn_plan bad = plan;
    bad.H = 0;
    CHECK(api->dense_scratch_size(&bad, &forward, &bytes) == FRNN_ERR_ARGUMENT, "no units");
    CHECK(api->dense_scratch_size(&plan, NULL, &bytes) == FRNN_ERR_ARGUMENT, "no arrays");
    bad = plan, bad.B = SIZE_MAX / 4;
    CHECK(api->dense_scratch_size(&bad, &forward, &bytes) == FRNN_ERR_SIZE, "sizes beyond all memory");
    CHECK(api->dense_forward(&plan, &forward, NULL) == FRNN_ERR_ARGUMENT, "no scratch");
    CHECK(api->dense_forward(&plan, &back, scratch) == FRNN_ERR_ARGUMENT, "forward with dw");
    CHECK(api->dense_backward(&plan, &forward, scratch) == FRNN_ERR_ARGUMENT, "backward without dw");
    for (int i = 0; i < 4; i++) {
        frnn_dense d = back;
        *(const void **[]){&d.x, &d.w, &d.dy, (const void **)&d.y}[i] = NULL;
        bad = plan, bad.activation = FRNN_TANH;
        CHECK(api->dense_backward(&bad, &d, scratch) == FRNN_ERR_ARGUMENT, "argument %d is missing", i);
    }
}

void test_dense(const frnn_kernels *kernels, effort effort) {
    const size_t P = kernels->panel, units[] = {1, 2, 3, P / 2, P - 1, P, P + 1, 3 * P + 2};
    seed_random(77);
    check_refused(kernels);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (size_t j = 0; j < (effort == FULL ? 12 : 4); j++) {
            const sizes s = {random_below(40), random_below(2 * P + 3), units[i], 1};
            check_dense(kernels, s, (frnn_activation)(j % FRNN_ACTIVATIONS));
        }
}

void test_dense_threads(const frnn_kernels *kernels, effort effort) {
    seed_random(78);
    for (size_t j = 0; j < (effort == FULL ? 8 : 3); j++) {
        const sizes s = {300 + random_below(50), 20 + random_below(80), 40 + random_below(80), 2 + random_below(4)};
        check_dense(kernels, s, (frnn_activation)(j % FRNN_ACTIVATIONS));
    }
    /* And columns of few rows to share. */
    check_dense(kernels, (sizes){3, 150, 1003, 3}, FRNN_TANH);
}
