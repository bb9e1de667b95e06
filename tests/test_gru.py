"""What is the GRU's alone; the rest is in test_recurrent, test_functional and the others that run over all cells."""

import numpy as np
import pytest
from cases import random_weights
from cells import GRU as CELL
from cells import GRU_RESET_BEFORE

import fastrnn
from fastrnn.functional import gru


def test_parameters_of_both_kinds():
    after, before = fastrnn.GRU(3), fastrnn.GRU(3, reset_after=False)
    for layer in (after, before):
        layer.build((None, None, 4))
    assert after.count_params() == 3 * (4 * 3 + 3 * 3 + 2 * 3) == 81
    assert before.count_params() == 3 * (4 * 3 + 3 * 3 + 3) == 72
    assert after.reset_after
    assert not before.reset_after


def test_a_step_by_hand():
    """One unit, one input: z = sigmoid(x), r = sigmoid(2 x + h), c = tanh(3 x + r (4 h + 5)) or tanh(3 x + r h 4)."""
    x, h = 0.5, -0.25
    z, r = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-(2 * x + h)))
    kernel, recurrent = np.array([[1.0, 2.0, 3.0]]), np.array([[0.0, 1.0, 4.0]])
    after = gru([[[x]]], kernel, recurrent, [[0, 0, 0], [0, 0, 5]], initial_state=[[h]])
    np.testing.assert_allclose(after, [[z * h + (1 - z) * np.tanh(3 * x + r * (4 * h + 5))]], rtol=1e-14)
    before = gru([[[x]]], kernel, recurrent, [0, 0, 0], initial_state=[[h]], reset_after=False)
    np.testing.assert_allclose(before, [[z * h + (1 - z) * np.tanh(3 * x + r * h * 4)]], rtol=1e-14)


def test_without_recurrent_weights_of_the_candidate_both_kinds_agree():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 5, 4))
    kernel, recurrent, bias = random_weights(rng, 4, 6, True, np.float64, GRU_RESET_BEFORE)
    recurrent[:, 12:] = 0
    two = np.stack([bias, np.zeros_like(bias)])
    np.testing.assert_allclose(
        gru(x, kernel, recurrent, two), gru(x, kernel, recurrent, bias, reset_after=False), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("recurrent_activation", ["tanh", "relu", "linear", None])
@pytest.mark.parametrize("cell", [CELL, GRU_RESET_BEFORE], ids=["after", "before"])
def test_other_gates(cell, recurrent_activation):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 5, 4))
    weights = [w / 4 for w in random_weights(rng, 4, 6, True, np.float64, cell)]
    got, tape = cell.forward(x, *weights, recurrent_activation=recurrent_activation)
    want = cell.reference(x, *weights, recurrent_activation=recurrent_activation or "linear")
    np.testing.assert_allclose(got, want.last, rtol=0, atol=1e-13)
    dx, _, dweights = want.gradients(np.ones_like(got))
    gradients = cell.backward(np.ones_like(got), tape)
    for mine, right in zip([gradients.dx, *gradients.weights], [dx, *dweights], strict=True):
        np.testing.assert_allclose(mine, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("reset_after", "shape"), [(True, (3 * 6,)), (True, (1, 3 * 6)), (True, (2, 6)), (False, (2, 3 * 6)), (False, (6,))]
)
def test_the_bias_has_the_shape_of_its_kind(reset_after, shape):
    rng = np.random.default_rng(0)
    kernel, recurrent, _ = random_weights(rng, 4, 6, cell=CELL)
    with pytest.raises(ValueError, match=r"^bias must be \((biases(=2)?, )?3\*units(=18)?,?\), got"):
        gru(rng.normal(size=(2, 3, 4)), kernel, recurrent, np.zeros(shape), reset_after=reset_after)


def test_kernels_of_another_cell():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4))
    with pytest.raises(ValueError, match=r"^kernel must be \(features, 3\*units\), got \(4, 10\)"):
        gru(x, np.ones((4, 10)), np.ones((3, 9)))
    with pytest.raises(ValueError, match=r"^recurrent_kernel must be \(units=6, 3\*units=18\), got \(6, 6\)"):
        gru(x, np.ones((4, 18)), np.ones((6, 6)))


@pytest.mark.parametrize("use_cudnn", ["auto", True, False])
def test_keras_own_arguments_are_taken(use_cudnn):
    layer = fastrnn.GRU(3, use_cudnn=use_cudnn, unroll=True)
    assert "use_cudnn" not in layer.get_config()
