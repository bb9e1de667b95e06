"""What is the LSTM's alone; the rest is in test_recurrent, test_functional and the others that run over all cells."""

import numpy as np
import pytest
from cases import random_weights
from cells import LSTM as CELL

import fastrnn
from fastrnn.functional import lstm, lstm_backward, lstm_forward


def test_parameters():
    layer = fastrnn.LSTM(3)
    layer.build((None, None, 4))
    assert layer.count_params() == 4 * (4 * 3 + 3 * 3 + 3) == 96


def test_a_step_by_hand():
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    x, h, c = 0.5, -0.25, 2.0
    i, f, o = sigmoid(x + h), sigmoid(2 * x + 1), sigmoid(4 * x - h)
    after = f * c + i * np.tanh(3 * x + 2 * h)
    got, *states = lstm(
        [[[x]]],
        np.array([[1.0, 2.0, 3.0, 4.0]]),
        [[1, 0, 2, -1]],
        [0, 1, 0, 0],
        initial_state=[[[h]], [[c]]],
        return_state=True,
    )
    np.testing.assert_allclose(got, [[o * np.tanh(after)]], rtol=1e-14)
    np.testing.assert_allclose(states, [got, [[after]]], rtol=1e-14)


@pytest.mark.parametrize("bias_initializer", ["zeros", "random_normal"])
def test_the_forget_gate_starts_open(bias_initializer):
    for unit_forget_bias in (True, False):
        layer = fastrnn.LSTM(5, unit_forget_bias=unit_forget_bias, bias_initializer=bias_initializer)
        layer.build((None, None, 4))
        assert (layer.bias[5:10] == 1).all() == unit_forget_bias
        others = np.delete(layer.bias, np.s_[5:10])
        assert others.any() == (bias_initializer != "zeros")
    without = fastrnn.LSTM(5, use_bias=False)
    without.build((None, None, 4))
    assert len(without.weights) == 2


def test_the_gradient_of_either_state_alone():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(3, 5, 4)), random_weights(rng, 4, 6, True, np.float64, CELL)
    want = CELL.reference(x, *weights)
    _, tape = lstm_forward(x, *weights)
    for which in range(2):
        dstate = np.zeros((2, 3, 6))
        dstate[which] = rng.normal(size=(3, 6))
        dx, dinitial, _ = want.gradients(None, dstate)
        got = lstm_backward(None, tape, dstate=list(dstate))
        np.testing.assert_allclose(got.dx, dx, rtol=0, atol=1e-12)
        np.testing.assert_allclose(got.dinitial_state, dinitial, rtol=0, atol=1e-12)


@pytest.mark.parametrize("recurrent_activation", ["tanh", "relu", "linear", None])
def test_other_gates(recurrent_activation):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 5, 4))
    weights = [w / 4 for w in random_weights(rng, 4, 6, True, np.float64, CELL)]
    got, tape = lstm_forward(x, *weights, recurrent_activation=recurrent_activation)
    want = CELL.reference(x, *weights, recurrent_activation=recurrent_activation or "linear")
    np.testing.assert_allclose(got, want.last, rtol=0, atol=1e-13)
    dx, _, dweights = want.gradients(np.ones_like(got))
    gradients = lstm_backward(np.ones_like(got), tape)
    for mine, right in zip([gradients.dx, *gradients.weights], [dx, *dweights], strict=True):
        np.testing.assert_allclose(mine, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("initial_state", "needle"),
    [
        (np.zeros((2, 6)), r"a list of 2 arrays \(batch, units\), got shape \(2, 6\)"),
        (np.zeros((2, 2, 6)), r"a list of 2 arrays"),
        ([np.zeros((2, 6))], r"a list of 2 arrays \(batch, units\), got a list of 1"),
        ([np.zeros((2, 6))] * 3, r"a list of 2 arrays \(batch, units\), got a list of 3"),
    ],
)
def test_there_are_two_states(initial_state, needle):
    layer = fastrnn.LSTM(6)
    with pytest.raises(ValueError, match=rf"^initial_state must be {needle}"):
        layer(np.zeros((2, 3, 4)), initial_state=initial_state)


@pytest.mark.parametrize("which", [0, 1])
def test_each_state_has_its_name(which):
    layer, states = fastrnn.LSTM(6), [np.zeros((2, 6)), np.zeros((2, 6))]
    states[which] = np.zeros((2, 5))
    with pytest.raises(ValueError, match=rf"^initial_state\[{which}\] must be \(batch=2, units=6\), got \(2, 5\)"):
        layer(np.zeros((2, 3, 4)), initial_state=states)


def test_a_step_refuses_one_array_for_both_states():
    layer, states = fastrnn.LSTM(6), [np.zeros((2, 6), np.float32) for _ in range(2)]
    x_t = np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"^out must not share memory with out\[0\]"):
        layer.step(x_t, states, out=[states[0], states[0]])
    with pytest.raises(ValueError, match=r"^out must be a list of 2 arrays"):
        layer.step(x_t, states, out=states[0])
    assert not any(state.any() for state in states)
