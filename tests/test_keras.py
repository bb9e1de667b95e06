"""Hundreds of random configurations beside Keras 3.15.1 itself."""

import keras_oracle  # noqa: F401 - skips this file where there is no Keras
import numpy as np
import pytest
from cases import Case, random_mask, random_state
from tolerance import assert_close, last_tolerance, output_tolerance, state_tolerance

# Where the first steps are masked Keras's backends disagree; its NumPy scan, which runs here, is the one to follow.


def keras_layer(case, **arguments):
    layer = case.cell.keras_layer(case.H, **case.constructor, **arguments)
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    return layer


def our_layer(case, **arguments):
    constructor = {name: None if value == "linear" else value for name, value in case.constructor.items()}
    layer = case.cell.layer(case.H, **constructor, **arguments)
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    return layer


def tolerance(case, x, **arguments):
    """For outputs and states. Twice the error of one: Keras rounds as well."""
    r = case.cell.reference(x, *case.weights, **{**case.arguments, **arguments})
    state = 2 * state_tolerance(r)
    bounds = [
        2 * (output_tolerance(r) if case.return_sequences else last_tolerance(r)),
        *np.reshape(state, (-1, case.B, case.H)),
    ]
    return [np.minimum(2e-5, bound) for bound in bounds]


def assert_same(ours, keras_result, case, bound):
    assert isinstance(ours, tuple) == case.return_state == isinstance(keras_result, tuple)
    if not case.return_state:
        ours, keras_result = [ours], [keras_result]
    assert len(ours) == len(keras_result)
    for mine, theirs, allowed in zip(ours, keras_result, bound, strict=False):
        assert mine.dtype == np.float32
        assert_close(mine, np.asarray(theirs), allowed)


@pytest.mark.parametrize("block", range(12))
def test_random_configurations(cell, block):
    for seed in range(25 * block, 25 * block + 25):
        case = Case(1000 + seed, cell, max_units=40, max_steps=20)
        want = keras_layer(case)(case.x, initial_state=case.initial_state, mask=case.mask)
        bound = tolerance(case, case.x)
        got = our_layer(case)(case.x, initial_state=case.initial_state, mask=case.mask)
        assert_same(got, want, case, bound)
        got = cell(
            case.x,
            *case.weights,
            **case.arguments,
            return_sequences=case.return_sequences,
            return_state=case.return_state,
        )
        assert_same(got, want, case, bound)


@pytest.mark.parametrize("seed", range(40))
def test_stateful_over_several_calls(cell, seed):
    case = Case(2000 + seed, cell)
    rng = case.rng
    theirs, ours = keras_layer(case, stateful=True), our_layer(case, stateful=True)
    state, drift = np.zeros((cell.states, case.B, case.H), np.float32), 0.0
    for _ in range(4):
        x = rng.normal(size=(case.B, int(rng.integers(1, 9)), case.I)).astype(np.float32)
        explicit = random_state(rng, case.B, case.H, cell=cell) if rng.random() < 0.3 else None
        mask = random_mask(rng, case.B, x.shape[1]) if rng.random() < 0.5 else None
        if rng.random() < 0.2:
            theirs.reset_state()
            ours.reset_state()
            state[:] = 0
        want = theirs(x, initial_state=explicit, mask=mask)
        got = ours(x, initial_state=explicit, mask=mask)
        start = state if explicit is None else explicit
        bound = tolerance(case, x, initial_state=start, mask=mask)
        # The two may start from states that differ already.
        assert_same(got, want, case, [np.minimum(2e-5, b + drift) for b in bound])
        drift += max(b.max() for b in bound[1:])
        state = np.stack([np.asarray(state.value) for state in theirs.states])


@pytest.mark.parametrize("mask_dtype", ["bool", "int32", "uint8", "float32"])
def test_masks_of_other_types(cell, mask_dtype):
    case = Case(7, cell)
    mask = random_mask(np.random.default_rng(1), case.B, case.T)
    want = keras_layer(case)(case.x, mask=mask.astype(mask_dtype))
    assert_same(our_layer(case)(case.x, mask=mask.astype(mask_dtype)), want, case, tolerance(case, case.x, mask=mask))


@pytest.mark.parametrize("leading", range(4))
def test_leading_masked_steps_give_the_initial_state(cell, leading):
    """Keras's NumPy and JAX scan: what a step that is masked from the start on puts out is h(0), not zero."""
    case = Case(11, cell)
    x = np.random.default_rng(2).normal(size=(3, 4, case.I)).astype(np.float32)
    case.B, state = 3, random_state(np.random.default_rng(3), 3, case.H, cell=cell)
    mask = np.arange(4) >= np.full((3, 1), leading)
    case.return_sequences, case.return_state, case.flags = True, True, {"go_backwards": False}
    want = keras_layer(case)(x, initial_state=state, mask=mask)
    got = our_layer(case)(x, initial_state=state, mask=mask)
    assert_same(got, want, case, tolerance(case, x, initial_state=state, mask=mask))
    assert (got[0][:, :leading] == np.reshape(state, (-1, 3, case.H))[0][:, None]).all()


def test_layers_travel_between_the_libraries(cell):
    """Configurations and weights go both ways, and the layers then agree."""
    x = np.random.default_rng(4).normal(size=(3, 5, 6)).astype(np.float32)
    arguments = {
        "units": 7,
        "activation": "relu",
        "return_sequences": True,
        "go_backwards": True,
        "kernel_initializer": "he_normal",
        "name": "travels",
    }
    theirs = cell.keras_layer(**arguments)
    want = np.asarray(theirs(x))
    weights = [np.asarray(w.value) for w in theirs.weights]
    ours = type(cell.layer(1)).from_config(theirs.get_config())
    ours.build(x.shape)
    ours.set_weights(weights)
    np.testing.assert_allclose(ours(x), want, rtol=0, atol=2e-5)

    back = type(theirs).from_config(ours.get_config())
    back.build(x.shape)
    back.set_weights(ours.get_weights())
    np.testing.assert_allclose(back(x), want, rtol=0, atol=1e-6)
    ours_again, theirs_again = ours.get_config(), back.get_config()
    assert {name: theirs_again[name] for name in arguments} == {name: theirs.get_config()[name] for name in arguments}
    assert ours_again["name"] == "travels"


def test_defaults_are_keras_defaults(cell):
    theirs, ours = cell.keras_layer(3).get_config(), cell.layer(3).get_config()
    for name in sorted(set(theirs) - {"name", "dtype"}):
        assert ours[name] == theirs[name], name
