"""Helpers beside Keras's."""

import random

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import _random, utils

SEQUENCES = [[1], [2, 3, 4, 5], [], [6, 7]]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras.utils


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 6])
def test_padding_is_keras_s(keras, maxlen, padding, truncating):
    arguments = {"maxlen": maxlen, "padding": padding, "truncating": truncating, "value": 9}
    got, want = (module.pad_sequences(SEQUENCES, **arguments) for module in (utils, keras))
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


def test_padding_rows_of_features_and_other_types(keras):
    rows = [np.ones((n, 2)) * n for n in (1, 3, 2)]
    got, want = (module.pad_sequences(rows, dtype="float32", value=-1.0) for module in (utils, keras))
    np.testing.assert_array_equal(got, want)
    words = utils.pad_sequences([["a"], ["b", "c"]], dtype=object, value="<pad>")
    assert words.tolist() == [["<pad>", "a"], ["b", "c"]]
    assert utils.pad_sequences([]).shape == (0, 0)
    for arguments, message in (
        ({"padding": "left"}, "padding must be one of"),
        ({"truncating": "left"}, "truncating must be one of"),
        ({"value": "a"}, "value must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            utils.pad_sequences(SEQUENCES, **arguments)
    with pytest.raises(ValueError, match=r"maxlen must be .* at least 0, got -1"):
        utils.pad_sequences(SEQUENCES, maxlen=-1)
    for wrong in ([1, 2], [np.ones((2, 2)), np.ones((2, 3))]):
        with pytest.raises(ValueError, match="sequences must"):
            utils.pad_sequences(wrong)


@pytest.mark.parametrize("x", [[0, 2, 1], [[0], [1]], [[0, 1], [3, 1]], 1])
@pytest.mark.parametrize("num_classes", [None, 5])
def test_to_categorical_is_keras_s(keras, x, num_classes):
    got, want = (module.to_categorical(x, num_classes) for module in (utils, keras))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("x", "n", "error", "message"),
    [
        ([0, 3], 3, ValueError, "x must hold classes from 0 to 2, got 0 to 3"),
        ([-1], None, ValueError, "x must hold classes of at least 0, got -1"),
        ([[1.0, 1.5]], None, ValueError, "x must hold whole numbers, got 1.5"),
        ([float("nan")], None, ValueError, "x must hold whole numbers, got nan"),
        (["a"], None, TypeError, "x must hold class numbers, got <U1"),
    ],
)
def test_what_is_no_class_is_refused(x, n, error, message):
    with pytest.raises(error, match=message):
        utils.to_categorical(x, n)


@pytest.fixture
def entropy():
    """Afterwards, what has no seed draws from the system's entropy again."""
    yield
    _random._source = None


def test_all_that_is_random_can_be_repeated(entropy):
    def draws():
        model = fr.Sequential([fr.SimpleRNN(4, dropout=0.5), fr.Dense(1)])
        model.compile("sgd", "mse")
        losses = model.fit(x, x[:, 0], batch_size=2, epochs=2, verbose=0).history["loss"]
        return [*losses, random.random(), np.random.random()]

    x = np.random.default_rng(0).standard_normal((8, 3, 1))
    found = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        found += [draws(), draws()]
    assert found[:2] == found[2:4]
    assert len({losses[0] for losses in found}) == 4  # no model is as the one before, nor as with another seed
    for wrong, error in ((-1, ValueError), (2**32, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="seed must be"):
            utils.set_random_seed(wrong)
