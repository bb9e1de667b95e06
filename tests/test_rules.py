"""Regularizers and constraints beside Keras's, and penalties beside finite differences."""

import numpy as np
import pytest
from differences import central_differences

import fastrnn as fr
from fastrnn import constraints, regularizers

W = np.random.default_rng(0).standard_normal((5, 4))
REGULARIZERS = [regularizers.L1(0.3), regularizers.L2(0.2), regularizers.L1L2(0.1, 0.2), regularizers.L1L2()]
CONSTRAINTS = [
    constraints.MaxNorm(1.5),
    constraints.MaxNorm(1.5, axis=1),
    constraints.NonNeg(),
    constraints.UnitNorm(axis=[0, 1]),
    constraints.MinMaxNorm(1.0, 1.5, rate=0.3),
]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras


@pytest.mark.parametrize("ours", REGULARIZERS, ids=repr)
def test_penalties(keras, ours):
    theirs = getattr(keras.regularizers, type(ours).__name__)(**ours.get_config())
    np.testing.assert_allclose(ours(W), float(theirs(W)), rtol=1e-6)
    w = W.copy()
    np.testing.assert_allclose(ours.gradient(w), central_differences(lambda: ours(w), w), atol=1e-8)
    assert ours.gradient(W.astype(np.float32)).dtype == np.float32
    assert theirs.get_config() == pytest.approx(regularizers.get(regularizers.serialize(ours)).get_config())


@pytest.mark.parametrize("ours", CONSTRAINTS, ids=lambda c: type(c).__name__)
def test_constraints(keras, ours):
    theirs = getattr(keras.constraints, type(ours).__name__)(**ours.get_config())
    np.testing.assert_allclose(ours(W), np.asarray(theirs(W)), rtol=1e-5, atol=1e-12)
    assert ours(W.astype(np.float32)).dtype == np.float32
    again = constraints.get(constraints.serialize(ours))
    np.testing.assert_array_equal(again(W), ours(W))


def test_both_of_keras_names(keras):
    for ours, theirs in ((regularizers, keras.regularizers), (constraints, keras.constraints)):
        for name in ("l1", "l2", "l1_l2", "max_norm", "min_max_norm", "non_neg", "unit_norm"):
            if hasattr(theirs, name):
                assert getattr(ours, name).__name__ == getattr(theirs, name).__name__


def test_names():
    for name in ("l1", "l2", "L1L2", "l1l2"):
        assert isinstance(regularizers.get(name), regularizers.Regularizer)
    for name in ("max_norm", "NonNeg", "unit_norm", "min_max_norm"):
        assert isinstance(constraints.get(name), constraints.Constraint)
    assert regularizers.get(None) is constraints.get(None) is None
    for wrong, error in (("l3", ValueError), (3, TypeError), ({"class_name": "os"}, ValueError)):
        with pytest.raises(error, match="kernel_regularizer must be"):
            regularizers.get(wrong, "kernel_regularizer")
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="l1 must be"):
            regularizers.L1(wrong)


def test_penalties_of_outputs_are_in_the_gradient():
    """Every weight's gradient of the whole loss, by finite differences."""
    rng = np.random.default_rng(1)
    ids, y = rng.integers(0, 5, (6, 4)), rng.random((6, 1))
    model = fr.Sequential(
        [
            fr.Embedding(5, 3, dtype="float64", activity_regularizer="l2", embeddings_regularizer="l2"),
            fr.SimpleRNN(4, dtype="float64", activity_regularizer="l2", recurrent_regularizer="l1"),
            fr.Dense(1, dtype="float64", activity_regularizer="l1", kernel_regularizer="l2"),
        ],
        seed=0,
    )
    model.compile(fr.optimizers.SGD(1.0), "mse")
    model.build((None, None))
    wanted = [central_differences(lambda: model.evaluate(ids, y, batch_size=6), w) for w in model.weights]
    before = model.get_weights()
    loss = model.evaluate(ids, y, batch_size=6)
    assert model.train_on_batch(ids, y) == pytest.approx(loss, rel=1e-12)
    for old, new, gradient in zip(before, model.get_weights(), wanted, strict=True):
        np.testing.assert_allclose(old - new, gradient, atol=1e-7)


def test_frozen_weights_have_no_penalty():
    model = fr.Sequential([fr.SimpleRNN(3, kernel_regularizer="l2", trainable=False), fr.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    x, y = np.ones((4, 2, 2)), np.ones(4)
    error = model.evaluate(x, y)
    np.testing.assert_allclose(error, np.mean((model.predict(x)[:, 0] - y) ** 2), rtol=1e-6)
    assert model.train_on_batch(x, y) == error


def test_constraints_hold_after_every_step():
    x, y = np.random.default_rng(0).standard_normal((32, 4, 2)), np.ones(32)
    model = fr.Sequential(
        [fr.SimpleRNN(3, kernel_constraint="max_norm", recurrent_constraint="unit_norm"), fr.Dense(1)], seed=0
    )
    model.compile(fr.optimizers.SGD(5.0, clipvalue=1.0), "mse")
    model.fit(x, y, verbose=0)
    kernel, recurrent, _ = model.layers[0].get_weights()
    assert np.linalg.norm(kernel, axis=0).max() <= 2 + 1e-5
    np.testing.assert_allclose(np.linalg.norm(recurrent, axis=0), 1, atol=1e-5)
