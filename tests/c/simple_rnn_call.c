#include "simple_rnn_call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guard.h"
#include "tests.h"
#include "token_ids.h"
#include "unprepared.h"
#include "vectors.h"

/* Standard deviations of the expected error that are allowed. */
static const double SAFETY = 5;
/* Where a float is no longer exact to u, nor is the square of a double; arrays as small as that count as zero. */
static const double UNDERFLOW = 1e-36;

static const char *const mask_names[] = {"none", "random", "leading", "trailing", "whole rows", "all"};

static size_t compared, compared_with_zero;

/* ---- memory of the double-precision side, freed after every case ---- */

static void *owned[128];
static size_t owns;

static double *numbers(size_t n) {
    CHECK(owns < sizeof owned / sizeof *owned, "too many arrays");
    owned[owns] = calloc(n + 1, sizeof(double));
    CHECK(owned[owns], "no memory");
    return owned[owns++];
}

void release_call(void) {
    guard_release();
    while (owns > 0) free(owned[--owns]);
}

/* ---- making inputs ---- */

static tensor take_tensor(size_t B, size_t T, size_t N, size_t size, const placement *p) {
    const size_t inner = p->time_major ? B : T, outer = p->time_major ? T : B;
    const size_t pitch = (N + p->row_pad) * size, block = inner * pitch + p->block_pad * size;
    tensor t = {.batch = (ptrdiff_t)(p->time_major ? pitch : block),
                .time = (ptrdiff_t)(p->time_major ? block : pitch)};
    t.bytes = B && T ? (outer - 1) * block + (inner - 1) * pitch + N * size : 0;
    t.first = t.memory = guard_take(t.bytes, size);
    if (!t.bytes) return t;
    if (p->flip_batch) t.first += (ptrdiff_t)(B - 1) * t.batch, t.batch = -t.batch;
    if (p->flip_time) t.first += (ptrdiff_t)(T - 1) * t.time, t.time = -t.time;
    return t;
}

static char *row_of(const tensor *t, size_t b, size_t step) {
    return t->first + (ptrdiff_t)b * t->batch + (ptrdiff_t)step * t->time;
}

/* Between the rows there must still be what guard_take put there. */
static void check_padding(const tensor *t, size_t B, size_t T, size_t row_bytes) {
    unsigned char *is_row = calloc(t->bytes + 1, 1);
    CHECK(is_row, "no memory");
    for (size_t b = 0; b < B; b++)
        for (size_t step = 0; step < T; step++) memset(is_row + (row_of(t, b, step) - t->memory), 1, row_bytes);
    for (size_t i = 0; i < t->bytes; i++)
        if (!is_row[i] && (unsigned char)t->memory[i] != 0xff) CHECK(0, "written between the rows of y");
    free(is_row);
    CHECK(1, "padding");
}

/* Numbers that the element type holds exactly. */
static double *random_numbers(frnn_dtype dtype, size_t n, double scale) {
    double *a = numbers(n);
    for (size_t i = 0; i < n; i++) {
        a[i] = random_between(-scale, scale);
        if (dtype == FRNN_F32) a[i] = (double)(float)a[i];
    }
    return a;
}

static void *copy_in(frnn_dtype dtype, const double *a, size_t n) {
    void *copy = guard_take(n * type_size(dtype), type_size(dtype));
    for (size_t i = 0; i < n; i++) put(dtype, copy, i, a[i]);
    guard_freeze(copy);
    return copy;
}

static tensor copy_tensor_in(frnn_dtype dtype, const double *a, size_t B, size_t T, size_t N, const placement *p) {
    const tensor t = take_tensor(B, T, N, type_size(dtype), p);
    for (size_t b = 0; b < B; b++)
        for (size_t step = 0; step < T; step++)
            for (size_t i = 0; i < N; i++) put(dtype, row_of(&t, b, step), i, a[(b * T + step) * N + i]);
    guard_freeze(t.memory);
    return t;
}

static uint8_t *make_mask(const options *o) {
    uint8_t *mask = guard_take(o->B * o->T, 1);
    for (size_t b = 0; b < o->B; b++) {
        const size_t cut = random_below(o->T + 2);
        const int row_used = (int)random_below(2);
        for (size_t t = 0; t < o->T; t++) {
            int is_used = 0;
            switch (o->mask) {
            case RANDOM: is_used = random_below(3) > 0; break;
            case LEADING: is_used = t >= cut; break;
            case TRAILING: is_used = t < cut; break;
            case ROWS_MASKED: is_used = row_used; break;
            default: break;
            }
            mask[b * o->T + t] = is_used ? (uint8_t)(1 + random_below(255)) : 0; /* any value but 0 means use */
        }
    }
    guard_freeze(mask);
    return mask;
}

call make_call(const frnn_kernels *kernels, const options *o) {
    const frnn_dtype dtype = kernels->dtype;
    const size_t B = o->B, T = o->T, I = o->V ? o->V : o->I, H = o->H;
    const double u = dtype == FRNN_F32 ? 0x1p-24 : 0x1p-53;
    call c = {.o = o, .dtype = dtype};
    c.plan = (frnn_plan){.kernels = kernels,
                         .B = B,
                         .T = T,
                         .I = o->I,
                         .H = H,
                         .activation = o->activation,
                         .go_backwards = o->go_backwards,
                         .zero_output_for_mask = o->zero_output_for_mask,
                         .threads = o->threads};
    c.naive = (naive_rnn){.B = B,
                          .T = T,
                          .I = I,
                          .H = H,
                          .activation = o->activation,
                          .go_backwards = o->go_backwards,
                          .zero_output_for_mask = o->zero_output_for_mask,
                          .u_squared = u * u + 0x1p-106};

    /* Weights that neither blow up a linear recurrence nor let it fade at once. */
    const double *wx = c.naive.wx = random_numbers(dtype, I * H, 1 / sqrt((double)I + 1));
    const double *wh = c.naive.wh = random_numbers(dtype, H * H, 1.2 / sqrt((double)H));
    double *x = o->V ? numbers(B * T * I) : random_numbers(dtype, B * T * I, 2),
           *dy = random_numbers(dtype, B * T * H, 1);
    c.naive.x = x;
    const double *b = o->bias ? random_numbers(dtype, H, 0.5) : NULL;
    if (!o->V) c.naive.b = b; /* else the table has it, and b itself does not count */
    if (o->h0) c.tape.h0 = copy_in(dtype, c.naive.h0 = random_numbers(dtype, B * H, 1), B * H);
    if (o->dropout) {
        double *dropout = random_numbers(dtype, B * H, 0);
        for (size_t i = 0; i < B * H; i++) dropout[i] = random_below(4) ? 1.25 : 0;
        c.tape.dropout = copy_in(dtype, c.naive.dropout = dropout, B * H);
    }
    if (o->mask != NO_MASK) c.tape.mask = c.naive.mask = make_mask(o);
    if (c.tape.mask) /* What is masked must not be looked at. */
        for (size_t b = 0; b < B; b++)
            for (size_t t = 0; t < T; t++) {
                if (c.tape.mask[b * T + t]) continue;
                for (size_t i = 0; i < I; i++) x[(b * T + t) * I + i] = NAN;
                const size_t step = o->go_backwards ? T - 1 - t : t;
                for (size_t j = 0; j < H && o->zero_output_for_mask; j++) dy[(b * T + step) * H + j] = NAN;
            }

    if (o->V) {
        c.tape.ids = random_ids(B, T, o->V, c.tape.mask, x);
        c.tape.table = copy_in(dtype, wx, I * H), c.tape.V = o->V;
    } else {
        const tensor x_in = copy_tensor_in(dtype, x, B, T, I, &o->x_at);
        c.tape.x = x_in.first, c.tape.x_batch = x_in.batch, c.tape.x_time = x_in.time;
    }
    c.y = take_tensor(B, T, H, type_size(dtype), &o->y_at);
    c.tape.y = c.y.first, c.tape.y_batch = c.y.batch, c.tape.y_time = c.y.time;
    c.h_last = guard_take(B * H * type_size(dtype), type_size(dtype));
    if (o->dy) {
        const tensor dy_in = copy_tensor_in(dtype, c.dy = dy, B, T, H, &o->dy_at);
        c.gradients.dy = dy_in.first, c.gradients.dy_batch = dy_in.batch, c.gradients.dy_time = dy_in.time;
    }
    if (o->dh_last) c.gradients.dh_last = copy_in(dtype, c.dh_last = random_numbers(dtype, B * H, 1), B * H);

    const void *wx_in = copy_in(dtype, wx, o->I * H), *wh_in = copy_in(dtype, wh, H * H);
    const void *b_in = o->bias ? copy_in(dtype, b, H) : NULL;
    size_t bytes = 0;
    CHECK(api->simple_rnn_prepared_size(&c.plan, &bytes) == FRNN_OK, "prepared_size");
    void *prepared = guard_take(bytes, 64);
    CHECK(api->simple_rnn_prepare(&c.plan, wx_in, wh_in, b_in, prepared) == FRNN_OK, "prepare");
    c.tape.prepared = prepared;
    guard_freeze(prepared);
    int same = 0;
    CHECK(api->simple_rnn_prepared_from(&c.plan, wx_in, wh_in, b_in, prepared, &same) == FRNN_OK && same == 1,
          "prepared_from does not know its own weights");
    check_unprepared(api->simple_rnn, &c.plan, prepared, wx_in, wh_in, b_in);
    return c;
}

frnn_simple_rnn_gradients take_gradients(const call *c) {
    const options *o = c->o;
    const size_t size = type_size(c->dtype);
    frnn_simple_rnn_gradients g = c->gradients;
    g.dx = o->dx ? guard_take(o->B * o->T * o->I * size, size) : NULL;
    g.dh0 = guard_take(o->B * o->H * size, size);
    g.dwx = guard_take(o->I * o->H * size, size);
    g.dwh = guard_take(o->H * o->H * size, size);
    g.db = o->bias ? guard_take(o->H * size, size) : NULL;
    g.dtable = o->V && o->dx ? guard_take(o->V * o->H * size, size) : NULL;
    return g;
}

/* ---- calls ---- */

void *forward_scratch(const frnn_plan *plan, const frnn_simple_rnn_tape *tape) {
    size_t bytes = 0;
    CHECK(api->simple_rnn_forward_scratch_size(plan, tape, &bytes) == FRNN_OK, "forward_scratch_size");
    return guard_take(bytes, 64);
}

void run_forward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, void *h_last) {
    void *scratch = forward_scratch(plan, tape);
    clear_vectors();
    const frnn_status status = api->simple_rnn_forward(plan, tape, h_last, scratch);
    CHECK(are_vectors_clear(), "forward left parts of its vectors behind");
    CHECK(status == FRNN_OK, "forward");
}

void *backward_scratch(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, const frnn_simple_rnn_gradients *g) {
    size_t bytes = 0;
    CHECK(api->simple_rnn_backward_scratch_size(plan, tape, g, &bytes) == FRNN_OK, "backward_scratch_size");
    return guard_take(bytes, 64);
}

void run_backward(const frnn_plan *plan, const frnn_simple_rnn_tape *tape, const frnn_simple_rnn_gradients *g) {
    void *scratch = backward_scratch(plan, tape, g);
    clear_vectors();
    const frnn_status status = api->simple_rnn_backward(plan, tape, g, scratch);
    CHECK(are_vectors_clear(), "backward left parts of its vectors behind");
    CHECK(status == FRNN_OK, "backward");
}

/* ---- comparing ---- */

/* The values found against the expected ones; a tolerance that zeros would pass is itself a failure. */
static void compare(const char *what, frnn_dtype dtype, const void *found, size_t n, const double *wanted,
                    const double *variance) {
    double wanted_size = 0, tolerance_size = 0;
    for (size_t i = 0; i < n; i++) {
        const double value = get(dtype, found, i);
        const double tolerance = SAFETY * sqrt(variance[i]) + (wanted[i] != 0 ? UNDERFLOW : 0);
        wanted_size += wanted[i] * wanted[i];
        tolerance_size += tolerance * tolerance;
        if (!(fabs(value - wanted[i]) <= tolerance))
            CHECK(0, "%s[%zu] is %.17g instead of %.17g, off by %.2e, tolerance %.2e", what, i, value, wanted[i],
                  fabs(value - wanted[i]), tolerance);
    }
    const int is_zero = wanted_size <= (double)n * UNDERFLOW * UNDERFLOW;
    CHECK(is_zero || tolerance_size * 400 <= wanted_size, "%s: a tolerance of %.1e is no test of values like %.1e",
          what, sqrt(tolerance_size), sqrt(wanted_size));
    if (n == 0) return;
    compared++;
    compared_with_zero += is_zero;
}

void *dense_y(const call *c) {
    const options *o = c->o;
    const size_t row = o->H * type_size(c->dtype);
    char *copy = guard_take(o->B * o->T * row, type_size(c->dtype));
    for (size_t b = 0; b < o->B; b++)
        for (size_t step = 0; step < o->T; step++) memcpy(copy + (b * o->T + step) * row, row_of(&c->y, b, step), row);
    return copy;
}

void same_bits(const char *what, const void *a, const void *b, size_t bytes) {
    if (a && b) CHECK(memcmp(a, b, bytes) == 0, "%s has other bits", what);
}

void same_gradients(const call *c, const frnn_simple_rnn_gradients *a, const frnn_simple_rnn_gradients *b) {
    const options *o = c->o;
    const size_t size = type_size(c->dtype);
    same_bits("dx", a->dx, b->dx, o->B * o->T * o->I * size);
    same_bits("dh0", a->dh0, b->dh0, o->B * o->H * size);
    same_bits("dwx", a->dwx, b->dwx, o->I * o->H * size);
    same_bits("dwh", a->dwh, b->dwh, o->H * o->H * size);
    same_bits("db", a->db, b->db, o->H * size);
    same_bits("dtable", a->dtable, b->dtable, o->V * o->H * size);
}

static void check_forward(const call *c, const void *y) {
    const options *o = c->o;
    const size_t n = o->B * o->H;
    double *want = numbers(n * o->T), *variance = numbers(n * o->T);
    double *want_h = numbers(n), *variance_h = numbers(n);
    naive_forward(&c->naive, want, variance, want_h, variance_h);
    compare("y", c->dtype, y, n * o->T, want, variance);
    compare("h_last", c->dtype, c->h_last, n, want_h, variance_h);
    check_padding(&c->y, o->B, o->T, o->H * type_size(c->dtype));
}

static void check_backward(const call *c, const void *y, const frnn_simple_rnn_gradients *found) {
    const options *o = c->o;
    const size_t I = c->naive.I, nx = o->B * o->T * I, nh = o->B * o->H, ny = nh * o->T;
    const naive_gradients want = {
        .dy = c->dy,
        .dh_last = c->dh_last,
        .dx = numbers(nx),
        .dh0 = numbers(nh),
        .dwx = numbers(I * o->H),
        .dwh = numbers(o->H * o->H),
        .db = numbers(o->H),
        .dx_variance = numbers(nx),
        .dh0_variance = numbers(nh),
        .dwx_variance = numbers(I * o->H),
        .dwh_variance = numbers(o->H * o->H),
        .db_variance = numbers(o->H),
    };
    double *y_found = numbers(ny);
    for (size_t i = 0; i < ny; i++) y_found[i] = get(c->dtype, y, i);
    naive_backward(&c->naive, y_found, &want);
    if (found->dx && !o->V) compare("dx", c->dtype, found->dx, nx, want.dx, want.dx_variance);
    compare("dh0", c->dtype, found->dh0, nh, want.dh0, want.dh0_variance);
    compare("dwx", c->dtype, found->dwx, o->I * o->H, want.dwx, want.dwx_variance);
    compare("dwh", c->dtype, found->dwh, o->H * o->H, want.dwh, want.dwh_variance);
    if (found->dtable) compare("dtable", c->dtype, found->dtable, I * o->H, want.dwx, want.dwx_variance);
    if (found->db) compare("db", c->dtype, found->db, o->H, want.db, want.db_variance);
}

/* Row b by itself: the same outputs, states and gradients, bit for bit. */
static void check_row_alone(const call *c, const void *y, const frnn_simple_rnn_gradients *g, size_t b) {
    const options *o = c->o;
    const size_t size = type_size(c->dtype), row = o->H * size;
    const ptrdiff_t at = (ptrdiff_t)b;
    frnn_plan plan = c->plan;
    frnn_simple_rnn_tape tape = c->tape;
    plan.B = 1;
    char *y_alone = guard_take(o->T * row, size), *h_last = guard_take(row, size);
    if (o->V) tape.ids += b * o->T;
    else tape.x = (const char *)tape.x + at * tape.x_batch;
    if (tape.h0) tape.h0 = (const char *)tape.h0 + b * row;
    if (tape.dropout) tape.dropout = (const char *)tape.dropout + b * row;
    if (tape.mask) tape.mask += b * o->T;
    tape.y = y_alone, tape.y_batch = 0, tape.y_time = (ptrdiff_t)row;
    run_forward(&plan, &tape, h_last);
    same_bits("y of a row alone", y_alone, (const char *)y + b * o->T * row, o->T * row);
    same_bits("h_last of a row alone", h_last, (const char *)c->h_last + b * row, row);

    frnn_simple_rnn_gradients alone = c->gradients;
    if (alone.dy) alone.dy = (const char *)alone.dy + at * alone.dy_batch;
    if (alone.dh_last) alone.dh_last = (const char *)alone.dh_last + b * row;
    alone.dx = g->dx ? guard_take(o->T * o->I * size, size) : NULL;
    alone.dh0 = guard_take(row, size);
    alone.dwx = guard_take(o->I * row, size);
    alone.dwh = guard_take(o->H * row, size);
    run_backward(&plan, &tape, &alone);
    if (g->dx)
        same_bits("dx of a row alone", alone.dx, (const char *)g->dx + b * o->T * o->I * size, o->T * o->I * size);
    same_bits("dh0 of a row alone", alone.dh0, (const char *)g->dh0 + b * row, row);
}

/* The same states when outputs are not kept, when h_last is h0 or y, and when it is not asked for. */
static void check_other_outputs(const call *c, const void *y) {
    const options *o = c->o;
    const size_t size = type_size(c->dtype), row = o->H * size, bytes = o->B * row;
    frnn_simple_rnn_tape tape = c->tape;
    void *h_last = guard_take(bytes, size);
    if (o->h0) memcpy(h_last, tape.h0, bytes), tape.h0 = h_last;
    tape.y = NULL;
    run_forward(&c->plan, &tape, h_last);
    same_bits("h_last without y", h_last, c->h_last, bytes);

    tape = c->tape;
    tape.y = guard_take(o->B * o->T * row, size);
    tape.y_batch = (ptrdiff_t)(o->T * row), tape.y_time = (ptrdiff_t)row;
    const int is_shared = o->T == 1 && !(o->mask != NO_MASK && o->zero_output_for_mask);
    run_forward(&c->plan, &tape, is_shared ? tape.y : NULL);
    same_bits("dense y", tape.y, y, o->B * o->T * row);
}

/* The same when nobody wants the gradient of the initial state. */
static void check_without_dh0(const call *c, const frnn_simple_rnn_gradients *wanted) {
    frnn_simple_rnn_gradients g = take_gradients(c);
    g.dh0 = NULL;
    run_backward(&c->plan, &c->tape, &g);
    same_gradients(c, &g, wanted);
}

static void describe(const frnn_kernels *kernels, const options *o) {
    const placement *x = &o->x_at, *y = &o->y_at, *dy = &o->dy_at;
    set_case(
        "SimpleRNN on %s, %s: B=%zu T=%zu I=%zu V=%zu H=%zu, %s%s%s%s%s%s%s%s%s, mask %s, placement (time-major, flips, "
        "padding) of x %d%d%d+%zu+%zu, y %d%d%d+%zu+%zu, dy %d%d%d+%zu+%zu, %zu threads",
        kernels->isa, type_name(kernels->dtype), o->B, o->T, o->I, o->V, o->H, activation_name(o->activation),
        o->go_backwards ? " backwards" : "", o->zero_output_for_mask ? " zero_output" : "", o->bias ? " bias" : "",
        o->h0 ? " h0" : "", o->dropout ? " dropout" : "", o->dy ? " dy" : "", o->dh_last ? " dh_last" : "",
        o->dx ? " dx" : "", mask_names[o->mask], x->time_major, x->flip_batch, x->flip_time, x->row_pad, x->block_pad,
        y->time_major, y->flip_batch, y->flip_time, y->row_pad, y->block_pad, dy->time_major, dy->flip_batch,
        dy->flip_time, dy->row_pad, dy->block_pad, o->threads);
}

void check_call(const frnn_kernels *kernels, const options *o, size_t most_threads) {
    options one = *o;
    one.threads = 1;
    describe(kernels, &one);
    call c = make_call(kernels, &one);
    run_forward(&c.plan, &c.tape, c.h_last);
    guard_freeze(c.y.memory);
    guard_freeze(c.h_last);
    const void *y = dense_y(&c);
    const frnn_simple_rnn_gradients g = take_gradients(&c);
    run_backward(&c.plan, &c.tape, &g);
    check_forward(&c, y);
    check_backward(&c, y, &g);
    check_other_outputs(&c, y);
    check_without_dh0(&c, &g);
    if (o->B > 1) check_row_alone(&c, y, &g, random_below(o->B));
    for (size_t threads = 2; threads <= most_threads; threads++) {
        one.threads = c.plan.threads = threads;
        describe(kernels, &one);
        check_other_outputs(&c, y);
        const frnn_simple_rnn_gradients again = take_gradients(&c);
        run_backward(&c.plan, &c.tape, &again);
        same_gradients(&c, &again, &g);
        check_without_dh0(&c, &g);
    }
    release_call();
}

size_t arrays_compared(void) { return compared; }
size_t arrays_of_zeros(void) { return compared_with_zero; }
