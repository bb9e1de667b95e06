"""Products in pieces are the products."""

import numpy as np
import pytest

from fastrnn._products import product, transposed_product


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(0, 3, 4), (3, 0, 4), (5, 4, 3), (700, 100, 30), (5000, 8, 1), (1001, 16, 24), (40, 200, 300), (600, 300, 300)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products(m, k, n, dtype):
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    for got, want, terms in (
        (product(a, b), a.astype(float) @ b, k),
        (transposed_product(a, c), a.T.astype(float) @ c, m),
    ):
        assert got.shape == want.shape
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=0, atol=8 * np.finfo(dtype).eps * (terms + 1))
