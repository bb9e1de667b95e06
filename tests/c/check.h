/* Counting checks and stopping at the first that fails, with the case it happened in. */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>

#define CHECK(ok, ...) ((ok) ? count_check() : fail_check(__FILE__, __LINE__, __VA_ARGS__))

#define PRINTS(text, first) __attribute__((format(printf, text, first)))

void count_check(void);
size_t checks_passed(void);
void fail_check(const char *file, int line, const char *format, ...) PRINTS(3, 4);

/* Where the program is: printed when a check fails, on crashes and when the time of alarm() is up. */
void set_case(const char *format, ...) PRINTS(1, 2);
void report_crashes(void);

/* Random numbers, the same ones on every machine. */
void seed_random(uint64_t seed);
uint64_t random_bits(void);
size_t random_below(size_t n);
double random_between(double low, double high);

#endif
