"""Dense beside Keras, its equation in float64, finite differences and PyTorch."""

import json
import pickle

import numpy as np
import pytest
from differences import central_differences
from layouts import LAYOUTS
from tolerance import assert_close, largest, unit_roundoff

import fastrnn
from fastrnn import Dense, _core

ACTIVATIONS = ["linear", "relu", "tanh", "sigmoid", "softmax"]
SHAPES = [(1, 1), (5, 4), (3, 7, 4), (2, 3, 2, 4)]

activations = pytest.mark.parametrize("activation", ACTIVATIONS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture(scope="module")
def keras():
    from keras_oracle import keras

    return keras


def equation(x, kernel, bias, activation):
    """y = activation(x kernel + bias) in float64, an element at a time and by the textbook's formulas."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    z = np.einsum("...i,ih->...h", x, kernel) + (0.0 if bias is None else np.asarray(bias, np.float64))
    if activation == "softmax":
        return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    return {
        "linear": z,
        "relu": np.where(z > 0, z, 0.0),
        "tanh": (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1),
        "sigmoid": 1 / (1 + np.exp(-z)),
    }[activation]


def problem(activation, shape, units=5, use_bias=True, dtype="float32", seed=0):
    """A layer with random weights, an input and a gradient of the output, away from the kink of relu."""
    rng = np.random.default_rng([seed, ACTIVATIONS.index(activation), *shape])
    layer = Dense(units, activation, use_bias, dtype=dtype)
    layer.build(shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer, rng.normal(size=shape).astype(dtype), rng.normal(size=(*shape[:-1], units)).astype(dtype)


def output_tolerance(layer, x):
    """No activation steepens an error of z; theirs is of a few roundings, the softmax's sum one more per unit."""
    terms = largest(np.abs(x.astype(np.float64)) @ np.abs(layer.kernel)) + largest(layer.bias if layer.use_bias else 0)
    u = unit_roundoff(layer.dtype)
    scale = max(1.0, terms) if layer.activation in ("linear", "relu") else 1.0
    return (layer.kernel.shape[0] + 1) * u * terms + (8 + layer.units) * u * scale


@activations
@shapes
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equation(activation, shape, use_bias, dtype):
    layer, x, _ = problem(activation, shape, use_bias=use_bias, dtype=dtype)
    want = equation(x, layer.kernel, layer.bias, activation)
    got = layer(x)
    assert got.dtype == dtype
    assert_close(got, want, output_tolerance(layer, x))
    np.testing.assert_array_equal(layer.forward(x)[0], got)


@activations
@shapes
def test_keras(keras, activation, shape):
    layer, x, _ = problem(activation, shape)
    theirs = keras.layers.Dense(5, activation)
    theirs.build(shape)
    theirs.set_weights(layer.get_weights())
    assert_close(layer(x), np.asarray(theirs(x)), 2 * output_tolerance(layer, x))
    assert [w.shape for w in theirs.weights] == [w.shape for w in layer.weights]
    assert theirs.count_params() == layer.count_params()


@activations
@shapes
@pytest.mark.parametrize("use_bias", [True, False])
def test_gradients_by_finite_differences(activation, shape, use_bias):
    """A central difference with step h is off by h² f''' / 6, and by u |f| / h for rounding: here, below 1e-8."""
    layer, x, dy = problem(activation, shape, use_bias=use_bias, dtype="float64")
    _, tape = layer.forward(x.copy())
    got = layer.backward(dy, tape)
    assert got.dinitial_state is None
    arrays = [x, *layer.weights]
    for name, g, array in zip(["dx", "dkernel", "dbias"], [got.dx, *got.weights], arrays, strict=False):
        assert g.dtype == np.float64
        want = central_differences(lambda: float((dy * layer(x)).sum()), array)
        assert_close(g, want, 1e-8 * max(1.0, largest(want)), name)
    assert len(got.weights) == len(layer.weights)


@pytest.mark.pytorch
@activations
@shapes
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_by_pytorch(activation, shape, dtype):
    import torch

    layer, x, dy = problem(activation, shape, dtype=dtype)
    leaves = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in (x, layer.kernel, layer.bias)]
    y = leaves[0] @ leaves[1] + leaves[2]
    if activation == "softmax":
        y = torch.softmax(y, dim=-1)
    elif activation != "linear":
        y = getattr(torch, activation)(y)
    (y * torch.tensor(dy.astype(np.float64))).sum().backward()
    _, tape = layer.forward(x)
    got = layer.backward(dy, tape)

    # dz takes over the error of y, at most doubled, and in a softmax that of every unit. The sums add their roundings.
    u, rows, units = unit_roundoff(dtype), int(np.prod(shape[:-1])), layer.units
    e_y = 0.0 if activation in ("linear", "relu") else output_tolerance(layer, x)
    e_dz = largest(dy) * (2 * e_y + 8 * u) * (units if activation == "softmax" else 1)
    tolerances = {
        "dx": largest(np.abs(layer.kernel).sum(axis=1)) * (e_dz + units * u * largest(dy)),
        "dkernel": largest(np.abs(x).reshape(rows, -1).sum(axis=0)) * (e_dz + rows * u * largest(dy)),
        "dbias": rows * (e_dz + rows * u * largest(dy)),
    }
    for g, leaf, (name, tolerance) in zip([got.dx, *got.weights], leaves, tolerances.items(), strict=True):
        assert g.dtype == dtype
        assert_close(g, leaf.grad.numpy(), tolerance, name)


@activations
def test_need_dx(activation):
    layer, x, dy = problem(activation, (3, 2, 4))
    _, tape = layer.forward(x)
    without, full = layer.backward(dy, tape, need_dx=False), layer.backward(dy, tape)
    assert without.dx is None
    assert full.dx.shape == x.shape
    for a, b in zip(without.weights, full.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@activations
def test_tape_survives_a_change_of_the_weights(activation):
    layer, x, dy = problem(activation, (3, 2, 4))
    _, tape = layer.forward(x)
    before = layer.backward(dy, tape)
    for weight in layer.weights:
        weight[...] = np.nan
    after = layer.backward(dy, tape)
    for a, b in zip([before.dx, *before.weights], [after.dx, *after.weights], strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()
        assert a is not b
        assert a.any()


def test_tape_cannot_be_changed_through_the_output():
    layer, x, _ = problem("tanh", (3, 4))
    y, _ = layer.forward(x)
    with pytest.raises(ValueError, match="read-only"):
        y += 1
    y = layer(x)
    y += 1


def test_weights_are_live():
    layer, x, _ = problem("linear", (3, 4))
    once = layer(x)
    for weight in layer.weights:
        weight *= 2
    np.testing.assert_array_equal(layer(x), 2 * once)
    layer.bias = np.zeros(5)
    layer.kernel = np.zeros((4, 5))
    assert not layer(x).any()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(5, 4), (3, 7, 4)], ids=str)
def test_layouts_give_the_same_bits(layout, shape):
    layer, x, dy = problem("softmax", shape)
    y, tape = layer.forward(x)
    want = layer.backward(dy, tape)
    got_y, tape = layer.forward(LAYOUTS[layout](x))
    got = layer.backward(LAYOUTS[layout](dy), tape)
    for a, b in zip([got_y, got.dx, *got.weights], [y, want.dx, *want.weights], strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_every_instruction_set(isa, threads):
    """Beside the equation, and with the same bits for any number of threads and of other rows."""
    layer, x, dy = problem("tanh", (700, 40), units=37)
    threads(1)
    y, tape = layer.forward(x)
    gradients = layer.backward(dy, tape)
    assert_close(y, equation(x, layer.kernel, layer.bias, "tanh"), output_tolerance(layer, x))
    np.testing.assert_array_equal(layer(x[3:5]), y[3:5])
    threads(3)
    again, tape = layer.forward(x)
    np.testing.assert_array_equal(again, y)
    for a, b in zip([gradients.dx, *gradients.weights], [(g := layer.backward(dy, tape)).dx, *g.weights], strict=True):
        np.testing.assert_array_equal(a, b)


X, W, B, Y = (np.ones(shape, np.float32) for shape in ((2, 3), (3, 4), (4,), (2, 4)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((X[0], W, B, Y), "x must have 2 axes"),
        ((X[:, 1:], W, B, Y), r"x must have shape \(-1, 3\), got \(2, 2\)"),
        ((X, W[:, ::2], B, Y), "w must be dense"),
        ((X, W, B[1:], Y), r"b must have shape \(4,\), got \(3,\)"),
        ((X, W, B, Y[1:]), r"y must have shape \(2, 4\), got \(1, 4\)"),
        ((X.astype(float), W, B, Y), "x must have the native element type 'f'"),
    ],
)
def test_the_core_refuses(arrays, message):
    with pytest.raises(ValueError, match=message):
        _core.dense_forward(*arrays, "linear")
    x, w, _, y = arrays
    with pytest.raises(ValueError, match=message.replace("b must", "db must")):
        _core.dense_backward(x, w, y, Y, None, W.copy(), arrays[2], "tanh")


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int64", "uint32", "bool", ">f4", ">i2"])
def test_other_types_are_converted(dtype):
    layer, _, _ = problem("tanh", (3, 4))
    x = np.arange(12).reshape(3, 4).astype(dtype)
    got = layer(x)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, layer(x.astype(np.float32)))


@activations
@pytest.mark.parametrize("shape", [(0, 4), (0, 3, 4), (3, 0, 4)], ids=str)
def test_nothing_in_nothing_out(activation, shape):
    layer, x, dy = problem(activation, shape)
    y, tape = layer.forward(x)
    assert y.shape == (*shape[:-1], 5)
    gradients = layer.backward(dy, tape)
    assert gradients.dx.shape == shape
    assert [g.shape for g in gradients.weights] == [(4, 5), (5,)]
    assert not any(g.any() for g in gradients.weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    """No overflow, no warning, and the limits are reached."""
    x = np.array([[-1e4], [-90.0], [0.0], [90.0], [1e4]], dtype)

    def layer(units, activation):
        return Dense(units, activation, kernel_initializer=lambda shape, dtype: [[1.0, 0.0][:units]], dtype=dtype)

    sigmoid = layer(1, "sigmoid")(x)[:, 0]
    softmax = layer(2, "softmax")(x)
    for got in (sigmoid, softmax[:, 0]):
        np.testing.assert_array_equal(got[[0, 2, 4]], [0.0, 0.5, 1.0])
        np.testing.assert_allclose(got[1], np.exp(-90.0), rtol=1e-3 if dtype == "float32" else 1e-12)
        np.testing.assert_allclose(got[3], 1.0)
    np.testing.assert_array_equal(layer(1, "tanh")(x)[[0, 2, 4], 0], [-1.0, 0.0, 1.0])


@activations
def test_nan_stays_in_its_row(activation):
    layer, x, _ = problem(activation, (5, 4))
    clean = layer(x)
    x[2, 1] = np.nan
    got = layer(x)
    assert np.isnan(got[2]).all()
    np.testing.assert_array_equal(np.delete(got, 2, axis=0), np.delete(clean, 2, axis=0))


def test_first_call_builds():
    layer = Dense(3)
    assert not layer.built
    assert layer(np.ones((2, 5, 4))).shape == (2, 5, 3)
    assert [w.shape for w in layer.weights] == [(4, 3), (3,)]
    assert layer.count_params() == 15
    assert np.abs(layer.kernel).max() <= np.sqrt(6 / 7)
    assert layer.kernel.any()
    assert not layer.bias.any()
    assert Dense(3, use_bias=False)(np.ones((2, 4))).shape == (2, 3)


def test_seed():
    kernels = [Dense(8, seed=seed) for seed in (1, 1, 2)]
    for layer in kernels:
        layer.build((None, 8))
    a, b, c = (layer.kernel for layer in kernels)
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize(
    "arguments",
    [
        {"units": 3},
        {
            "units": 4,
            "activation": "softmax",
            "use_bias": False,
            "name": "head",
            "dtype": "float64",
            "trainable": False,
        },
        {
            "units": 2,
            "kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 3}},
            "bias_initializer": "ones",
        },
    ],
)
def test_config_travels_to_keras_and_back(keras, arguments):
    config = json.loads(json.dumps(Dense(**arguments).get_config()))
    theirs = keras.layers.Dense.from_config(config)
    back = Dense.from_config(theirs.get_config())
    assert back.get_config() == config == Dense.from_config(config).get_config()
    assert theirs.units == back.units == arguments["units"]
    assert theirs.activation.__name__ == back.activation
    assert theirs.use_bias == back.use_bias


def test_seed_is_in_the_config():
    assert Dense.from_config(Dense(3, seed=5).get_config()).seed == 5


def test_pickle():
    layer, x, _ = problem("softmax", (3, 4))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(x), layer(x))


def test_stack_with_a_recurrent_layer():
    rnn, dense = fastrnn.SimpleRNN(3, return_sequences=True, dtype="float64"), Dense(2, "sigmoid", dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    states, rnn_tape = rnn.forward(x)
    _, tape = dense.forward(states)
    gradients = dense.backward(np.ones((2, 4, 2)), tape)
    got = rnn.backward(gradients.dx, rnn_tape)
    want = central_differences(lambda: float(dense(rnn(x)).sum()), x)
    assert_close(got.dx, want, 1e-8 * largest(want))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones(4), ValueError, r"x must be \(batch, features\), got \(4,\)"),
        (1.0, ValueError, r"x must be \(batch, features\), got \(\)"),
        (np.ones((2, 3)), ValueError, r"x must be \(batch, features=4\), got \(2, 3\)"),
        (np.ones((2, 4, 3)), ValueError, r"x must be \(batch, ..., features=4\), got \(2, 4, 3\)"),
        ([[1.0] * 4, [1.0]], ValueError, "x must be .*nested sequences of different lengths"),
        (np.ones((2, 4), complex), TypeError, "x must hold real numbers, got complex128"),
        (np.ones((2, 4), object), TypeError, "x must hold real numbers, got object"),
        (np.full((2, 4), "1"), TypeError, "x must hold real numbers, got <U1"),
        (np.ma.ones((2, 4)), TypeError, "x must be a plain array"),
    ],
)
def test_wrong_input(x, error, message):
    layer, _, _ = problem("linear", (3, 4))
    with pytest.raises(error, match=message):
        layer(x)
    with pytest.raises(error, match=message):
        layer.forward(x)


@pytest.mark.parametrize("x", [np.ones(4), np.ones((2, 4), complex)], ids=str)
def test_wrong_input_builds_nothing(x):
    layer = Dense(3)
    with pytest.raises((ValueError, TypeError), match="x must"):
        layer(x)
    assert not layer.built


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (np.ones((3, 4)), ValueError, r"dy must be \(batch=3, units=5\), got \(3, 4\)"),
        (1.0, ValueError, r"dy must be \(batch, units\), got \(\)"),
        (np.ones((3, 5), complex), TypeError, "dy must hold real numbers, got complex128"),
    ],
)
def test_wrong_gradient(dy, error, message):
    layer, x, _ = problem("linear", (3, 4))
    _, tape = layer.forward(x)
    with pytest.raises(error, match=message):
        layer.backward(dy, tape)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"units": 0}, ValueError, "units must be a positive integer, got 0"),
        ({"units": -1}, ValueError, "units must be a positive integer, got -1"),
        ({"units": 2.5}, TypeError, "units must be a positive integer, got 2.5"),
        ({"activation": "swish"}, ValueError, "activation must be one of 'tanh', .*'softmax', got 'swish'"),
        ({"kernel_initializer": "glorot"}, ValueError, "kernel_initializer must be one of .*got 'glorot'"),
        ({"bias_initializer": None}, TypeError, "bias_initializer must be a name, .*got NoneType"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"dtype": "float(32"}, ValueError, "dtype must be 'float32' or 'float64', got 'float"),
        ({"kernel_regularizer": "l3"}, ValueError, "kernel_regularizer must be one of 'l1', .*got 'l3'"),
        ({"bias_constraint": 3}, TypeError, "bias_constraint must be .*got int"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Dense(**{"units": 3, **arguments})
