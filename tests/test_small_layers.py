"""Embedding, Masking, Dropout and TimeDistributed, beside Keras and by finite differences."""

import json
import pickle

import numpy as np
import pytest
from differences import central_differences

import fastrnn as fr
from fastrnn import layers

B, T, F, V, E = 3, 5, 4, 7, 2


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras


def ids():
    return np.random.default_rng(0).integers(0, V, (B, T))


def series():
    x = np.random.default_rng(0).standard_normal((B, T, F))
    x[0, 2] = x[1, 3:] = 0
    x[2, 0, 1] = 0
    return x


def make():
    return {
        "embedding": (fr.Embedding(V, E, mask_zero=True, dtype="float64", seed=0), ids()),
        "masking": (fr.Masking(), series()),
        "dropout": (fr.Dropout(0.4, seed=0), series()),
        "one choice for all steps": (fr.Dropout(0.4, noise_shape=(None, 1, None), seed=0), series()),
        "time distributed": (fr.TimeDistributed(fr.Dense(3, "tanh", dtype="float64", seed=0)), series()),
        "rows of sequences": (
            fr.TimeDistributed(fr.SimpleRNN(3, dtype="float64", seed=0)),
            np.random.default_rng(0).standard_normal((B, T, 2, F)),
        ),
    }


NAMES = list(make())


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_central_differences(name):
    layer, x = make()[name]
    y, tape = layer.forward(x)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    gradients = layer.backward(dy, tape)
    factor = getattr(tape, "factor", None)

    def loss():
        if isinstance(layer, fr.Dropout):
            return float((dy * x * factor).sum())
        return float((dy * layer(x)).sum())

    for weight, got in zip(layer.weights, gradients.weights, strict=True):
        np.testing.assert_allclose(got, central_differences(loss, weight), atol=1e-8)
    if gradients.dx is not None and not isinstance(layer, fr.Masking):
        np.testing.assert_allclose(gradients.dx, central_differences(loss, x), atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_is_what_its_config_and_its_pickle_say(name):
    layer, x = make()[name]
    y = layer(x)
    described = {"class_name": type(layer).__name__, "config": layer.get_config()}
    for other in (layers.deserialize(json.loads(json.dumps(described))), pickle.loads(pickle.dumps(layer))):
        other.build(x.shape)
        other.set_weights(layer.get_weights())
        np.testing.assert_array_equal(other(x), y)
        assert other.name == layer.name
    assert layer.compute_output_shape(x.shape) == y.shape
    assert layer.count_params() == sum(w.size for w in layer.weights)


def test_shapes_and_masks_are_those_of_keras(keras):
    L = keras.layers
    embedding, masking = L.Embedding(V, E, mask_zero=True), L.Masking(0.0)
    np.testing.assert_array_equal(make()["embedding"][0].compute_mask(ids()), embedding.compute_mask(ids()))
    x = series()
    np.testing.assert_array_equal(fr.Masking().compute_mask(x), masking.compute_mask(x))
    np.testing.assert_allclose(fr.Masking()(x), np.asarray(masking(x)), rtol=1e-6)
    theirs = L.TimeDistributed(L.Dense(3))
    theirs.build((B, T, F))
    ours = fr.TimeDistributed(fr.Dense(3))
    ours.build((B, T, F))
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), atol=1e-6)
    config = theirs.get_config()
    assert fr.TimeDistributed.from_config(config).layer.units == 3
    for name, other in (("Embedding", embedding), ("Masking", masking), ("Dropout", L.Dropout(0.2))):
        layers.deserialize({"class_name": name, "config": other.get_config()})
        ours = layers.deserialize({"class_name": name, "config": other.get_config()})
        assert ours.name == other.name


def test_masks_meet():
    mask = np.random.default_rng(0).random((B, T)) < 0.5
    x = ids()
    np.testing.assert_array_equal(make()["embedding"][0].compute_mask(x, mask), mask & (x != 0))
    np.testing.assert_array_equal(fr.Embedding(V, E).compute_mask(x, mask), mask)
    z = series()
    np.testing.assert_array_equal(fr.Masking().compute_mask(z, mask), mask & z.any(axis=2))
    assert fr.Dense(3).compute_mask(z, mask) is mask
    assert fr.SimpleRNN(3).compute_mask(z, mask) is None
    assert fr.SimpleRNN(3, return_sequences=True).compute_mask(z, mask) is mask


def test_dropout_drops_and_scales():
    x = np.ones((200, 50), np.float32)
    layer = fr.Dropout(0.3, seed=1)
    assert layer(x) is x
    y = layer(x, training=True)
    assert abs((y == 0).mean() - 0.3) < 0.02
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)
    again = fr.Dropout(0.3, seed=1)
    np.testing.assert_array_equal(again(x, training=True), y)
    assert (again(x, training=True) != y).any()
    assert not fr.Dropout(1.0)(x, training=True).any()
    shared = fr.Dropout(0.5, noise_shape=(None, 1))(x, training=True)
    assert (shared == shared[:, :1]).all()
    assert fr.Dropout(0.5)(np.ones(3), training=True).dtype == np.float64
    assert fr.Dropout(0.5)([1, 2, 3]).dtype == np.float32


def test_an_embedding_may_be_given_its_table():
    table = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for weights in (table, [table]):
        np.testing.assert_array_equal(fr.Embedding(5, 3, weights=weights)([[4, 0]]), table[[[4, 0]]])
    model = fr.Sequential([fr.Embedding(5, 3, weights=table, trainable=False), fr.GRU(2), fr.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.fit([[1, 2], [3, 4]], [0, 1], verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], table)
    assert model.get_weights()[0] is not table
    with pytest.raises(ValueError, match=r"embeddings must be \(5, 3\), got \(3, 5\)"):
        fr.Embedding(5, 3, weights=table.T)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fr.Embedding(0, 2), ValueError, "input_dim must be a positive integer, got 0"),
        (lambda: fr.Embedding(2, 2.5), TypeError, "output_dim must be a positive integer, got 2.5"),
        (
            lambda: fr.Embedding.from_config({"input_dim": 2, "output_dim": 2, "lora_rank": 3}),
            NotImplementedError,
            "lora",
        ),
        (lambda: fr.Dropout(1.5), ValueError, "rate must be a number from 0 to 1, got 1.5"),
        (lambda: fr.Dropout(0.5, (None, 1))(series(), training=True), ValueError, "x must have 2 axes"),
        (lambda: fr.TimeDistributed(3), TypeError, "layer must be a layer, got int"),
        (lambda: fr.TimeDistributed(fr.Dense(3))(np.zeros((2, 3))), ValueError, r"x must be \(batch, time, features\)"),
        (lambda: layers.deserialize({"class_name": "Conv1D"}), ValueError, "layer of fastrnn, got 'Conv1D'"),
        (lambda: fr.SimpleRNN(3, input_dim=0), ValueError, "input_dim must be a positive integer, got 0"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
