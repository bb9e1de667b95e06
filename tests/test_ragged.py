"""Batches of sequences of many lengths: whatever rows go through time together, nobody can tell."""

import numpy as np
import pytest
from cases import random_weights
from tolerance import assert_gradients, assert_output

from fastrnn import _core

B, T, I, H = 70, 40, 5, 8
FEW = (3, 2, 4)  # weights for the core's own checks: inputs, units, rows


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def batch(rng):
    """An x, and a mask of which every kind of row is one: ended, begun late, with holes, empty, whole."""
    mask = np.arange(T) < rng.integers(0, T + 1, B)[:, None]
    mask[::3] = mask[::3, ::-1]
    mask[::7] &= rng.random((B, T))[::7] < 0.7
    mask[5], mask[50] = False, True
    return rng.normal(size=(B, T, I)).astype(np.float32), mask


@pytest.fixture
def layer(cell, rng):
    made = cell.layer(H, return_sequences=True)
    made.build((None, None, I))
    made.set_weights(random_weights(rng, I, H, True, "float32", cell))
    return made


def test_the_equations_hold(cell, layer, batch, rng, isa):
    x, mask = batch
    dy = rng.normal(size=(B, T, H)).astype(np.float32)
    y, tape = layer.forward(x, mask=mask, training=True)
    want = cell.reference(x, *layer.get_weights(), mask=mask)
    assert_output(y, want)
    assert_gradients(layer.backward(dy, tape), want, dy)


def test_a_row_has_the_bits_that_it_has_alone(cell, layer, batch, isa):
    x, mask = batch
    y = layer(x, mask=mask)
    for b in range(B):
        assert (layer(x[b : b + 1], mask=mask[b : b + 1]) == y[b]).all()


@pytest.mark.parametrize("backwards", [False, True])
def test_threads_and_segments_change_no_bit(cell, layer, batch, rng, threads, backwards):
    x, mask = (np.repeat(a, 12, axis=1) for a in batch)  # 480 steps, of which some at a time are summed
    layer.go_backwards = backwards
    dy = rng.normal(size=(B, 12 * T, H)).astype(np.float32)

    def gradients(n, **how):
        threads(n)
        y, tape = layer.forward(x, mask=mask, training=True, **how)
        found = layer.backward(dy, tape)
        return [y, found.dx, *np.atleast_3d(found.dinitial_state), *found.weights]

    first = gradients(1)
    for other in (gradients(2), gradients(3), gradients(1, checkpoint=True), gradients(2, checkpoint=True)):
        for a, b in zip(first, other, strict=True):
            assert (a == b).all()


def test_rows_come_by_their_active_steps(cell, batch):
    weights = cell.pack(*random_weights(np.random.default_rng(1), 3, 2, True, "float32", cell))
    mask = batch[1]
    order = weights.order(mask)
    if cell.gates == 1:  # whose rows need no order
        assert order is None
        return
    assert (order == np.argsort(-mask.sum(1), kind="stable")).all()
    assert (weights.order(3 * mask.astype(np.uint8)) == order).all()
    for even in (np.ones((B, T), bool), np.arange(T) < np.arange(30, 40)[:, None], mask[:0], mask[:, :0]):
        assert weights.order(even) is None
    assert weights.order(np.arange(T) < np.arange(20, 40)[:, None]) is not None
    with pytest.raises(ValueError, match="mask must have 2 axes"):
        weights.order(mask[0])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (np.array([0, 1, 2, 4]), "order must hold rows of a batch of 4"),
        (np.array([0, 1, 2, -1]), "order must hold rows of a batch of 4"),
        (np.arange(3), "order must have shape"),
        (np.arange(4, dtype=np.int16), "order must have the native element type"),
    ],
)
def test_orders_that_the_core_refuses(order, message):
    inputs, units, rows = FEW
    weights = _core.LSTMWeights(np.zeros((inputs, 4 * units), np.float32), np.zeros((units, 4 * units), np.float32))
    x, mask = np.zeros((rows, 5, inputs), np.float32), np.ones((rows, 5), bool)
    last = (np.zeros((rows, units), np.float32), np.zeros((rows, units), np.float32))
    with pytest.raises(ValueError, match=message):
        _core.forward(
            weights, x, None, last, None, (mask, order), None, None, "tanh", "sigmoid", False, False
        )  # fmt: skip
