"""What is timed: shapes, cells, modes, and a workload for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class Shape(NamedTuple):
    """Batch, time steps, input features, units."""

    B: int
    T: int
    I: int
    H: int

    def __str__(self) -> str:
        return "x".join(map(str, self))


SHAPES = {
    "tiny": Shape(1, 4, 4, 3),
    "sentence": Shape(1, 20, 100, 10),
    "reviews": Shape(64, 100, 16, 8),
    "reviews_onehot": Shape(64, 100, 500, 8),
    "b1_h64": Shape(1, 100, 64, 64),
    "b1_h256": Shape(1, 100, 256, 256),
    "b1_h512": Shape(1, 100, 512, 512),
    "b32_h64": Shape(32, 100, 64, 64),
    "b32_h128": Shape(32, 100, 128, 128),
    "b64_h256": Shape(64, 50, 256, 256),
    "b64_h512": Shape(64, 50, 512, 512),
    "b64_h1024": Shape(64, 25, 1024, 1024),
    "deepbench_b16_h1760": Shape(16, 50, 1760, 1760),
    "deepbench_b64_h1760": Shape(64, 50, 1760, 1760),
}
QUICK = ("tiny", "reviews", "b1_h64", "b32_h64", "b32_h128")

LAYERS = {"rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}  # Keras's names and ours
GATES = {"rnn": 1, "gru": 3, "lstm": 4}  # blocks of units in a cell's weights, in Keras's order: z r h, i f c o
STATES = {"rnn": 1, "gru": 1, "lstm": 2}


class Mode(NamedTuple):
    """What is called: a peer's method, on a full batch or on one of random lengths with half the tokens."""

    method: str
    ragged: bool


MODES = {
    "forward": Mode("forward", False),
    "train": Mode("train", False),
    "step": Mode("step", False),
    "ragged": Mode("forward", True),
    "ragged-train": Mode("train", True),
}


@dataclass(frozen=True)
class Case:
    """Inputs, weights in Keras's order, states to step from, and the gradient dy of every output."""

    shape: Shape
    cell: str = "rnn"
    ragged: bool = False
    dtype: str = "float32"

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """The arrays by name; the same values in every dtype, all of which float32 can hold."""
        B, T, I, H = self.shape
        n = GATES[self.cell] * H
        rng = np.random.default_rng(0)
        arrays = {
            "x": rng.standard_normal((B, T, I)),
            "kernel": rng.standard_normal((I, n)) / np.sqrt(I),
            "recurrent_kernel": rng.standard_normal((H, n)) * (0.7 / np.sqrt(H)),  # what comes in fades, as it should
            "bias": rng.uniform(-0.1, 0.1, (2, n) if self.cell == "gru" else n),
            "dy": rng.standard_normal((B, T, H)),
            "states": rng.uniform(-0.5, 0.5, (STATES[self.cell], B, H)),
        }
        if self.ragged:
            arrays["dy"][~self.used] = 0
        return {name: np.asarray(a, np.float32).astype(self.dtype, copy=False) for name, a in arrays.items()}

    @cached_property
    def lengths(self) -> Array | None:
        """How many steps of each sequence count, (B,): random from 1 to T, the mean being (T + 1) / 2."""
        if not self.ragged:
            return None
        B, T, _, _ = self.shape
        some = np.random.default_rng(1).integers(1, T + 1, B // 2)
        return np.concatenate([some, T + 1 - some, np.full(B % 2, (T + 1) // 2)])

    @cached_property
    def used(self) -> Array:
        """Which steps count, (B, T)."""
        B, T, _, _ = self.shape
        return np.arange(T) < (np.full(B, T) if self.lengths is None else self.lengths)[:, None]

    def flops(self, method: str) -> int:
        """Operations of the matrix products alone, a multiply-add being two; training does each product three times."""
        B, _, I, H = self.shape
        tokens = B if method == "step" else int(self.used.sum())
        return 2 * tokens * GATES[self.cell] * H * (I + H) * (3 if method == "train" else 1)

    def check(self, answers: Sequence[Array], expected: Sequence[Array]) -> None:
        """Hold answers (y, dx, dkernel, drecurrent_kernel, dbias) against those in float64.

        They may be off by the dtype's eps for each term of the longest sum, as a share of the largest value. What is
        zero throughout, the gradient of the recurrent kernel after a single step, must be so.

        Raises
        ------
        ArithmeticError
            If one is off by more.
        """
        B, T, I, H = self.shape
        terms = 8 + I + GATES[self.cell] * H + T
        names = ("y", "dx", "dkernel", "drecurrent_kernel", "dbias")
        if len(answers) != len(expected):
            raise ArithmeticError(f"there are {len(answers)} answers, not {len(expected)}")
        for name, got, want in zip(names, answers, expected, strict=False):
            if got.shape != want.shape:
                raise ArithmeticError(f"{name} has shape {got.shape}, not {want.shape}")
            if name == "y" and self.ragged:  # past its end a sequence's outputs are anybody's choice
                got, want = got[self.used], want[self.used]
            error, largest = float(np.abs(got - want).max()), float(np.abs(want).max())
            limit = float(np.finfo(self.dtype).eps) * (terms if name in ("y", "dx") else terms + B * T) * largest
            if not error <= limit:
                raise ArithmeticError(f"{name} is off by {error:.1e}, more than {limit:.1e}, of up to {largest:.1e}")


def reorder(a: Array, order: Sequence[int]) -> Array:
    """Reorder the gates' blocks on the last axis; `order` lists their present places."""
    blocks = np.split(a, len(order), axis=-1)
    return np.ascontiguousarray(np.concatenate([blocks[i] for i in order], axis=-1))
