"""The tolerances let honest float32 arithmetic pass and catch the mistakes a kernel can make."""

import numpy as np
import pytest
from cases import ACTIVATIONS, random_weights
from reference import SimpleRNN
from tolerance import assert_close, gradient_tolerances, output_tolerance

SHAPES = [(2, 3, 4, 5), (7, 12, 40, 33), (1, 50, 1, 64), (30, 4, 65, 8)]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    return request.param


@pytest.fixture(params=ACTIVATIONS)
def activation(request):
    return request.param


@pytest.fixture
def arrays(shape):
    B, T, I, H = shape
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=(B, T, I)).astype(np.float32), random_weights(rng, I, H)


@pytest.fixture
def right(arrays, activation):
    return SimpleRNN(arrays[0], *arrays[1], activation=activation)


def float32_loop(x, W, U, b, activation):
    """A plain float32 implementation, with its sums in NumPy's order."""
    act = {
        "linear": lambda z: z,
        "relu": lambda z: np.maximum(z, np.float32(0)),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }[activation]
    h, y = np.zeros((len(x), len(U)), np.float32), []
    for t in range(x.shape[1]):
        h = act(x[:, t] @ W + b + h @ U)
        y.append(h)
    return np.stack(y, axis=1)


def test_float32_passes(arrays, activation, right):
    x, weights = arrays
    y = float32_loop(x, *weights, activation)
    assert y.dtype == np.float32
    assert_close(y, right.outputs, output_tolerance(right))


def rejected(wrong, right, tolerance):
    with pytest.raises(AssertionError, match=r"off by|shape|NaN"):
        assert_close(wrong, right, tolerance)


def test_wrong_outputs_are_rejected(arrays, activation, right):
    x, (W, U, b) = arrays
    bound = output_tolerance(right)

    def outputs(x, W, U, b):
        return SimpleRNN(x, W, U, b, activation=activation).outputs

    rejected(np.zeros_like(right.outputs), right.outputs, bound)
    rejected(outputs(x, W, U, None), right.outputs, bound)  # no bias
    for k in (0, len(W) - 1):  # a term of the input's sum dropped
        rejected(outputs(x, np.where(np.arange(len(W))[:, None] == k, 0, W), U, b), right.outputs, bound)
    for k in (0, len(U) - 1):  # a term of the recurrent sum dropped
        wrong = outputs(x, W, np.where(np.arange(len(U))[:, None] == k, 0, U), b)
        if any(step.operands[0][:, k].any() for step in right.saved.values()):  # a relu may be off all the time
            rejected(wrong, right.outputs, bound)
    rejected(outputs(x, W, U.T, b), right.outputs, bound)  # transposed
    rejected(np.roll(right.outputs, 1, axis=1), right.outputs, bound)  # a time step late
    if len(x) > 1:
        rejected(np.roll(right.outputs, 1, axis=0), right.outputs, bound)  # rows mixed up
    last_only = right.outputs.copy()
    last_only[-1, -1, -1] += 1e-3 * np.abs(right.outputs).max()  # a lane a little off
    rejected(last_only, right.outputs, bound)


def test_wrong_gradients_are_rejected(arrays, shape, activation, right):
    x, (W, U, b) = arrays
    B, T, _, H = shape
    dy = np.random.default_rng(1).normal(size=(B, T, H)).astype(np.float32)
    dx, dh0, dweights = right.gradients(dy)
    tol_dx, tol_dh0, tol_weights = gradient_tolerances(right, dy)
    names = ["dx", "dh0", "dW", "dU", "db"]
    rights = dict(zip(names, [dx, dh0, *dweights], strict=True))
    bounds = dict(zip(names, [tol_dx, tol_dh0, *tol_weights], strict=True))
    for name in names:
        if rights[name].any():
            rejected(np.zeros_like(rights[name]), rights[name], bounds[name])

    def wrong(dy=dy, **changed):
        arguments = {"x": x, "kernel": W, "recurrent_kernel": U, "bias": b, "activation": activation, **changed}
        dx, dh0, dweights = SimpleRNN(**arguments).gradients(dy)
        return dict(zip(names, [dx, dh0, *dweights], strict=True))

    late = wrong(dy=np.roll(dy, 1, axis=1))
    missing_row = dy.copy()
    missing_row[-1, -1] = 0
    short = wrong(dy=missing_row)  # the sums over rows and steps end one row early
    for name in names[2:]:
        rejected(late[name], rights[name], bounds[name])
        if activation != "relu" or right.outputs[-1, -1].any():
            rejected(short[name], rights[name], bounds[name])


def test_a_tolerance_that_lets_zeros_pass_is_refused():
    with pytest.raises(AssertionError, match="no test"):
        assert_close(np.zeros(3), np.full(3, 1e-3), 2e-3)


def test_two_zeros_agree_and_nan_never_does():
    assert_close(np.zeros(3), np.zeros(3), 1e-6)
    rejected(np.full(3, np.nan), np.ones(3), 1e-6)
    rejected(np.ones((3, 1)), np.ones(3), 1e-6)
