/* The C core by itself, without Python: every instruction set of this machine, both element types.
 *
 *     driver [--quick] [--threads] [--isa NAME]
 *
 * --quick: less of everything, for emulators. --threads: only what uses several threads, for ThreadSanitizer.
 * --isa: only this instruction set. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "kernels/kernels.h"
#include "simple_rnn_call.h"
#include "tests.h"

const frnn_api *api;

static size_t all_bytes(void) { return SIZE_MAX; }

/* The kernels, with all that one row may do aside, whether or not that pays on this processor. */
static frnn_kernels with_all_aside(const frnn_kernels *kernels) {
    frnn_kernels all = *kernels;
    all.aside_bytes = all_bytes;
    return all;
}

int main(int argc, char **argv) {
    effort effort = FULL;
    int only_threads = 0;
    const char *only_isa = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) effort = QUICK;
        else if (strcmp(argv[i], "--threads") == 0) only_threads = 1;
        else if (strcmp(argv[i], "--isa") == 0 && i + 1 < argc) only_isa = argv[++i];
        else return fprintf(stderr, "usage: %s [--quick] [--threads] [--isa NAME]\n", argv[0]), 2;
    }
    report_crashes();
    api = frnn_get_api();
    test_tables();
    for (size_t i = 0; api->isa_name(i); i++) {
        const char *isa = api->isa_name(i);
        if (only_isa && strcmp(isa, only_isa) != 0) continue;
        const size_t before = checks_passed();
        const clock_t start = clock();
        alarm(600); /* a deadlock shall end, too */
        for (int dtype = FRNN_F32; dtype <= FRNN_F64; dtype++) {
            const frnn_kernels *found = api->kernels(isa, (frnn_dtype)dtype);
            if (!found) continue;
            const frnn_kernels all = with_all_aside(found), *const kernels = &all;
            if (!only_threads) {
                test_arguments(kernels);
                test_sizes(kernels);
                test_activations(kernels, effort);
                test_simple_rnn(kernels, effort);
                test_gated(kernels, effort);
                test_dense(kernels, effort);
            }
            test_threads(kernels, effort);
            test_interruption(kernels);
            test_gated_threads(kernels, effort);
            test_gated_interruption(kernels);
            test_dense_threads(kernels, effort);
        }
        const size_t checks = checks_passed() - before;
        if (checks)
            printf("%s: %zu checks, %.1f s of processor time\n", isa, checks,
                   (double)(clock() - start) / CLOCKS_PER_SEC);
        else printf("%s: not on this machine\n", isa);
        fflush(stdout);
    }
    CHECK(arrays_of_zeros() * 5 < arrays_compared(), "%zu of %zu arrays compared were all zero", arrays_of_zeros(),
          arrays_compared());
    printf("driver: %zu checks passed\n", checks_passed());
    return 0;
}
