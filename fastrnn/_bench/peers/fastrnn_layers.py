"""fastrnn's layers."""

from typing import Any

import numpy as np

import fastrnn
from fastrnn._bench.cases import LAYERS, Array, Case

VERSION: str = fastrnn.__version__


class Peer:
    """A layer whose weights are set anew before each training step, so that preparing them counts."""

    def __init__(self, case: Case, threads: int) -> None:
        name = LAYERS[case.cell]
        if not hasattr(fastrnn, name):
            raise NotImplementedError(f"fastrnn has no {name}")
        fastrnn.set_num_threads(threads)
        a = case.arrays
        self.x, self.dy, self.lengths = a["x"], a["dy"], case.lengths
        self.weights = [a["kernel"], a["recurrent_kernel"], a["bias"]]
        self.layer = getattr(fastrnn, name)(case.shape.H, return_sequences=True, dtype=case.dtype)
        self.layer.build(self.x.shape)
        self.layer.set_weights(self.weights)
        self.x_t, self.states = np.ascontiguousarray(self.x[:, 0]), list(a["states"])
        out = [np.empty_like(state) for state in self.states]
        self.out = out if len(out) > 1 else out[0]

    def forward(self) -> Any:
        """Infer."""
        return (self.layer(self.x, lengths=self.lengths),)

    def train(self) -> Any:
        """Infer and back-propagate."""
        self.layer.set_weights(self.weights)
        y, tape = self.layer.forward(self.x, lengths=self.lengths)
        gradients = self.layer.backward(self.dy, tape)
        return y, gradients.dx, *gradients.weights

    def step(self) -> Any:
        """Infer one step."""
        return self.layer.step(self.x_t, self.states, out=self.out)[:1]

    def arrays(self, result: Any) -> list[Array]:
        """Do nothing: they are arrays."""
        return list(result)
