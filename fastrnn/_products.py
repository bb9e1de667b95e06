"""Matrix products that stay on the calling thread.

NumPy's BLAS shares a product of some size out to threads of its own, which spin and then wait for each other. Beside
other threads, ours among them, a product of microseconds can so take milliseconds. Products that are not large are
therefore made of pieces that OpenBLAS computes by itself.
"""

import numpy as np

from fastrnn._check import Array

_ALONE = 2**18  # multiply-adds of a product of matrices that OpenBLAS does not share out
_ALONE_VECTOR = 9000  # the same, where one of them is a vector
_LARGE = 2**25  # where threads are worth their trouble
_FEWEST_ROWS = 16  # of a piece; smaller pieces would cost more than they save


def product(a: Array, b: Array) -> Array:
    """Return a b for matrices (m, k) and (k, n)."""
    m = len(a)
    if m * b.size <= _ALONE_VECTOR:
        return a @ b
    rows = _rows(m, b.size, b.shape[1])
    if rows >= m:
        return a @ b
    result = np.empty((len(a), b.shape[1]), a.dtype)
    for start in range(0, len(a), rows):
        np.matmul(a[start : start + rows], b, out=result[start : start + rows])
    return result


def transposed_product(a: Array, b: Array) -> Array:
    """Return aᵀ b for matrices (k, m) and (k, n): a sum over their rows."""
    m, n = a.shape[1], b.shape[1]
    if len(a) * m * n <= _ALONE_VECTOR:
        return a.T @ b
    rows = _rows(len(a), m * n, min(m, n))
    if rows >= len(a):
        return a.T @ b
    result: Array = a[:rows].T @ b[:rows]
    for start in range(rows, len(a), rows):
        result += a[start : start + rows].T @ b[start : start + rows]
    return result


def _rows(rows: int, per_row: int, narrow: int) -> int:
    """Return how many rows to take at once."""
    limit = _ALONE_VECTOR if narrow == 1 else _ALONE
    piece = limit // max(per_row, 1)
    return rows if rows * per_row > _LARGE or piece < _FEWEST_ROWS else max(piece, 1)
