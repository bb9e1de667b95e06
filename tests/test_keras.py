"""Hundreds of random configurations beside Keras 3.15.1 itself."""

import numpy as np
import pytest
import reference
from cases import Case, random_mask
from keras_oracle import keras
from tolerance import assert_close, output_tolerance, state_tolerance

import fastrnn
from fastrnn import functional

# Where the first steps are masked Keras's backends disagree; its NumPy scan, which runs here, is the one to follow.


def keras_layer(case, **arguments):
    layer = keras.layers.SimpleRNN(
        case.H,
        activation=case.activation,
        use_bias=case.use_bias,
        return_sequences=case.return_sequences,
        return_state=case.return_state,
        **case.flags,
        **arguments,
    )
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    return layer


def our_layer(case, **arguments):
    layer = fastrnn.SimpleRNN(
        case.H,
        activation=None if case.activation == "linear" else case.activation,
        use_bias=case.use_bias,
        return_sequences=case.return_sequences,
        return_state=case.return_state,
        **case.flags,
        **arguments,
    )
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    return layer


def tolerance(case, x, **arguments):
    """For outputs and states. Twice the error of one: Keras rounds as well."""
    r = reference.SimpleRNN(x, *case.weights, **{**case.arguments, **arguments})
    return {3: np.minimum(2e-5, 2 * output_tolerance(r)), 2: np.minimum(2e-5, 2 * state_tolerance(r))}


def assert_same(ours, keras_result, case, bound):
    assert isinstance(ours, tuple) == case.return_state == isinstance(keras_result, tuple)
    if not case.return_state:
        ours, keras_result = [ours], [keras_result]
    assert len(ours) == len(keras_result)
    for mine, theirs in zip(ours, keras_result, strict=True):
        assert mine.dtype == np.float32
        assert_close(mine, np.asarray(theirs), bound[mine.ndim])


@pytest.mark.parametrize("block", range(12))
def test_random_configurations(block):
    for seed in range(25 * block, 25 * block + 25):
        case = Case(1000 + seed, max_units=40, max_steps=20)
        want = keras_layer(case)(case.x, initial_state=case.initial_state, mask=case.mask)
        bound = tolerance(case, case.x)
        got = our_layer(case)(case.x, initial_state=case.initial_state, mask=case.mask)
        assert_same(got, want, case, bound)
        got = functional.simple_rnn(
            case.x,
            *case.weights,
            **case.arguments,
            return_sequences=case.return_sequences,
            return_state=case.return_state,
        )
        assert_same(got, want, case, bound)


@pytest.mark.parametrize("seed", range(40))
def test_stateful_over_several_calls(seed):
    case = Case(2000 + seed)
    rng = case.rng
    theirs, ours = keras_layer(case, stateful=True), our_layer(case, stateful=True)
    state, drift = np.zeros((case.B, case.H), np.float32), 0.0
    for _ in range(4):
        x = rng.normal(size=(case.B, int(rng.integers(1, 9)), case.I)).astype(np.float32)
        explicit = rng.uniform(-1, 1, (case.B, case.H)).astype(np.float32) if rng.random() < 0.3 else None
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
        assert_same(got, want, case, {axes: np.minimum(2e-5, b + drift) for axes, b in bound.items()})
        drift += bound[2].max()
        state = np.asarray(theirs.states[0].value)


@pytest.mark.parametrize("mask_dtype", ["bool", "int32", "uint8", "float32"])
def test_masks_of_other_types(mask_dtype):
    case = Case(7)
    mask = random_mask(np.random.default_rng(1), case.B, case.T)
    want = keras_layer(case)(case.x, mask=mask.astype(mask_dtype))
    assert_same(our_layer(case)(case.x, mask=mask.astype(mask_dtype)), want, case, tolerance(case, case.x, mask=mask))


@pytest.mark.parametrize("leading", range(4))
def test_leading_masked_steps_give_the_initial_state(leading):
    """Keras's NumPy and JAX scan: what a step that is masked from the start on puts out is h(0), not zero."""
    case = Case(11)
    x = np.random.default_rng(2).normal(size=(3, 4, case.I)).astype(np.float32)
    state = np.random.default_rng(3).uniform(-1, 1, (3, case.H)).astype(np.float32)
    mask = np.arange(4) >= np.full((3, 1), leading)
    case.return_sequences, case.return_state, case.flags = True, True, {"go_backwards": False}
    want = keras_layer(case)(x, initial_state=state, mask=mask)
    got = our_layer(case)(x, initial_state=state, mask=mask)
    assert_same(got, want, case, tolerance(case, x, initial_state=state, mask=mask))
    assert (got[0][:, :leading] == state[:, None]).all()


def test_layers_travel_between_the_libraries():
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
    theirs = keras.layers.SimpleRNN(**arguments)
    want = np.asarray(theirs(x))
    weights = [np.asarray(w.value) for w in theirs.weights]
    ours = fastrnn.SimpleRNN.from_config(theirs.get_config())
    ours.build(x.shape)
    ours.set_weights(weights)
    np.testing.assert_allclose(ours(x), want, rtol=0, atol=2e-5)

    back = keras.layers.SimpleRNN.from_config(ours.get_config())
    back.build(x.shape)
    back.set_weights(ours.get_weights())
    np.testing.assert_allclose(back(x), want, rtol=0, atol=1e-6)
    ours_again, theirs_again = ours.get_config(), back.get_config()
    assert {name: theirs_again[name] for name in arguments} == {name: theirs.get_config()[name] for name in arguments}
    assert ours_again["name"] == "travels"


def test_defaults_are_keras_defaults():
    theirs, ours = keras.layers.SimpleRNN(3).get_config(), fastrnn.SimpleRNN(3).get_config()
    for name in sorted(set(theirs) - {"name", "dtype"}):
        assert ours[name] == theirs[name], name
