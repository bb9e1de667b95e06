/* A small pool of POSIX threads: started when first needed, kept until the process ends, forgotten by a forked child
 * (which starts its own when it needs them). Every thread has a mailbox for the team that it is to join; both sides
 * spin briefly before they sleep, since the next job of a training loop is only microseconds away.
 *
 * A job begins with those who have come within a short while, and the others are called off. Whoever shares the
 * processors with us may keep a thread from running for milliseconds (another library's threads, say, that spin while
 * they wait for work): no job should have to wait for that, and a barrier in every step even less. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "runtime/parallel.h"

#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
    MOST_THREADS = 256,     /* the caller's included */
    SPINS = 4000,           /* some tens of microseconds; then others may run */
    CROWDED_SPINS = 100,    /* the same where whom we wait for cannot run meanwhile */
    POLL_MILLISECONDS = 50, /* polling may mean waiting for an interpreter's lock: not too often */
    STACK_BYTES = 512 * 1024,
};
/* Seconds before a thread sleeps: waking it takes some 80 us, and between two calls of a training loop there may be that
 * much of Python and NumPy. */
static const double AWAKE = 300e-6;
static const double WORTH_A_THREAD = 200e3; /* multiply-adds that take about as long as waking a thread */
static const double PATIENCE = 200e-6, PATIENCE_PER_WORK = 3e-12; /* seconds to wait for members to come */
static const double WORK_BETWEEN_CLOCKS = 4e6;

/* What everybody reads after each product must not share a line of the cache with what somebody writes then: it would go
 * to and fro between the processors. Lines are fetched in pairs. */
enum { TWO_LINES = 128 };

struct frnn_team {
    atomic_size_t size;   /* 0 until it is known who has come */
    atomic_size_t joined; /* who has come, apart from the caller */
    frnn_member_function function;
    void *job;
    const frnn_plan *plan;
    fenv_t environment; /* members compute in the caller's floating-point mode */
    int processor;      /* that the caller began on */
    atomic_int crowded; /* a member began on it, too */
    atomic_int stopping;
    _Alignas(TWO_LINES) double worked;                 /* member 0's own: work since the clock was read, */
    double polled;                                     /* when poll was called */
    _Alignas(TWO_LINES) atomic_size_t arrived, rounds; /* of the barrier */
};

static struct mailbox {
    pthread_mutex_t mutex; /* for sleeping only; the pointer is the message */
    pthread_cond_t changed;
    _Atomic(frnn_team *) team; /* to join; `taken` while a thread is at it */
} mailboxes[MOST_THREADS];

static frnn_team taken;

static pthread_mutex_t user = PTHREAD_MUTEX_INITIALIZER; /* held by the caller whose job the pool runs */
static size_t started;                                   /* threads; this and the next two are guarded by `user` */
static size_t disappointments;                           /* jobs in a row to which somebody did not come in time */
static size_t alone;                                     /* jobs for which nobody is to be asked */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Where this thread runs; or a number that is nobody else's. */
static int processor(int otherwise) {
#if defined(__linux__)
    (void)otherwise;
    return sched_getcpu();
#else
    return otherwise;
#endif
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* How somebody waits who is to sleep in the end. */
struct wait {
    size_t spins;
    double until;
};

/* Passes a moment. 0: it is time to sleep. */
static int pass(struct wait *wait) {
    if (wait->spins++ < SPINS) {
        relax();
        return 1;
    }
    const double time = now();
    if (wait->until == 0) wait->until = time + AWAKE;
    sched_yield();
    return time < wait->until;
}

static void poll_now(frnn_team *team) {
    team->polled = now();
    if (team->plan->poll && team->plan->poll(team->plan->poll_arg)) atomic_store(&team->stopping, 1);
}

int frnn_worked(frnn_team *team, size_t member, double work) {
    if (member == 0 && team->plan->poll && (team->worked += work) >= WORK_BETWEEN_CLOCKS) {
        team->worked = 0;
        if (now() - team->polled >= 1e-3 * POLL_MILLISECONDS) poll_now(team);
    }
    return atomic_load_explicit(&team->stopping, memory_order_relaxed);
}

int frnn_barrier(frnn_team *team) {
    const size_t size = frnn_team_size(team);
    if (size == 1) return atomic_load_explicit(&team->stopping, memory_order_relaxed);
    const size_t round = atomic_load(&team->rounds);
    if (atomic_fetch_add(&team->arrived, 1) + 1 == size) {
        atomic_store(&team->arrived, 0);
        atomic_store(&team->rounds, round + 1);
        return atomic_load(&team->stopping);
    }
    const size_t spins = atomic_load_explicit(&team->crowded, memory_order_relaxed) ? CROWDED_SPINS : SPINS;
    /* A stopping member does not come: who waits must look for that, too. */
    for (size_t spin = 0; atomic_load(&team->rounds) == round; spin++) {
        if (atomic_load(&team->stopping)) return 1;
        if (spin < spins) relax();
        else sched_yield();
    }
    return 0;
}

size_t frnn_team_size(const frnn_team *team) { return atomic_load(&team->size); }

size_t frnn_most_members(const frnn_plan *plan) {
    if (plan->threads < 1) return 1;
    return plan->threads < MOST_THREADS ? plan->threads : MOST_THREADS;
}

static void post(struct mailbox *box, frnn_team *team) {
    pthread_mutex_lock(&box->mutex);
    atomic_store(&box->team, team);
    pthread_cond_signal(&box->changed);
    pthread_mutex_unlock(&box->mutex);
}

static void *member_main(void *argument) {
    struct mailbox *box = argument;
    for (;;) {
        struct wait idle = {0, 0};
        while (!atomic_load(&box->team) && pass(&idle)) continue;
        pthread_mutex_lock(&box->mutex);
        while (!atomic_load(&box->team)) pthread_cond_wait(&box->changed, &box->mutex);
        pthread_mutex_unlock(&box->mutex);
        frnn_team *team = atomic_load(&box->team);
        /* From here on the caller waits for this thread, which else must not touch the team. */
        if (!team || !atomic_compare_exchange_strong(&box->team, &team, &taken)) continue;
        const size_t member = atomic_fetch_add(&team->joined, 1) + 1;
        for (size_t spin = 0; atomic_load(&team->size) == 0; spin++) {
            if (spin < SPINS) relax();
            else sched_yield();
        }
        if (processor((int)member) == team->processor) atomic_store(&team->crowded, 1);
        fesetenv(&team->environment);
        team->function(team, member, team->job);
        post(box, NULL);
    }
    return NULL;
}

/* Asks for `wanted` members besides the caller and lets the team begin with those who come. */
static void gather(frnn_team *team, size_t wanted, double work) {
    const double until = now() + PATIENCE + PATIENCE_PER_WORK * work;
    size_t coming = 0;
    for (size_t i = 0; i < wanted; i++) post(&mailboxes[i], team);
    for (size_t spin = 1; atomic_load(&team->joined) < wanted && (spin % 16 || now() < until); spin++) {
        if (spin % 1024) relax();
        else sched_yield(); /* to one who was woken on this very processor */
    }
    for (size_t i = 0; i < wanted; i++) {
        frnn_team *expected = team;
        coming += !atomic_compare_exchange_strong(&mailboxes[i].team, &expected, NULL);
    }
    while (atomic_load(&team->joined) < coming) sched_yield();
    team->processor = processor(0);
    atomic_store(&team->size, coming + 1);
    /* Who is left alone again and again asks less and less often. */
    disappointments = coming < wanted ? disappointments + 1 : 0;
    if (disappointments >= 3) alone = disappointments < 64 ? disappointments : 64;
}

/* The caller has done its part: wait for the others, polling all the while. */
static void wait_for(struct mailbox *box, frnn_team *team) {
    struct wait done = {0, 0};
    while (atomic_load(&box->team) && pass(&done)) continue;
    while (atomic_load(&box->team)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += POLL_MILLISECONDS * 1000000L;
        if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
        pthread_mutex_lock(&box->mutex);
        if (atomic_load(&box->team)) pthread_cond_timedwait(&box->changed, &box->mutex, &until);
        pthread_mutex_unlock(&box->mutex);
        if (atomic_load(&box->team) && !atomic_load(&team->stopping)) poll_now(team);
    }
}

/* A forked child has none of its parent's threads and must not trust the state of its locks. */
static void forget_threads(void) {
    pthread_mutex_init(&user, NULL);
    started = disappointments = alone = 0;
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget_threads); }

/* Makes sure of `wanted` threads; fewer if the system refuses. Called by the holder of `user`. */
static void start_threads(size_t wanted) {
    pthread_attr_t attributes;
    sigset_t all, before;
    if (started >= wanted) return;
    pthread_once(&once, watch_forks);
    if (pthread_attr_init(&attributes)) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all); /* signals are for the application's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < wanted; started++) {
        struct mailbox *box = &mailboxes[started];
        pthread_t thread;
        pthread_mutex_init(&box->mutex, NULL);
        pthread_cond_init(&box->changed, NULL);
        atomic_store(&box->team, NULL);
        if (pthread_create(&thread, &attributes, member_main, box)) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

frnn_status frnn_run(const frnn_plan *plan, double work, frnn_member_function f, void *job) {
    return frnn_run_by(plan, frnn_most_members(plan), work, f, job);
}

frnn_status frnn_run_by(const frnn_plan *plan, size_t most, double work, frnn_member_function f, void *job) {
    frnn_team team = {.size = 1, .function = f, .job = job, .plan = plan};
    const double useful = work / WORTH_A_THREAD;
    size_t wanted = most;
    if (useful < (double)wanted) wanted = useful > 1 ? (size_t)useful : 1;
    if (plan->poll && work >= WORK_BETWEEN_CLOCKS) team.polled = now();
    int shared = wanted > 1 && pthread_mutex_trylock(&user) == 0;
    if (shared && alone > 0) {
        alone--;
        pthread_mutex_unlock(&user);
        shared = 0;
    }
    if (shared) {
        start_threads(wanted - 1);
        fegetenv(&team.environment);
        atomic_store(&team.size, 0);
        gather(&team, started < wanted - 1 ? started : wanted - 1, work);
    }
    f(&team, 0, job);
    if (shared) {
        for (size_t i = 0; i + 1 < wanted && i < started; i++) wait_for(&mailboxes[i], &team);
        pthread_mutex_unlock(&user);
    }
    return atomic_load(&team.stopping) ? FRNN_ERR_INTERRUPTED : FRNN_OK;
}
