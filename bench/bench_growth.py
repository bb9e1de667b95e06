"""How time grows with one dimension, the others staying: a group for each size, and in it a row for each peer.

For growth with threads, run with `--threads 1`, `--threads 2` and so on.
"""

import pytest

from fastrnn._bench.cases import Shape
from fastrnn._bench.peers import PEERS

AXES = {
    "T": [Shape(1, T, 64, 64) for T in (10, 100, 1000, 10_000, 100_000)],
    "B": [Shape(B, 10, 64, 64) for B in (1, 4, 16, 32, 64, 256, 1024, 4096)],
    "H": [Shape(32, 25, H, H) for H in (16, 32, 64, 128, 256, 512, 1024, 2048)],
    "I": [Shape(32, 25, I, 16) for I in (1, 16, 64, 256, 1024, 4096)],
}
POINTS = [pytest.param(axis, dims, id=f"{axis}-{dims}") for axis, shapes in AXES.items() for dims in shapes]


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize(("axis", "dims"), POINTS)
def bench_growth(timed, axis, dims, mode, peer):
    timed(peer, str(dims), dims, "rnn", mode, group=f"growth with {axis}: {mode} {dims}")
