"""The oracle itself, against Keras and against float64 PyTorch with its automatic differentiation."""

import numpy as np
import pytest
import torch_oracle
from cases import Case
from tolerance import assert_output, assert_state


@pytest.mark.parametrize("seed", range(40))
def test_forward_is_what_keras_computes(cell, seed):
    case = Case(seed, cell)
    layer = cell.keras_layer(case.H, **{**case.constructor, "return_sequences": True, "return_state": True})
    layer.build(case.x.shape)
    layer.set_weights(case.weights)
    outputs, *states = map(np.asarray, layer(case.x, initial_state=case.initial_state, mask=case.mask))
    ours = cell.reference(case.x, *case.weights, **case.arguments)
    assert_output(outputs, ours)
    assert_output(outputs[:, -1], ours)
    assert_state(cell.one_array(states), ours)


@pytest.mark.pytorch
@pytest.mark.parametrize("seed", range(40))
def test_everything_is_what_pytorch_computes(cell, seed):
    case = Case(seed, cell, dtype=np.float64)
    rng = np.random.default_rng(seed)
    dropout = {
        "input_dropout": rng.integers(0, 2, (case.B, case.I)) * 2.0,
        "recurrent_dropout": rng.integers(0, 2, cell.dropout_shape(case.B, case.H)) * 1.25,
    }
    ours = cell.reference(case.x, *case.weights, **case.arguments, **dropout)
    dx, dh0, dweights = ours.gradients(case.dy, case.dstate)
    output, state, gradients = torch_oracle.recurrent(
        cell, case.dy, case.dstate, case.x, *case.weights, **case.arguments, **dropout
    )
    theirs = [output, state, *gradients]
    for mine, torchs in zip([ours.output(case.return_sequences), ours.state, dx, dh0, *dweights], theirs, strict=True):
        np.testing.assert_allclose(mine, torchs, rtol=1e-10, atol=1e-12)
