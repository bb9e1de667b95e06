"""Both directions at once: against Keras, by finite differences, and as the two layers that it is made of."""

import copy
import json
import pickle

import numpy as np
import pytest
from cases import random_mask, random_weights
from differences import central_differences
from tolerance import assert_close, last_tolerance, output_tolerance, state_tolerance

import fastrnn
from fastrnn import GRU, LSTM, RNN, Bidirectional, Dense, SimpleRNN

MODES = ["concat", "sum", "mul", "ave", None]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def as_list(result):
    return list(result) if isinstance(result, tuple | list) else [result]


class Call:
    """A bidirectional layer and what it is called with, drawn from a seed."""

    def __init__(self, cell, seed, dtype=np.float32, most=20, **arguments):
        rng = self.rng = np.random.default_rng(seed)
        coin = lambda p=0.5: bool(rng.random() < p)  # noqa: E731
        self.cell, self.merge_mode = cell, MODES[seed % 5]
        self.B, self.T = int(rng.integers(1, 6)), int(rng.integers(1, 12))
        self.I, self.H = int(rng.integers(1, most)), int(rng.integers(1, most))
        self.arguments = {
            "return_sequences": coin(),
            "return_state": coin(),
            "use_bias": coin(0.8),
            "zero_output_for_mask": coin(0.3),  # which has no effect
            **({} if dtype is np.float32 else {"dtype": "float64"}),
            **arguments,
        }
        weights = [random_weights(rng, self.I, self.H, self.arguments["use_bias"], dtype, cell) for _ in range(2)]
        self.weights, self.halves = [*weights[0], *weights[1]], weights
        self.x = rng.normal(size=(self.B, self.T, self.I)).astype(dtype)
        states = [rng.uniform(-1, 1, (self.B, self.H)).astype(dtype) for _ in range(2 * cell.states)]
        self.options = {
            "initial_state": states if coin() else None,
            "mask": random_mask(rng, self.B, self.T) if coin(0.6) else None,
        }

    def layer(self):
        layer = Bidirectional(self.cell.layer(self.H, **self.arguments), self.merge_mode)
        layer.build(self.x.shape)
        layer.set_weights(self.weights)
        return layer

    def keras_layer(self):
        from keras_oracle import keras

        layer = keras.layers.Bidirectional(self.cell.keras_layer(self.H, **self.arguments), self.merge_mode)
        layer.build(self.x.shape)
        layer.set_weights(self.weights)
        return layer

    def equations(self):
        """Of both halves."""
        n, states = self.cell.states, self.options["initial_state"]
        return [
            self.cell.reference(
                self.x,
                *weights,
                initial_state=None if states is None else np.stack(states[i * n : (i + 1) * n]),
                mask=self.options["mask"],
                go_backwards=bool(i),
                zero_output_for_mask=self.arguments["return_sequences"],
            )
            for i, weights in enumerate(self.halves)
        ]

    def merge(self, first, second):
        """Of two outputs in the order of time, or of their errors."""
        merges = {
            "concat": lambda: [np.concatenate([first, second], axis=-1)],
            "sum": lambda: [first + second],
            "mul": lambda: [first * second],
            "ave": lambda: [(first + second) / 2],
            None: lambda: [first, second],
        }
        return merges[self.merge_mode]()

    def expected(self):
        """The equations' answer as a list, and how far float32 may be from it."""
        first, second = self.equations()
        if self.arguments["return_sequences"]:
            outputs = first.outputs, second.outputs[:, ::-1]
            errors = output_tolerance(first), output_tolerance(second)[:, ::-1]
        else:
            outputs, errors = (first.last, second.last), (last_tolerance(first), last_tolerance(second))
        want = self.merge(*outputs)
        if self.merge_mode == "mul":
            bounds = [errors[0] * np.abs(outputs[1]) + errors[1] * np.abs(outputs[0]) + 1e-7 * np.abs(want[0])]
        else:
            bounds = [bound + 1e-7 * np.abs(value) for bound, value in zip(self.merge(*errors), want, strict=True)]
        if self.arguments["return_state"]:
            for half in (first, second):
                want += list(half.states)
                bounds += list(state_tolerance(half).reshape(-1, self.B, self.H))
        return want, bounds


@pytest.mark.parametrize("block", range(5))
def test_the_equations_and_keras(cell, block):
    for seed in range(25 * block, 25 * block + 25):
        call = Call(cell, seed)
        got = as_list(call.layer()(call.x, **call.options))
        want, bounds = call.expected()
        theirs = as_list(call.keras_layer()(call.x, **call.options))
        assert len(got) == len(want) == len(theirs)
        for mine, right, keras_result, bound in zip(got, want, theirs, bounds, strict=True):
            assert mine.dtype == np.float32
            assert_close(mine, right, bound)
            assert_close(mine, np.asarray(keras_result), np.minimum(2e-5, 2 * bound))


@pytest.mark.parametrize("seed", range(20))
def test_gradients_by_finite_differences(cell, seed):
    call = Call(cell, seed, np.float64, most=4, return_state=True)
    call.options["initial_state"] = [call.rng.uniform(-1, 1, (call.B, call.H)) for _ in range(2 * cell.states)]
    layer = call.layer()
    result, tape = layer.forward(call.x, **call.options)
    outputs = 2 if call.merge_mode is None else 1
    d = [call.rng.normal(size=a.shape) for a in result]

    def loss():
        return sum((a * b).sum() for a, b in zip(layer(call.x, **call.options), d, strict=True))

    got = layer.backward(d[:outputs] if outputs == 2 else d[0], tape, dstate=d[outputs:])
    flat = [got.dx, *got.dinitial_state, *got.weights]
    arrays = [call.x, *call.options["initial_state"], *layer.weights]
    for name, mine, array in zip(range(len(flat)), flat, arrays, strict=True):
        assert_close(mine, central_differences(loss, array), 1e-8, f"gradient {name}")
    less = layer.backward(d[:outputs] if outputs == 2 else d[0], tape, dstate=d[outputs:], need_dx=False)
    assert less.dx is None
    for a, b in zip(less.weights, got.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("merge_mode", MODES)
@pytest.mark.parametrize("return_sequences", [False, True])
def test_the_same_bits_as_two_layers(cell, rng, merge_mode, return_sequences):
    layer = Bidirectional(cell.layer(6, return_sequences=return_sequences), merge_mode)
    x = rng.normal(size=(3, 7, 4)).astype(np.float32)
    result, tape = layer.forward(x)
    ways = [cell.layer(6, return_sequences=return_sequences, go_backwards=backwards) for backwards in (False, True)]
    for half, way in zip((layer.forward_layer, layer.backward_layer), ways, strict=True):
        way.build(x.shape)
        way.set_weights(half.get_weights())
    (first, first_tape), (second, second_tape) = [way.forward(x) for way in ways]
    turn = (lambda a: a[:, ::-1]) if return_sequences else (lambda a: a)
    second = turn(second)
    want = {
        "concat": lambda: np.concatenate([first, second], axis=-1),
        "sum": lambda: first + second,
        "mul": lambda: first * second,
        "ave": lambda: (first + second) / 2,
        None: lambda: np.stack([first, second]),
    }[merge_mode]()
    np.testing.assert_array_equal(np.stack(result) if merge_mode is None else result, want)
    np.testing.assert_array_equal(np.stack(layer(x)) if merge_mode is None else layer(x), want)

    dy = rng.normal(size=want.shape).astype(np.float32)
    halves = {
        "concat": lambda: (dy[..., :6], dy[..., 6:]),
        "sum": lambda: (dy, dy),
        "mul": lambda: (dy * second, dy * first),
        "ave": lambda: (dy / 2, dy / 2),
        None: lambda: (dy[0], dy[1]),
    }[merge_mode]()
    got = layer.backward(list(dy) if merge_mode is None else dy, tape)
    a, b = ways[0].backward(halves[0], first_tape), ways[1].backward(turn(halves[1]), second_tape)
    np.testing.assert_array_equal(got.dx, a.dx + b.dx)
    for mine, right in zip(got.weights, a.weights + b.weights, strict=True):
        np.testing.assert_array_equal(mine, right)


def test_dy_may_be_missing(rng):
    layer = Bidirectional(GRU(3, return_state=True), None)
    x = rng.normal(size=(2, 5, 4))
    (first, second, *states), tape = layer.forward(x)
    whole = layer.backward([np.ones_like(first), np.zeros_like(second)], tape)
    part = layer.backward([np.ones_like(first), None], tape)
    for a, b in zip(whole.weights, part.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    only_states = layer.backward(None, tape, dstate=[np.ones_like(s) for s in states])
    assert only_states.dx.any()


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("stateful", [False, True])
def test_the_same_bits_in_threads(cell, threads, rng, number, stateful):
    """A call large enough for both halves to run at the same time."""
    layer = Bidirectional(cell.layer(96, return_sequences=True, stateful=stateful, dropout=0.3, seed=1))
    x = rng.normal(size=(1, 320, 64)).astype(np.float32)
    dy = rng.normal(size=(1, 320, 192)).astype(np.float32)

    def everything():
        again = copy.deepcopy(layer)
        y, tape = again.forward(x)
        gradients = again.backward(dy, tape)
        return [y, again(x), gradients.dx, *gradients.dinitial_state, *gradients.weights]

    threads(1)
    layer.build(x.shape)
    want = everything()
    threads(number)
    assert layer._at_once(*x.shape[:2]) == (number > 1)
    for _ in range(3):
        for a, b in zip(everything(), want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_states_are_halved_and_kept(cell, rng):
    layer = Bidirectional(cell.layer(3, stateful=True, return_state=True))
    x = rng.normal(size=(2, 5, 4)).astype(np.float32)
    assert layer.states is None
    layer.build((2, None, 4))
    assert all(not state.any() for state in layer.states)
    output, *states = layer(x)
    assert len(states) == 2 * cell.states == len(layer.states)
    np.testing.assert_array_equal(layer.states, states)
    second, *_ = layer(x)
    assert (second != output).any()
    np.testing.assert_array_equal(layer(x, initial_state=states)[0], second)
    layer.reset_state()
    np.testing.assert_array_equal(layer(x)[0], output)


def test_a_failure_leaves_both_states_alone(rng, monkeypatch):
    layer = Bidirectional(GRU(3, stateful=True))
    x = rng.normal(size=(2, 5, 4)).astype(np.float32)
    layer(x)
    before = [state.copy() for state in layer.states]

    def fail(*arguments, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(layer.backward_layer, "_call", fail)
        with pytest.raises(KeyboardInterrupt):
            layer(x)
    np.testing.assert_array_equal(layer.states, before)
    for wrong in ([before[0]], [before[0], before[1][:1]], np.zeros((2, 3)), [before[0], before[1], before[0]]):
        with pytest.raises(ValueError, match=r"^initial_state"):
            layer(x, initial_state=wrong)
    np.testing.assert_array_equal(layer.states, before)


def test_weights_go_in_and_out(cell, rng):
    layer = Bidirectional(cell.layer(3))
    assert layer.weights == []
    x = rng.normal(size=(2, 5, 4))
    before = layer(x)
    assert layer.count_params() == 2 * sum(w.size for w in layer.forward_layer.weights)
    assert len(layer.weights) == 6
    weights = layer.get_weights()
    other = Bidirectional(cell.layer(3), weights=weights)
    np.testing.assert_array_equal(other(x), before)
    refused = Bidirectional(cell.layer(3), weights=weights[:5])
    for _ in range(2):  # and it stays refused
        with pytest.raises(ValueError, match="weights must be 6 arrays"):
            refused(x)
    layer.weights[4][:] *= 0.5  # of the backward layer, in place
    assert (layer(x) != before).any()
    layer.set_weights(weights)
    np.testing.assert_array_equal(layer(x), before)
    for wrong, name in ((weights[:5], "weights"), ([*weights[:5], weights[0]], "backward_layer.bias")):
        with pytest.raises(ValueError, match=name):
            layer.set_weights([w + 1 for w in wrong])
    np.testing.assert_array_equal(layer(x), before)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_independent(cell, rng, duplicate):
    layer = Bidirectional(cell.layer(3, stateful=True))
    x = rng.normal(size=(2, 5, 4))
    layer(x)
    twin = duplicate(layer)
    assert twin.get_config() == layer.get_config()
    np.testing.assert_array_equal(twin(x), layer(x))
    before = layer.get_weights()
    twin.weights[0][:] = 0
    twin.set_weights([w * 0 for w in twin.get_weights()])
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(w.any() for w in twin.weights)


@pytest.mark.parametrize("merge_mode", MODES)
def test_configs_travel_between_the_libraries(cell, rng, merge_mode):
    from keras_oracle import keras

    x = rng.normal(size=(3, 6, 4)).astype(np.float32)
    mask = rng.random((3, 6)) < 0.7
    theirs = keras.layers.Bidirectional(cell.keras_layer(5, return_sequences=True, return_state=True), merge_mode)
    want = as_list(theirs(x, mask=mask))
    ours = Bidirectional.from_config(theirs.get_config())
    ours.build(x.shape)
    ours.set_weights([np.asarray(w.value) for w in theirs.weights])
    for a, b in zip(as_list(ours(x, mask=mask)), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)
    config = ours.get_config()
    json.dumps(config)
    back = keras.layers.Bidirectional.from_config(config)
    back.build(x.shape)
    back.set_weights(ours.get_weights())
    for a, b in zip(as_list(back(x, mask=mask)), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert Bidirectional.from_config(config).get_config() == config


def test_a_backward_layer_of_its_own(rng):
    from keras_oracle import keras

    x = rng.normal(size=(3, 6, 4)).astype(np.float32)
    libraries = [(Bidirectional, GRU, LSTM), (keras.layers.Bidirectional, keras.layers.GRU, keras.layers.LSTM)]
    layers = [bi(gru(5), backward_layer=lstm(3, go_backwards=True)) for bi, gru, lstm in libraries]
    want = layers[1](x)
    layers[0].build(x.shape)
    layers[0].set_weights([np.asarray(w.value) for w in layers[1].weights])
    np.testing.assert_allclose(layers[0](x), want, rtol=0, atol=2e-5)
    backward_layer = LSTM(3, go_backwards=True)
    assert Bidirectional(GRU(5), backward_layer=backward_layer).backward_layer is backward_layer
    turned = Bidirectional(GRU(5, go_backwards=True), backward_layer=GRU(5))
    assert turned(x).shape == (3, 10)


def test_over_a_stack(rng):
    """Both halves are stacks: the same as two stacks."""
    stack = RNN([GRU(3), LSTM(5)], return_sequences=True, return_all_states=True)
    layer = Bidirectional(stack)
    x, mask = rng.normal(size=(2, 6, 4)).astype(np.float32), rng.random((2, 6)) < 0.7
    output, *states = layer(x, mask=mask)
    first, second = layer.forward_layer(x, mask=mask), layer.backward_layer(x, mask=mask)
    np.testing.assert_array_equal(output, np.concatenate([first[0], second[0][:, ::-1]], axis=-1))
    for a, b in zip(states, [*first[1:], *second[1:]], strict=True):
        np.testing.assert_array_equal(a, b)
    _, tape = layer.forward(x)
    assert len(layer.backward(np.ones_like(output), tape).weights) == 12


@pytest.mark.parametrize(
    ("make", "needle"),
    [
        (lambda: Bidirectional(Dense(3)), "layer must be"),
        (lambda: Bidirectional(None), "layer must be"),
        (lambda: Bidirectional(Bidirectional(GRU(3))), "layer must be"),
        (lambda: Bidirectional(GRU(3), "add"), "merge_mode must be"),
        (lambda: Bidirectional(GRU(3), backward_layer="GRU"), "backward_layer must be"),
        (lambda: Bidirectional(GRU(3), backward_layer=GRU(3)), "go_backwards"),
        (lambda: Bidirectional(GRU(3, go_backwards=True)), "go_backwards"),
        (lambda: Bidirectional(GRU(3), backward_layer=GRU(3, go_backwards=True, stateful=True)), "stateful"),
        (lambda: Bidirectional(GRU(3), backward_layer=GRU(3, go_backwards=True, return_state=True)), "return_state"),
        (lambda: Bidirectional(GRU(3), "sum", backward_layer=GRU(4, go_backwards=True)), "units"),
        (lambda: Bidirectional(GRU(3), dtype="float64"), "dtype"),
        (lambda: Bidirectional(GRU(3), backward_layer=GRU(3, go_backwards=True, dtype="float64")), "dtype"),
    ],
)
def test_what_does_not_go_together(make, needle):
    with pytest.raises((TypeError, ValueError), match=needle):
        make()


def test_wrong_calls(rng):
    layer = Bidirectional(GRU(3, return_sequences=True))
    x = rng.normal(size=(2, 5, 4))
    layer(x)
    for call, name in [
        (lambda: layer(x[:, 0]), "x must be"),
        (lambda: layer(x[..., :3]), "x must be"),
        (lambda: layer(x, mask=np.ones((2, 4))), "mask must be"),
        (lambda: layer(x, lengths=[1, 6]), "lengths must be"),
        (lambda: layer.backward(np.ones((2, 5, 3)), layer.forward(x)[1]), "dy must be"),
        (lambda: layer.backward(np.ones((2, 5, 6)), None), "tape must be"),
        (lambda: layer.backward(None, layer.forward(x)[1], dstate=[np.ones((2, 3))]), "dstate must be"),
        (lambda: layer.build((2, 5, 7)), "input_shape must"),
    ]:
        with pytest.raises((TypeError, ValueError), match=name):
            call()


def test_a_new_layer_takes_nothing_over(rng):
    source = SimpleRNN(3, name="mine")
    source(rng.normal(size=(2, 5, 4)))
    layer = Bidirectional(source)
    assert not layer.built
    assert [half.name for half in (layer.forward_layer, layer.backward_layer)] == ["forward_mine", "backward_mine"]
    assert layer.name.startswith("bidirectional")
    assert layer.units == 6
    assert fastrnn.Bidirectional is Bidirectional
