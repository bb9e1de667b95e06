"""The oracle itself, against Keras and against float64 PyTorch with its automatic differentiation."""

import numpy as np
import pytest
import reference
import torch_oracle
from cases import Case
from tolerance import assert_output, assert_state


@pytest.mark.parametrize("seed", range(40))
def test_forward_is_what_keras_computes(seed):
    from keras_oracle import keras

    case = Case(seed)
    layer = keras.layers.SimpleRNN(
        case.H,
        activation=case.activation,
        use_bias=case.use_bias,
        return_sequences=True,
        return_state=True,
        **case.flags,
    )
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    outputs, state = map(np.asarray, layer(case.x, initial_state=case.initial_state, mask=case.mask))
    ours = reference.SimpleRNN(case.x, *case.weights, **case.arguments)
    assert_output(outputs, ours)
    assert_output(outputs[:, -1], ours)
    assert_state(state, ours)


@pytest.mark.parametrize("seed", range(40))
def test_everything_is_what_pytorch_computes(seed):
    case = Case(seed, dtype=np.float64)
    rng = np.random.default_rng(seed)
    dropout = {
        "input_dropout": rng.integers(0, 2, (case.B, case.I)) * 2.0,
        "recurrent_dropout": rng.integers(0, 2, (case.B, case.H)) * 1.25,
    }
    ours = reference.SimpleRNN(case.x, *case.weights, **case.arguments, **dropout)
    dx, dh0, dweights = ours.gradients(case.dy, case.dstate)
    output, state, gradients = torch_oracle.simple_rnn(
        case.dy, case.dstate, case.x, *case.weights, **case.arguments, **dropout
    )
    theirs = [output, state, *gradients]
    for mine, torchs in zip([ours.output(case.return_sequences), ours.state, dx, dh0, *dweights], theirs, strict=True):
        np.testing.assert_allclose(mine, torchs, rtol=0, atol=1e-12)
