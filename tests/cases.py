"""Random configurations for the tests."""

from dataclasses import dataclass, field

import numpy as np
from cells import SIMPLE_RNN, Cell

ACTIVATIONS = ["tanh", "relu", "sigmoid", "linear"]


def random_weights(rng, I, H, use_bias=True, dtype=np.float32, cell=SIMPLE_RNN):
    """[kernel, recurrent_kernel, bias], sized so that states stay of order 1 and errors do not grow with time."""
    kernel = rng.uniform(-1, 1, (I, cell.gates * H)) * np.sqrt(3 / max(1, I))
    recurrent = rng.normal(size=(cell.gates, H, H))
    recurrent *= 0.9 / np.linalg.norm(recurrent, 2, axis=(1, 2), keepdims=True)
    bias = rng.uniform(-0.5, 0.5, cell.bias_shape(H))
    return [a.astype(dtype) for a in (kernel, np.concatenate(recurrent, axis=1), bias)[: 3 if use_bias else 2]]


def random_state(rng, B, H, dtype=np.float32, cell=SIMPLE_RNN):
    """(B, H), or a list of as many as there are states."""
    states = [rng.uniform(-1, 1, (B, H)).astype(dtype) for _ in range(cell.states)]
    return states[0] if cell.states == 1 else states


def random_mask(rng, B, T):
    """Any pattern: right- or left-padded, holes, whole rows skipped, everything used."""
    lengths = rng.integers(0, T + 1, B)[:, None]
    patterns = [
        np.arange(T) < lengths,
        np.arange(T) >= lengths,
        rng.random((B, T)) < 0.6,
        rng.random((B, 1)) < np.full(T, 0.6),
        np.ones((B, T), bool),
    ]
    return patterns[rng.integers(len(patterns))]


@dataclass
class Case:
    """Shapes, flags and arrays of one call, drawn from a seed."""

    seed: int
    cell: Cell = SIMPLE_RNN
    dtype: type = np.float32
    max_units: int = 20
    max_steps: int = 9
    flags: dict = field(init=False)

    def __post_init__(self):
        rng = self.rng = np.random.default_rng(self.seed)
        self.B, self.T = int(rng.integers(1, 8)), int(rng.integers(1, self.max_steps + 1))
        self.I, self.H = int(rng.integers(1, self.max_units + 1)), int(rng.integers(1, self.max_units + 1))
        coin = lambda p=0.5: bool(rng.random() < p)  # noqa: E731
        self.activations = {"activation": ACTIVATIONS[rng.integers(4)] if coin() else "tanh"}
        if self.cell.gates > 1:
            self.activations["recurrent_activation"] = "sigmoid" if coin(0.7) else "tanh"
        self.flags = {"go_backwards": coin(), "zero_output_for_mask": coin()}
        self.return_sequences, self.return_state, self.use_bias = coin(), coin(), coin(0.8)
        self.weights = random_weights(rng, self.I, self.H, self.use_bias, self.dtype, self.cell)
        if self.cell.gates > 1 and set(self.activations.values()) != {"tanh", "sigmoid"}:
            self.weights = [w * self.dtype(0.5) for w in self.weights]  # gates outside of 0 to 1 let errors grow
        self.x = rng.normal(size=(self.B, self.T, self.I)).astype(self.dtype)
        self.mask = random_mask(rng, self.B, self.T) if coin(0.6) else None
        self.initial_state = random_state(rng, self.B, self.H, self.dtype, self.cell) if coin() else None
        out = (self.B, self.T, self.H) if self.return_sequences else (self.B, self.H)
        self.dy = rng.normal(size=out).astype(self.dtype)
        self.dstate = random_state(rng, self.B, self.H, self.dtype, self.cell) if coin() else None

    @property
    def arguments(self):
        """Keyword arguments that the reference, the functions and the PyTorch oracle share."""
        return {"initial_state": self.initial_state, "mask": self.mask, **self.activations, **self.flags}

    @property
    def constructor(self):
        """Keyword arguments of layers, ours and Keras's, but for the units."""
        returns = {"return_sequences": self.return_sequences, "return_state": self.return_state}
        return {"use_bias": self.use_bias, **returns, **self.activations, **self.flags}
