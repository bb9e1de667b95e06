/* Gradients of weights: dwx = sum of x^T dz, dwh = sum of h^T dz and db = sum of dz over all tokens. */
#ifndef FRNN_CELLS_OUTER_SUMS_H
#define FRNN_CELLS_OUTER_SUMS_H

#include "cells/team.h"
#include "runtime/sizes.h"

/* Tokens whose packed panel of dz stays in the nearest cache while the tiles of x and h pass by: better not more than
 * usual, but no small block should be left over. */
enum { FRNN_USUAL_BLOCK = 256, FRNN_MOST_BLOCK = 288 };

/* What members would share, and wait for, may be summed in parts, for which nobody waits. */
enum { FRNN_MOST_PARTS = 2 };

typedef struct frnn_outer_sums {
    const frnn_kernels *kernels;
    size_t I, H, N;       /* of x, h and dz; I or H may be 0 */
    size_t stride;        /* elements between the rows of dwx and of dwh */
    void *dwx, *dwh, *db; /* (I, N), (H, N), (N,) or NULL */
    void *db_h;           /* like db; or NULL */
    int accumulate;       /* the sums start from what the gradients hold */
    char *tiles;          /* per member: elements of a block of tokens, packed */
    struct frnn_sums_of_part {
        char *dwx, *dwh; /* the first part's are the gradients themselves */
        size_t stride;
        char *dwx_t;     /* (N, I), if that is the better way to sum; or NULL */
        char *db_panels; /* (N,) in whole panels; the first part's twice if there is a db_h */
        char *dz_panels; /* dz of a block of tokens, packed */
    } part[FRNN_MOST_PARTS];
} frnn_outer_sums;

/* Takes the scratch memory. */
frnn_outer_sums frnn_lay_out_outer_sums(const frnn_plan *plan, size_t parts, size_t I, size_t H, size_t N,
                                        size_t stride, void *dwx, void *dwh, void *db, void *db_h, int accumulate,
                                        frnn_layout *l);

/* Before the first and after the last token; by one thread. */
void frnn_begin_outer_sums(const frnn_outer_sums *s);
void frnn_end_outer_sums(const frnn_outer_sums *s);

/* Adds n tokens, given by row pointers; by all members of the team, `first` in the first call after the beginning. Members
 * share the tiles of the result, so that every element is summed by one of them, over the tokens in their order. h of
 * the first `initial` ones is zeros, and may be NULL if there are no others. Nonzero: the team is stopping. */
int frnn_add_outer_products(frnn_team *team, size_t member, const frnn_outer_sums *s, int first, size_t n,
                            size_t initial, const void *const *x, const void *const *h, const void *const *dz);

/* The same by some members, for the tokens of a part: they share dz's panels and do not wait for each other. When that has been done
 * for all parts, in their order if they are one member's, and before tokens are added again, all members join them. */
int frnn_add_part(frnn_team *team, size_t member, frnn_crew crew, const frnn_outer_sums *s, size_t part, int first,
                  size_t n, size_t initial, const void *const *x, const void *const *h, const void *const *dz);
void frnn_join_parts(const frnn_team *team, size_t member, const frnn_outer_sums *s, size_t parts);

#endif
