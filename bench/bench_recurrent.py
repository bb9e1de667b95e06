"""Recurrent layers beside their peers: a group for each cell, mode and shape, and in it a row for each peer.

"forward" is inference with every output returned. "train" is a forward pass and back-propagation through time for a
gradient on every output, giving those of the input and of all weights. "step" is one time step from given states.
"ragged" batches have random lengths and half the tokens; PyTorch packs them. Every answer is held against float64
equations before it is timed.
"""

import pytest

from fastrnn._bench.cases import GATES, MODES, SHAPES, Case
from fastrnn._bench.peers import PEERS

pytestmark = [pytest.mark.parametrize("peer", PEERS), pytest.mark.parametrize("cell", GATES)]

SMALL = {name: SHAPES[name] for name in ("tiny", "sentence", "b1_h256", "b32_h64", "b64_h512")}
BATCHES = {name: dims for name, dims in SHAPES.items() if dims.B > 1 and dims.H < 1760}


@pytest.mark.parametrize("shape", SHAPES)
def bench_forward(timed, peer, shape, cell):
    timed(peer, shape, SHAPES[shape], cell, "forward")


@pytest.mark.parametrize("shape", SHAPES)
def bench_train(timed, peer, shape, cell):
    timed(peer, shape, SHAPES[shape], cell, "train")


@pytest.mark.parametrize("shape", SMALL)
def bench_step(timed, peer, shape, cell):
    timed(peer, shape, SHAPES[shape], cell, "step")


@pytest.mark.parametrize("shape", BATCHES)
@pytest.mark.parametrize("mode", ["ragged", "ragged-train"])
def bench_ragged(timed, peer, shape, cell, mode):
    timed(peer, shape, SHAPES[shape], cell, mode)


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("mode", ["forward", "train"])
def bench_first_call(benchmark, made, peer, shape, cell, mode):
    """Making everything ready and calling once, compilation included; loading the library is not."""
    case = Case(SHAPES[shape], cell)

    def first():
        new = made(peer, case)
        if not hasattr(new, MODES[mode].method):
            pytest.skip(f"{peer} has no {mode}")
        return getattr(new, MODES[mode].method)()

    first()
    benchmark.group = f"first call of {cell} {mode} {shape}"
    benchmark.extra_info.update(peer=peer, cell=cell, mode=mode, dims=case.shape._asdict())
    benchmark.pedantic(first, rounds=3)
