/* Tiles of half a vector, for columns that fill no more of their last one. With few rows, which wait for each other's results
 * anyway, whole ones take no longer. */
#include "kernels/lanes.inl.h"
#include "kernels/outer_tile.inl.h"
#include "kernels/tile.inl.h"

enum { F(LEAST_ROWS) = 4, F(MOST_ROWS) = F(ROWS_0X) };
/* clang-format off */
#define FRNN_HALF_ENTRY(rows, panels) [rows] = (rows) < F(LEAST_ROWS) ? NULL : F(tile_##rows##x##panels),
FRNN_UP_TO(F(ROWS_0X))(FRNN_TILE, 0)
static F(tile_function) F(tiles_x0)[] = {FRNN_UP_TO(F(ROWS_0X))(FRNN_HALF_ENTRY, 0)};
/* clang-format on */

FRNN_OUTER(packed, 0, 0, ROWS_HIGH, 1)
FRNN_OUTER(packed, 0, 0, ROWS_MIDDLE, 1)
FRNN_OUTER(a_in_rows, 1, 0, ROWS_HIGH, 1)
FRNN_OUTER(a_in_rows, 1, 0, ROWS_MIDDLE, 1)
static void (*const F(outers)[2][2])(const frnn_outer *) = {
    {F(outer_packed_ROWS_HIGH), F(outer_packed_ROWS_MIDDLE)},
    {F(outer_a_in_rows_ROWS_HIGH), F(outer_a_in_rows_ROWS_MIDDLE)},
};
