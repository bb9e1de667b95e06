/* A batch of sequences: where its rows lie, which of them take part in a step, and how time is cut into chunks. */
#ifndef FRNN_CELLS_SEQUENCE_H
#define FRNN_CELLS_SEQUENCE_H

#include "kernels/kernels.h"
#include "runtime/sizes.h"

/* Tokens of a chunk. Fewer would send the weights through the cache too often. */
enum { FRNN_LEAST_TOKENS = 96 };

/* Rows that go through time together. What a step of more writes would have left the second-level cache when the next one
 * reads it. */
enum { FRNN_MOST_ROWS = 256 };

/* Tokens that a chunk of time has room for, from the elements of a token. */
size_t frnn_chunk_tokens(const frnn_plan *plan, size_t token_elements);

int frnn_is_sound(const frnn_plan *plan);
int frnn_is_tape(const frnn_plan *plan, const frnn_tape *tape);
int frnn_are_gradients(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients);

/* Multiply-adds of a forward call. */
double frnn_multiply_adds(const frnn_plan *plan, size_t gates);

static inline size_t frnn_time_of(const frnn_plan *plan, size_t step) {
    return plan->go_backwards ? plan->T - 1 - step : step;
}

static inline int frnn_is_active(const frnn_plan *plan, const frnn_tape *tape, size_t b, size_t step) {
    return !tape->mask || tape->mask[b * plan->T + frnn_time_of(plan, step)] != 0;
}

/* The row of the batch that is in a place, if they are not in their own order. */
static inline size_t frnn_row_in(const size_t *order, size_t place) { return order ? order[place] : place; }

/* Rows of x and dx are in the order of the input, all others in processing order. */
static inline const char *frnn_x_at(const frnn_plan *plan, const frnn_tape *tape, size_t b, size_t step) {
    return (const char *)tape->x + (ptrdiff_t)b * tape->x_batch + (ptrdiff_t)frnn_time_of(plan, step) * tape->x_time;
}

/* Where a token's row is in a table (V, gates * H). */
static inline char *frnn_row_of_token(const frnn_plan *plan, const frnn_tape *tape, size_t gates, const void *table,
                                      size_t b, size_t step) {
    const size_t id = (size_t)tape->ids[b * plan->T + frnn_time_of(plan, step)];
    return (char *)table + id * gates * plan->H * plan->kernels->size;
}

static inline char *frnn_y_at(const frnn_tape *tape, size_t b, size_t step) {
    return (char *)tape->y + (ptrdiff_t)b * tape->y_batch + (ptrdiff_t)step * tape->y_time;
}

/* Rows of some array that is as long as the sequence or, used again and again, as a chunk. */
typedef struct frnn_place {
    char *first;
    ptrdiff_t batch, time; /* strides */
    size_t steps;          /* of the array */
} frnn_place;

static inline char *frnn_at(const frnn_place *place, size_t b, size_t step) {
    if (step >= place->steps) step %= place->steps; /* a division takes as long as all the rest, and is seldom needed */
    return place->first + (ptrdiff_t)b * place->batch + (ptrdiff_t)step * place->time;
}

/* Of an array that is as long as the sequence, or has the same row for all steps. */
static inline frnn_place frnn_place_at(const void *first, ptrdiff_t batch, ptrdiff_t time) {
    return (frnn_place){.first = (char *)first, .batch = batch, .time = time, .steps = SIZE_MAX};
}

/* Lists n rows: with `steps`, rows[i] of the batch at steps[i]; else those from `row` on at one step, which takes no
 * multiplications. */
void frnn_list_many(const frnn_place *place, size_t n, const size_t *rows, const size_t *steps, size_t row, size_t step,
                    char **list);

/* Lists n rows that lie so far apart. */
void frnn_list_strided(const char *first, ptrdiff_t stride, size_t n, char **list);

/* Moves a list's rows on. */
static inline void frnn_move_rows(char **list, size_t n, ptrdiff_t by) {
    for (size_t i = 0; i < n; i++) list[i] += by;
}

/* For one row, the call would take longer than the rest. */
static inline void frnn_list(const frnn_place *place, size_t n, const size_t *rows, const size_t *steps, size_t row,
                             size_t step, char **list) {
    if (n == 1) list[0] = frnn_at(place, steps ? rows[0] : row, steps ? steps[0] : step);
    else frnn_list_many(place, n, rows, steps, row, step, list);
}

/* Asks for memory that will be read soon. The empty statement has an effect, in the compiler's eyes: a function that did
 * nothing but ask would be one without any, and gcc would leave out its calls. */
static inline void frnn_fetch(const char *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
    __asm__ volatile("");
}

/* Shorter rows are not asked for: they come in the lines of their neighbors. */
enum { FRNN_FETCHED_BYTES = 256 };
static inline void frnn_fetch_row(const char *row, size_t bytes) {
    if (bytes >= FRNN_FETCHED_BYTES) frnn_fetch(row, bytes);
}

/* Sequences that are fewer than a tile has rows, and too long for the caches, are as many streams from memory, of which every
 * step takes a little: more of them than the processor follows. Their steps ask for what the next chunk will need. */
int frnn_are_streams(const frnn_plan *plan, size_t rows);

/* The same for a step's rows of which other members have just written parts: else each line would be waited for when it is
 * needed, which takes long between processors that share no cache. Many rows take their time anyway. */
enum { FRNN_FETCHED_ROWS_BYTES = 16 * 1024 };
static inline void frnn_fetch_rows(const char *const *rows, size_t n, size_t bytes) {
    for (size_t i = 0; i < n && n * bytes <= FRNN_FETCHED_ROWS_BYTES; i++) frnn_fetch(rows[i], bytes);
}

/* Elements from one row of `width` to the next in memory of our own: rows that are a large power of two apart would get
 * into each other's way in the caches. */
size_t frnn_pitch(const frnn_plan *plan, size_t width);

/* A dense array: (steps, B, width), or with the steps of a sequence after each other (B, steps, width). */
frnn_place frnn_dense_place(const frnn_plan *plan, size_t steps, size_t width, char *first);
frnn_place frnn_place_by_sequence(const frnn_plan *plan, size_t steps, size_t width, char *first);

#endif
