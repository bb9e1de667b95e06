/* The kernels for one element type, and their table. */
#include "kernels/activations.inl.h"
#include "kernels/lanes.inl.h"
#include "kernels/elementwise.inl.h"
#include "kernels/interleaved.inl.h"

#include "kernels/tile.inl.h"
#include "kernels/tiles.inl.h"

#include "kernels/aside.inl.h"
#include "kernels/gemm.inl.h"
#include "kernels/outer_tile.inl.h"
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
    .asks_evenly = F(ASK_EVENLY),
    .aside = F(ASIDE_ROWS),
    .strip = F(STRIP),
    .aside_bytes = F(aside_bytes),
    .product = F(product),
    .outer = F(outer),
    .outer_rows = F(outer_rows),
    .pack_tiles = F(pack_tiles),
    .pack = F(pack),
    .pack_whole = F(pack_whole),
    .pack_some = F(pack_some),
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
