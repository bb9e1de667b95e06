"""SimpleRNN with every output returned: one group per shape and mode, one row per peer.

"forward" is inference. "train" is a forward pass and back-propagation through time for a gradient on every output,
giving those of the input and of all weights. Every answer is held against float64 equations before it is timed.
"""

from functools import lru_cache

import numpy as np
import pytest

from tests import reference

from .peers import PEERS
from .shapes import SHAPES, Case


@lru_cache(maxsize=1)
def case_of(shape: str) -> Case:
    return Case(SHAPES[shape])


@lru_cache(maxsize=1)
def expected(shape: str) -> dict[str, np.ndarray]:
    arrays = dict(case_of(shape).arrays)
    dy = arrays.pop("dy")
    rnn = reference.SimpleRNN(**arrays)
    dx, _, (dkernel, drecurrent_kernel, dbias) = rnn.gradients(dy)
    return {
        "y": rnn.outputs,
        "dx": dx,
        "dkernel": dkernel,
        "drecurrent_kernel": drecurrent_kernel,
        "dbias": dbias,
    }


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("shape", SHAPES)
def bench_simple_rnn(benchmark, shape, mode, peer, threads):
    case = case_of(shape)
    try:
        runner = PEERS[peer](case, threads)
    except ImportError as missing:
        pytest.skip(f"{peer}: {missing}")
    if not hasattr(runner, mode):
        pytest.skip(f"{peer} has no {mode}")
    run = getattr(runner, mode)

    answers = runner.arrays(run())
    assert len(answers) == {"forward": 1, "train": 5}[mode]
    for (name, want), got in zip(expected(shape).items(), answers, strict=mode == "train"):
        assert got.shape == want.shape
        error = np.abs(got - want).max() / np.abs(want).max()
        assert error <= case.tolerance()[name], f"{peer}'s {name} is off by {error:.1e} of its largest value"

    benchmark.group = f"{shape} {mode}"
    benchmark.extra_info.update(shape=shape, mode=mode, peer=peer, threads=threads, dims=case.shape._asdict())
    benchmark(run)
    if benchmark.stats:  # none with --benchmark-disable
        benchmark.extra_info["gflops"] = case.shape.flops(mode) / benchmark.stats["min"] / 1e9
