"""The shapes that speed is measured on, and one workload for each."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    """Batch, time steps, input features, units."""

    B: int
    T: int
    I: int
    H: int

    def flops(self, mode: str) -> int:
        """Operations of the matrix products alone, a multiply-add being two; training does each product three times."""
        return 2 * self.B * self.T * self.H * (self.I + self.H) * {"forward": 1, "train": 3}[mode]


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


@dataclass(frozen=True)
class Case:
    """Inputs, weights in Keras's order, and the gradient dy of every output, all float32."""

    shape: Shape

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        B, T, I, H = self.shape
        rng = np.random.default_rng(0)
        arrays = {
            "x": rng.standard_normal((B, T, I)),
            "kernel": rng.standard_normal((I, H)) / np.sqrt(I),
            "recurrent_kernel": np.linalg.qr(rng.standard_normal((H, H))).Q,
            "bias": rng.uniform(-0.1, 0.1, H),
            "dy": rng.standard_normal((B, T, H)),
        }
        return {name: np.ascontiguousarray(a, np.float32) for name, a in arrays.items()}

    def tolerance(self) -> dict[str, float]:
        """How far float32 may be off, as a share of the largest value: its eps for each term of the longest sum."""
        B, T, I, H = self.shape
        eps = float(np.finfo(np.float32).eps)
        sample, batch = eps * (I + H + T), eps * (I + H + T + B * T)
        return {"y": sample, "dx": sample, "dkernel": batch, "drecurrent_kernel": batch, "dbias": batch}
