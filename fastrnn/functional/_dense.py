"""y = activation(x kernel + bias), which stands beside recurrent layers, on rows: by the core, with its threads."""

import numpy as np

from fastrnn import _core
from fastrnn._check import Array
from fastrnn._core import empty


def dense(x: Array, kernel: Array, bias: Array | None, activation: str = "linear") -> Array:
    """Return y (n, H) for rows x (n, I), kernel (I, H) and bias (H,), all dense and of one type."""
    y = empty((len(x), kernel.shape[1]), kernel.dtype)
    _core.dense_forward(x, kernel, bias, y, activation)
    return y


def dense_backward(
    x: Array,
    kernel: Array,
    y: Array | None,
    dy: Array,
    activation: str = "linear",
    need_dx: bool = True,
    need_dbias: bool = True,
) -> tuple[Array | None, Array, Array | None]:
    """Return dx, dkernel and dbias, as far as they are needed; y may be None if the activation is linear."""
    dx = empty(x.shape, kernel.dtype) if need_dx else None
    dkernel = empty(kernel.shape, kernel.dtype)
    dbias = np.empty(kernel.shape[1], kernel.dtype) if need_dbias else None
    _core.dense_backward(x, kernel, y, dy, dx, dkernel, dbias, activation)
    return dx, dkernel, dbias
