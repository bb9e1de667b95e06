"""Stacks of layers: against Keras's RNN over a list of cells, by finite differences, and as single layers."""

import copy
import json
import pickle

import numpy as np
import pytest
from cases import random_mask, random_weights
from cells import GRU as GRU_CELL
from cells import GRU_RESET_BEFORE, SIMPLE_RNN
from cells import LSTM as LSTM_CELL
from differences import central_differences
from tolerance import assert_close

from fastrnn import GRU, LSTM, RNN, Bidirectional, Dense, SimpleRNN
from fastrnn.layers import rnn

STACKS = [
    [SIMPLE_RNN, SIMPLE_RNN],
    [GRU_CELL, LSTM_CELL],
    [LSTM_CELL, GRU_RESET_BEFORE, SIMPLE_RNN],
    [LSTM_CELL],
    [LSTM_CELL, LSTM_CELL],
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=STACKS, ids=lambda cells: "-".join(cell.layer_name for cell in cells))
def cells(request):
    return request.param


def as_list(result):
    return list(result) if isinstance(result, tuple) else [result]


class Call:
    """A stack and what it is called with, drawn from a seed."""

    def __init__(self, cells, seed, dtype=np.float32, most=16, **flags):
        rng = self.rng = np.random.default_rng(seed)
        coin = lambda p=0.5: bool(rng.random() < p)  # noqa: E731
        self.cells, self.dtype = cells, dtype
        self.B, self.T = int(rng.integers(1, 6)), int(rng.integers(1, 10))
        self.I, *self.units = (int(n) for n in rng.integers(1, most, 1 + len(cells)))
        names = ("return_sequences", "go_backwards", "zero_output_for_mask")
        self.flags = {**{name: coin() for name in names}, **flags}
        self.weights = []
        for cell, inputs, units in zip(cells, [self.I, *self.units], self.units, strict=False):
            self.weights += random_weights(rng, inputs, units, True, dtype, cell)
        self.x = rng.normal(size=(self.B, self.T, self.I)).astype(dtype)
        self.mask = random_mask(rng, self.B, self.T) if coin(0.6) else None
        self.nested = [
            [rng.uniform(-1, 1, (self.B, units)).astype(dtype) for _ in range(cell.states)]
            for cell, units in zip(cells, self.units, strict=True)
        ]
        self.states = [state for states in self.nested for state in states]
        self.with_state = coin()

    def stack(self, **more):
        layers = [
            cell.layer(units, dtype=np.dtype(self.dtype).name)
            for cell, units in zip(self.cells, self.units, strict=True)
        ]
        stack = RNN(layers, **self.flags, **more)
        stack.build(self.x.shape)
        stack.set_weights(self.weights)
        return stack

    def keras_stack(self, keras):
        cells = [
            getattr(keras.layers, f"{cell.layer_name}Cell")(units, **cell.options)
            for cell, units in zip(self.cells, self.units, strict=True)
        ]
        stack = keras.layers.RNN(cells if len(cells) > 1 else cells[0], return_state=True, **self.flags)
        stack.build(self.x.shape)
        stack.set_weights(self.weights)
        return stack


@pytest.mark.parametrize("block", range(4))
def test_random_configurations_beside_keras(cells, block):
    from keras_oracle import keras

    for seed in range(15 * block, 15 * block + 15):
        call = Call(cells, seed)
        nested = call.nested if len(cells) > 1 else call.nested[0]
        want, *states = call.keras_stack(keras)(
            call.x, mask=call.mask, initial_state=nested if call.with_state else None
        )
        states = [np.asarray(state) for given in states for state in (given if isinstance(given, list) else [given])]
        start = call.states if call.with_state else None
        got = call.stack(return_all_states=True)(call.x, mask=call.mask, initial_state=start)
        assert len(got) == 1 + len(states)
        for mine, theirs in zip(got, [np.asarray(want), *states], strict=True):
            assert mine.dtype == np.float32
            assert_close(mine, theirs, 2e-5)
        top = call.stack(return_state=True)(call.x, mask=call.mask, initial_state=start)
        for a, b in zip(top, [got[0], *got[-cells[-1].states :]], strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(call.stack()(call.x, mask=call.mask, initial_state=start), got[0])


@pytest.mark.parametrize("seed", range(10))
def test_gradients_by_finite_differences(cells, seed):
    call = Call(cells, seed, np.float64, most=4)
    stack = call.stack(return_all_states=True)
    options = {"mask": call.mask, "initial_state": call.states}
    (y, *states), tape = stack.forward(call.x, **options)
    dy, dstate = call.rng.normal(size=y.shape), [call.rng.normal(size=state.shape) for state in states]

    def loss():
        return sum((a * b).sum() for a, b in zip(stack(call.x, **options), [dy, *dstate], strict=True))

    got = stack.backward(dy, tape, dstate=dstate)
    flat = [got.dx, *got.dinitial_state, *got.weights]
    arrays = [call.x, *call.states, *stack.weights]
    for mine, array in zip(flat, arrays, strict=True):
        assert_close(mine, central_differences(loss, array), 1e-8)
    less = stack.backward(dy, tape, dstate=dstate, need_dx=False)
    assert less.dx is None
    for a, b in zip(less.weights, got.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stack_is_layer_upon_layer(cells, rng):
    call = Call(cells, 3, return_sequences=True, go_backwards=False, zero_output_for_mask=False)
    got, tape = call.stack().forward(call.x, mask=call.mask)
    y, layers, tapes = call.x, [], []
    for i, (cell, units) in enumerate(zip(cells, call.units, strict=True)):
        layers.append(cell.layer(units, return_sequences=True))
        layers[-1].build(y.shape)
        layers[-1].set_weights(call.weights[3 * i : 3 * i + 3])
        y, one = layers[-1].forward(y, mask=call.mask)
        tapes.append(one)
    np.testing.assert_array_equal(got, y)
    d = rng.normal(size=y.shape).astype(np.float32)
    gradients = call.stack().backward(d, tape)
    for i in reversed(range(len(cells))):
        want = layers[i].backward(d, tapes[i])
        for a, b in zip(gradients.weights[3 * i : 3 * i + 3], want.weights, strict=True):
            np.testing.assert_array_equal(a, b)
        d = want.dx
    np.testing.assert_array_equal(gradients.dx, d)


def test_steps_are_the_sequence_bit_for_bit(cells):
    for seed in range(6):
        call = Call(cells, seed, return_sequences=True, go_backwards=False)
        stack = call.stack(return_all_states=True)
        want, *want_states = stack(call.x, initial_state=call.states)
        states = call.states
        for t in range(call.T):
            y, states = stack.step(call.x[:, t], states)
            np.testing.assert_array_equal(y, want[:, t])
        for a, b in zip(states, want_states, strict=True):
            np.testing.assert_array_equal(a, b)
        out = [state.copy() for state in call.states]
        for t in range(call.T):
            y, after = stack.step(call.x[:, t], out, out=out)
            np.testing.assert_array_equal(y, want[:, t])
        assert [id(state) for state in after] == [id(state) for state in out]
        np.testing.assert_array_equal(stack.step(call.x[:, 0])[0], stack(call.x[:, :1])[0][:, 0])


def test_stateful_calls_continue(cells):
    call = Call(cells, 1, return_sequences=True, go_backwards=False)
    x = np.concatenate([call.x] * 3, axis=1)
    want = call.stack()(x)
    stack = call.stack(stateful=True)
    assert stack.states is not None
    np.testing.assert_array_equal(np.concatenate([stack(call.x) for _ in range(3)], axis=1), want)
    assert len(stack.states) == len(call.states)
    stack.reset_state()
    np.testing.assert_array_equal(stack.forward(x)[0], want)
    kept = [state.copy() for state in stack.states]
    with pytest.raises(ValueError, match=r"^initial_state"):
        stack(call.x, initial_state=kept[:-1] if len(kept) > 1 else kept * 2)
    for a, b in zip(stack.states, kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dropout_is_on_every_layer(cells):
    call = Call(cells, 2, return_sequences=True)
    layers = [
        cell.layer(units + 8, dropout=0.5, recurrent_dropout=0.5, seed=i)
        for i, (cell, units) in enumerate(zip(cells, call.units, strict=True))
    ]
    stack = RNN(layers, return_sequences=True)
    plain = stack(call.x)
    np.testing.assert_array_equal(stack(call.x), plain)
    assert (stack(call.x, training=True) != plain).any()
    y, tape = stack.forward(call.x)
    for one in tape.layers:
        assert one.input_dropout is not None
        assert one.recurrent_dropout is not None
    assert stack.backward(np.ones_like(y), tape).dx.shape == call.x.shape


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_independent(cells, duplicate):
    call = Call(cells, 5)
    stack = call.stack(stateful=True)
    stack(call.x)
    twin = duplicate(stack)
    assert twin.get_config() == stack.get_config()
    np.testing.assert_array_equal(twin(call.x), stack(call.x))
    twin.set_weights([w * 0 for w in twin.get_weights()])
    for a, b in zip(stack.get_weights(), call.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    twin.weights[0][:] = 1
    assert (twin.get_weights()[0] == 1).all()


def test_configs(cells):
    from keras_oracle import keras

    call = Call(cells, 4)
    theirs = call.keras_stack(keras)
    want, *states = theirs(call.x, mask=call.mask)
    ours = RNN.from_config(theirs.get_config())
    ours.build(call.x.shape)
    ours.set_weights([np.asarray(w.value) for w in theirs.weights])
    got, *our_states = ours(call.x, mask=call.mask)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5)
    flat = [np.asarray(state) for given in states for state in (given if isinstance(given, list) else [given])]
    for a, b in zip(our_states, flat, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)
    config = json.loads(json.dumps(ours.get_config()))
    assert RNN.from_config(config).get_config() == config


def test_a_mask_and_lengths(cells):
    call = Call(cells, 7)
    lengths = call.rng.integers(0, call.T + 1, call.B)
    stack = call.stack()
    mask = np.arange(call.T) < lengths[:, None]
    np.testing.assert_array_equal(stack(call.x, lengths=lengths), stack(call.x, mask=mask))


def test_states_may_be_a_list_for_each_layer(cells):
    call = Call(cells, 8)
    stack = call.stack()
    want = stack(call.x, initial_state=call.states)
    np.testing.assert_array_equal(stack(call.x, initial_state=call.nested), want)


def test_weights_have_names_in_messages(rng):
    stack = RNN([GRU(3), LSTM(2)])
    stack(rng.normal(size=(2, 4, 5)))
    weights = stack.get_weights()
    weights[4] = weights[4][:, :-1]
    with pytest.raises(ValueError, match=r"layers\[1\]\.recurrent_kernel"):
        stack.set_weights([w + 1 for w in weights])
    assert stack.count_params() == sum(w.size for w in stack.weights)
    assert stack.units == 2


@pytest.mark.parametrize(
    ("make", "needle"),
    [
        (lambda: RNN([]), "cell must"),
        (lambda: RNN([Dense(3)]), r"cell\[0\] must be"),
        (lambda: RNN([GRU(3), Bidirectional(GRU(3))]), r"cell\[1\] must be"),
        (lambda: RNN(3), "cell must"),
        (lambda: RNN([GRU(3, return_sequences=True)]), "return_sequences"),
        (lambda: RNN([GRU(3), SimpleRNN(3, go_backwards=True)]), r"cell\[1\].*go_backwards"),
        (lambda: RNN([GRU(3, stateful=True)]), "stateful"),
        (lambda: RNN([GRU(3), GRU(3, dtype="float64")]), "dtype"),
        (lambda: RNN([GRU(3)], dtype="float64"), "dtype"),
        (lambda: RNN.from_config({"cell": [{"class_name": "Dense", "config": {}}]}), "class_name"),
    ],
)
def test_what_does_not_go_together(make, needle):
    with pytest.raises((TypeError, ValueError), match=needle):
        make()


def test_a_layer_may_stand_only_once():
    layer = GRU(3)
    with pytest.raises(ValueError, match=r"cell\[1\]"):
        RNN([layer, layer])


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("flags", [{}, {"return_sequences": True}, {"go_backwards": True, "stateful": True}], ids=str)
def test_the_same_bits_in_threads(cells, threads, rng, number, flags):
    """A call large enough for the layers to run at the same time, one some steps behind the other."""
    stack = RNN([cell.layer(72 - 4 * i) for i, cell in enumerate(cells)], return_all_states=True, **flags)
    x = rng.normal(size=(1, 4099, 20)).astype(np.float32)
    stack.build(x.shape)
    initial = [rng.normal(size=(1, units)).astype(np.float32) for units in stack._state_units]

    def everything():
        again = copy.deepcopy(stack)
        return [*again(x), *again(x, initial_state=initial), *again(x)]  # the last one from the states, if stateful

    threads(1)
    want = everything()
    threads(number)
    assert stack._at_once(*x.shape[:2]) == (number > 1)
    for a, b in zip(everything(), want, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("call", [1, 4])
def test_a_failure_ends_both_threads(threads, rng, monkeypatch, layer, call):
    stack = RNN([LSTM(72) for _ in range(3)], stateful=True)
    x = rng.normal(size=(1, 2000, 20)).astype(np.float32)
    threads(2)
    before = [state.copy() for state in (stack(x), stack.states)[1]]
    assert stack._at_once(*x.shape[:2])
    failing, calls, run = stack.layers[layer]._prepare(), [], rnn.run

    def fail(weights, *arguments, **more):
        calls.extend([weights] if weights is failing else [])
        if len(calls) == call:
            raise KeyboardInterrupt
        return run(weights, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(rnn, "run", fail)
        with pytest.raises(KeyboardInterrupt):
            stack(x)
    np.testing.assert_array_equal(stack.states, before)
    stack(x)
