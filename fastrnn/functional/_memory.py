"""Where results are written: into the caller's array if that is safe, else into new ones that suit the core."""

import math
from typing import Any

import numpy as np

from fastrnn import _check, _core
from fastrnn._check import Array

# Multiply-adds that are over before anybody wants to interrupt them. A longer call may end by KeyboardInterrupt, so it
# does not work in the caller's array, which must not be left half-written.
UNINTERRUPTED = 2**24
WORTH_ALIGNING = 2**15  # bytes


def target(out: Array | None, dtype: np.dtype[Any], axes: _check.Axes, shape: tuple[int, ...], work: int) -> Array:
    """Return out, if the core can write there and `work` multiply-adds are not interrupted, else a new array."""
    if out is None:
        return empty(shape, dtype)
    _check.out(out, dtype, axes, shape)
    writable = _check.is_strided(out) if len(shape) == 3 else out.flags.carray
    return out if writable and work <= UNINTERRUPTED else empty(shape, dtype)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Allocate an array; one that is not small starts with a cache line, so that vectors do not straddle two."""
    size = math.prod(shape) * dtype.itemsize
    if size < WORTH_ALIGNING:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, _core.Memory(size))  # type: ignore[arg-type] # it is a buffer


def deliver(result: Array, out: Array | None) -> Array:
    """Return the result, in out if there is one."""
    if out is None or out is result:
        return result
    np.copyto(out, result)
    return out
