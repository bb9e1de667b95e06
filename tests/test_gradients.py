"""Back-propagation through time against finite differences, float64 PyTorch and, in float32, the equations."""

import itertools

import numpy as np
import pytest
import torch_oracle
from cases import ACTIVATIONS, Case, random_mask, random_state, random_weights
from differences import central_differences
from tolerance import assert_close, assert_gradients, assert_output

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


def build(cell, activation, flags, B=3, T=5, I=4, H=5, use_bias=True, small_steps=False):
    """x, weights, options, dy and dstate of a float64 call; no relu near its kink, unless at it, where all agree."""
    for seed in itertools.count():
        rng = np.random.default_rng([seed, ACTIVATIONS.index(activation), *flags.values()])
        x = rng.normal(size=(B, T, I))
        weights = random_weights(rng, I, H, use_bias, np.float64, cell)
        options = {
            "initial_state": random_state(rng, B, H, np.float64, cell) if flags["with_state"] else None,
            "mask": random_mask(rng, B, T) if flags["masked"] else None,
            "activation": activation,
            "go_backwards": flags["go_backwards"],
            "zero_output_for_mask": flags["zero_output_for_mask"],
        }
        dy = rng.normal(size=(B, T, H) if flags["return_sequences"] else (B, H))
        dstate = random_state(rng, B, H, np.float64, cell) if flags["with_dstate"] else None
        steps = cell.reference(x, *weights, **options).saved.values()
        kinks = np.abs([z for step in steps for z in step.kinks])
        nearest = kinks.min() if small_steps else kinks[kinks > 0].min()
        if activation != "relu" or nearest > (1e-3 if small_steps else 1e-9):
            return x, weights, options, dy, dstate


def backward(cell, x, weights, options, dy, dstate, **arguments):
    _, tape = cell.forward(x, *weights, **options, return_sequences=dy.ndim == 3)
    return cell.backward(dy, tape, dstate=dstate, **arguments)


def flat(gradients):
    """All gradients; those of several states as one array."""
    return [gradients.dx, np.asarray(gradients.dinitial_state), *gradients.weights]


def assert_all_close(got, want, tolerance):
    assert len(got) == len(want)
    for name, g, w in zip(["dx", "dinitial_state", "dkernel", "drecurrent_kernel", "dbias"], got, want, strict=False):
        assert g.dtype == np.float64
        assert_close(g, w, tolerance, name)


@pytest.mark.parametrize(("activation", "flags"), COMBINATIONS)
def test_equations(cell, activation, flags):
    x, weights, options, dy, dstate = build(cell, activation, flags)
    want = cell.reference(x, *weights, **options)
    assert_gradients(backward(cell, x, weights, options, dy, dstate), want, dy, dstate)


@pytest.mark.pytorch
@pytest.mark.parametrize(("activation", "flags"), COMBINATIONS[::3])
def test_pytorch(cell, activation, flags):
    x, weights, options, dy, dstate = build(cell, activation, flags)
    _, _, want = torch_oracle.recurrent(cell, dy, dstate, x, *weights, **options)
    assert_all_close(flat(backward(cell, x, weights, options, dy, dstate)), want, 1e-12)


# Finite differences are slow: every pair of flags once.
@pytest.mark.parametrize(("activation", "flags"), COMBINATIONS[::7])
def test_finite_differences(cell, activation, flags):
    x, weights, options, dy, dstate = build(cell, activation, flags, B=2, T=4, I=2, H=3, small_steps=True)
    states = np.zeros((cell.states, 2, 3))
    states += 0 if options["initial_state"] is None else options["initial_state"]
    options["initial_state"] = cell.one_array(list(states))

    def loss():
        y, *last = cell(x, *weights, **options, return_sequences=dy.ndim == 3, return_state=True)
        return (y * dy).sum() + (0.0 if dstate is None else (np.stack(last) * dstate).sum())

    want = [central_differences(loss, a) for a in (x, states, *weights)]
    want[1] = cell.one_array(want[1])
    assert_all_close(flat(backward(cell, x, weights, options, dy, dstate)), want, 1e-8)


@pytest.mark.parametrize("block", range(6))
def test_float32_against_the_equations(cell, block):
    for seed in range(25 * block, 25 * block + 25):
        case = Case(3000 + seed, cell, max_units=40, max_steps=20)
        want = cell.reference(case.x, *case.weights, **case.arguments)
        output, tape = cell.forward(case.x, *case.weights, **case.arguments, return_sequences=case.return_sequences)
        assert_output(output, want)
        got = cell.backward(case.dy, tape, dstate=case.dstate)
        assert got.dx.dtype == np.float32
        assert_gradients(got, want, case.dy, case.dstate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("B", "T", "I", "H"), [(65, 3, 33, 65), (1, 40, 1, 1), (2, 7, 100, 17), (30, 2, 7, 96), (17, 5, 3, 130)]
)
def test_larger_shapes(cell, B, T, I, H, dtype):
    rng = np.random.default_rng(B + T)
    x, dy = rng.normal(size=(B, T, I)).astype(dtype), rng.normal(size=(B, T, H)).astype(dtype)
    weights = random_weights(rng, I, H, dtype=dtype, cell=cell)
    mask = rng.random((B, T)) < 0.7
    _, tape = cell.forward(x, *weights, mask=mask, return_sequences=True)
    got = cell.backward(dy, tape)
    assert got.dx.dtype == dtype
    assert_gradients(got, cell.reference(x, *weights, mask=mask), dy)


@pytest.mark.parametrize("seed", range(20))
def test_need_dx_changes_nothing_else(cell, seed):
    case = Case(4000 + seed, cell)
    _, tape = cell.forward(case.x, *case.weights, **case.arguments, return_sequences=case.return_sequences)
    everything = cell.backward(case.dy, tape, dstate=case.dstate)
    less = cell.backward(case.dy, tape, dstate=case.dstate, need_dx=False)
    assert less.dx is None
    assert everything.dx.shape == case.x.shape
    for a, b in zip(flat(everything)[1:], flat(less)[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_dy_is_a_dy_of_zeros(cell):
    case = Case(5, cell)
    _, tape = cell.forward(case.x, *case.weights, return_sequences=True)
    dstate = cell.one_array([np.ones((case.B, case.H), np.float32)] * cell.states)
    zeros = np.zeros((case.B, case.T, case.H), np.float32)
    for a, b in zip(
        flat(cell.backward(None, tape, dstate=dstate)),
        flat(cell.backward(zeros, tape, dstate=dstate)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
        assert a.any()


def test_a_tape_serves_twice_and_outlives_a_change_of_the_weights(cell):
    case = Case(6, cell, dtype=np.float64)
    weights = [w.copy() for w in case.weights]
    _, tape = cell.forward(case.x, *weights, return_sequences=True)
    dy = np.ones((case.B, case.T, case.H))
    first = cell.backward(dy, tape)
    for w in weights:
        w[:] = np.nan
    for a, b in zip(flat(first), flat(cell.backward(dy, tape)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masked_steps_may_hold_nan(cell):
    """Active rows: what is skipped is not read, and its gradient is zero."""
    rng = np.random.default_rng(0)
    x, dy, weights = (
        rng.normal(size=(4, 6, 3)),
        rng.normal(size=(4, 6, 5)),
        random_weights(rng, 3, 5, dtype=np.float64, cell=cell),
    )
    mask = rng.random((4, 6)) < 0.5
    x[~mask] = np.nan
    want = cell.reference(x, *weights, mask=mask)
    dx, dh0, dweights = want.gradients(dy)
    y, tape = cell.forward(x, *weights, mask=mask, return_sequences=True)
    assert_close(y, want.outputs, 1e-12)
    got = cell.backward(dy, tape)
    assert_all_close(flat(got), [dx, dh0, *dweights], 1e-12)
    assert not got.dx[~mask].any()


@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.3, 0.6)])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_dropout_is_replayed(cell, rates, go_backwards, masked):
    rng = np.random.default_rng(8)
    B, T, I, H = 4, 6, 5, 7
    x, dy = rng.normal(size=(B, T, I)), rng.normal(size=(B, T, H))
    dstate = random_state(rng, B, H, np.float64, cell)
    options = {
        "mask": random_mask(rng, B, T) if masked else None,
        "initial_state": random_state(rng, B, H, np.float64, cell),
    }
    layer = cell.layer(
        H,
        dropout=rates[0],
        recurrent_dropout=rates[1],
        return_sequences=True,
        go_backwards=go_backwards,
        seed=1,
        dtype="float64",
    )
    layer.build(x.shape)
    layer.set_weights(random_weights(rng, I, H, dtype=np.float64, cell=cell))
    y, tape = layer.forward(x, **options, training=True)
    drops = {"input_dropout": tape.input_dropout, "recurrent_dropout": tape.recurrent_dropout}
    for rate, drop in zip(rates, drops.values(), strict=True):
        assert (drop is None) == (rate == 0)
        if rate:
            assert set(np.unique(drop)) <= {0.0, 1 / (1 - rate)}
            assert 0.0 in drop
    want = cell.reference(x, *layer.get_weights(), **options, **drops, go_backwards=go_backwards)
    assert_close(y, want.outputs, 1e-12)
    dx, dh0, dweights = want.gradients(dy, dstate)
    for _ in range(2):
        assert_all_close(flat(layer.backward(dy, tape, dstate=dstate)), [dx, dh0, *dweights], 1e-12)


def test_layer_and_function_give_the_same_bits(cell):
    case = Case(9, cell)
    layer = cell.layer(case.H, return_sequences=True, use_bias=case.use_bias, **case.activations)
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    dy = np.ones((case.B, case.T, case.H), np.float32)
    y, tape = layer.forward(case.x, initial_state=case.initial_state, mask=case.mask)
    got = layer.backward(dy, tape)
    arguments = {"initial_state": case.initial_state, "mask": case.mask, **case.activations}
    y2, tape2 = cell.forward(case.x, *case.weights, **arguments, return_sequences=True)
    want = cell.backward(dy, tape2)
    np.testing.assert_array_equal(y, y2)
    for a, b in zip(flat(got), flat(want), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("B", "T"), [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_empty(cell, B, T, return_sequences):
    rng = np.random.default_rng(0)
    weights = random_weights(rng, 3, 4, cell=cell)
    x, state = np.zeros((B, T, 3), np.float32), random_state(rng, B, 4, cell=cell)
    y, tape = cell.forward(x, *weights, initial_state=state, return_sequences=return_sequences)
    dy, dstate = np.ones_like(y), np.ones_like(state)
    got = cell.backward(dy, tape, dstate=list(dstate) if cell.states > 1 else dstate)
    assert [a.shape for a in flat(got)] == [x.shape, dstate.shape, *[w.shape for w in weights]]
    assert not any(w.any() for w in got.weights)
    # Without steps state and last output are the initial state itself.
    if not return_sequences:
        (dstate if cell.states == 1 else dstate[0])[:] += dy
    np.testing.assert_array_equal(got.dinitial_state, dstate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("B", "H"), [(1, 40), (3, 5), (20, 8), (33, 65)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_a_single_step_from_nothing_is_one_from_zeros(cell, return_sequences, masked, B, H, dtype):
    """The gradient of the initial state is computed when it is asked for, of what there was at the call."""
    rng = np.random.default_rng([B, masked])
    x, weights = rng.normal(size=(B, 1, 6)).astype(dtype), random_weights(rng, 6, H, dtype=dtype, cell=cell)
    dy = rng.normal(size=(B, 1, H) if return_sequences else (B, H)).astype(dtype)
    dstate = random_state(rng, B, H, dtype, cell)
    zeros = cell.one_array([np.zeros_like(d) for d in ([dstate] if cell.states == 1 else dstate)])
    options = {"mask": random_mask(rng, B, 1) if masked else None, "return_sequences": return_sequences}
    _, from_zeros = cell.forward(x, *weights, **options, initial_state=zeros)
    want = flat(cell.backward(dy, from_zeros, dstate=dstate))
    _, tape = cell.forward(x, *weights, **options)
    got = cell.backward(dy, tape, dstate=dstate)
    for changed in (dy, *([dstate] if cell.states == 1 else dstate)):
        changed[...] = np.nan
    for g, w in zip(flat(got), want, strict=True):
        np.testing.assert_array_equal(g, w)
    assert np.any(want[1])
