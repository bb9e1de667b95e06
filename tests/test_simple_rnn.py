"""The layer: its arguments, weights, states, dropout, streaming, copies, and use by several threads."""

import concurrent.futures
import copy
import inspect
import json
import pickle

import numpy as np
import pytest
from cases import ACTIVATIONS, Case, random_mask, random_weights
from reference import SimpleRNN
from tolerance import assert_gradients, assert_output, assert_state

import fastrnn
from fastrnn import functional


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make(rng, units=7, features=5, batch=None, **arguments):
    """A built layer with weights that are not the initializers'."""
    layer = fastrnn.SimpleRNN(units, **arguments)
    layer.build((batch, None, features))
    layer.set_weights(random_weights(rng, features, units, layer.use_bias, layer.dtype))
    return layer


def sequences(rng, batch=4, steps=6, features=5, dtype=np.float32):
    return rng.normal(size=(batch, steps, features)).astype(dtype)


# Arguments and weights


def test_four_inputs_and_three_units_make_24_parameters():
    layer = fastrnn.SimpleRNN(3)
    assert layer(np.zeros((1, 4, 4))).shape == (1, 3)
    assert layer.count_params() == 24
    assert fastrnn.SimpleRNN(10)(np.zeros((1, 20, 100)))[0].shape == (10,)
    without = fastrnn.SimpleRNN(3, use_bias=False)
    without.build((None, None, 4))
    assert without.count_params() == 21


def test_arguments_are_keras_arguments_in_keras_order():
    from keras_oracle import keras

    theirs = list(inspect.signature(keras.layers.SimpleRNN.__init__).parameters.values())
    ours = list(inspect.signature(fastrnn.SimpleRNN.__init__).parameters.values())
    positional = [p for p in theirs if p.kind is not p.VAR_KEYWORD]
    for mine, other in zip(ours, positional, strict=False):
        assert (mine.name, mine.default) == (other.name, other.default)
    assert {"zero_output_for_mask", "dtype", "name", "trainable"} <= {p.name for p in ours}


def test_build_makes_the_weights_in_order():
    layer = fastrnn.SimpleRNN(3)
    assert not layer.built
    assert layer.weights == layer.get_weights() == []
    layer.build((None, None, 4))
    assert layer.built
    kernel, recurrent, bias = layer.weights
    assert (kernel.shape, recurrent.shape, bias.shape) == ((4, 3), (3, 3), (3,))
    assert kernel is layer.kernel
    assert recurrent is layer.recurrent_kernel
    assert bias is layer.bias
    assert {w.dtype for w in layer.weights} == {np.dtype(np.float32)}
    assert kernel.any()
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(3), atol=1e-6)  # orthogonal
    assert not bias.any()
    assert (np.abs(kernel) <= np.sqrt(6 / 7)).all()  # Glorot uniform


def test_building_again_keeps_the_weights(rng):
    layer = make(rng)
    before = layer.get_weights()
    layer.build((None, None, 5))
    layer.build((3, 9, 5))
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_first_call_builds(rng):
    x = sequences(rng)
    for first in (lambda layer: layer(x), lambda layer: layer.forward(x), lambda layer: layer.step(x[:, 0], None)):
        layer = fastrnn.SimpleRNN(3)
        first(layer)
        assert [w.shape for w in layer.weights] == [(5, 3), (3, 3), (3,)]


def test_without_a_bias(rng):
    layer = make(rng, use_bias=False)
    assert [w.shape for w in layer.weights] == [(5, 7), (7, 7)]
    x = sequences(rng)
    assert_output(layer(x), SimpleRNN(x, *layer.get_weights()))
    _, tape = layer.forward(x)
    assert len(layer.backward(np.ones((4, 7)), tape).weights) == 2


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, None])
def test_dtype(rng, dtype):
    layer = make(rng, dtype=dtype)
    wanted = np.dtype("float32" if dtype is None else dtype)
    x = sequences(rng, dtype=np.float64)
    assert layer(x).dtype == wanted
    assert_output(layer(x), SimpleRNN(x.astype(wanted), *layer.get_weights()))


@pytest.mark.parametrize("activation", [*ACTIVATIONS, None])
def test_activations(rng, activation):
    layer, x = make(rng, activation=activation), sequences(rng)
    assert_output(layer(x), SimpleRNN(x, *layer.get_weights(), activation=activation or "linear"))


def test_initializers_and_seeds():
    def weights(**arguments):
        layer = fastrnn.SimpleRNN(6, **arguments)
        layer.build((None, None, 4))
        return layer.get_weights()

    for a, b in zip(weights(seed=1), weights(seed=1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (weights(seed=1)[0] != weights(seed=2)[0]).any()
    assert (weights()[0] != weights()[0]).any()
    kernel, recurrent, bias = weights(
        kernel_initializer="ones", recurrent_initializer="identity", bias_initializer="ones"
    )
    assert (kernel == 1).all()
    np.testing.assert_array_equal(recurrent, np.eye(6))
    assert (bias == 1).all()


def test_names():
    assert fastrnn.SimpleRNN(1, name="mine").name == "mine"
    automatic = {fastrnn.SimpleRNN(1).name for _ in range(3)}
    assert len(automatic) == 3
    assert all(name.startswith("simple_rnn") for name in automatic)


ARGUMENTS = {
    "units": 6,
    "activation": "relu",
    "use_bias": False,
    "kernel_initializer": "he_uniform",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "dropout": 0.25,
    "recurrent_dropout": 0.5,
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "seed": 3,
    "zero_output_for_mask": True,
    "dtype": "float64",
    "name": "configured",
    "trainable": False,
}


def test_config_round_trip():
    layer = fastrnn.SimpleRNN(**ARGUMENTS)
    config = json.loads(json.dumps(layer.get_config()))
    for name in set(ARGUMENTS) - {"kernel_initializer", "recurrent_initializer", "bias_initializer"}:
        assert config[name] == ARGUMENTS[name], name
    again = fastrnn.SimpleRNN.from_config(config)
    assert again.get_config() == layer.get_config()
    for one in (layer, again):
        one.build((2, None, 4))
    for a, b in zip(layer.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # same seed


def test_config_goes_through_keras():
    from keras_oracle import keras

    arguments = {**ARGUMENTS, "zero_output_for_mask": False, "dtype": "float32"}
    config = fastrnn.SimpleRNN(**arguments).get_config()
    theirs = keras.layers.SimpleRNN.from_config(config)
    assert theirs.get_config()["kernel_initializer"]["class_name"] == "HeUniform"
    again = fastrnn.SimpleRNN.from_config(theirs.get_config()).get_config()
    for name in set(config) - {"seed"}:  # Keras keeps the seed to itself
        assert again[name] == config[name], name


# Weights in, weights out


def test_get_weights_gives_copies_and_weights_gives_the_weights(rng):
    layer, x = make(rng), sequences(rng)
    before = layer(x)
    for copied in layer.get_weights():
        copied[:] = 0
    np.testing.assert_array_equal(layer(x), before)
    for own in layer.weights:
        own[:] = 0
    assert not layer(x).any()


def test_set_weights_copies_and_converts(rng):
    layer, x = make(rng), sequences(rng)
    given = random_weights(rng, 5, 7)
    layer.set_weights(given)
    want = layer(x)
    for w in given:
        w[:] = 0
    np.testing.assert_array_equal(layer(x), want)
    kernel, *rest = layer.get_weights()
    layer.set_weights([np.asfortranarray(kernel.astype(">f8")), *[w.tolist() for w in rest]])
    np.testing.assert_array_equal(layer(x), want)
    handed_out = layer.weights
    layer.set_weights([w * 0 for w in layer.get_weights()])
    assert not any(w.any() for w in handed_out)  # still the layer's own arrays


def every_way_to_change_a_weight():
    def in_place(layer):
        layer.weights[0][0, 0] += 1

    def by_name(layer):
        layer.kernel[1, 1] += 1

    def whole(layer):
        layer.recurrent_kernel = layer.recurrent_kernel * 0.5

    def augmented(layer):
        layer.bias += 1

    def through_a_view(layer):
        np.add(layer.recurrent_kernel.T, 0.25, out=layer.recurrent_kernel.T)

    def last_bit(layer):
        layer.bias[-1] = np.nextafter(layer.bias[-1], np.float32(9))

    def through_memory(layer):
        memoryview(layer.kernel).cast("B")[3] ^= 0x80

    def set_weights(layer):
        layer.set_weights([w + 0.5 for w in layer.get_weights()])

    def zero_the_bias(layer):
        layer.bias[:] = 0

    return [in_place, by_name, whole, augmented, through_a_view, last_bit, through_memory, set_weights, zero_the_bias]


@pytest.mark.parametrize("change", every_way_to_change_a_weight(), ids=lambda f: f.__name__)
@pytest.mark.parametrize("held_for_long", [False, True])
def test_weights_are_never_stale(rng, change, held_for_long):
    """Each way of changing weights counts from the next call on, also when the array was taken out long ago."""
    layer, x = make(rng), sequences(rng)
    if held_for_long:
        kept = layer.weights
        layer(x)
        assert kept[0] is layer.kernel
    layer(x)
    state = np.zeros((4, 7), np.float32)
    before = layer.get_weights()
    change(layer)
    after = layer.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    want = functional.simple_rnn(x, *after)
    np.testing.assert_array_equal(layer(x), want)
    output, tape = layer.forward(x)
    np.testing.assert_array_equal(output, want)
    _, want_tape = functional.simple_rnn_forward(x, *after)
    dy = np.ones((4, 7), np.float32)
    np.testing.assert_array_equal(layer.backward(dy, tape).dx, functional.simple_rnn_backward(dy, want_tape).dx)
    y, _ = layer.step(x[:, 0], state)
    np.testing.assert_array_equal(y, functional.simple_rnn(x[:, :1], *after))


def test_a_weight_held_from_before_is_still_the_weight(rng):
    """Take the array out once, then change it after every call."""
    layer, x = make(rng), sequences(rng)
    kernel = layer.kernel
    for _ in range(5):
        kernel += 0.1
        np.testing.assert_array_equal(layer(x), functional.simple_rnn(x, *layer.get_weights()))


def test_change_between_forward_and_backward(rng):
    """The tape belongs to the weights of its forward call."""
    layer, x = make(rng, return_sequences=True), sequences(rng)
    dy = rng.normal(size=(4, 6, 7)).astype(np.float32)
    _, tape = layer.forward(x)
    want = layer.backward(dy, tape)
    layer.set_weights([w * 2 for w in layer.get_weights()])
    got = layer.backward(dy, tape)
    np.testing.assert_array_equal(got.dx, want.dx)
    for a, b in zip(got.weights, want.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_independent(rng, duplicate):
    layer, x = make(rng, batch=4, stateful=True, return_state=True, dropout=0.5), sequences(rng)
    layer(x)
    state = layer.states[0].copy()
    twin = duplicate(layer)
    assert twin.get_config() == layer.get_config()
    np.testing.assert_array_equal(twin.states[0], state)
    for a, b in zip(layer(x, training=True), twin(x, training=True), strict=True):
        np.testing.assert_array_equal(a, b)  # the next random numbers are the same as well
    twin.reset_state()
    assert layer.states[0].any()
    before = layer.get_weights()
    twin.kernel[:] = 0
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(twin(x)[0], functional.simple_rnn(x, *twin.get_weights()))


def test_copies_of_a_new_layer():
    for duplicate in (copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))):
        twin = duplicate(fastrnn.SimpleRNN(3))
        assert not twin.built
        assert twin(np.zeros((1, 4, 4))).shape == (1, 3)


# States


def test_stateful_calls_continue(rng):
    x = sequences(rng, steps=12)
    stateless = make(rng, return_sequences=True)
    layer = fastrnn.SimpleRNN(7, return_sequences=True, stateful=True)
    layer.build((4, None, 5))
    layer.set_weights(stateless.get_weights())
    want = stateless(x)
    pieces = [layer(x[:, a:b]) for a, b in [(0, 1), (1, 5), (5, 12)]]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), want)
    np.testing.assert_array_equal(layer.states[0], want[:, -1])
    layer.reset_state()
    assert not layer.states[0].any()
    np.testing.assert_array_equal(layer(x), want)
    # forward continues as well
    layer.reset_state()
    first, _ = layer.forward(x[:, :5])
    second, tape = layer.forward(x[:, 5:])
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), want)
    dy = np.ones_like(second)
    ours = SimpleRNN(x[:, 5:], *layer.get_weights(), initial_state=want[:, 4])
    assert_gradients(layer.backward(dy, tape), ours, dy)


def test_an_explicit_state_beats_the_stored_one(rng):
    layer, x = make(rng, batch=4, stateful=True), sequences(rng)
    layer(x)
    state = rng.uniform(-1, 1, (4, 7)).astype(np.float32)
    want = functional.simple_rnn(x, *layer.get_weights(), initial_state=state)
    np.testing.assert_array_equal(layer(x, initial_state=state), want)
    np.testing.assert_array_equal(layer.states[0], want)  # and what it leads to is stored
    want = functional.simple_rnn(x, *layer.get_weights(), initial_state=want)
    np.testing.assert_array_equal(layer(x), want)


def test_results_do_not_alias_the_stored_state(rng):
    layer, x = make(rng, batch=4, stateful=True, return_state=True), sequences(rng)
    output, state = layer(x)
    kept = layer.states[0].copy()
    output[:] = np.nan
    state[:] = np.nan
    np.testing.assert_array_equal(layer.states[0], kept)


def test_a_stateless_layer_keeps_nothing(rng):
    layer, x = make(rng), sequences(rng)
    first = layer(x)
    np.testing.assert_array_equal(layer(x), first)
    layer.reset_state()
    np.testing.assert_array_equal(layer(x), first)
    assert layer(x[:2]).shape == (2, 7)


def test_states_with_masks_and_backwards(rng):
    layer, x = make(rng, batch=4, stateful=True, go_backwards=True, zero_output_for_mask=True), sequences(rng)
    mask = rng.random((4, 6)) < 0.5
    mask[:, 0] = False  # the step processed last
    weights, state = layer.get_weights(), np.zeros((4, 7))
    for _ in range(3):
        want = SimpleRNN(x, *weights, mask=mask, initial_state=state, go_backwards=True, zero_output_for_mask=True)
        output = layer(x, mask=mask)
        assert not output.any()
        assert_state(layer.states[0], want)
        state = layer.states[0]


# Streaming


@pytest.mark.parametrize("seed", range(30))
def test_steps_are_the_sequence_bit_for_bit(seed):
    case = Case(7000 + seed, max_units=70)
    layer = fastrnn.SimpleRNN(
        case.H, activation=case.activation, use_bias=case.use_bias, return_sequences=True, return_state=True
    )
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    want, want_state = layer(case.x, initial_state=case.initial_state)
    states = case.initial_state
    for t in range(case.T):
        y, states = layer.step(case.x[:, t], states)
        np.testing.assert_array_equal(y, want[:, t])
    np.testing.assert_array_equal(states[0], want_state)


def test_steps_in_place(rng):
    """The previous state may be the output's own memory, so that streaming needs no new array at all."""
    layer, x = make(rng, return_sequences=True), sequences(rng)
    want = layer(x)
    out = np.zeros((4, 7), np.float32)
    states = [out]
    for t in range(6):
        y, states = layer.step(x[:, t], states, out=out)
        assert y is out
        assert states[0] is out
        np.testing.assert_array_equal(out, want[:, t])
    # and without out the old state stays what it was
    kept = out.copy()
    y, _ = layer.step(x[:, 0], [out])
    np.testing.assert_array_equal(out, kept)
    assert not np.shares_memory(y, out)


@pytest.mark.parametrize("shift", [-14, -7, -3, 0, 2, 7, 21])
@pytest.mark.parametrize("batch", [1, 6])
def test_steps_into_memory_of_the_old_state(rng, shift, batch):
    """Any overlap of out and the state is either computed right or refused."""
    layer, x_t, state = make(rng), rng.normal(size=(batch, 5)), rng.normal(size=(batch, 7)).astype(np.float32)
    want, _ = layer.step(x_t, state)
    memory = np.zeros(100, np.float32)
    old = memory[21 : 21 + state.size].reshape(state.shape)
    out = memory[21 + shift : 21 + shift + state.size].reshape(state.shape)
    for backwards in (False, True):
        old[:] = state
        target = out[::-1] if backwards else out
        try:
            layer.step(x_t, [old], out=target)
        except ValueError as error:
            assert str(error).startswith("out must")
            np.testing.assert_array_equal(old, state)
        else:
            np.testing.assert_array_equal(target, want)


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_steps_take_all_forms_of_states(rng, batch):
    layer, x_t, state = make(rng), rng.normal(size=(batch, 5)), rng.normal(size=(batch, 7))
    want, _ = layer.step(x_t, [state])
    assert want.shape == (batch, 7)
    for given in (state, (state,), state.tolist() if batch else state, np.asfortranarray(state)):
        got, states = layer.step(x_t, given)
        np.testing.assert_array_equal(got, want)
        assert isinstance(states, list)
    got, _ = layer.step(x_t, None)
    np.testing.assert_array_equal(got, layer.step(x_t, np.zeros((batch, 7)))[0])


def test_steps_leave_the_stored_state_alone(rng):
    layer, x = make(rng, batch=4, stateful=True), sequences(rng)
    layer(x)
    kept = layer.states[0].copy()
    layer.step(x[:, 0], None)
    np.testing.assert_array_equal(layer.states[0], kept)


def test_streaming_does_not_drop_out(rng):
    layer, x_t = make(rng, dropout=0.9, recurrent_dropout=0.9), rng.normal(size=(4, 5))
    np.testing.assert_array_equal(layer.step(x_t, None)[0], layer.step(x_t, None)[0])


# Dropout


def test_dropout_only_when_training(rng):
    layer, x = make(rng, dropout=0.5, recurrent_dropout=0.5), sequences(rng)
    want = functional.simple_rnn(x, *layer.get_weights())
    np.testing.assert_array_equal(layer(x), want)
    np.testing.assert_array_equal(layer.forward(x, training=False)[0], want)
    assert (layer(x, training=True) != want).any()
    assert (layer.forward(x)[0] != want).any()  # a forward call is training unless it says otherwise
    none = make(rng)
    np.testing.assert_array_equal(none(x, training=True), none(x))


def probe(dropout, recurrent_dropout, seed=None):
    """A linear layer that shows its dropout masks: with one step y = input mask + h0 * recurrent mask."""
    layer = fastrnn.SimpleRNN(
        32,
        activation=None,
        use_bias=False,
        kernel_initializer="identity",
        recurrent_initializer="identity",
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
        seed=seed,
    )
    layer.build((None, None, 32))
    return layer


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_statistics(rate):
    zeros, ones = np.zeros((500, 1, 32)), np.ones((500, 32))
    n = 500 * 32
    for which in range(2):
        layer = probe(*[(rate, 0.0), (0.0, rate)][which], seed=5)
        mask = (layer(zeros + 1, training=True) if which == 0 else layer(zeros, ones, training=True))[:, 0]
        kept = mask != 0
        np.testing.assert_allclose(mask[kept], 1 / (1 - rate), rtol=1e-6)
        deviation = np.sqrt(rate * (1 - rate) / n)
        assert abs(kept.mean() - (1 - rate)) < 5 * deviation
        # Rows and features are independent of each other.
        assert abs(kept.mean(axis=0) - (1 - rate)).max() < 5 * np.sqrt(rate * (1 - rate) / 500)
        assert len(np.unique(kept, axis=0)) > 400


def test_one_mask_per_call_for_all_steps():
    layer = probe(0.5, 0.0)
    x = np.zeros((6, 8, 32))
    x[:] = 1
    layer.recurrent_kernel[:] = 0
    y = layer(x, training=True)
    assert (y == y[:, :1]).all()
    assert (layer(x, training=True) != y).any()  # another call, another mask
    layer = probe(0.0, 0.5)
    y = layer(np.zeros((6, 8, 32)), np.ones((6, 32)), training=True)
    np.testing.assert_array_equal(y != 0, np.repeat(y[:, :1] != 0, 8, axis=1))
    np.testing.assert_allclose(y[:, 7], y[:, 0] ** 8)  # multiplies the state at every step


def test_a_seed_repeats_dropout(rng):
    x = sequences(rng, features=32)

    def outputs(seed):
        layer = probe(0.3, 0.6, seed)
        return [layer(x, training=True), layer.forward(x)[0], layer(x, training=True)]

    first, second = outputs(3), outputs(3)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != first[1]).any()
    assert (first[0] != first[2]).any()
    assert any((a != b).any() for a, b in zip(first, outputs(4), strict=True))


def test_everything_may_be_dropped(rng):
    x = sequences(rng, features=32)
    assert not probe(1.0, 0.0)(x, training=True).any()
    np.testing.assert_array_equal(probe(0.0, 1.0)(x, training=True), x)


# Masks travel through


def test_mask_and_lengths_agree_with_the_function(rng):
    layer, x = make(rng, return_sequences=True, return_state=True, zero_output_for_mask=True), sequences(rng)
    lengths = [0, 6, 3, 1]
    mask = np.arange(6) < np.array(lengths)[:, None]
    want = functional.simple_rnn(
        x, *layer.get_weights(), mask=mask, return_sequences=True, return_state=True, zero_output_for_mask=True
    )
    for call in ({"mask": mask}, {"lengths": lengths}):
        for got in (layer(x, **call), layer.forward(x, **call)[0]):
            for a, b in zip(got, want, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize(("B", "T"), [(0, 3), (2, 0), (0, 0)])
def test_empty(rng, B, T, stateful):
    layer = make(rng, batch=B, stateful=stateful, return_sequences=True, return_state=True)
    y, state = layer(np.zeros((B, T, 5)))
    assert y.shape == (B, T, 7)
    assert state.shape == (B, 7)
    (y, state), tape = layer.forward(np.zeros((B, T, 5)), initial_state=np.ones((B, 7)))
    assert (state == 1).all() or T > 0
    assert layer.backward(y, tape).dx.shape == (B, T, 5)


# Everything together


@pytest.mark.parametrize("seed", range(60))
def test_a_random_life(seed):
    """Calls, changes of weights, copies and resets in any order; outputs, states and gradients are always right."""
    rng = np.random.default_rng(seed)
    batch, features, units = (int(n) for n in rng.integers(1, 9, 3))
    case = Case(8000 + seed)
    dtype = [np.float32, np.float64][seed % 2]
    layer = fastrnn.SimpleRNN(
        units,
        activation=case.activation,
        use_bias=case.use_bias,
        return_sequences=case.return_sequences,
        stateful=seed % 3 > 0,
        dropout=rng.choice([0, 0.3]),
        recurrent_dropout=rng.choice([0, 0.4]),
        dtype=dtype,
        **case.flags,
    )
    layer.build((None, None, features))
    layer.set_weights(random_weights(rng, features, units, case.use_bias, dtype))
    state = None

    def run():
        nonlocal state
        steps = int(rng.integers(0, 6))
        x = rng.normal(size=(batch, steps, features)).astype(dtype)
        mask = random_mask(rng, batch, steps) if rng.random() < 0.5 else None
        explicit = rng.uniform(-1, 1, (batch, units)).astype(dtype) if rng.random() < 0.3 else None
        output, tape = layer.forward(x, initial_state=explicit, mask=mask, training=rng.random() < 0.5)
        want = SimpleRNN(
            x,
            *layer.get_weights(),
            initial_state=state if explicit is None else explicit,
            mask=mask,
            activation=case.activation,
            input_dropout=tape.input_dropout,
            recurrent_dropout=tape.recurrent_dropout,
            **case.flags,
        )
        assert_output(output, want)
        if layer.stateful:
            assert_state(layer.states[0], want)
            state = layer.states[0].copy()
        dy = rng.normal(size=output.shape).astype(dtype)
        assert_gradients(layer.backward(dy, tape), want, dy)

    def change_in_place():
        layer.weights[rng.integers(2)][...] *= dtype(0.9)

    def set_weights():
        layer.set_weights([w * dtype(0.95) for w in layer.get_weights()])

    def duplicate():
        nonlocal layer
        layer = copy.deepcopy(layer) if rng.random() < 0.5 else pickle.loads(pickle.dumps(layer))

    def reset():
        nonlocal state
        layer.reset_state()
        state = None if state is None else np.zeros_like(state)

    for _ in range(20):
        [run, run, run, change_in_place, set_weights, duplicate, reset][rng.integers(7)]()


# Threads


def test_one_layer_in_many_threads(rng):
    """Inference changes nothing, tapes belong to their callers: any number of threads may share a layer."""
    layer = make(rng, units=33, features=9, return_sequences=True)
    inputs = [sequences(rng, batch=1 + i % 5, steps=3 + i % 7, features=9) for i in range(40)]

    def work(x):
        y, tape = layer.forward(x)
        return [layer(x), y, layer.backward(np.ones_like(y), tape).dx, layer.step(x[:, 0], None)[0]]

    want = [work(x) for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for results, right in zip(pool.map(work, inputs), want, strict=True):
                for a, b in zip(results, right, strict=True):
                    np.testing.assert_array_equal(a, b)


def test_a_new_layer_is_built_once_by_many_threads(rng):
    x = sequences(rng)
    for _ in range(20):
        layer = fastrnn.SimpleRNN(7)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _, layer=layer: layer(x), range(16)))
        for y in results:
            np.testing.assert_array_equal(y, results[0])


def test_weights_changed_while_others_compute(rng):
    """Each call uses one set of weights or the other, and after the last change only that."""
    layer, x = make(rng, units=20), sequences(rng)
    sets = [layer.get_weights(), [w * 0.5 for w in layer.get_weights()]]
    want = [functional.simple_rnn(x, *weights) for weights in sets]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for i in range(100):
            layer.set_weights(sets[i % 2])
            np.testing.assert_array_equal(layer(x), want[i % 2])
            pool.submit(layer, x)
