/* Several threads: the same results, the same bits, callers at the same time, and stopping halfway. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "guard.h"
#include "kernels/kernels.h"
#include "simple_rnn_call.h"
#include "tests.h"

/* Emulators and ThreadSanitizer do not stand threads in a forked child. */
#if defined(WITHOUT_FORK)
enum { CAN_FORK = 0 };
#else
enum { CAN_FORK = 1 };
#endif

/* Threads of this process, or 0 if the system does not say. */
static size_t threads_alive(void) {
    size_t n = 0;
    DIR *directory = opendir("/proc/self/task");
    if (!directory) return 0;
    for (const struct dirent *entry; (entry = readdir(directory));) n += entry->d_name[0] != '.';
    closedir(directory);
    return n;
}

static options work_for_three(void) {
    return (options){.B = 7, .T = 20, .I = 40, .H = 65, .activation = FRNN_TANH, .bias = 1, .h0 = 1, .dy = 1, .dx = 1};
}

typedef struct caller {
    pthread_t thread;
    call c;
    frnn_simple_rnn_gradients gradients;
    void *h_last, *forward_scratch, *backward_scratch;
    frnn_status status;
} caller;

static void *call_repeatedly(void *argument) {
    caller *me = argument;
    for (int i = 0; i < 5 && me->status == FRNN_OK; i++) {
        me->status = api->simple_rnn_forward(&me->c.plan, &me->c.tape, me->h_last, me->forward_scratch);
        if (me->status == FRNN_OK)
            me->status = api->simple_rnn_backward(&me->c.plan, &me->c.tape, &me->gradients, me->backward_scratch);
    }
    return NULL;
}

/* Two threads of the application call with the same prepared weights; only one of them finds the pool free. */
static void test_callers_at_the_same_time(const frnn_kernels *kernels) {
    options o = work_for_three();
    o.threads = 2;
    set_case("callers at the same time on %s, %s", kernels->isa, type_name(kernels->dtype));
    const call c = make_call(kernels, &o);
    run_forward(&c.plan, &c.tape, c.h_last);
    const void *y = dense_y(&c);
    const frnn_simple_rnn_gradients g = take_gradients(&c);
    run_backward(&c.plan, &c.tape, &g);

    const size_t row = o.H * kernels->size;
    caller callers[2] = {{.c = c}, {.c = c}};
    for (size_t i = 0; i < 2; i++) {
        caller *one = &callers[i];
        one->c.tape.y = guard_take(o.B * o.T * row, kernels->size);
        one->c.tape.y_batch = (ptrdiff_t)(o.T * row), one->c.tape.y_time = (ptrdiff_t)row;
        one->h_last = guard_take(o.B * row, kernels->size);
        one->gradients = take_gradients(&c);
        one->forward_scratch = forward_scratch(&one->c.plan, &one->c.tape);
        one->backward_scratch = backward_scratch(&one->c.plan, &one->c.tape, &one->gradients);
    }
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&callers[i].thread, NULL, call_repeatedly, &callers[i]) == 0, "pthread_create");
    for (size_t i = 0; i < 2; i++) {
        pthread_join(callers[i].thread, NULL);
        CHECK(callers[i].status == FRNN_OK, "status %d", (int)callers[i].status);
        same_bits("y", callers[i].c.tape.y, y, o.B * o.T * row);
        same_bits("h_last", callers[i].h_last, c.h_last, o.B * row);
        same_gradients(&c, &callers[i].gradients, &g);
    }
    release_call();
}

/* A forked child has none of its parent's threads and starts its own. */
static void test_fork(const frnn_kernels *kernels) {
    const options o = work_for_three();
    set_case("a forked child on %s, %s", kernels->isa, type_name(kernels->dtype));
    fflush(stdout);
    const pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        alarm(60); /* the parent's is not inherited */
        check_call(kernels, &o, 2);
        CHECK(threads_alive() != 1, "the child computed alone");
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0, "the child ended with status %d", status);
}

void test_threads(const frnn_kernels *kernels, effort effort) {
    const size_t alive = threads_alive();
    static size_t started; /* by an earlier call: the pool stays */
    options o = work_for_three();
    seed_random(3);
    for (int option = 0; option < 4; option++) {
        o.go_backwards = option & 1;
        o.zero_output_for_mask = option == 3;
        o.dropout = option == 2;
        o.mask = option ? RANDOM : NO_MASK;
        o.activation = (frnn_activation)option;
        guard_at_end(option & 1);
        if (effort == FULL || option == 3) check_call(kernels, &o, 3);
    }
    /* More members than halves of the rows, which they share by panels of dz. */
    options halves = o;
    halves.dropout = 0, halves.T = 5;
    for (size_t B = 6; B <= 8; B++) {
        halves.B = B;
        check_call(kernels, &halves, 5);
    }
    /* Two equal halves of few rows, and a last chunk in one part; and a single step. */
    options equal = work_for_three(), once = work_for_three();
    const frnn_plan plan = {.kernels = kernels, .B = 4, .I = equal.I, .H = equal.H};
    size_t chunk = 0;
    CHECK(api->simple_rnn->backward_steps(&plan, &chunk) == FRNN_OK, "backward_steps");
    equal.B = plan.B, equal.T = chunk + 1, once.B = 20, once.T = 1, once.I = 200, once.H = 129;
    check_call(kernels, &equal, 3);
    check_call(kernels, &once, 3);
    once.I = 0, once.V = 5;
    check_call(kernels, &once, 3);
    options ids = o;
    ids.I = 0, ids.V = 11, ids.H = 8, ids.B = 70, ids.T = 75;
    check_call(kernels, &ids, 3);
    ids.mask = NO_MASK, ids.H = 100, ids.T = 40; /* ten chunks */
    if (effort == FULL) check_call(kernels, &ids, 3);
    /* A busy machine's threads may come too late, and are then asked for less often. */
    for (int i = 0; i < 100 && alive && started + threads_alive() - alive < 2; i++) check_call(kernels, &o, 3);
    if (alive) { /* ThreadSanitizer has a thread of its own */
        started += threads_alive() - alive;
        CHECK(started >= 2, "%zu threads were started to help the caller, expected 2", started);
    }
    /* Few rows and many units: members share the columns of every step. */
    o = (options){
        .B = 3, .T = 9, .I = 5, .H = 200, .activation = FRNN_TANH, .bias = 1, .dy = 1, .dx = 1, .mask = RANDOM};
    check_call(kernels, &o, 3);
    o.I = 0, o.V = 4;
    check_call(kernels, &o, 3);
    /* One row and many inputs: who has no row helps to project. */
    o = (options){.B = 1, .T = 45, .I = 600, .H = 20, .activation = FRNN_TANH, .bias = 1, .dy = 1, .dx = 1};
    check_call(kernels, &o, 3);
    o.mask = RANDOM;
    check_call(kernels, &o, 3);
    if (effort == FULL) {
        o = (options){.B = 1, .T = 30, .I = 7, .H = 261, .activation = FRNN_SIGMOID, .bias = 1, .h0 = 1, .dh_last = 1};
        o.y_at = (placement){.time_major = 1, .row_pad = 3};
        check_call(kernels, &o, 3);
        /* Chunks of time, and blocks of tokens within them. */
        o = (options){.B = 9, .T = 150, .I = 11, .H = 33, .activation = FRNN_TANH, .bias = 1, .dy = 1, .dx = 1};
        o.mask = TRAILING;
        check_call(kernels, &o, 3);
        /* Blocks of rows, with few columns and many inputs. */
        o = (options){.B = 600, .T = 3, .I = 70, .H = 3, .activation = FRNN_RELU, .bias = 1, .dy = 1, .dx = 1};
        check_call(kernels, &o, 5);
        o.mask = RANDOM;
        check_call(kernels, &o, 3);
    }
    test_callers_at_the_same_time(kernels);
    if (CAN_FORK) test_fork(kernels);
}

typedef struct poller {
    pthread_t thread; /* that it must run on */
    int calls, stops_at, is_elsewhere;
} poller;

static int poll(void *argument) {
    poller *p = argument;
    p->calls++;
    p->is_elsewhere |= !pthread_equal(p->thread, pthread_self());
    return p->calls >= p->stops_at;
}

/* A sequence of seconds: all its steps lie at the same place, so that it takes no memory. */
void test_interruption(const frnn_kernels *kernels) {
    const options o = {.B = 64, .T = 1, .I = 4, .H = 200, .activation = FRNN_TANH, .bias = 1};
    guard_at_end(1);
    for (size_t threads = 1; threads <= 2; threads++)
        for (int backwards = 0; backwards < 2; backwards++) {
            set_case("interrupting a SimpleRNN's %s call on %s, %s, %zu threads", backwards ? "backward" : "forward",
                     kernels->isa, type_name(kernels->dtype), threads);
            call c = make_call(kernels, &o);
            run_forward(&c.plan, &c.tape, c.h_last);
            poller p = {.thread = pthread_self(), .stops_at = 2};
            c.plan.threads = threads, c.plan.T = (size_t)1 << 17, c.plan.poll = poll, c.plan.poll_arg = &p;
            c.tape.x_time = c.tape.y_time = 0;
            frnn_status status;
            if (backwards) {
                const frnn_simple_rnn_gradients g = take_gradients(&c);
                status = api->simple_rnn_backward(&c.plan, &c.tape, &g, backward_scratch(&c.plan, &c.tape, &g));
            } else {
                c.tape.y = NULL;
                status = api->simple_rnn_forward(&c.plan, &c.tape, NULL, forward_scratch(&c.plan, &c.tape));
            }
            CHECK(status == FRNN_ERR_INTERRUPTED, "status %d instead of an interruption", (int)status);
            CHECK(p.calls == 2, "poll was called %d times, the second was to be the last", p.calls);
            CHECK(!p.is_elsewhere, "poll was called on another thread than the caller's");
            release_call();
        }
    options after = work_for_three(); /* Nothing of that is left. */
    check_call(kernels, &after, 2);
}
