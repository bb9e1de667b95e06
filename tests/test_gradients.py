"""Back-propagation through time against finite differences, float64 PyTorch and, in float32, the equations."""

import itertools

import numpy as np
import pytest
import reference
import torch_oracle
from cases import ACTIVATIONS, Case, random_mask, random_weights
from differences import central_differences
from tolerance import assert_close, assert_gradients, assert_output

import fastrnn
from fastrnn import functional

FLAGS = ["go_backwards", "zero_output_for_mask", "return_sequences", "masked", "with_dstate", "with_state"]
COMBINATIONS = [
    pytest.param(
        activation,
        dict(zip(FLAGS, values, strict=True)),
        id="-".join([activation, *itertools.compress(FLAGS, values)]),
    )
    for activation in ACTIVATIONS
    for values in itertools.product([False, True], repeat=len(FLAGS))
]


def build(activation, flags, B=3, T=5, I=4, H=5, use_bias=True):
    """x, weights, options, dy and dstate of a float64 call; no relu so near its kink that a small step crosses it."""
    for seed in itertools.count():
        rng = np.random.default_rng([seed, ACTIVATIONS.index(activation), *flags.values()])
        x = rng.normal(size=(B, T, I))
        weights = random_weights(rng, I, H, use_bias, np.float64)
        options = {
            "initial_state": rng.uniform(-1, 1, (B, H)) if flags["with_state"] else None,
            "mask": random_mask(rng, B, T) if flags["masked"] else None,
            "activation": activation,
            "go_backwards": flags["go_backwards"],
            "zero_output_for_mask": flags["zero_output_for_mask"],
        }
        dy = rng.normal(size=(B, T, H) if flags["return_sequences"] else (B, H))
        dstate = rng.normal(size=(B, H)) if flags["with_dstate"] else None
        if activation != "relu" or np.abs(reference.SimpleRNN(x, *weights, **options).z).min() > 1e-3:
            return x, weights, options, dy, dstate


def backward(x, weights, options, dy, dstate, **arguments):
    _, tape = functional.simple_rnn_forward(x, *weights, **options, return_sequences=dy.ndim == 3)
    return functional.simple_rnn_backward(dy, tape, dstate=dstate, **arguments)


def flat(gradients):
    return [gradients.dx, gradients.dinitial_state, *gradients.weights]


def assert_all_close(got, want, tolerance):
    assert len(got) == len(want)
    for name, g, w in zip(["dx", "dinitial_state", "dkernel", "drecurrent_kernel", "dbias"], got, want, strict=False):
        assert g.dtype == np.float64
        assert_close(g, w, tolerance, name)


@pytest.mark.parametrize(("activation", "flags"), COMBINATIONS)
def test_equations(activation, flags):
    x, weights, options, dy, dstate = build(activation, flags)
    want = reference.SimpleRNN(x, *weights, **options)
    assert_gradients(backward(x, weights, options, dy, dstate), want, dy, dstate)


@pytest.mark.parametrize(("activation", "flags"), COMBINATIONS)
def test_pytorch(activation, flags):
    x, weights, options, dy, dstate = build(activation, flags)
    _, _, want = torch_oracle.simple_rnn(dy, dstate, x, *weights, **options)
    assert_all_close(flat(backward(x, weights, options, dy, dstate)), want, 1e-12)


# Finite differences are slow: every pair of flags once.
@pytest.mark.parametrize(("activation", "flags"), COMBINATIONS[::5])
def test_finite_differences(activation, flags):
    x, weights, options, dy, dstate = build(activation, flags, B=2, T=4, I=2, H=3)
    options["initial_state"] = np.zeros((2, 3)) if options["initial_state"] is None else options["initial_state"]

    def loss():
        y, h = functional.simple_rnn(x, *weights, **options, return_sequences=dy.ndim == 3, return_state=True)
        return (y * dy).sum() + (0.0 if dstate is None else (h * dstate).sum())

    want = [central_differences(loss, a) for a in (x, options["initial_state"], *weights)]
    assert_all_close(flat(backward(x, weights, options, dy, dstate)), want, 1e-8)


@pytest.mark.parametrize("block", range(6))
def test_float32_against_the_equations(block):
    for seed in range(25 * block, 25 * block + 25):
        case = Case(3000 + seed, max_units=40, max_steps=20)
        want = reference.SimpleRNN(case.x, *case.weights, **case.arguments)
        output, tape = functional.simple_rnn_forward(
            case.x, *case.weights, **case.arguments, return_sequences=case.return_sequences
        )
        assert_output(output, want)
        got = functional.simple_rnn_backward(case.dy, tape, dstate=case.dstate)
        assert got.dx.dtype == np.float32
        assert_gradients(got, want, case.dy, case.dstate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("B", "T", "I", "H"), [(65, 3, 33, 65), (1, 40, 1, 1), (2, 7, 100, 17), (30, 2, 7, 96), (17, 5, 3, 130)]
)
def test_larger_shapes(B, T, I, H, dtype):
    rng = np.random.default_rng(B + T)
    x, dy = rng.normal(size=(B, T, I)).astype(dtype), rng.normal(size=(B, T, H)).astype(dtype)
    weights = random_weights(rng, I, H, dtype=dtype)
    mask = rng.random((B, T)) < 0.7
    _, tape = functional.simple_rnn_forward(x, *weights, mask=mask, return_sequences=True)
    got = functional.simple_rnn_backward(dy, tape)
    assert got.dx.dtype == dtype
    assert_gradients(got, reference.SimpleRNN(x, *weights, mask=mask), dy)


@pytest.mark.parametrize("seed", range(20))
def test_need_dx_changes_nothing_else(seed):
    case = Case(4000 + seed)
    _, tape = functional.simple_rnn_forward(
        case.x, *case.weights, **case.arguments, return_sequences=case.return_sequences
    )
    everything = functional.simple_rnn_backward(case.dy, tape, dstate=case.dstate)
    less = functional.simple_rnn_backward(case.dy, tape, dstate=case.dstate, need_dx=False)
    assert less.dx is None
    assert everything.dx.shape == case.x.shape
    for a, b in zip(flat(everything)[1:], flat(less)[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_dy_is_a_dy_of_zeros():
    case = Case(5)
    _, tape = functional.simple_rnn_forward(case.x, *case.weights, return_sequences=True)
    dstate = np.ones((case.B, case.H), np.float32)
    zeros = np.zeros((case.B, case.T, case.H), np.float32)
    for a, b in zip(
        flat(functional.simple_rnn_backward(None, tape, dstate=dstate)),
        flat(functional.simple_rnn_backward(zeros, tape, dstate=dstate)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
        assert a.any()


def test_a_tape_serves_twice_and_outlives_a_change_of_the_weights():
    case = Case(6, dtype=np.float64)
    weights = [w.copy() for w in case.weights]
    _, tape = functional.simple_rnn_forward(case.x, *weights, return_sequences=True)
    dy = np.ones((case.B, case.T, case.H))
    first = functional.simple_rnn_backward(dy, tape)
    for w in weights:
        w[:] = np.nan
    for a, b in zip(flat(first), flat(functional.simple_rnn_backward(dy, tape)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masked_steps_may_hold_nan():
    """Active rows: what is skipped is not read, and its gradient is zero."""
    rng = np.random.default_rng(0)
    x, dy, weights = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6, 5)), random_weights(rng, 3, 5, dtype=np.float64)
    mask = rng.random((4, 6)) < 0.5
    x[~mask] = np.nan
    want = reference.SimpleRNN(x, *weights, mask=mask)
    dx, dh0, dweights = want.gradients(dy)
    y, tape = functional.simple_rnn_forward(x, *weights, mask=mask, return_sequences=True)
    assert_close(y, want.outputs, 1e-12)
    got = functional.simple_rnn_backward(dy, tape)
    assert_all_close(flat(got), [dx, dh0, *dweights], 1e-12)
    assert not got.dx[~mask].any()


@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.3, 0.6)])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_dropout_is_replayed(rates, go_backwards, masked):
    rng = np.random.default_rng(8)
    B, T, I, H = 4, 6, 5, 7
    x, dy, dstate = rng.normal(size=(B, T, I)), rng.normal(size=(B, T, H)), rng.normal(size=(B, H))
    options = {
        "mask": random_mask(rng, B, T) if masked else None,
        "initial_state": rng.uniform(-1, 1, (B, H)),
    }
    layer = fastrnn.SimpleRNN(
        H,
        dropout=rates[0],
        recurrent_dropout=rates[1],
        return_sequences=True,
        go_backwards=go_backwards,
        seed=1,
        dtype="float64",
    )
    layer.build(x.shape)
    layer.set_weights(random_weights(rng, I, H, dtype=np.float64))
    y, tape = layer.forward(x, **options, training=True)
    drops = {"input_dropout": tape.input_dropout, "recurrent_dropout": tape.recurrent_dropout}
    for rate, drop in zip(rates, drops.values(), strict=True):
        assert (drop is None) == (rate == 0)
        if rate:
            assert set(np.unique(drop)) <= {0.0, 1 / (1 - rate)}
            assert 0.0 in drop
    want = reference.SimpleRNN(x, *layer.get_weights(), **options, **drops, go_backwards=go_backwards)
    assert_close(y, want.outputs, 1e-12)
    dx, dh0, dweights = want.gradients(dy, dstate)
    for _ in range(2):
        assert_all_close(flat(layer.backward(dy, tape, dstate=dstate)), [dx, dh0, *dweights], 1e-12)


def test_layer_and_function_give_the_same_bits():
    case = Case(9)
    layer = fastrnn.SimpleRNN(case.H, return_sequences=True, activation=case.activation, use_bias=case.use_bias)
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    dy = np.ones((case.B, case.T, case.H), np.float32)
    y, tape = layer.forward(case.x, initial_state=case.initial_state, mask=case.mask)
    got = layer.backward(dy, tape)
    arguments = {"initial_state": case.initial_state, "mask": case.mask, "activation": case.activation}
    y2, tape2 = functional.simple_rnn_forward(case.x, *case.weights, **arguments, return_sequences=True)
    want = functional.simple_rnn_backward(dy, tape2)
    np.testing.assert_array_equal(y, y2)
    for a, b in zip(flat(got), flat(want), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("B", "T"), [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_empty(B, T, return_sequences):
    rng = np.random.default_rng(0)
    weights = random_weights(rng, 3, 4)
    x, state = np.zeros((B, T, 3), np.float32), rng.normal(size=(B, 4)).astype(np.float32)
    y, tape = functional.simple_rnn_forward(x, *weights, initial_state=state, return_sequences=return_sequences)
    dy, dstate = np.ones_like(y), np.ones((B, 4), np.float32)
    got = functional.simple_rnn_backward(dy, tape, dstate=dstate)
    assert [a.shape for a in flat(got)] == [x.shape, (B, 4), (3, 4), (4, 4), (4,)]
    assert not any(w.any() for w in got.weights)
    # Without steps state and last output are the initial state itself.
    np.testing.assert_array_equal(got.dinitial_state, dstate if return_sequences else dstate + dy)
