"""Where results are written: into the caller's array if that is safe, else into new ones that suit the core."""

from typing import Any

import numpy as np

from fastrnn import _check
from fastrnn._check import Array
from fastrnn._core import empty

# Multiply-adds that are over before anybody wants to interrupt them. A longer call may end by KeyboardInterrupt, so it
# does not work in the caller's array, which must not be left half-written.
UNINTERRUPTED = 2**24


def target(out: Array | None, dtype: np.dtype[Any], axes: _check.Axes, shape: tuple[int, ...], work: int) -> Array:
    """Return out, if the core can write there and `work` multiply-adds are not interrupted, else a new array."""
    if out is None:
        return empty(shape, dtype)
    _check.out(out, dtype, axes, shape)
    writable = _check.is_strided(out) if len(shape) == 3 else out.flags.carray
    return out if writable and work <= UNINTERRUPTED else empty(shape, dtype)


def deliver(result: Array, out: Array | None) -> Array:
    """Return the result, in out if there is one."""
    if out is None or out is result:
        return result
    np.copyto(out, result)
    return out
