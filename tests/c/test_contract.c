/* What every entry refuses, and the sizes it asks for. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guard.h"
#include "kernels/kernels.h"
#include "simple_rnn_call.h"
#include "tests.h"

void test_tables(void) {
    set_case("the tables");
    CHECK(api && api == frnn_get_api(), "frnn_get_api");
    CHECK(api->version == FRNN_API_VERSION, "version %d", api->version);
    size_t n = 0;
    while (api->isa_name(n)) n++;
    CHECK(n > 0 && !api->isa_name(n + 1) && !api->isa_name(SIZE_MAX), "isa_name past the end");
    CHECK(strcmp(api->isa_name(0), "generic") == 0, "the worst instruction set is %s", api->isa_name(0));
    for (int dtype = FRNN_F32; dtype <= FRNN_F64; dtype++) {
        const frnn_kernels *best = NULL;
        for (size_t i = 0; i < n; i++) {
            const frnn_kernels *kernels = api->kernels(api->isa_name(i), (frnn_dtype)dtype);
            if (kernels) best = kernels;
            CHECK(kernels || i > 0, "generic kernels run everywhere");
            CHECK(!kernels || (strcmp(kernels->isa, api->isa_name(i)) == 0 && kernels->dtype == (frnn_dtype)dtype),
                  "kernels(\"%s\", %d) are others", api->isa_name(i), dtype);
            CHECK(api->multiply_adds(kernels, 3) == (kernels ? 3.0 * (double)(kernels->tile * kernels->panel) : 0),
                  "multiply-adds of a tile, three times");
        }
        CHECK(api->kernels(NULL, (frnn_dtype)dtype) == best, "without a name the best is meant");
        CHECK(!api->kernels("", (frnn_dtype)dtype) && !api->kernels("pentium", (frnn_dtype)dtype), "unknown names");
    }
    CHECK(!api->kernels(NULL, (frnn_dtype)2), "an element type that is none");
    for (int i = 0; i <= FRNN_ERR_INTERRUPTED + 1; i++)
        for (int j = 0; j <= i; j++) {
            const char *a = api->status_text((frnn_status)i), *b = api->status_text((frnn_status)j);
            CHECK(a && *a && (i == j || strcmp(a, b) != 0), "status_text(%d)", i);
        }
    const uint8_t mask[] = {0, 1, 1, 1, 1, 1, 0, 0, 0};
    size_t order[3], scratch[7];
    int pays = 2;
    CHECK(api->order_rows(3, 3, mask, order, scratch, &pays) == FRNN_OK && pays == 1, "uneven rows");
    CHECK(order[0] == 1 && order[1] == 0 && order[2] == 2, "rows by their active steps");
    CHECK(api->order_rows(1, 3, mask + 3, order, scratch, &pays) == FRNN_OK && pays == 0, "a row by itself");
    CHECK(api->order_rows(3, 3, NULL, order, scratch, &pays) == FRNN_ERR_ARGUMENT, "without a mask");
    CHECK(api->order_rows(3, 3, mask, NULL, scratch, &pays) == FRNN_ERR_ARGUMENT, "without an order");
    CHECK(api->order_rows(3, 3, mask, order, NULL, &pays) == FRNN_ERR_ARGUMENT, "without scratch memory");
    CHECK(api->order_rows(3, 3, mask, order, scratch, NULL) == FRNN_ERR_ARGUMENT, "without pays");
}

#define REFUSED(expression) \
    do { \
        const frnn_status status = (expression); \
        CHECK(status == FRNN_ERR_ARGUMENT, #expression " gave status %d", (int)status); \
    } while (0)
#define ACCEPTED(expression) \
    do { \
        const frnn_status status = (expression); \
        CHECK(status == FRNN_OK, #expression " gave status %d", (int)status); \
    } while (0)

/* Every entry that takes a plan, with a plan that is not sound. */
static void check_plan_refused(const call *c, const frnn_plan *plan, const frnn_simple_rnn_gradients *g, void *memory) {
    size_t bytes;
    int same;
    REFUSED(api->simple_rnn_prepared_size(plan, &bytes));
    REFUSED(api->simple_rnn_prepare(plan, memory, memory, memory, memory));
    REFUSED(api->simple_rnn_prepared_from(plan, memory, memory, memory, c->tape.prepared, &same));
    REFUSED(api->simple_rnn->unprepare(plan, c->tape.prepared, memory, memory, memory));
    REFUSED(api->gru->unprepare(plan, c->tape.prepared, memory, memory, memory));
    REFUSED(api->simple_rnn_forward_scratch_size(plan, &c->tape, &bytes));
    REFUSED(api->simple_rnn_forward(plan, &c->tape, c->h_last, memory));
    REFUSED(api->simple_rnn_backward_scratch_size(plan, &c->tape, g, &bytes));
    REFUSED(api->simple_rnn_backward(plan, &c->tape, g, memory));
}

void test_arguments(const frnn_kernels *kernels) {
    const options o = {.B = 2, .T = 3, .I = 4, .H = 5, .activation = FRNN_TANH, .bias = 1, .h0 = 1, .dy = 1, .dx = 1};
    guard_at_end(1);
    set_case("arguments on %s, %s", kernels->isa, type_name(kernels->dtype));
    call c = make_call(kernels, &o);
    frnn_simple_rnn_gradients g = take_gradients(&c);
    void *forward_memory = forward_scratch(&c.plan, &c.tape);
    void *backward_memory = backward_scratch(&c.plan, &c.tape, &g);
    size_t bytes;
    int same;

    check_plan_refused(&c, NULL, &g, forward_memory);
    frnn_plan plan = c.plan;
    plan.kernels = NULL;
    check_plan_refused(&c, &plan, &g, forward_memory);
    plan = c.plan, plan.H = 0;
    check_plan_refused(&c, &plan, &g, forward_memory);
    plan = c.plan, plan.activation = FRNN_ACTIVATIONS;
    check_plan_refused(&c, &plan, &g, forward_memory);
    memset(&plan.activation, 0xff, sizeof plan.activation);
    check_plan_refused(&c, &plan, &g, forward_memory);

    void *w = guard_take(o.H * o.H * kernels->size, kernels->size);
    void *prepared = guard_take(8192, 64);
    memset(w, 0, o.H * o.H * kernels->size);
    REFUSED(api->simple_rnn_prepared_size(&c.plan, NULL));
    REFUSED(api->simple_rnn_prepare(&c.plan, NULL, w, w, prepared));
    REFUSED(api->simple_rnn_prepare(&c.plan, w, NULL, w, prepared));
    REFUSED(api->simple_rnn_prepare(&c.plan, w, w, w, NULL));
    REFUSED(api->simple_rnn_prepared_from(&c.plan, NULL, w, w, c.tape.prepared, &same));
    REFUSED(api->simple_rnn_prepared_from(&c.plan, w, NULL, w, c.tape.prepared, &same));
    REFUSED(api->simple_rnn_prepared_from(&c.plan, w, w, w, NULL, &same));
    REFUSED(api->simple_rnn_prepared_from(&c.plan, w, w, w, c.tape.prepared, NULL));
    const frnn_cell *const cells[] = {api->simple_rnn, api->gru, api->lstm};
    for (int i = 0; i < 3; i++) {
        REFUSED(cells[i]->unprepare(&c.plan, NULL, w, w, w));
        REFUSED(cells[i]->unprepare(&c.plan, prepared, NULL, w, w));
        REFUSED(cells[i]->unprepare(&c.plan, prepared, w, NULL, w));
    }
    ACCEPTED(api->simple_rnn_prepared_from(&c.plan, w, w, w, c.tape.prepared, &same));
    CHECK(same == 0, "zeros were taken for the prepared weights");
    ACCEPTED(api->simple_rnn_prepared_size(&c.plan, &bytes));
    CHECK(bytes <= 8192, "prepared_size %zu", bytes);
    ACCEPTED(api->simple_rnn_prepare(&c.plan, w, w, NULL, prepared));
    ACCEPTED(api->simple_rnn_prepared_from(&c.plan, w, w, NULL, prepared, &same));
    CHECK(same == 1, "prepared_from without a bias");

    frnn_simple_rnn_tape tape = c.tape;
    REFUSED(api->simple_rnn_forward_scratch_size(&c.plan, NULL, &bytes));
    REFUSED(api->simple_rnn_forward_scratch_size(&c.plan, &c.tape, NULL));
    REFUSED(api->simple_rnn_forward(&c.plan, NULL, c.h_last, forward_memory));
    REFUSED(api->simple_rnn_forward(&c.plan, &c.tape, c.h_last, NULL));
    tape.prepared = NULL;
    REFUSED(api->simple_rnn_forward(&c.plan, &tape, c.h_last, forward_memory));
    REFUSED(api->simple_rnn_backward(&c.plan, &tape, &g, backward_memory));
    tape = c.tape, tape.x = NULL;
    REFUSED(api->simple_rnn_forward(&c.plan, &tape, c.h_last, forward_memory));
    REFUSED(api->simple_rnn_backward(&c.plan, &tape, &g, backward_memory));

    REFUSED(api->simple_rnn_backward_scratch_size(&c.plan, NULL, &g, &bytes));
    REFUSED(api->simple_rnn_backward_scratch_size(&c.plan, &c.tape, NULL, &bytes));
    REFUSED(api->simple_rnn_backward_scratch_size(&c.plan, &c.tape, &g, NULL));
    REFUSED(api->simple_rnn_backward(&c.plan, NULL, &g, backward_memory));
    REFUSED(api->simple_rnn_backward(&c.plan, &c.tape, NULL, backward_memory));
    REFUSED(api->simple_rnn_backward(&c.plan, &c.tape, &g, NULL));
    tape = c.tape, tape.y = NULL;
    REFUSED(api->simple_rnn_backward(&c.plan, &tape, &g, backward_memory));
    void **const required[] = {&g.dwx, &g.dwh};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        void *const kept = *required[i];
        *required[i] = NULL;
        REFUSED(api->simple_rnn_backward(&c.plan, &c.tape, &g, backward_memory));
        *required[i] = kept;
    }

    REFUSED(api->activate(NULL, FRNN_TANH, 1, w, w));
    REFUSED(api->activate(kernels, FRNN_ACTIVATIONS, 1, w, w));
    REFUSED(api->activate(kernels, FRNN_TANH, 1, NULL, w));
    REFUSED(api->activate(kernels, FRNN_TANH, 1, w, NULL));
    ACCEPTED(api->activate(kernels, FRNN_TANH, 0, NULL, NULL));

    const frnn_descent d = {.n = 1, .g = w, .w = w, .m = w, .v = w};
    frnn_descent without[] = {d, d, d, d};
    without[0].g = without[1].w = without[2].m = without[3].v = NULL;
    for (frnn_optimizer o = FRNN_SGD; o < FRNN_OPTIMIZERS; o++) {
        REFUSED(api->descend(NULL, o, &d));
        REFUSED(api->descend(kernels, o, NULL));
        REFUSED(api->descend(kernels, o, &without[0]));
        REFUSED(api->descend(kernels, o, &without[1]));
        ACCEPTED(api->descend(kernels, o, &(frnn_descent){.n = 0}));
    }
    REFUSED(api->descend(kernels, FRNN_ADAM, &without[2]));
    REFUSED(api->descend(kernels, FRNN_RMSPROP, &without[3]));
    REFUSED(api->descend(kernels, FRNN_ADAM, &without[3]));
    REFUSED(api->descend(kernels, FRNN_OPTIMIZERS, &d));
    release_call();

    /* Ids and their table come together, and instead of inputs. */
    const options with_ids = {.B = 2, .T = 3, .V = 4, .H = 5, .activation = FRNN_TANH, .dy = 1, .dx = 1};
    set_case("ids on %s, %s", kernels->isa, type_name(kernels->dtype));
    c = make_call(kernels, &with_ids);
    run_forward(&c.plan, &c.tape, c.h_last);
    g = take_gradients(&c);
    forward_memory = forward_scratch(&c.plan, &c.tape), backward_memory = backward_scratch(&c.plan, &c.tape, &g);
    tape = c.tape, tape.ids = NULL;
    REFUSED(api->simple_rnn_forward(&c.plan, &tape, c.h_last, forward_memory));
    REFUSED(api->simple_rnn_backward(&c.plan, &tape, &g, backward_memory));
    tape = c.tape, tape.table = NULL;
    REFUSED(api->simple_rnn_backward(&c.plan, &tape, &g, backward_memory));
    plan = c.plan, plan.I = 1;
    REFUSED(api->simple_rnn_forward(&plan, &c.tape, c.h_last, forward_memory));
    release_call();

    /* Without inputs nothing of theirs is required. */
    const options no_inputs = {.B = 2, .T = 3, .I = 0, .H = 5, .activation = FRNN_TANH, .bias = 1, .dy = 1, .dx = 1};
    set_case("no inputs on %s, %s", kernels->isa, type_name(kernels->dtype));
    c = make_call(kernels, &no_inputs);
    c.tape.x = NULL;
    c.tape.x_batch = c.tape.x_time = 0;
    run_forward(&c.plan, &c.tape, c.h_last);
    g = take_gradients(&c);
    g.dwx = g.dx = NULL;
    run_backward(&c.plan, &c.tape, &g);
    release_call();
}

/* A size function either says that the sizes are too large or asks for at least what must be stored. */
static void check_size(const char *what, frnn_status status, size_t bytes, long double least) {
    if (status == FRNN_OK)
        CHECK((long double)bytes >= least && bytes <= PTRDIFF_MAX, "%s is %zu bytes, at least %.0Lf are needed", what,
              bytes, least);
    else CHECK(status == FRNN_ERR_SIZE, "%s gave status %d", what, (int)status);
    if (least > (long double)PTRDIFF_MAX) CHECK(status == FRNN_ERR_SIZE, "%s of %.0Lf bytes is possible", what, least);
}

void test_sizes(const frnn_kernels *kernels) {
    /* Small ones, squares and products that just overflow, and all that wraps around when rounded up. */
    static const size_t sizes[] = {
        0,
        1,
        5,
        300,
        65536,
        (size_t)1 << 31,
        (size_t)1 << 32,
        ((size_t)1 << 32) - 1,
        (size_t)1 << 59,
        (size_t)1 << 60,
        ((size_t)1 << 61) - 1,
        (size_t)1 << 61,
        ((size_t)1 << 62) - 5,
        ((size_t)1 << 62) - 2,
        ((size_t)1 << 62) - 1,
        (size_t)1 << 62,
        PTRDIFF_MAX,
        (size_t)PTRDIFF_MAX + 1,
        SIZE_MAX - 600,
        SIZE_MAX - 299,
        SIZE_MAX - 62,
        SIZE_MAX - 14,
        SIZE_MAX - 10,
        SIZE_MAX - 6,
        SIZE_MAX - 4,
        SIZE_MAX - 1,
        SIZE_MAX,
    };
    enum { COUNT = sizeof sizes / sizeof *sizes };
    const long double size = (long double)kernels->size;
    void *there = guard_take(64, 64);
    for (size_t i = 0; i < (size_t)COUNT * COUNT * 8; i++) {
        /* Two axes from the list, the others small. */
        const size_t one = sizes[i / 8 % COUNT], other = sizes[i / 8 / COUNT];
        frnn_plan plan = {.kernels = kernels, .B = 2, .T = 3, .I = 4, .H = 5, .threads = 1 + i % 2 * 2};
        size_t *const axes[][2] = {{&plan.I, &plan.H}, {&plan.B, &plan.H}, {&plan.T, &plan.B}, {&plan.T, &plan.H}};
        *axes[i % 4][0] = one, *axes[i % 4][1] = other;
        if (plan.H == 0) plan.H = 1;
        set_case("sizes on %s, %s: B=%zu T=%zu I=%zu H=%zu, %zu threads", kernels->isa, type_name(kernels->dtype),
                 plan.B, plan.T, plan.I, plan.H, plan.threads);
        const long double B = (long double)plan.B, I = (long double)plan.I, H = (long double)plan.H;
        const int all = i / 4 % 2; /* with every optional array */
        frnn_simple_rnn_tape tape = {0};
        frnn_simple_rnn_gradients g = {0};
        if (all) tape.mask = there, tape.dropout = there, tape.h0 = there, tape.y = there, g.dx = there, g.db = there;

        size_t bytes = 0;
        frnn_status status = api->simple_rnn_prepared_size(&plan, &bytes);
        check_size("prepared", status, bytes, (1 + I + H) * H * size);
        status = api->simple_rnn_forward_scratch_size(&plan, &tape, &bytes);
        check_size("scratch of forward", status, bytes, plan.T ? B * H * size : 0);
        tape.y = there;
        status = api->simple_rnn_backward_scratch_size(&plan, &tape, &g, &bytes);
        /* Of wx^T, a panel where a few tokens are all that it is for. */
        const int once = B * (long double)plan.T * H * size <= 128 * 1024;
        const long double columns = once && I > (long double)kernels->panel ? (long double)kernels->panel : I;
        check_size("scratch of backward", status, bytes, H * H * size + (all ? columns * H * size : 0));
    }
    guard_release();

    /* Too many threads to keep the books of. */
    frnn_plan plan = {.kernels = kernels, .B = (size_t)1 << 40, .T = 3, .I = 4, .H = 5, .threads = SIZE_MAX};
    frnn_simple_rnn_tape tape = {0};
    size_t bytes = 0;
    set_case("sizes on %s, %s with too many threads", kernels->isa, type_name(kernels->dtype));
    CHECK(api->simple_rnn_forward_scratch_size(&plan, &tape, &bytes) != FRNN_OK || bytes >= plan.B * 8, "threads");

    /* Without y, memory does not grow with time. */
    size_t once = 0;
    plan = (frnn_plan){.kernels = kernels, .B = 3, .T = 100000, .I = 4, .H = 5, .threads = 1};
    CHECK(api->simple_rnn_forward_scratch_size(&plan, &tape, &once) == FRNN_OK, "forward_scratch_size");
    plan.T = SIZE_MAX;
    CHECK(api->simple_rnn_forward_scratch_size(&plan, &tape, &bytes) == FRNN_OK && bytes == once,
          "scratch grows with time");
}
