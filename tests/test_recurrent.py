"""The layers of one cell: their arguments, weights, states, dropout, streaming, copies, and use by several threads."""

import concurrent.futures
import copy
import inspect
import json
import pickle
import threading

import numpy as np
import pytest
from cases import ACTIVATIONS, Case, random_mask, random_state, random_weights
from tolerance import assert_gradients, assert_output, assert_state

import fastrnn


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make(cell, rng, units=7, features=5, batch=None, **arguments):
    """A built layer with weights that are not the initializers'."""
    layer = cell.layer(units, **arguments)
    layer.build((batch, None, features))
    layer.set_weights(random_weights(rng, features, units, layer.use_bias, layer.dtype, cell))
    return layer


def sequences(rng, batch=4, steps=6, features=5, dtype=np.float32):
    return rng.normal(size=(batch, steps, features)).astype(dtype)


# Arguments and weights


def test_arguments_are_keras_arguments_in_keras_order(cell):
    from keras_oracle import keras

    theirs = list(inspect.signature(getattr(keras.layers, cell.layer_name).__init__).parameters.values())
    ours = list(inspect.signature(getattr(fastrnn, cell.layer_name).__init__).parameters.values())
    positional = [p for p in theirs if p.kind is not p.VAR_KEYWORD]
    for mine, other in zip(ours, positional, strict=False):
        assert (mine.name, mine.default) == (other.name, other.default)
    assert {"zero_output_for_mask", "dtype", "name", "trainable"} <= {p.name for p in ours}


def test_build_makes_the_weights_in_order(cell):
    layer = cell.layer(3)
    assert not layer.built
    assert layer.weights == layer.get_weights() == []
    layer.build((None, None, 4))
    assert layer.built
    kernel, recurrent, bias = layer.weights
    columns = 3 * cell.gates
    assert (kernel.shape, recurrent.shape, bias.shape) == ((4, columns), (3, columns), cell.bias_shape(3))
    assert kernel is layer.kernel
    assert recurrent is layer.recurrent_kernel
    assert bias is layer.bias
    assert {w.dtype for w in layer.weights} == {np.dtype(np.float32)}
    assert kernel.any()
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(3), atol=1e-6)  # orthogonal
    assert not bias.any() or (cell.name == "lstm" and set(np.flatnonzero(bias)) == {3, 4, 5})
    assert (np.abs(kernel) <= np.sqrt(6 / (4 + columns))).all()  # Glorot uniform


def test_building_again_keeps_the_weights(cell, rng):
    layer = make(cell, rng)
    before = layer.get_weights()
    layer.build((None, None, 5))
    layer.build((3, 9, 5))
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_first_call_builds(cell, rng):
    x = sequences(rng)
    for first in (lambda layer: layer(x), lambda layer: layer.forward(x), lambda layer: layer.step(x[:, 0], None)):
        layer = cell.layer(3)
        first(layer)
        assert [w.shape for w in layer.weights] == [(5, 3 * cell.gates), (3, 3 * cell.gates), cell.bias_shape(3)]


def test_without_a_bias(cell, rng):
    layer = make(cell, rng, use_bias=False)
    assert [w.shape for w in layer.weights] == [(5, 7 * cell.gates), (7, 7 * cell.gates)]
    x = sequences(rng)
    assert_output(layer(x), cell.reference(x, *layer.get_weights()))
    _, tape = layer.forward(x)
    assert len(layer.backward(np.ones((4, 7)), tape).weights) == 2


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, None])
def test_dtype(cell, rng, dtype):
    layer = make(cell, rng, dtype=dtype)
    wanted = np.dtype("float32" if dtype is None else dtype)
    x = sequences(rng, dtype=np.float64)
    assert layer(x).dtype == wanted
    assert_output(layer(x), cell.reference(x.astype(wanted), *layer.get_weights()))


@pytest.mark.parametrize("activation", [*ACTIVATIONS, None])
def test_activations(cell, rng, activation):
    layer, x = make(cell, rng, activation=activation), sequences(rng)
    assert_output(layer(x), cell.reference(x, *layer.get_weights(), activation=activation or "linear"))


def test_initializers_and_seeds(cell):
    def weights(**arguments):
        layer = cell.layer(6, **arguments)
        layer.build((None, None, 4))
        return layer.get_weights()

    for a, b in zip(weights(seed=1), weights(seed=1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (weights(seed=1)[0] != weights(seed=2)[0]).any()
    assert (weights()[0] != weights()[0]).any()
    kernel, recurrent, bias = weights(kernel_initializer="ones", recurrent_initializer="zeros", bias_initializer="ones")
    assert (kernel == 1).all()
    assert not recurrent.any()
    assert (bias == 1).all()


def test_names(cell):
    assert cell.layer(1, name="mine").name == "mine"
    automatic = {cell.layer(1).name for _ in range(3)}
    assert len(automatic) == 3
    assert all(name.startswith(cell.name) for name in automatic)


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


def test_config_round_trip(cell):
    layer = cell.layer(**ARGUMENTS)
    config = json.loads(json.dumps(layer.get_config()))
    for name in set(ARGUMENTS) - {"kernel_initializer", "recurrent_initializer", "bias_initializer"}:
        assert config[name] == ARGUMENTS[name], name
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    for one in (layer, again):
        one.build((2, None, 4))
    for a, b in zip(layer.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # same seed


def test_config_goes_through_keras(cell):
    from keras_oracle import keras

    arguments = {**ARGUMENTS, "zero_output_for_mask": False, "dtype": "float32"}
    config = cell.layer(**arguments).get_config()
    theirs = getattr(keras.layers, cell.layer_name).from_config(config)
    assert theirs.get_config()["kernel_initializer"]["class_name"] == "HeUniform"
    again = getattr(fastrnn, cell.layer_name).from_config(theirs.get_config()).get_config()
    for name in set(config) - {"seed"}:  # Keras keeps the seed to itself
        assert again[name] == config[name], name


# Weights in, weights out


def test_get_weights_gives_copies_and_weights_gives_the_weights(cell, rng):
    layer, x = make(cell, rng), sequences(rng)
    before = layer(x)
    for copied in layer.get_weights():
        copied[:] = 0
    np.testing.assert_array_equal(layer(x), before)
    for own in layer.weights:
        own[:] = 0
    assert not layer(x).any()


def test_set_weights_copies_and_converts(cell, rng):
    layer, x = make(cell, rng), sequences(rng)
    given = random_weights(rng, 5, 7, cell=cell)
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
        layer.bias.flat[-1] = np.nextafter(layer.bias.flat[-1], np.float32(9))

    def through_memory(layer):
        memoryview(layer.kernel).cast("B")[3] ^= 0x80

    def set_weights(layer):
        layer.set_weights([w + 0.5 for w in layer.get_weights()])

    def zero_the_bias(layer):
        layer.bias[:] = 0

    return [in_place, by_name, whole, augmented, through_a_view, last_bit, through_memory, set_weights, zero_the_bias]


@pytest.mark.parametrize("change", every_way_to_change_a_weight(), ids=lambda f: f.__name__)
@pytest.mark.parametrize("held_for_long", [False, True])
def test_weights_are_never_stale(cell, rng, change, held_for_long):
    """Each way of changing weights counts from the next call on, also when the array was taken out long ago."""
    layer, x = make(cell, rng), sequences(rng)
    if held_for_long:
        kept = layer.weights
        layer(x)
        assert kept[0] is layer.kernel
    layer(x)
    before = layer.get_weights()
    change(layer)
    after = layer.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    want = cell(x, *after)
    np.testing.assert_array_equal(layer(x), want)
    output, tape = layer.forward(x)
    np.testing.assert_array_equal(output, want)
    _, want_tape = cell.forward(x, *after)
    dy = np.ones((4, 7), np.float32)
    np.testing.assert_array_equal(layer.backward(dy, tape).dx, cell.backward(dy, want_tape).dx)
    states = [np.zeros((4, 7), np.float32) for _ in range(cell.states)]
    y, _ = layer.step(x[:, 0], states, out=states)
    np.testing.assert_array_equal(y, cell(x[:, :1], *after))


def test_a_weight_held_from_before_is_still_the_weight(cell, rng):
    """Take the array out once, then change it after every call."""
    layer, x = make(cell, rng), sequences(rng)
    kernel = layer.kernel
    for _ in range(5):
        kernel += 0.1
        np.testing.assert_array_equal(layer(x), cell(x, *layer.get_weights()))


def test_change_between_forward_and_backward(cell, rng):
    """The tape belongs to the weights of its forward call."""
    layer, x = make(cell, rng, return_sequences=True), sequences(rng)
    dy = rng.normal(size=(4, 6, 7)).astype(np.float32)
    _, tape = layer.forward(x)
    want = layer.backward(dy, tape)
    layer.set_weights([w * 2 for w in layer.get_weights()])
    got = layer.backward(dy, tape)
    np.testing.assert_array_equal(got.dx, want.dx)
    for a, b in zip(got.weights, want.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_independent(cell, rng, duplicate):
    layer, x = make(cell, rng, batch=4, stateful=True, return_state=True, dropout=0.5), sequences(rng)
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
    np.testing.assert_array_equal(twin(x)[0], cell(x, *twin.get_weights()))


def test_copies_of_a_new_layer(cell):
    for duplicate in (copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))):
        twin = duplicate(cell.layer(3))
        assert not twin.built
        assert twin(np.zeros((1, 4, 4))).shape == (1, 3)


# States


def test_stateful_calls_continue(cell, rng):
    x = sequences(rng, steps=12)
    stateless = make(cell, rng, return_sequences=True)
    layer = cell.layer(7, return_sequences=True, stateful=True)
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
    states = [state.copy() for state in layer.states]
    second, tape = layer.forward(x[:, 5:])
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), want)
    dy = np.ones_like(second)
    ours = cell.reference(x[:, 5:], *layer.get_weights(), initial_state=states)
    assert_gradients(layer.backward(dy, tape), ours, dy)


def test_an_explicit_state_beats_the_stored_one(cell, rng):
    layer, x = make(cell, rng, batch=4, stateful=True), sequences(rng)
    layer(x)
    state = random_state(rng, 4, 7, cell=cell)
    want, *states = cell(x, *layer.get_weights(), initial_state=state, return_state=True)
    np.testing.assert_array_equal(layer(x, initial_state=state), want)
    np.testing.assert_array_equal(layer.states, states)  # and what it leads to is stored
    want = cell(x, *layer.get_weights(), initial_state=states)
    np.testing.assert_array_equal(layer(x), want)


def test_results_do_not_alias_the_stored_state(cell, rng):
    layer, x = make(cell, rng, batch=4, stateful=True, return_state=True), sequences(rng)
    results = layer(x)
    assert len(results) == 1 + cell.states
    kept = [state.copy() for state in layer.states]
    for result in results:
        result[:] = np.nan
    np.testing.assert_array_equal(layer.states, kept)


def test_a_stateless_layer_keeps_nothing(cell, rng):
    layer, x = make(cell, rng), sequences(rng)
    first = layer(x)
    np.testing.assert_array_equal(layer(x), first)
    layer.reset_state()
    np.testing.assert_array_equal(layer(x), first)
    assert layer(x[:2]).shape == (2, 7)


def test_states_with_masks_and_backwards(cell, rng):
    layer, x = make(cell, rng, batch=4, stateful=True, go_backwards=True, zero_output_for_mask=True), sequences(rng)
    mask = rng.random((4, 6)) < 0.5
    mask[:, 0] = False  # the step processed last
    weights, state = layer.get_weights(), None
    for _ in range(3):
        want = cell.reference(x, *weights, mask=mask, initial_state=state, go_backwards=True, zero_output_for_mask=True)
        output = layer(x, mask=mask)
        assert not output.any()
        assert_state(cell.one_array(layer.states), want)
        state = layer.states


# Streaming


@pytest.mark.parametrize("seed", range(30))
def test_steps_are_the_sequence_bit_for_bit(cell, seed):
    case = Case(7000 + seed, cell, max_units=70)
    flags = {"go_backwards": False, "return_sequences": True, "return_state": True}
    layer = cell.layer(case.H, **{**case.constructor, **flags})
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    want, *want_states = layer(case.x, initial_state=case.initial_state)
    states = case.initial_state
    for t in range(case.T):
        y, states = layer.step(case.x[:, t], states)
        np.testing.assert_array_equal(y, want[:, t])
    np.testing.assert_array_equal(states, want_states)


def test_steps_in_place(cell, rng):
    """The previous state may be the output's own memory, so that streaming needs no new array at all."""
    layer, x = make(cell, rng, return_sequences=True), sequences(rng)
    want = layer(x)
    out = [np.zeros((4, 7), np.float32) for _ in range(cell.states)]
    states = out
    for t in range(6):
        y, states = layer.step(x[:, t], states, out=cell.one_array(out))
        assert y is out[0]
        assert [id(state) for state in states] == [id(one) for one in out]
        np.testing.assert_array_equal(y, want[:, t])
    # and without out the old states stay what they were
    kept = [one.copy() for one in out]
    y, _ = layer.step(x[:, 0], out)
    np.testing.assert_array_equal(out, kept)
    assert not np.shares_memory(y, out[0])


@pytest.mark.parametrize("shift", [-14, -7, -3, 0, 2, 7, 21])
@pytest.mark.parametrize("batch", [1, 6])
def test_steps_into_memory_of_the_old_state(cell, rng, shift, batch):
    """Any overlap of out and the state is either computed right or refused."""
    layer, x_t, state = make(cell, rng), rng.normal(size=(batch, 5)), rng.normal(size=(batch, 7)).astype(np.float32)
    others = [state.copy() for _ in range(1, cell.states)]
    want, _ = layer.step(x_t, [state, *others])
    memory = np.zeros(100, np.float32)
    old = memory[21 : 21 + state.size].reshape(state.shape)
    out = memory[21 + shift : 21 + shift + state.size].reshape(state.shape)
    for backwards in (False, True):
        old[:] = state
        target = out[::-1] if backwards else out
        try:
            layer.step(x_t, [old, *others], out=[target, *[np.zeros_like(state) for _ in others]])
        except ValueError as error:
            assert str(error).startswith("out must")
            np.testing.assert_array_equal(old, state)
        else:
            np.testing.assert_array_equal(target, want)


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_steps_take_all_forms_of_states(cell, rng, batch):
    layer, x_t = make(cell, rng), rng.normal(size=(batch, 5))
    states = [rng.normal(size=(batch, 7)) for _ in range(cell.states)]
    want, _ = layer.step(x_t, states)
    assert want.shape == (batch, 7)
    changes = (np.asarray, np.asfortranarray, lambda state: state.tolist() if batch else state)
    for given in (tuple(states), *[cell.one_array([change(state) for state in states]) for change in changes]):
        got, after = layer.step(x_t, given)
        np.testing.assert_array_equal(got, want)
        assert isinstance(after, list)
    got, _ = layer.step(x_t, None)
    np.testing.assert_array_equal(got, layer.step(x_t, [np.zeros((batch, 7))] * cell.states)[0])


def test_steps_leave_the_stored_state_alone(cell, rng):
    layer, x = make(cell, rng, batch=4, stateful=True), sequences(rng)
    layer(x)
    kept = layer.states[0].copy()
    layer.step(x[:, 0], None)
    np.testing.assert_array_equal(layer.states[0], kept)


def test_streaming_does_not_drop_out(cell, rng):
    layer, x_t = make(cell, rng, dropout=0.9, recurrent_dropout=0.9), rng.normal(size=(4, 5))
    np.testing.assert_array_equal(layer.step(x_t, None)[0], layer.step(x_t, None)[0])


# Dropout


def test_dropout_only_when_training(cell, rng):
    layer, x = make(cell, rng, dropout=0.5, recurrent_dropout=0.5), sequences(rng)
    want = cell(x, *layer.get_weights())
    np.testing.assert_array_equal(layer(x), want)
    np.testing.assert_array_equal(layer.forward(x, training=False)[0], want)
    assert (layer(x, training=True) != want).any()
    assert (layer.forward(x)[0] != want).any()  # a forward call is training unless it says otherwise
    none = make(cell, rng)
    np.testing.assert_array_equal(none(x, training=True), none(x))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_statistics(cell, rate):
    """Of the factors on the tape, which are those that were used: see test_dropout_is_replayed."""
    layer = cell.layer(32, dropout=rate, recurrent_dropout=rate, seed=5)
    _, tape = layer.forward(np.zeros((500, 1, 32)))
    assert tape.recurrent_dropout.shape == cell.dropout_shape(500, 32)
    for factors in (tape.input_dropout, *tape.recurrent_dropout.reshape(-1, 500, 32)):
        kept = factors != 0
        np.testing.assert_allclose(factors[kept], 1 / (1 - rate), rtol=1e-6)
        assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / kept.size)
        # Rows and features are independent of each other.
        assert abs(kept.mean(axis=0) - (1 - rate)).max() < 5 * np.sqrt(rate * (1 - rate) / 500)
        assert len(np.unique(kept, axis=0)) > 400
    gates = tape.recurrent_dropout.reshape(-1, 500 * 32)
    assert len(np.unique(gates != 0, axis=0)) == cell.gates  # each has its own


def test_a_seed_repeats_dropout(cell, rng):
    x = sequences(rng)

    def outputs(seed):
        layer = cell.layer(7, dropout=0.3, recurrent_dropout=0.6, seed=seed)
        return [layer(x, training=True), layer.forward(x)[0], layer(x, training=True)]

    first, second = outputs(3), outputs(3)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != first[1]).any()
    assert (first[0] != first[2]).any()
    assert any((a != b).any() for a, b in zip(first, outputs(4), strict=True))


# Masks travel through


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("zero_output_for_mask", [True, False])
def test_masks_of_every_form_give_the_same_bits(cell, rng, return_sequences, zero_output_for_mask):
    layer = make(cell, rng, return_sequences=return_sequences, zero_output_for_mask=zero_output_for_mask)
    x, mask = sequences(rng), random_mask(rng, 4, 6).astype(bool)
    want = cell.reference(x, *layer.get_weights(), mask=mask, zero_output_for_mask=zero_output_for_mask)
    spread = np.zeros((4, 12), bool)
    spread[:, ::2] = mask
    forms = [
        mask,
        mask.astype(np.uint8) * 2,
        mask * 0.5,
        -1 * mask,
        mask.tolist(),
        np.asfortranarray(mask),
        spread[:, ::2],
    ]
    dy = rng.normal(size=(4, 6, 7) if return_sequences else (4, 7)).astype(np.float32)
    outputs, gradients = [], []
    for form in forms:
        output, tape = layer.forward(x, mask=form, training=True)
        assert (layer(x, mask=form) == output).all()
        outputs.append(output)
        gradients.append(layer.backward(dy, tape))
    assert_output(outputs[0], want)
    assert_gradients(gradients[0], want, dy)
    for output, gradient in zip(outputs, gradients, strict=True):
        assert (output == outputs[0]).all()
        for mine, first in zip([gradient.dx, *gradient.weights], [gradients[0].dx, *gradients[0].weights], strict=True):
            assert (mine == first).all()


def test_a_tape_keeps_the_mask_as_it_was(cell, rng):
    layer, x = make(cell, rng, return_sequences=True), sequences(rng)
    mask = random_mask(rng, 4, 6).astype(bool)
    dy = rng.normal(size=(4, 6, 7)).astype(np.float32)
    want = layer.backward(dy, layer.forward(x, mask=mask.copy(), training=True)[1])
    _, tape = layer.forward(x, mask=mask, training=True)
    mask[:] = ~mask
    assert (layer.backward(dy, tape).dx == want.dx).all()


def test_mask_and_lengths_agree_with_the_function(cell, rng):
    layer, x = make(cell, rng, return_sequences=True, return_state=True, zero_output_for_mask=True), sequences(rng)
    lengths = [0, 6, 3, 1]
    mask = np.arange(6) < np.array(lengths)[:, None]
    want = cell(x, *layer.get_weights(), mask=mask, return_sequences=True, return_state=True, zero_output_for_mask=True)
    for call in ({"mask": mask}, {"lengths": lengths}):
        for got in (layer(x, **call), layer.forward(x, **call)[0]):
            for a, b in zip(got, want, strict=True):
                np.testing.assert_array_equal(a, b)


LENGTHS = [4, 0, 6, 1]


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize(
    "lengths",
    [
        LENGTHS,
        np.array(LENGTHS),
        np.array(LENGTHS, np.uint64),
        np.array(LENGTHS, np.int8),
        np.array(LENGTHS, ">i8"),
        np.repeat(LENGTHS, 2)[::2],
    ],
    ids=["list", "intp", "uint64", "int8", "swapped", "strided"],
)
def test_lengths_of_any_type(cell, rng, lengths, return_sequences):
    layer, x = make(cell, rng, return_sequences=return_sequences), sequences(rng)
    mask = [[step < length for step in range(6)] for length in LENGTHS]
    want, want_tape = layer.forward(x, mask=mask)
    got, tape = layer.forward(x, lengths=lengths)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(layer(x, lengths=lengths), want)
    np.testing.assert_array_equal(layer.backward(want, tape).dx, layer.backward(want, want_tape).dx)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, -1, 6, 1], r"lengths must be from 0 to 6, got -1 to 6"),
        ([4, 7, 6, 1], r"lengths must be from 0 to 6, got 1 to 7"),
        ([4, 2**63 - 1, 0, 1], r"lengths must be from 0 to 6, got 0 to 9223372036854775807"),
        (np.array([4, 2**64 - 3, 0, 1], np.uint64), r"lengths must be from 0 to 6, got 0 to 18446744073709551613"),
        ([4, 0, 6], r"lengths must be \(batch=4,\), got \(3,\)"),
        ([[4, 0, 6, 1]], r"lengths must be \(batch,\), got \(1, 4\)"),
        ([], r"lengths must be \(batch=4,\), got \(0,\)"),
    ],
)
def test_wrong_lengths_are_refused_the_short_way_too(cell, rng, lengths, message):
    layer, x = make(cell, rng, return_sequences=True), sequences(rng)
    for call in (layer, layer.forward):
        with pytest.raises(ValueError, match=message):
            call(x, lengths=np.asarray(lengths))
        with pytest.raises(ValueError, match="mask and lengths exclude each other"):
            call(x, lengths=np.array(LENGTHS), mask=np.ones((4, 6), bool))


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize(("B", "T"), [(0, 3), (2, 0), (0, 0)])
def test_empty(cell, rng, B, T, stateful):
    layer = make(cell, rng, batch=B, stateful=stateful, return_sequences=True, return_state=True)
    y, *states = layer(np.zeros((B, T, 5)))
    assert y.shape == (B, T, 7)
    assert [state.shape for state in states] == [(B, 7)] * cell.states
    (y, *states), tape = layer.forward(np.zeros((B, T, 5)), initial_state=[np.ones((B, 7))] * cell.states)
    assert all((state == 1).all() for state in states) or T > 0
    assert layer.backward(y, tape).dx.shape == (B, T, 5)


# Everything together


@pytest.mark.parametrize("seed", range(40))
def test_a_random_life(cell, seed):
    """Calls, changes of weights, copies and resets in any order; outputs, states and gradients are always right."""
    rng = np.random.default_rng(seed)
    batch, features, units = (int(n) for n in rng.integers(1, 9, 3))
    case = Case(8000 + seed, cell)
    dtype = [np.float32, np.float64][seed % 2]
    layer = cell.layer(
        units,
        use_bias=case.use_bias,
        return_sequences=case.return_sequences,
        stateful=seed % 3 > 0,
        dropout=rng.choice([0, 0.3]),
        recurrent_dropout=rng.choice([0, 0.4]),
        dtype=dtype,
        **case.activations,
        **case.flags,
    )
    layer.build((None, None, features))
    layer.set_weights([w * dtype(0.5) for w in random_weights(rng, features, units, case.use_bias, dtype, cell)])
    state = None

    def run():
        nonlocal state
        steps = int(rng.integers(0, 6))
        x = rng.normal(size=(batch, steps, features)).astype(dtype)
        mask = random_mask(rng, batch, steps) if rng.random() < 0.5 else None
        explicit = random_state(rng, batch, units, dtype, cell) if rng.random() < 0.3 else None
        output, tape = layer.forward(x, initial_state=explicit, mask=mask, training=rng.random() < 0.5)
        want = cell.reference(
            x,
            *layer.get_weights(),
            initial_state=state if explicit is None else explicit,
            mask=mask,
            input_dropout=tape.input_dropout,
            recurrent_dropout=tape.recurrent_dropout,
            **case.activations,
            **case.flags,
        )
        assert_output(output, want)
        if layer.stateful:
            assert_state(cell.one_array(layer.states), want)
            state = np.stack(layer.states)
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


def test_one_layer_in_many_threads(cell, rng):
    """Inference changes nothing, tapes belong to their callers: any number of threads may share a layer."""
    layer = make(cell, rng, units=33, features=9, return_sequences=True)
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


def test_a_new_layer_is_built_once_by_many_threads(cell, rng):
    x = sequences(rng)
    for _ in range(20):
        layer = cell.layer(7)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _, layer=layer: layer(x), range(16)))
        for y in results:
            np.testing.assert_array_equal(y, results[0])


def test_weights_changed_while_others_compute(cell, rng):
    """Each call uses one set of weights or the other, and after the last change only that."""
    layer, x = make(cell, rng, units=20), sequences(rng)
    sets = [layer.get_weights(), [w * 0.5 for w in layer.get_weights()]]
    want = [cell(x, *weights) for weights in sets]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for i in range(100):
            layer.set_weights(sets[i % 2])
            np.testing.assert_array_equal(layer(x), want[i % 2])
            pool.submit(layer, x)


def readings():
    """Every way to read a layer's weights: each must catch up with those that were packed without a copy."""
    return {
        "get_weights": lambda layer: layer.get_weights(),
        "weights": lambda layer: layer.weights,
        "by name": lambda layer: [layer.kernel, layer.recurrent_kernel, layer.bias],
        "trainable_weights": lambda layer: layer.trainable_weights,
        "deepcopy": lambda layer: copy.deepcopy(layer).get_weights(),
        "pickle": lambda layer: pickle.loads(pickle.dumps(layer)).get_weights(),
        "a stack": lambda layer: fastrnn.RNN([layer]).get_weights(),
        "a model": lambda layer: fastrnn.Sequential([layer]).get_weights(),
    }


@pytest.mark.parametrize("read", readings().values(), ids=readings())
@pytest.mark.parametrize("units", [3, 8, 16, 33, 64, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_that_were_set_can_be_read(cell, rng, read, units, dtype):
    layer = make(cell, rng, units=units, dtype=dtype)
    given = [np.negative(w, dtype=dtype) for w in layer.get_weights()]
    given[0][0, :2] = -0.0, np.nan
    expected = [w.tobytes() for w in given]
    layer.set_weights(given)
    for w in given:
        w[...] = 5
    assert [w.tobytes() for w in read(layer)] == expected
    assert [w.tobytes() for w in layer.get_weights()] == expected


def test_weights_that_were_set_are_those_that_are_trained(cell, rng):
    def new_model():
        model = fastrnn.Sequential([fastrnn.Input((6, 5)), cell.layer(7), fastrnn.Dense(1)])
        model.compile("sgd", "mse")
        return model

    def train(model, given, learning_rate):
        model.layers[0].set_weights(given)
        model.optimizer.learning_rate = learning_rate
        model.fit(x, np.ones((4, 1), np.float32), epochs=1, shuffle=False, verbose=0)
        return model.layers[0].get_weights()

    x, model = sequences(rng), new_model()
    given = random_weights(rng, 5, 7, cell=cell)
    for w, was in zip(train(model, given, 0.0), given, strict=True):
        np.testing.assert_array_equal(w, was)
    given = random_weights(rng, 5, 7, cell=cell)  # now that the model has taken the weights to a place of its own
    twin = new_model()
    twin.layers[1].set_weights(model.layers[1].get_weights())
    trained = train(model, given, 0.1)
    for w, same, was in zip(trained, train(twin, given, 0.1), given, strict=True):
        np.testing.assert_array_equal(w, same)
        assert (w != was).any()
    np.testing.assert_array_equal(model.layers[0](x), cell(x, *trained))


def test_one_weight_set_after_all(cell, rng):
    layer, x = make(cell, rng), sequences(rng)
    kernel, recurrent_kernel, bias = random_weights(rng, 5, 7, cell=cell)
    layer.set_weights([kernel, recurrent_kernel, bias])
    layer.bias = bias * 2
    np.testing.assert_array_equal(layer(x), cell(x, kernel, recurrent_kernel, bias * 2))
    layer.set_weights([kernel * 3, recurrent_kernel, bias])
    with pytest.raises(ValueError, match="kernel"):
        layer.set_weights([kernel[1:], recurrent_kernel, bias])
    np.testing.assert_array_equal(layer(x), cell(x, kernel * 3, recurrent_kernel, bias))


def test_weights_set_and_read_by_threads(cell, rng):
    """Who reads while another one sets gets whole weights, never parts of two, and the last ones stay."""
    layer, x = make(cell, rng), sequences(rng)
    sets = [[np.full_like(w, value) for w in layer.get_weights()] for value in range(8)]
    done = threading.Event()

    def read():
        while not done.is_set():
            seen.extend(len(np.unique(w)) for w in layer.get_weights())
            layer(x)

    seen: list[int] = []
    layer.set_weights(sets[0])
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(2000):
        layer.set_weights(sets[i % 8])
    done.set()
    for reader in readers:
        reader.join()
    assert seen and set(seen) == {1}
    for w, last in zip(layer.get_weights(), sets[1999 % 8], strict=True):
        np.testing.assert_array_equal(w, last)
    np.testing.assert_array_equal(layer(x), cell(x, *sets[1999 % 8]))
