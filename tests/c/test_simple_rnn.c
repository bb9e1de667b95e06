/* SimpleRNN with one thread: sizes where vectors, tiles and tails meet, and every option. */
#include "check.h"
#include "guard.h"
#include "kernels/kernels.h"
#include "simple_rnn_call.h"
#include "tests.h"

/* Options at random, at the given sizes. */
static options random_options(size_t B, size_t T, size_t I, size_t H) {
    options o = {.B = B, .T = T, .I = I, .H = H};
    if (random_below(4) == 0) o.I = 0, o.V = 1 + random_below(9);
    o.activation = (frnn_activation)random_below(FRNN_ACTIVATIONS);
    o.go_backwards = random_below(3) == 0;
    o.zero_output_for_mask = random_below(3) == 0;
    o.bias = random_below(4) > 0;
    o.h0 = (int)random_below(2);
    o.dropout = random_below(4) == 0;
    o.dy = random_below(5) > 0;
    o.dh_last = !o.dy || random_below(2);
    o.dx = random_below(4) > 0;
    o.mask = random_below(2) ? NO_MASK : (mask_kind)random_below(MASK_KINDS);
    placement *placements[] = {&o.x_at, &o.y_at, &o.dy_at};
    for (size_t i = 0; i < 3; i++) {
        if (random_below(2)) continue; /* dense */
        placements[i]->time_major = (int)random_below(2);
        placements[i]->flip_batch = random_below(3) == 0;
        placements[i]->flip_time = random_below(3) == 0;
        placements[i]->row_pad = random_below(4);
        placements[i]->block_pad = random_below(6);
    }
    return o;
}

static void check_sizes(const frnn_kernels *kernels, size_t B, size_t T, size_t I, size_t H) {
    const options o = random_options(B, T, I, H);
    guard_at_end((int)random_below(2));
    check_call(kernels, &o, 1);
}

/* The given units, with other sizes at random. */
static void check_units(const frnn_kernels *kernels, size_t H, size_t most_B) {
    const size_t B = random_below(most_B + 1), T = random_below(8), I = random_below(41);
    check_sizes(kernels, B, T, I, H);
}

void test_simple_rnn(const frnn_kernels *kernels, effort effort) {
    const size_t P = kernels->panel;
    const size_t units[] = {63, 64, 65, P - 1, P, P + 1, 2 * P - 1, 2 * P, 2 * P + 1, 3 * P + P / 2, 4 * P, 4 * P + 1};
    const size_t repeats = effort == FULL ? 8 : 2;
    seed_random(2026);
    for (size_t i = 0; i < repeats; i++) {
        for (size_t H = 1; H <= 40; H++) check_units(kernels, H, 30);
        for (size_t j = 0; j < sizeof units / sizeof *units; j++)
            check_units(kernels, units[j], effort == FULL ? 30 : 15);
        for (size_t T = 0; T <= 7; T++) check_sizes(kernels, 1 + i % 3, T, i % 5, 1 + i + T);
    }
    for (size_t B = 0; B <= 30; B++) { /* every height of a tile, with whole and with cut panels */
        check_sizes(kernels, B, 1 + B % 3, 5, P);
        check_sizes(kernels, B, 1 + B % 3, 6, P + 3);
    }
    /* So few units that two rows of the kernel fit a panel, and too many; tiles of all heights. */
    for (size_t H = 1; H <= P / 2 + 1; H++) {
        for (size_t I = 63; I < 67; I++) check_sizes(kernels, random_below(16), 1 + I % 3, I, H);
        for (size_t I = 255; I < 258; I++) check_sizes(kernels, random_below(16), 1, I, H);
    }
    /* Masks that are read eight steps and eight rows at a time, with runs across all of that. */
    for (int mask = 0; mask < MASK_KINDS * (effort == FULL ? 12 : 4); mask++) {
        const size_t B = random_below(28), T = 1 + random_below(60), I = 1 + random_below(3), H = 1 + random_below(9);
        options o = random_options(B, T, I, H);
        o.mask = (mask_kind)(mask % MASK_KINDS);
        o.dy = 1; /* the last state's gradient alone would vanish on the way */
        if (o.activation == FRNN_LINEAR) o.activation = FRNN_TANH; /* and all of them grow */
        guard_at_end((int)random_below(2));
        check_call(kernels, &o, 1);
    }
    /* More rows than go through time together. */
    for (size_t B = 256; B <= (effort == FULL ? 600 : 257); B += B == 256 ? 1 : 343) check_sizes(kernels, B, 5, 2, 3);
    check_sizes(kernels, 259, effort == FULL ? 35 : 18, 2, 64); /* in spans of time, which products ask ahead for */
    /* Sequences of more than one chunk of time, with masks across their borders. */
    for (int mask = 0; mask < MASK_KINDS; mask++) {
        options o = random_options(4, effort == FULL ? 310 : 120, effort == FULL ? 40 : 24, 66);
        o.mask = (mask_kind)mask;
        if (effort == FULL || mask == RANDOM) check_call(kernels, &o, 1);
    }
    /* Sequences that begin 4096 bytes apart; */
    for (int mask = 0; mask < (effort == FULL ? 2 * MASK_KINDS : 3); mask++) {
        options o = random_options(8 + random_below(10), 4096 / 64 / kernels->size, 64, 64);
        o.I = 64, o.V = 0, o.mask = (mask_kind)(mask % MASK_KINDS);
        o.x_at = o.y_at = (placement){.flip_batch = mask % 2};
        check_call(kernels, &o, 1);
    }
    /* and with so many inputs or units that their rows are moved before high tiles multiply them. */
    for (int mask = 0; mask < (effort == FULL ? 4 : 2) && kernels->tile > 8; mask++) {
        options o = random_options(8 + random_below(3), 4, 1, mask % 2 ? 768 : 513);
        o.I = mask % 2 ? 3 : 1024, o.V = 0, o.mask = (mask_kind)(mask / 2);
        o.x_at = o.y_at = (placement){.flip_batch = mask % 2};
        check_call(kernels, &o, 1);
    }
    /* One row, whose steps compute the next chunk's projection and the last ones' dx: more inputs than they come to, and fewer. */
    for (size_t i = 0; i < (effort == FULL ? 2 * MASK_KINDS : MASK_KINDS); i++) {
        const size_t T = 3 * kernels->aside + random_below(30), I = 1 + random_below(i % 3 ? 40 : 400);
        options o = random_options(1, T, I, 4 * P + 33 + random_below(P));
        o.I = I, o.V = 0, o.dx |= i < MASK_KINDS, o.mask = (mask_kind)(i % MASK_KINDS);
        if (o.activation == FRNN_LINEAR) o.activation = FRNN_TANH;
        guard_at_end((int)(i / 2 % 2));
        check_call(kernels, &o, 1);
    }
    /* Weights so large that they go past the caches, with a last panel that is not whole. */
    check_sizes(kernels, 2, 2, 3, kernels->size == 4 ? 903 : 643);
    /* A product large enough to be computed in several pieces. */
    if (effort == FULL) check_sizes(kernels, 150, 2, 3, 290);
    /* Sums so long that they are made in parts: over x by itself, and over x and h. */
    for (size_t i = 0; i < (effort == FULL ? 4 : 1); i++) {
        options o = random_options(45, 2, 0, i % 2 ? 2 * P + 3 : P / 2 + 1);
        o.I = 4001, o.V = 0, o.dx = 1;
        check_call(kernels, &o, 1);
    }
}
