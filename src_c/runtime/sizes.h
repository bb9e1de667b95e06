/* Laying several arrays out in one piece of memory, with checked sizes. The same layout function runs twice: with no
 * memory it only counts, which makes the `_size` entries; with memory it hands out pointers. */
#ifndef FRNN_SIZES_H
#define FRNN_SIZES_H

#include <stddef.h>
#include <stdint.h>

enum { FRNN_ALIGNMENT = 64 };

typedef struct frnn_layout {
    char *memory; /* NULL: count only */
    size_t used;
    int overflow;
} frnn_layout;

static inline size_t frnn_least(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t frnn_most(size_t a, size_t b) { return a > b ? a : b; }

/* a * b and a + b; what does not fit is remembered in l->overflow. */
static inline size_t frnn_times(frnn_layout *l, size_t a, size_t b) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) l->overflow = 1, product = 0;
    return product;
}

static inline size_t frnn_plus(frnn_layout *l, size_t a, size_t b) {
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) l->overflow = 1, sum = 0;
    return sum;
}

/* The next count * size bytes, aligned; NULL while counting. Not inline: some eighty calls would be 5 kB. */
void *frnn_take(frnn_layout *l, size_t count, size_t size);

/* Bytes must also be addressable by signed offsets. */
static inline int frnn_fits(const frnn_layout *l) { return !l->overflow && l->used <= PTRDIFF_MAX; }

#endif
