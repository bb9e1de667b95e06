/* GRU and LSTM: results against their equations, the same bits in every way of calling, and guarded memory all around. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guard.h"
#include "kernels/kernels.h"
#include "naive_gated.h"
#include "tests.h"
#include "token_ids.h"
#include "unprepared.h"
#include "vectors.h"

/* A sum of K products is off by about sqrt(K) units of its size, and every step adds to that; so much more is allowed. */
static const double SAFETY = 12;

enum { HOLES = 1, PADDED };        /* masks */
enum { BY_LENGTH = 1, ANY_ORDER }; /* of their rows; 0: as they are */

static const char *const kind_names[] = {"GRU", "GRU with reset_after", "LSTM"};

typedef struct options {
    gated_kind kind;
    size_t B, T, I, H, threads, pad; /* pad: elements between the rows of x, y and dy */
    size_t V;                        /* tokens come as ids of a table with so many rows, I being 0; or 0 */
    frnn_activation activation, recurrent_activation;
    int go_backwards, zero_output_for_mask, bias, h0, dropout, mask, order, dy, dh_last, dx, time_major;
} options;

/* What a call works with: in guarded memory, and in double precision. */
typedef struct call {
    const options *o;
    const frnn_cell *cell;
    frnn_dtype dtype;
    frnn_plan plan;
    frnn_tape tape;
    frnn_gradients gradients;
    void *h_last, *c_last;
    size_t size, kept, N; /* bytes of an element, elements of the tape, columns of the weights */
    naive_gated naive;
} call;

static void *owned[64];
static size_t owns;

static double *numbers(size_t n) {
    CHECK(owns < sizeof owned / sizeof *owned, "too many arrays");
    owned[owns] = calloc(n + 1, sizeof(double));
    CHECK(owned[owns], "no memory");
    return owned[owns++];
}

static void release(void) {
    guard_release();
    while (owns > 0) free(owned[--owns]);
}

static double *random_numbers(frnn_dtype dtype, size_t n, double scale) {
    double *a = numbers(n);
    for (size_t i = 0; i < n; i++) {
        a[i] = random_between(-scale, scale);
        if (dtype == FRNN_F32) a[i] = (double)(float)a[i];
    }
    return a;
}

static void *take(const call *c, size_t n) { return guard_take(n * c->size, c->size); }

static void *copy_in(const call *c, const double *a, size_t n) {
    if (!a) return NULL;
    void *copy = take(c, n);
    for (size_t i = 0; i < n; i++) put(c->dtype, copy, i, a[i]);
    guard_freeze(copy);
    return copy;
}

/* The strides of a (B, T, n) array with padding; returns its elements. */
static size_t strides(const call *c, size_t n, ptrdiff_t *batch, ptrdiff_t *time) {
    const options *o = c->o;
    const size_t row = (n + o->pad) * c->size;
    *batch = (ptrdiff_t)(o->time_major ? row : o->T * row);
    *time = (ptrdiff_t)(o->time_major ? o->B * row : row);
    return o->B * o->T * (n + o->pad);
}

static void *copy_rows_in(const call *c, const double *a, size_t n, ptrdiff_t *batch, ptrdiff_t *time) {
    char *copy = take(c, strides(c, n, batch, time));
    for (size_t b = 0; b < c->o->B; b++)
        for (size_t t = 0; t < c->o->T; t++)
            for (size_t i = 0; i < n; i++)
                put(c->dtype, copy + (ptrdiff_t)b * *batch + (ptrdiff_t)t * *time, i, a[(b * c->o->T + t) * n + i]);
    guard_freeze(copy);
    return copy;
}

/* With holes anywhere, or so many steps at one end of each row. */
static uint8_t *random_mask(const options *o) {
    uint8_t *mask = guard_take(o->B * o->T, 1);
    const int padded = o->mask == PADDED, before = (int)random_below(2);
    for (size_t b = 0; b < o->B; b++) {
        const size_t length = random_below(o->T + 1);
        for (size_t t = 0; t < o->T; t++)
            mask[b * o->T + t] = padded ? (before ? t >= o->T - length : t < length) : (uint8_t)(random_below(3) > 0);
    }
    guard_freeze(mask);
    return mask;
}

/* The rows by their active steps, or all of them in any order. */
static const size_t *random_order(const options *o, const uint8_t *mask) {
    size_t *const order = guard_take(o->B * sizeof *order, sizeof *order);
    size_t *const scratch = guard_take((o->B + o->T + 1) * sizeof *scratch, sizeof *scratch);
    int pays = 2;
    CHECK(api->order_rows(o->B, o->T, mask, order, scratch, &pays) == FRNN_OK && (pays & ~1) == 0, "order_rows");
    for (size_t i = o->order == ANY_ORDER ? o->B : 0; i > 1; i--) {
        const size_t j = random_below(i), other = order[j];
        order[j] = order[i - 1], order[i - 1] = other;
    }
    guard_freeze(order);
    return order;
}

static void prepare(call *c) {
    const naive_gated *r = &c->naive;
    const size_t columns = c->N;
    const void *wx = copy_in(c, r->wx, c->o->I * columns), *wh = copy_in(c, r->wh, r->H * columns);
    const void *b = copy_in(c, r->b, (r->kind == GRU_AFTER ? 2 : 1) * columns);
    size_t bytes = 0;
    CHECK(c->cell->prepared_size(&c->plan, &bytes) == FRNN_OK, "prepared_size");
    void *prepared = guard_take(bytes, 64);
    CHECK(c->cell->prepare(&c->plan, wx, wh, b, prepared) == FRNN_OK, "prepare");
    guard_freeze(prepared);
    int same = 0;
    CHECK(c->cell->prepared_from(&c->plan, wx, wh, b, prepared, &same) == FRNN_OK && same == 1,
          "prepared_from does not know its own weights");
    double *other = numbers(r->H * columns);
    memcpy(other, r->wh, r->H * columns * sizeof *other);
    other[random_below(r->H * columns)] += 1;
    CHECK(c->cell->prepared_from(&c->plan, wx, copy_in(c, other, r->H * columns), b, prepared, &same) == FRNN_OK
              && same == 0,
          "prepared_from takes other weights for its own");
    check_unprepared(c->cell, &c->plan, prepared, wx, wh, b);
    c->tape.prepared = prepared;
    /* And by several members, if it is work enough, whose parts begin anywhere in a block. */
    frnn_plan shared = c->plan;
    shared.threads = 3;
    void *parts = guard_take(bytes, 64);
    CHECK(c->cell->prepare(&shared, wx, wh, b, parts) == FRNN_OK, "prepare by 3 threads");
    CHECK(c->cell->prepared_from(&shared, wx, wh, b, parts, &same) == FRNN_OK && same == 1,
          "3 threads prepare other weights than one");
}

static call make_call(const frnn_kernels *kernels, const options *o) {
    const size_t B = o->B, T = o->T, I = o->V ? o->V : o->I, H = o->H, gates = gates_of(o->kind), N = gates * H;
    call c = {.o = o,
              .cell = o->kind == LSTM ? api->lstm : api->gru,
              .dtype = kernels->dtype,
              .size = kernels->size,
              .N = N,
              .plan = {.kernels = kernels,
                       .B = B,
                       .T = T,
                       .I = o->I,
                       .H = H,
                       .activation = o->activation,
                       .recurrent_activation = o->recurrent_activation,
                       .reset_after = o->kind == GRU_AFTER,
                       .go_backwards = o->go_backwards,
                       .zero_output_for_mask = o->zero_output_for_mask,
                       .threads = o->threads}};
    CHECK(c.cell->gates == gates, "gates");
    CHECK(c.cell->kept(&c.plan, &c.kept) == FRNN_OK, "kept");
    naive_gated *r = &c.naive;
    *r = (naive_gated){.kind = o->kind,
                       .B = B,
                       .T = T,
                       .I = I,
                       .H = H,
                       .activation = o->activation,
                       .recurrent_activation = o->recurrent_activation,
                       .go_backwards = o->go_backwards,
                       .zero_output_for_mask = o->zero_output_for_mask};
    double *x = o->V ? numbers(B * T * I) : random_numbers(c.dtype, B * T * I, 2),
           *dy = random_numbers(c.dtype, B * T * H, 1);
    r->x = x;
    r->wx = random_numbers(c.dtype, I * N, 1 / sqrt((double)I + 1));
    r->wh = random_numbers(c.dtype, H * N, 1.2 / sqrt((double)H));
    double *b = o->bias ? random_numbers(c.dtype, 2 * N, 0.5) : NULL;
    r->b = b;
    if (o->h0) r->h0 = random_numbers(c.dtype, B * H, 1), r->c0 = random_numbers(c.dtype, B * H, 1);
    if (o->dy) r->dy = dy;
    if (o->dh_last) r->dh = random_numbers(c.dtype, B * H, 1), r->dc = random_numbers(c.dtype, B * H, 1);
    if (o->dropout) {
        double *dropout = numbers(gates * B * H);
        for (size_t i = 0; i < gates * B * H; i++) dropout[i] = random_below(4) ? 1.25 : 0;
        r->dropout = dropout;
    }
    if (o->mask) c.tape.mask = r->mask = random_mask(o);
    if (o->mask && o->order) c.tape.order = random_order(o, r->mask);
    for (size_t b = 0; b < B && o->mask; b++) /* What is masked must not be looked at. */
        for (size_t t = 0; t < T; t++) {
            if (r->mask[b * T + t]) continue;
            const size_t step = o->go_backwards ? T - 1 - t : t;
            for (size_t i = 0; i < I; i++) x[(b * T + t) * I + i] = NAN;
            for (size_t j = 0; j < H && o->zero_output_for_mask; j++) dy[(b * T + step) * H + j] = NAN;
        }
    prepare(&c);
    if (o->V) {
        /* The table has it; of b itself counts the candidate's part of the second row alone. */
        for (size_t i = 0; b && i < N + 2 * H; i++) b[i] = 0;
        c.tape.ids = random_ids(B, T, o->V, c.tape.mask, x);
        c.tape.table = copy_in(&c, r->wx, I * N), c.tape.V = o->V;
    } else {
        c.tape.x = copy_rows_in(&c, x, I, &c.tape.x_batch, &c.tape.x_time);
    }
    c.tape.h0 = copy_in(&c, r->h0, B * H);
    c.tape.c0 = o->kind == LSTM ? copy_in(&c, r->c0, B * H) : NULL;
    c.tape.dropout = copy_in(&c, r->dropout, gates * B * H);
    if (o->dy) c.gradients.dy = copy_rows_in(&c, dy, H, &c.gradients.dy_batch, &c.gradients.dy_time);
    c.gradients.dh_last = copy_in(&c, r->dh, B * H);
    c.gradients.dc_last = o->kind == LSTM ? copy_in(&c, r->dc, B * H) : NULL;
    return c;
}

/* ---- calls ---- */

static void run_forward(const call *c) {
    size_t bytes = 0;
    CHECK(c->cell->forward_scratch_size(&c->plan, &c->tape, &bytes) == FRNN_OK, "forward_scratch_size");
    void *const scratch = guard_take(bytes, 64);
    clear_vectors();
    const frnn_status status = c->cell->forward(&c->plan, &c->tape, c->h_last, c->c_last, scratch);
    CHECK(are_vectors_clear(), "forward left parts of its vectors behind");
    CHECK(status == FRNN_OK, "forward");
}

static void run_backward(const call *c) {
    size_t bytes = 0;
    CHECK(c->cell->backward_scratch_size(&c->plan, &c->tape, &c->gradients, &bytes) == FRNN_OK,
          "backward_scratch_size");
    void *const scratch = guard_take(bytes, 64);
    clear_vectors();
    const frnn_status status = c->cell->backward(&c->plan, &c->tape, &c->gradients, scratch);
    CHECK(are_vectors_clear(), "backward left parts of its vectors behind");
    CHECK(status == FRNN_OK, "backward");
}

static void take_results(call *c) {
    const options *o = c->o;
    c->tape.y = take(c, strides(c, o->H, &c->tape.y_batch, &c->tape.y_time));
    c->tape.gates = take(c, o->T * o->B * c->kept);
    c->h_last = take(c, o->B * o->H);
    c->c_last = o->kind == LSTM ? take(c, o->B * o->H) : NULL;
}

static void take_gradients(call *c) {
    const options *o = c->o;
    frnn_gradients *g = &c->gradients;
    g->dx = o->dx ? take(c, o->B * o->T * o->I) : NULL;
    g->dh0 = take(c, o->B * o->H);
    g->dc0 = o->kind == LSTM ? take(c, o->B * o->H) : NULL;
    g->dwx = take(c, o->I * c->N);
    g->dtable = o->V && o->dx ? take(c, o->V * c->N) : NULL;
    g->dwh = take(c, o->H * c->N);
    g->db = o->bias ? take(c, (o->kind == GRU_AFTER ? 2 : 1) * c->N) : NULL;
}

/* ---- comparing ---- */

static void compare(const call *c, const char *what, const void *found, size_t n, const double *wanted) {
    const options *o = c->o;
    const double u = c->dtype == FRNN_F32 ? 0x1p-24 : 0x1p-53, K = (double)(o->I + o->H + 8);
    double largest = 0;
    if (!found) return;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(wanted[i]));
    const double tolerance = SAFETY * u * sqrt(K * (double)(o->T + 1)) * largest;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(get(c->dtype, found, i) - wanted[i]) <= tolerance))
            CHECK(0, "%s[%zu] is %.17g instead of %.17g, tolerance %.2e", what, i, get(c->dtype, found, i), wanted[i],
                  tolerance);
    CHECK(1, "%s", what);
}

/* y without its padding, in which there must still be what guard_take put there. */
static void *dense_y(const call *c) {
    const options *o = c->o;
    const size_t row = o->H * c->size;
    char *copy = take(c, o->B * o->T * o->H);
    for (size_t b = 0; b < o->B; b++)
        for (size_t t = 0; t < o->T; t++) {
            const char *y = (char *)c->tape.y + (ptrdiff_t)b * c->tape.y_batch + (ptrdiff_t)t * c->tape.y_time;
            memcpy(copy + (b * o->T + t) * row, y, row);
            for (size_t i = row; i < row + o->pad * c->size; i++)
                if ((unsigned char)y[i] != 0xff) CHECK(0, "written between the rows of y");
        }
    return copy;
}

static void compare_with_equations(const call *c) {
    const size_t B = c->o->B, T = c->o->T, I = c->naive.I, H = c->o->H, N = c->N;
    const naive_gated_results want = {.y = numbers(B * T * H),
                                      .h = numbers(B * H),
                                      .c = numbers(B * H),
                                      .dx = numbers(B * T * I),
                                      .dh0 = numbers(B * H),
                                      .dc0 = numbers(B * H),
                                      .dwx = numbers(I * N),
                                      .dwh = numbers(H * N),
                                      .db = numbers(2 * N)};
    naive_gated_run(&c->naive, &want);
    compare(c, "y", dense_y(c), B * T * H, want.y);
    compare(c, "h_last", c->h_last, B * H, want.h);
    compare(c, "c_last", c->c_last, B * H, want.c);
    compare(c, "dx", c->gradients.dx, B * T * c->o->I, want.dx);
    compare(c, "dh0", c->gradients.dh0, B * H, want.dh0);
    compare(c, "dc0", c->gradients.dc0, B * H, want.dc0);
    compare(c, "dwx", c->gradients.dwx, c->o->I * N, want.dwx);
    compare(c, "dtable", c->gradients.dtable, c->o->V * N, want.dwx);
    compare(c, "dwh", c->gradients.dwh, H * N, want.dwh);
    compare(c, "db", c->gradients.db, (c->o->kind == GRU_AFTER ? 2 : 1) * N, want.db);
}

static void same_bits(const call *c, const char *what, const void *a, const void *b, size_t n) {
    if (a && b) CHECK(memcmp(a, b, n * c->size) == 0, "%s has other bits", what);
}

static void same_results(const call *a, const call *b) {
    const options *o = a->o;
    const frnn_gradients *g = &a->gradients, *h = &b->gradients;
    same_bits(a, "y", dense_y(a), dense_y(b), o->B * o->T * o->H);
    same_bits(a, "h_last", a->h_last, b->h_last, o->B * o->H);
    same_bits(a, "c_last", a->c_last, b->c_last, o->B * o->H);
    same_bits(a, "dx", g->dx, h->dx, o->B * o->T * o->I);
    same_bits(a, "dh0", g->dh0, h->dh0, o->B * o->H);
    same_bits(a, "dc0", g->dc0, h->dc0, o->B * o->H);
    same_bits(a, "dwx", g->dwx, h->dwx, o->I * a->N);
    same_bits(a, "dtable", g->dtable, h->dtable, o->V * a->N);
    same_bits(a, "dwh", g->dwh, h->dwh, o->H * a->N);
    same_bits(a, "db", g->db, h->db, (o->kind == GRU_AFTER ? 2 : 1) * a->N);
}

/* Without a tape, the last states written over the initial ones. */
static void check_in_place(const call *c) {
    const size_t n = c->o->B * c->o->H;
    call in_place = *c;
    in_place.tape.y = in_place.tape.gates = NULL;
    in_place.h_last = take(c, n), in_place.c_last = c->o->kind == LSTM ? take(c, n) : NULL;
    if (c->tape.h0) {
        in_place.tape.h0 = memcpy(in_place.h_last, c->tape.h0, n * c->size);
        if (in_place.c_last) in_place.tape.c0 = memcpy(in_place.c_last, c->tape.c0, n * c->size);
    }
    run_forward(&in_place);
    same_bits(c, "h_last in place", in_place.h_last, c->h_last, n);
    same_bits(c, "c_last in place", in_place.c_last, c->c_last, n);
}

/* Row b by itself. Dropout is left out: its factors are not of one piece. */
static void check_row_alone(const call *c, size_t b) {
    options o = *c->o;
    const size_t row = o.H * c->size;
    call one = *c;
    if (o.dropout) return;
    one.o = &o;
    o.B = one.plan.B = 1;
    if (o.V) one.tape.ids += b * o.T;
    else one.tape.x = (const char *)one.tape.x + (ptrdiff_t)b * one.tape.x_batch;
    if (o.h0) one.tape.h0 = (const char *)one.tape.h0 + b * row;
    if (one.tape.c0) one.tape.c0 = (const char *)one.tape.c0 + b * row;
    if (o.mask) one.tape.mask += b * o.T, one.tape.order = NULL;
    if (o.dy) one.gradients.dy = (const char *)one.gradients.dy + (ptrdiff_t)b * one.gradients.dy_batch;
    if (o.dh_last) one.gradients.dh_last = (const char *)one.gradients.dh_last + b * row;
    if (one.gradients.dc_last) one.gradients.dc_last = (const char *)one.gradients.dc_last + b * row;
    take_results(&one);
    take_gradients(&one);
    run_forward(&one);
    run_backward(&one);
    same_bits(c, "y of a row alone", dense_y(&one), (char *)dense_y(c) + b * o.T * row, o.T * o.H);
    same_bits(c, "h_last of a row alone", one.h_last, (char *)c->h_last + b * row, o.H);
    same_bits(c, "dh0 of a row alone", one.gradients.dh0, (char *)c->gradients.dh0 + b * row, o.H);
    if (o.dx)
        same_bits(c, "dx of a row alone", one.gradients.dx, (char *)c->gradients.dx + b * o.T * o.I * c->size,
                  o.T * o.I);
}

/* The ids of some steps. */
static const intptr_t *ids_of(const call *c, size_t first, size_t last) {
    const size_t B = c->o->B, T = c->o->T, steps = last - first;
    intptr_t *ids = guard_take(B * steps * sizeof *ids, sizeof *ids);
    for (size_t b = 0; b < B; b++) memcpy(ids + b * steps, c->tape.ids + b * T + first, steps * sizeof *ids);
    return ids;
}

/* And of a mask. */
static const uint8_t *mask_of(const call *c, size_t first, size_t last) {
    const size_t B = c->o->B, T = c->o->T, steps = last - first;
    uint8_t *mask = guard_take(B * steps, 1);
    for (size_t b = 0; b < B; b++) memcpy(mask + b * steps, c->tape.mask + b * T + first, steps);
    return mask;
}

/* The sequence in two segments, forward and back. */
static void check_segments(const call *c) {
    const options *o = c->o;
    size_t cut = 0;
    CHECK(c->cell->backward_steps(&c->plan, &cut) == FRNN_OK && cut > 0, "backward_steps");
    if (cut >= o->T || o->go_backwards) return;
    call all = *c, early, late;
    take_results(&all);
    take_gradients(&all);
    early = late = all;
    early.plan.T = cut, late.plan.T = o->T - cut;
    if (o->V) early.tape.ids = ids_of(c, 0, cut), late.tape.ids = ids_of(c, cut, o->T);
    else late.tape.x = (const char *)all.tape.x + (ptrdiff_t)cut * all.tape.x_time;
    if (o->mask) early.tape.mask = mask_of(c, 0, cut), late.tape.mask = mask_of(c, cut, o->T);
    late.tape.y = (char *)all.tape.y + (ptrdiff_t)cut * all.tape.y_time;
    late.tape.gates = (char *)all.tape.gates + cut * o->B * c->kept * c->size;
    early.h_last = take(c, o->B * o->H), early.c_last = all.c_last ? take(c, o->B * o->H) : NULL;
    late.tape.h0 = early.h_last, late.tape.c0 = early.c_last;
    run_forward(&early);
    run_forward(&late);
    if (o->dy) late.gradients.dy = (const char *)all.gradients.dy + (ptrdiff_t)cut * all.gradients.dy_time;
    late.gradients.dx = early.gradients.dx = NULL; /* would have to be gathered */
    run_backward(&late);
    early.gradients.dh_last = early.gradients.dh0, early.gradients.dc_last = early.gradients.dc0;
    early.gradients.accumulate = 1;
    run_backward(&early);
    all.gradients.dx = NULL;
    same_results(c, &all);
}

static void *doubled(const call *c, const void *a, size_t n) {
    void *twice = take(c, n);
    for (size_t i = 0; i < n; i++) put(c->dtype, twice, i, 2 * get(c->dtype, a, i));
    return twice;
}

/* Added to themselves, gradients of few tokens are doubled to the last bit: what is added is one sum. */
static void check_accumulated(const call *c) {
    const options *o = c->o;
    call twice = *c;
    if (o->B * o->T > FRNN_FEW_OUTER) return;
    take_gradients(&twice);
    run_backward(&twice);
    twice.gradients.accumulate = 1;
    for (size_t i = 0; i < c->N && o->bias && o->kind == GRU_AFTER; i++) put(c->dtype, twice.gradients.db, c->N + i, 0);
    run_backward(&twice);
    if (o->bias && o->kind == GRU_AFTER) /* the second row of the bias starts from something else than the first */
        same_bits(c, "db of h added to zeros", (char *)twice.gradients.db + c->N * c->size,
                  (char *)c->gradients.db + c->N * c->size, c->N);
    same_bits(c, "dwx added to itself", twice.gradients.dwx, doubled(c, c->gradients.dwx, o->I * c->N), o->I * c->N);
    same_bits(c, "dwh added to itself", twice.gradients.dwh, doubled(c, c->gradients.dwh, o->H * c->N), o->H * c->N);
}

/* The same when nobody wants the gradients of the initial states. */
static void check_without_initial(const call *c) {
    call without = *c;
    take_gradients(&without);
    without.gradients.dh0 = without.gradients.dc0 = NULL;
    run_backward(&without);
    same_results(c, &without);
}

static void describe(const frnn_kernels *k, const options *o) {
    set_case("%s on %s, %s: B=%zu T=%zu I=%zu V=%zu H=%zu, %s %s%s%s%s%s%s%s%s%s%s%s, %zu threads", kind_names[o->kind],
             k->isa, type_name(k->dtype), o->B, o->T, o->I, o->V, o->H, activation_name(o->activation),
             activation_name(o->recurrent_activation), o->go_backwards ? " backwards" : "",
             o->zero_output_for_mask ? " zero_output" : "", o->bias ? " bias" : "", o->h0 ? " h0" : "",
             o->dropout ? " dropout" : "", o->mask ? o->mask == PADDED ? " padded" : " mask" : "",
             o->order ? " order" : "", o->dy ? " dy" : "", o->dh_last ? " dh_last" : "", o->dx ? " dx" : "",
             o->threads);
}

static void check_call(const frnn_kernels *kernels, const options *o, size_t most_threads) {
    describe(kernels, o);
    call c = make_call(kernels, o);
    take_results(&c);
    take_gradients(&c);
    run_forward(&c);
    run_backward(&c);
    compare_with_equations(&c);
    check_without_initial(&c);
    check_in_place(&c);
    check_row_alone(&c, random_below(o->B));
    check_segments(&c);
    check_accumulated(&c);
    for (size_t threads = 2; threads <= most_threads; threads++) {
        call shared = c;
        shared.plan.threads = threads;
        take_results(&shared);
        take_gradients(&shared);
        run_forward(&shared);
        run_backward(&shared);
        same_results(&c, &shared);
        check_without_initial(&shared);
        if (threads == 2) check_segments(&shared);
    }
    release();
}

static options random_options(frnn_dtype dtype) {
    static const size_t widths[] = {1, 2, 3, 5, 8, 10, 16, 17, 31, 32, 33, 40, 48, 65, 70};
    static const frnn_activation activations[] = {FRNN_TANH, FRNN_TANH, FRNN_SIGMOID, FRNN_LINEAR, FRNN_RELU};
    return (options){.kind = (gated_kind)random_below(GATED_KINDS),
                     .B = 1 + random_below(random_below(4) ? 5 : 30),
                     .T = 1 + random_below(7),
                     .I = 1 + random_below(20),
                     .H = widths[random_below(sizeof widths / sizeof *widths)],
                     .threads = 1,
                     .pad = random_below(3),
                     /* A float's rounding may cross the kink of relu. */
                     .activation = activations[random_below(dtype == FRNN_F32 ? 4 : 5)],
                     .recurrent_activation = random_below(4) ? FRNN_SIGMOID : FRNN_TANH,
                     .go_backwards = random_below(3) == 0,
                     .zero_output_for_mask = random_below(2) == 0,
                     .bias = random_below(4) > 0,
                     .h0 = random_below(2) == 0,
                     .dropout = random_below(3) == 0,
                     .mask = random_below(2) ? HOLES + (int)random_below(2) : 0,
                     .order = (int)random_below(3),
                     .dy = random_below(4) > 0,
                     .dh_last = random_below(2) == 0,
                     .dx = random_below(4) > 0,
                     .time_major = random_below(3) == 0};
}

/* Rows that leave hardly any lane of a vector idle, and units that do: then vectors hold rows. */
static void make_few(const frnn_kernels *kernels, options *o) {
    o->B = kernels->lanes * (1 + random_below(5)) - random_below(kernels->lanes / 6 + 1);
    o->H = 1 + random_below(kernels->lanes * 3 / 4);
    o->dropout = 0;
}

void test_gated(const frnn_kernels *kernels, effort effort) {
    seed_random(5);
    for (size_t i = 0; i < (effort == QUICK ? 20 : 150); i++) {
        options o = random_options(kernels->dtype);
        if (i % 4 == 0) o.I = 0, o.V = 1 + random_below(9);
        if (i % 3 == 0) make_few(kernels, &o);
        guard_at_end((int)(i / 2 % 2));
        check_call(kernels, &o, 1);
    }
    /* Few tokens. With a single unit, one number that happens to be small would be all there is to compare with. */
    for (size_t i = 0; i < (effort == QUICK ? 6 : 40); i++) {
        options o = random_options(kernels->dtype);
        o.B = 1 + random_below(2), o.T = 1 + random_below(2), o.H += 7;
        guard_at_end((int)(i % 2));
        check_call(kernels, &o, 1);
    }
    options few = {.B = 2, .T = 2, .I = 1, .H = 4, .threads = 1, .dy = 1}; /* and of few weights */
    for (few.kind = 0; few.kind < GATED_KINDS; few.kind++) check_call(kernels, &few, 1);
}

static options work_to_share(gated_kind kind, size_t B, size_t H) {
    return (options){.kind = kind,
                     .B = B,
                     .T = 17,
                     .I = 120,
                     .H = H,
                     .threads = 1,
                     .activation = FRNN_TANH,
                     .recurrent_activation = FRNN_SIGMOID,
                     .bias = 1,
                     .h0 = 1,
                     .dy = 1,
                     .dh_last = 1,
                     .dx = 1};
}

/* A single step; and halves of which the chunk that goes back first has none, for there are too few steps in it. */
static void check_chunks_in_one_part(const frnn_kernels *kernels, gated_kind kind) {
    options once = work_to_share(kind, 20, 129), halves = work_to_share(kind, 4, 33);
    once.T = 1;
    for (int ids = 0; ids < 2; ids++) {
        if (ids) once.I = halves.I = 0, once.V = halves.V = 5, halves.B = 8;
        check_call(kernels, &once, 3);
        const frnn_cell *const cell = kind == LSTM ? api->lstm : api->gru;
        const frnn_plan plan = {
            .kernels = kernels, .B = halves.B, .I = halves.I, .H = halves.H, .reset_after = kind == GRU_AFTER};
        size_t chunk = 0;
        CHECK(cell->backward_steps(&plan, &chunk) == FRNN_OK, "backward_steps");
        halves.T = chunk + (ids ? 1 : 3);
        check_call(kernels, &halves, 3);
    }
}

void test_gated_threads(const frnn_kernels *kernels, effort effort) {
    seed_random(6);
    guard_at_end(1);
    for (int kind = 0; kind < GATED_KINDS; kind++) {
        /* Rows to share, in chunks that are cut; then columns, with barriers in every step. */
        options rows = work_to_share((gated_kind)kind, 37, 33), columns = work_to_share((gated_kind)kind, 1, 193);
        if (effort == QUICK) rows.T = 9, rows.I = 40;
        check_call(kernels, &rows, 5); /* three and two have a half of the rows for their sums */
        options ids = rows;
        ids.I = 0, ids.V = 10;
        check_call(kernels, &ids, 4);
        check_chunks_in_one_part(kernels, (gated_kind)kind);
        for (size_t B = 5; B <= 8 && effort == FULL; B++) {
            options halves = rows;
            halves.B = B;
            check_call(kernels, &halves, 4);
        }
        /* Halves of several blocks, not of one size. */
        options long_rows = work_to_share((gated_kind)kind, 7, 17);
        long_rows.T = 160, long_rows.I = 3;
        if (effort == FULL || kind == LSTM) check_call(kernels, &long_rows, 4);
        check_call(kernels, &columns, 2); /* whose steps compute the next chunk's projections */
        columns.T = 3;
        check_call(kernels, &columns, 2);
        columns.I = 0, columns.V = 2;
        check_call(kernels, &columns, 2);
        /* Groups of rows, the last one smaller, and chunks of them. */
        options few = work_to_share((gated_kind)kind, 2 * kernels->panel + kernels->lanes, kernels->lanes * 3 / 4);
        few.I = 0, few.V = 5, few.mask = HOLES;
        check_call(kernels, &few, 3);
        few.mask = PADDED, few.order = BY_LENGTH;
        check_call(kernels, &few, 3);
        /* Sequences that begin 4096 bytes apart; and with so many units or inputs that their rows are moved before high tiles
         * multiply them, unless columns are shared. */
        options apart = work_to_share((gated_kind)kind, 16, 64), many_units = apart, many_inputs = apart;
        apart.I = 64, apart.T = 4096 / 64 / kernels->size;
        many_units.H = 1024, many_units.I = 3, many_units.T = 2;
        many_inputs.H = 192, many_inputs.I = 1024, many_inputs.T = 2;
        options *const of_all[] = {&apart, &many_units, &many_inputs};
        for (size_t i = 0; i < (kernels->tile > 8 ? 3 : 1); i++) {
            options *const o = of_all[i];
            for (o->B = 16; o->B <= (o == &many_units ? 16 : 25); o->B += 9) {
                o->mask = 0;
                check_call(kernels, o, 2);
                o->mask = HOLES;
                if (effort == FULL && o != &many_units) check_call(kernels, o, 2);
            }
        }
        /* Weights so large that they go past the caches, and a last block that does not. */
        options large = work_to_share((gated_kind)kind, 3, kernels->size == 4 ? 903 : 643);
        large.T = 2, large.I = 3;
        check_call(kernels, &large, effort == FULL ? 3 : 2);
        if (effort == QUICK) continue;
        few.B = 256 + kernels->lanes, few.I = 40, few.V = 0, few.go_backwards = 1, few.T = 5;
        check_call(kernels, &few, 3);
        few.B = 2 * kernels->panel, few.T = 140, few.go_backwards = 0, few.I = 3; /* in two segments */
        check_call(kernels, &few, 2);
        /* Sums over the gates so long that they are made in parts. */
        options deep = work_to_share((gated_kind)kind, 24, 3200 / kernels->size);
        deep.T = 2, deep.I = 3;
        if (kind == LSTM) check_call(kernels, &deep, 2);
        options many = work_to_share((gated_kind)kind, 300, 5); /* blocks of rows */
        many.T = 3, many.I = 40;
        check_call(kernels, &many, 3);
        rows.mask = rows.dropout = rows.zero_output_for_mask = rows.go_backwards = 1;
        check_call(kernels, &rows, 3);
        columns.mask = HOLES, columns.V = 0, columns.I = 120;
        check_call(kernels, &columns, 3);
        ids.mask = ids.dropout = ids.go_backwards = 1;
        check_call(kernels, &ids, 3);
    }
}

typedef struct poller {
    int calls, stops_at;
} poller;

static int poll(void *argument) {
    poller *p = argument;
    return ++p->calls == p->stops_at;
}

/* A sequence of seconds: all its steps lie at the same place, and what backward reads of a tape that no forward pass has
 * written is zeros, for which a system needs no memory. */
void test_gated_interruption(const frnn_kernels *kernels) {
    seed_random(7);
    for (int kind = 0; kind < GATED_KINDS; kind++)
        for (int backwards = 0; backwards < 2; backwards++) {
            options o = work_to_share((gated_kind)kind, backwards ? 64 : 7, backwards ? 200 : 65);
            o.dx = 0;
            describe(kernels, &o);
            call c = make_call(kernels, &o);
            poller p = {.stops_at = backwards ? 1 : 2};
            size_t bytes = 0;
            frnn_status status;
            c.plan.threads = 2, c.plan.T = (size_t)1 << (backwards ? 11 : 17), c.plan.poll = poll, c.plan.poll_arg = &p;
            c.tape.x_time = c.gradients.dy_time = 0;
            if (backwards) {
                take_results(&c);
                take_gradients(&c);
                c.tape.y_time = 0;
                memset(c.tape.y, 0, o.B * o.T * o.H * c.size);
                c.tape.gates = numbers(c.plan.T * o.B * c.kept * c.size / sizeof(double));
                CHECK(c.cell->backward_scratch_size(&c.plan, &c.tape, &c.gradients, &bytes) == FRNN_OK,
                      "backward_scratch_size");
                status = c.cell->backward(&c.plan, &c.tape, &c.gradients, guard_take(bytes, 64));
            } else {
                CHECK(c.cell->forward_scratch_size(&c.plan, &c.tape, &bytes) == FRNN_OK, "forward_scratch_size");
                status = c.cell->forward(&c.plan, &c.tape, NULL, NULL, guard_take(bytes, 64));
            }
            CHECK(status == FRNN_ERR_INTERRUPTED, "status %d instead of an interruption, %s", (int)status,
                  backwards ? "backward" : "forward");
            CHECK(p.calls == p.stops_at, "poll was called %d times, number %d was to be the last", p.calls, p.stops_at);
            release();
        }
}
