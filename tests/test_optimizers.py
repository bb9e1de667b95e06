"""Adam beside Keras and beside the paper's formula in float64."""

import json
import pickle

import numpy as np
import pytest
from tolerance import assert_close, unit_roundoff

from fastrnn import Dense, optimizers
from fastrnn.losses import MeanSquaredError
from fastrnn.optimizers import Adam

SHAPES = [(4, 3), (3,), ()]
STEPS = 50
ARGUMENTS = [
    {},
    {"amsgrad": True},
    {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.01},
    {"learning_rate": 0.1, "beta_1": 0.0, "beta_2": 0.9, "epsilon": 1.0, "amsgrad": True},
]
arguments = pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
keras_warns = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


@pytest.fixture(scope="module")
def keras():
    from keras_oracle import keras

    return keras


def problem(dtype):
    """Weights around 1, and gradients of changing size and sign but never near 0."""
    rng = np.random.default_rng(0)
    weights = [np.array(rng.uniform(0.5, 2.0, shape), dtype) for shape in SHAPES]

    def gradient(shape, step):
        sign = -1.0 if rng.random() < 0.3 else 1.0
        return (sign * rng.uniform(0.5, 2.0, shape) / (1 + step / 10)).astype(dtype)

    return weights, [[gradient(shape, step) for shape in SHAPES] for step in range(STEPS)]


def paper(w, gradients, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False):
    """Kingma and Ba's formula, with m and v as the weighted sums that their recurrences amount to."""
    w, past, largest = np.array(w, np.float64), [], 0.0
    for t, g in enumerate(gradients, 1):
        past.append(np.array(g, np.float64))
        m = sum((1 - beta_1) * beta_1 ** (t - i) * g for i, g in enumerate(past, 1))
        v = sum((1 - beta_2) * beta_2 ** (t - i) * g**2 for i, g in enumerate(past, 1))
        largest = np.maximum(largest, v) if amsgrad else v
        w = w - learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(largest) + epsilon)
    return w


def tolerance(dtype, learning_rate=0.001, beta_1=0.9, beta_2=0.999, **_):
    """The weight is rounded in every step, and so are m and v, which keep errors for 1 / (1 - beta) steps.

    With gradients all of one size m / sqrt(v) would be about 1. These differ by up to a factor of 24, and so much more
    may an error of m count.
    """
    relative = 3 * 24 / (1 - beta_1) + min(3 * STEPS, 3 / (1 - beta_2)) / 2 + 8
    return STEPS * unit_roundoff(dtype) * (2 + learning_rate * relative)


@arguments
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_paper(arguments, dtype):
    weights, gradients = problem(dtype)
    want = [paper(w, g, **arguments) for w, g in zip(weights, zip(*gradients, strict=True), strict=True)]
    moved = [w.copy() for w in weights]
    optimizer = Adam(**arguments)
    for step in gradients:
        optimizer.apply(step, moved)
    assert optimizer.iterations == STEPS
    for got, wanted, start in zip(moved, want, weights, strict=True):
        assert got.dtype == dtype
        assert_close(got - start, wanted - start, tolerance(dtype, **arguments))


@arguments
def test_keras(keras, arguments):
    weights, gradients = problem("float32")
    variables = [keras.Variable(w) for w in weights]
    ours, theirs = Adam(**arguments), keras.optimizers.Adam(**arguments)
    # Keras computes 1 - beta_2^t in float32, with an error of u, relative to about t (1 - beta_2).
    beta_2, learning_rate = arguments.get("beta_2", 0.999), arguments.get("learning_rate", 0.001)
    corrections = sum(1 / (1 - beta_2**t) for t in range(1, STEPS + 1))
    bound = 2 * tolerance("float32", **arguments) + 2 * unit_roundoff("float32") * learning_rate * corrections
    for step in gradients:
        ours.apply(step, weights)
        theirs.apply(step, variables)
        for got, want in zip(weights, variables, strict=True):
            assert_close(got, want.value, bound)


def test_first_step_is_the_learning_rate():
    """In step 1, m / sqrt(v) is the gradient's sign, whatever its size."""
    weights = [np.zeros(4)]
    Adam(0.5).apply([[3.0, -0.01, 1e6, 0.0]], weights)
    np.testing.assert_allclose(weights[0], [-0.5, 0.5, -0.5, 0.0], rtol=4e-4)  # epsilon is the larger one's 3e-4


def test_weights_change_in_place():
    backing = np.ones((4, 6), np.float32)
    views = [backing[::2, ::3], backing.T[1]]
    Adam(0.25).apply([np.ones((2, 2)), np.ones(4)], views)
    want = np.ones((4, 6))
    want[::2, ::3] -= 0.25
    want[:, 1] -= 0.25
    np.testing.assert_allclose(backing, want, rtol=1e-5)  # epsilon is 3e-6 of sqrt(v)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", ">f4"])
def test_gradients_of_other_types(dtype):
    weights, others = [np.ones((2, 3), np.float32)], [np.ones((2, 3), np.float32)]
    gradient = np.arange(6).reshape(2, 3)
    Adam().apply([gradient.astype(np.float32)], weights)
    Adam().apply([gradient.astype(dtype)], others)
    np.testing.assert_array_equal(weights[0], others[0])
    assert (weights[0] != 1).any()


def test_gradients_stay_as_they_are():
    gradient = np.ones(3, np.float32)
    gradient.flags.writeable = False
    Adam().apply([gradient], [np.ones(3, np.float32)])


@pytest.mark.parametrize("optimizer", [optimizers.SGD, optimizers.RMSprop, Adam])
def test_weights_lie_anywhere(optimizer):
    """Also in another order, with gaps, unaligned, or where the gradient is."""
    rng = np.random.default_rng(0)
    for weight in (
        np.asfortranarray(rng.normal(size=(3, 4))),
        rng.normal(size=(6, 8))[::2, ::-2],
        np.frombuffer(bytearray(97), np.uint8)[1:].view(np.float64).reshape(3, 4),
    ):
        gradient = rng.normal(size=weight.shape)
        dense = weight.copy(order="C")
        optimizer(0.1).apply([gradient], [dense])
        optimizer(0.1).apply([gradient], [weight])
        np.testing.assert_array_equal(weight, dense)
    twice, once = np.ones(5), np.ones(5)
    optimizer(0.1).apply([twice], [twice])
    optimizer(0.1).apply([np.ones(5)], [once])
    np.testing.assert_array_equal(twice, once)


def test_learning_rate_can_change():
    weights = [np.zeros(1)]
    optimizer = Adam(1.0)
    optimizer.apply([[1.0]], weights)
    optimizer.learning_rate = 0.0
    before = weights[0].copy()
    optimizer.apply([[1.0]], weights)
    np.testing.assert_array_equal(weights[0], before)


def test_nothing_to_do():
    optimizer = Adam()
    optimizer.apply([], [])
    optimizer.apply([np.ones((0, 3))], [np.ones((0, 3))])


def test_layer_learns():
    """A line through noise-free points is found, by the layer's live weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3))
    y_true = x @ [[1.0], [-2.0], [0.5]] + 0.25
    layer, loss, optimizer = Dense(1, seed=0), MeanSquaredError(), Adam(0.05)
    for _ in range(300):
        y, tape = layer.forward(x)
        _, loss_tape = loss.forward(y_true, y)
        optimizer.apply(layer.backward(loss.backward(1.0, loss_tape), tape).weights, layer.weights)
    np.testing.assert_allclose(layer.kernel[:, 0], [1.0, -2.0, 0.5], atol=1e-2)
    np.testing.assert_allclose(layer.bias, [0.25], atol=1e-2)


@arguments
def test_config(arguments):
    config = json.loads(json.dumps(Adam(**arguments).get_config()))
    assert config.items() >= arguments.items()
    assert Adam.from_config(config).get_config() == config


@arguments
@keras_warns
def test_config_travels_to_keras(keras, arguments):
    config = Adam(**arguments).get_config()
    theirs = keras.optimizers.Adam.from_config(config).get_config()
    np.testing.assert_allclose(theirs.pop("learning_rate"), config.pop("learning_rate"), rtol=1e-7)
    assert config.items() <= theirs.items()


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
@keras_warns
def test_config_comes_from_keras(keras, name):
    theirs = getattr(keras.optimizers, name)(0.25, weight_decay=0.5, clipnorm=2.0).get_config()
    ours = getattr(optimizers, name).from_config(theirs).get_config()
    assert ours.items() <= theirs.items()
    assert ours.keys() >= {"learning_rate", "weight_decay", "clipnorm"}
    theirs = getattr(keras.optimizers, name)(gradient_accumulation_steps=2).get_config()
    with pytest.raises(ValueError, match=r"gradient_accumulation_steps must be None, .* got 2"):
        getattr(optimizers, name).from_config(theirs)


@keras_warns
def test_defaults_are_those_of_keras(keras):
    theirs = keras.optimizers.Adam().get_config()
    ours = Adam(name=theirs["name"]).get_config()
    np.testing.assert_allclose(theirs.pop("learning_rate"), ours.pop("learning_rate"), rtol=1e-7)
    assert ours.items() <= theirs.items()


def test_pickle_keeps_the_moments():
    weights, gradients = problem("float64")
    others, optimizer = [w.copy() for w in weights], Adam()
    optimizer.apply(gradients[0], weights)
    optimizer.apply(gradients[1], weights)
    again = Adam()
    again.apply(gradients[0], others)
    pickle.loads(pickle.dumps(again)).apply(gradients[1], others)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


def read_only(array):
    array.flags.writeable = False
    return array


BAD = {
    "too few gradients": ([], np.ones(2), ValueError, r"gradients must be as many as weights, 2, got 1"),
    "gradient's shape": ([np.ones(3)], np.ones(2), ValueError, r"gradients\[1\] must be \(2,\), got \(3,\)"),
    "gradient's rank": ([1.0], np.ones(2), ValueError, r"gradients\[1\] must be \(2,\), got \(\)"),
    "no gradient": ([None], np.ones(2), TypeError, r"gradients\[1\] must hold real numbers, got object"),
    "complex": ([np.ones(2, complex)], np.ones(2), TypeError, r"gradients\[1\] must hold real numbers"),
    "list": ([[1.0, 1.0]], [1.0, 1.0], TypeError, r"weights\[1\] must be a numpy.ndarray, got list"),
    "integers": ([[1.0]], np.ones(1, np.int64), TypeError, r"weights\[1\] must be float32 or float64, got int64"),
    "byte-swapped": ([[1.0]], np.ones(1, ">f4"), TypeError, r"weights\[1\] must be float32 or float64, got >f4"),
    "read-only": ([[1.0]], read_only(np.ones(1)), ValueError, r"weights\[1\] must be writeable"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_call(case):
    """Nothing has changed, not even the weight before the wrong one."""
    gradients, weight, error, message = BAD[case]
    optimizer, first = Adam(), np.zeros(2)
    with pytest.raises(error, match=message):
        optimizer.apply([np.ones(2), *gradients], [first, weight])
    assert not first.any()
    assert optimizer.iterations == 0
    optimizer.apply([np.ones(5)], [np.ones(5)])


def test_one_weight_twice():
    weight = np.zeros(2)
    with pytest.raises(ValueError, match="weights must be different arrays, got one twice"):
        Adam().apply([np.ones(2), np.ones(2)], [weight, weight])
    assert not weight.any()


@pytest.mark.parametrize("weights", [[np.ones(3)], [np.ones(2, np.float32)], [np.ones(2), np.ones(2)], []], ids=str)
def test_other_weights(weights):
    optimizer = Adam()
    optimizer.apply([np.ones(2)], [np.ones(2)])
    with pytest.raises(ValueError, match="weights must be those of the first step"):
        optimizer.apply([np.ones(w.shape) for w in weights], weights)
    assert optimizer.iterations == 1


@pytest.mark.parametrize("argument", ["learning_rate", "beta_1", "beta_2", "epsilon"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_wrong_arguments(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be a .*number of at least 0"):
        Adam(**{argument: value})


@pytest.mark.parametrize("argument", ["beta_1", "beta_2"])
def test_a_beta_of_1(argument):
    with pytest.raises(ValueError, match=f"{argument} must be a number of at least 0 and below 1"):
        Adam(**{argument: 1.0})
