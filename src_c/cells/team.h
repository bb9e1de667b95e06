/* How the members of a team share a recurrent layer's work, and the products they compute piece by piece. */
#ifndef FRNN_CELLS_TEAM_H
#define FRNN_CELLS_TEAM_H

#include "kernels/kernels.h"
#include "runtime/parallel.h"
#include "runtime/sizes.h"

typedef struct frnn_range {
    size_t first, last; /* first <= i < last */
} frnn_range;

/* Part `member` of `size` nearly equal parts of n things. */
frnn_range frnn_part(size_t n, size_t size, size_t member);

/* The same where things come in groups of so many, which stay whole. */
frnn_range frnn_part_of_groups(size_t n, size_t group, size_t size, size_t member);

/* Members who share something: how many they are, and which of them this one is. */
typedef struct frnn_crew {
    size_t size, place;
} frnn_crew;

/* What is one member's of some parts: several of them, or one that it shares with others. */
typedef struct frnn_own_parts {
    frnn_range parts;
    frnn_crew crew;
} frnn_own_parts;

frnn_own_parts frnn_own_parts_of(size_t parts, size_t size, size_t member);

static inline size_t frnn_panels(const frnn_kernels *k, size_t columns) {
    return columns / k->panel + (columns % k->panel != 0);
}

/* What one member does of every time step. Usually its own rows of the batch, all columns: members never wait for each
 * other. With too few rows to keep everybody busy: all rows, its own panels of columns; then a step of one member
 * needs the last step of all (`together`). */
typedef struct frnn_share {
    frnn_range rows;    /* of B */
    frnn_range panels;  /* of H */
    frnn_range columns; /* the same in elements */
    int together;
} frnn_share;

/* may_split_columns: 0 forces the first way. */
frnn_share frnn_share_of(const frnn_plan *plan, size_t gates, size_t size, size_t member, int may_split_columns);

/* Whether all that a step needs of so many rows would be more lines at one time than the queues of the caches take. */
static inline int frnn_are_many_lines(const frnn_plan *plan, const frnn_tape *tape, size_t rows) {
    const size_t tile = plan->kernels->tile;
    return rows > (tape->gates ? frnn_least(tile, 8) : tile);
}

/* Whether a step's products ask for what the next steps need. */
static inline int frnn_products_ask(const frnn_plan *plan, const frnn_tape *tape, frnn_share share) {
    return frnn_are_many_lines(plan, tape, share.rows.last - share.rows.first) && !share.together && !tape->mask;
}

/* For some rows that are asked for while the products of a step of n compute. */
static inline frnn_ahead frnn_ask_ahead(const frnn_plan *plan, frnn_range rows, size_t n) {
    const frnn_kernels *k = plan->kernels;
    const size_t count = rows.last - rows.first, tiles = frnn_panels(k, plan->H) * ((n + k->tile - 1) / k->tile);
    return (frnn_ahead){.count = count, .some = (count + tiles - 1) / (tiles + !tiles)};
}

/* And for some memory in one piece, as evenly as a step can whose products go through so many panels of K rows: the tiles ask for
 * it that do not ask for the next panel. */
static inline void frnn_ask_for_piece(const frnn_plan *plan, size_t n, const char *from, size_t bytes, size_t panels,
                                      size_t K, frnn_ahead *a) {
    const frnn_kernels *k = plan->kernels;
    const size_t width = K <= k->pair_k ? 2 : 1, tiles = (n * width + k->tile - 1) / k->tile;
    const int is_kept = panels * k->panel * K * k->size <= FRNN_KEPT_BYTES;
    const size_t others = k->asks_evenly ? (is_kept ? 0 : tiles / 2) : width > 1 ? 0 : tiles > 3 ? 2 : tiles - 1;
    const size_t asking = K * (((tiles - others) * panels + width - 1) / width);
    a->next = from, a->end = from + bytes;
    a->step = frnn_least((bytes + asking - 1) / asking, k->panel * k->size);
}

/* Computes the product in pieces that keep a block of rows in cache and between which a call can be interrupted.
 * Nonzero: the team is stopping. */
int frnn_multiply(frnn_team *team, size_t member, const frnn_kernels *kernels, const frnn_product *product);

#endif
