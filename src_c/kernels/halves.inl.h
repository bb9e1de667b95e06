/* Tiles of half a vector, for columns that fill no more of their last one. With few rows, which wait for each other's results
 * anyway, whole ones take no longer. */
#include "kernels/lanes.inl.h"
#include "kernels/outer_tile.inl.h"
#include "kernels/tile.inl.h"

enum { F(LEAST_ROWS) = 4, F(MOST_ROWS) = F(ROWS_0X) };
#define FRNN_HEIGHTS(X) X(4, 0) X(5, 0) X(6, 0) X(7, 0) X(8, 0)
FRNN_HEIGHTS(FRNN_TILE)
static F(tile_function) F(tiles_x0)[] = {FRNN_HEIGHTS(FRNN_TILE_ENTRY)};
#undef FRNN_HEIGHTS

FRNN_OUTER(packed, 0, 0, ROWS_HIGH, 1)
FRNN_OUTER(packed, 0, 0, ROWS_MIDDLE, 1)
FRNN_OUTER(a_in_rows, 1, 0, ROWS_HIGH, 1)
FRNN_OUTER(a_in_rows, 1, 0, ROWS_MIDDLE, 1)
static void (*const F(outers)[2][2])(const frnn_outer *) = {
    {F(outer_packed_ROWS_HIGH), F(outer_packed_ROWS_MIDDLE)},
    {F(outer_a_in_rows_ROWS_HIGH), F(outer_a_in_rows_ROWS_MIDDLE)},
};
