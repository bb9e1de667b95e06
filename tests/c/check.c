#include "check.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t passed;
static char current[512];
static uint64_t state;

void count_check(void) { passed++; }

size_t checks_passed(void) { return passed; }

void fail_check(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "%s:%d: failed in %s\n  ", file, line, current);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void set_case(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(current, sizeof current, format, arguments);
    va_end(arguments);
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
enum { CRASHES = sizeof crashes / sizeof *crashes };
static struct sigaction before[CRASHES]; /* a sanitizer may have installed its own */

static void report(int signal) {
    const char *text = signal == SIGALRM ? "still in " : "crashed in ";
    if (write(2, text, strlen(text)) < 0 || write(2, current, strlen(current)) < 0 || write(2, "\n", 1) < 0) _exit(1);
    if (signal == SIGALRM) _exit(1);
    /* The instruction runs again and is dealt with as it would have been. */
    for (size_t i = 0; i < CRASHES; i++)
        if (crashes[i] == signal) sigaction(signal, &before[i], NULL);
}

void report_crashes(void) {
    struct sigaction action = {.sa_handler = report};
    for (size_t i = 0; i < CRASHES; i++) sigaction(crashes[i], &action, &before[i]);
}

void seed_random(uint64_t seed) { state = seed; }

uint64_t random_bits(void) { /* SplitMix64 */
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t random_below(size_t n) { return (size_t)(random_bits() % n); }

double random_between(double low, double high) { return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53; }
