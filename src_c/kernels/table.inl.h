/* The kernels for one element type, and their table. */
#define V(word) FRNN_JOIN(FRNN_JOIN(v_, word), FRNN_JOIN(_, TYPE)) /* a word of the vocabulary: V(fma) is v_fma_f32 */
#define F(name) FRNN_JOIN(name, FRNN_JOIN(_, TYPE))                /* a name of ours: F(tile) is tile_f32 */
#define VEC FRNN_JOIN(v_, TYPE)
#define LANES F(LANES)
#define VECTORS F(VECTORS)
#define ROWS F(ROWS)
#define AT_ONCE F(AT_ONCE)
#define PANEL ((size_t)VECTORS * LANES)
#define STORES_LINES (sizeof(VEC) == FRNN_LINE) /* with one vector: a Zen 4 takes two cycles for that */

#include "kernels/activations.inl.h"
#include "kernels/elementwise.inl.h"
#include "kernels/interleaved.inl.h"

#include "kernels/tiles.inl.h"

#include "kernels/aside.inl.h"
#include "kernels/gemm.inl.h"
#include "kernels/outer.inl.h"
#include "kernels/pack.inl.h"
#include "kernels/peak.inl.h"

#include "kernels/gates.inl.h"
#include "kernels/gru.inl.h"
#include "kernels/lstm.inl.h"

#include "kernels/optimizers.inl.h"

const frnn_kernels FRNN_TABLE(TYPE, FRNN_ISA_NAME) = {
    .isa = FRNN_STRING(FRNN_ISA_NAME),
    .dtype = DTYPE,
    .size = sizeof(REAL),
    .lanes = LANES,
    .panel = PANEL,
    .tile = ROWS,
    .pair_k = F(PAIR_K),
    .aside = F(ASIDE_ROWS),
    .aside_bytes = F(ASIDE_BYTES),
    .strip = F(STRIP),
    .product = F(product),
    .outer = F(outer),
    .outer_rows = F(outer_rows),
    .pack_tiles = F(pack_tiles),
    .pack = F(pack),
    .transpose = F(transpose),
    .turn = F(turn),
    .sum = F(sum),
    .activate = F(activate),
    .differentiate = F(differentiate),
    .multiply = F(multiply),
    .repeat = F(repeat),
    .add = F(add),
    .add_rows = F(add_rows),
    .combine = F(combine),
    .correlate = F(correlate),
    .restore = F(restore),
    .gru = F(gru),
    .gru_back = F(gru_back),
    .gru_reset = F(gru_reset),
    .gru_candidate = F(gru_candidate),
    .gru_candidate_back = F(gru_candidate_back),
    .gru_reset_back = F(gru_reset_back),
    .lstm = F(lstm),
    .lstm_back = F(lstm_back),
    .sgd = F(sgd),
    .rmsprop = F(rmsprop),
    .adam = F(adam),
    .multiply_adds = F(multiply_adds),
};

#undef V
#undef F
#undef VEC
#undef LANES
#undef VECTORS
#undef ROWS
#undef AT_ONCE
#undef PANEL
#undef STORES_LINES
#undef EACH
#undef EACH_OF
#undef EACH_UNIT
#undef GATE
#undef IN
#undef SET_GATE
#undef OUT_DZ
#undef OUT
