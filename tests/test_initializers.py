"""Initializers beside Keras's own: names, configurations and distributions."""

import json

import numpy as np
import pytest
from tolerance import unit_roundoff

from fastrnn import initializers

NAMES = [
    "zeros",
    "ones",
    "constant",
    "identity",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
]
CONFIGS = [
    ("Constant", {"value": 0.25}),
    ("Zeros", {}),
    ("Ones", {}),
    ("Identity", {"gain": 2.0}),
    ("RandomNormal", {"mean": 0.5, "stddev": 2.0, "seed": 3}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0, "seed": 3}),
    ("TruncatedNormal", {"mean": 0.5, "stddev": 2.0, "seed": 3}),
    ("VarianceScaling", {"scale": 0.5, "mode": "fan_out", "distribution": "uniform", "seed": 3}),
    ("VarianceScaling", {"scale": 0.5, "mode": "fan_avg", "distribution": "untruncated_normal", "seed": 3}),
    ("VarianceScaling", {"mode": "fan_in", "distribution": "normal", "seed": 3}),
    ("VarianceScaling", {"input_axes": [0, 1], "output_axes": [2], "seed": 3}),
    ("GlorotUniform", {"seed": 3}),
    ("GlorotNormal", {"seed": 3}),
    ("HeUniform", {"seed": 3}),
    ("HeNormal", {"seed": 3}),
    ("LecunUniform", {"seed": 3}),
    ("LecunNormal", {"seed": 3}),
    ("Orthogonal", {"gain": 1.5, "seed": 3}),
]

CONFIGS = [pytest.param(*c, id=f"{c[0]}-{'-'.join(map(str, c[1].values()))}") for c in CONFIGS]
ELEMENTWISE = [c for c in CONFIGS if "seed" in c.values[1] and c.values[0] != "Orthogonal"]
FIXED = [c for c in CONFIGS if "seed" not in c.values[1]]


@pytest.fixture(scope="module")
def keras():
    from keras_oracle import keras

    return keras


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("name", "config"), ELEMENTWISE)
@pytest.mark.parametrize("shape", [(200, 300), (5, 40, 300), (60_000,)], ids=str)
def test_same_distribution_as_keras(keras, name, config, shape):
    """Two samples of one distribution have a Kolmogorov-Smirnov distance above 1.95 sqrt(2 / n) once in a thousand."""
    if "input_axes" in config and len(shape) < 3:
        shape = (5, 40, 300)
    ours = np.sort(getattr(initializers, name)(**{**config, "seed": 4})(shape).ravel())
    theirs = np.sort(np.asarray(getattr(keras.initializers, name)(**config)(shape)).ravel())
    assert ours.std() > 0
    n = ours.size
    distance = np.abs(np.arange(1, n + 1) - np.searchsorted(theirs, ours, side="right")).max() / n
    assert distance < 1.95 * np.sqrt(2 / n)


@pytest.mark.parametrize(("name", "config"), FIXED)
def test_same_values_as_keras(keras, name, config):
    ours = initializers.get({"class_name": name, "config": config})((3, 5))
    np.testing.assert_array_equal(ours, getattr(keras.initializers, name)(**config)((3, 5)), strict=True)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("glorot_uniform", np.sqrt(6 / 500)),
        ("he_uniform", np.sqrt(6 / 200)),
        ("lecun_uniform", np.sqrt(3 / 200)),
        ("random_uniform", 0.05),
        ("truncated_normal", 0.1),
        ("glorot_normal", 2 * np.sqrt(2 / 500) / 0.8796256610342398),
        ("he_normal", 2 * np.sqrt(2 / 200) / 0.8796256610342398),
        ("lecun_normal", 2 * np.sqrt(1 / 200) / 0.8796256610342398),
    ],
)
def test_bounds(name, limit):
    """Nothing beyond the limit, and the limit is all but reached."""
    largest = np.abs(initializers.get(name)((200, 300), "float64", rng())).max()
    assert 0.99 * limit < largest <= limit


@pytest.mark.parametrize(
    ("name", "stddev"),
    [
        ("random_normal", 0.05),
        ("glorot_normal", np.sqrt(2 / 500)),
        ("he_normal", np.sqrt(2 / 200)),
        ("lecun_normal", np.sqrt(1 / 200)),
        ("glorot_uniform", np.sqrt(2 / 500)),
        ("he_uniform", np.sqrt(2 / 200)),
        ("lecun_uniform", np.sqrt(1 / 200)),
    ],
)
def test_moments(name, stddev):
    """Mean and standard deviation within five standard errors; the latter's is at most stddev / sqrt(2 n)."""
    values = initializers.get(name)((200, 300), "float64", rng())
    assert abs(values.mean()) < 5 * stddev / np.sqrt(values.size)
    assert abs(values.std() - stddev) < 5 * stddev / np.sqrt(2 * values.size)


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (100, 30), (30, 100), (4, 5, 6), (2, 3, 50)], ids=str)
@pytest.mark.parametrize("gain", [1.0, -2.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(shape, gain, dtype):
    """QᵀQ = gain² I. Householder's Q is off by at most about sqrt(columns) rows u (Higham 2002, theorem 19.4)."""
    values = initializers.Orthogonal(gain, seed=1)(shape, dtype)
    assert values.dtype == dtype
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1]).astype(np.float64)
    matrix = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    rows, columns = matrix.shape
    tolerance = 2 * gain**2 * (np.sqrt(columns) * rows * unit_roundoff(np.float64) + 2 * unit_roundoff(dtype))
    np.testing.assert_allclose(matrix.T @ matrix, gain**2 * np.eye(columns), rtol=0, atol=tolerance)


def test_orthogonal_prefers_no_sign():
    """In two dimensions the first element is the cosine of a uniform angle: mean 0, variance 1/2."""
    generator = rng()
    firsts = np.array([initializers.Orthogonal()((2, 2), "float64", generator)[0, 0] for _ in range(2000)])
    assert abs(firsts.mean()) < 5 * np.sqrt(0.5 / firsts.size)
    assert abs((firsts**2).mean() - 0.5) < 5 * np.sqrt(0.125 / firsts.size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64])
def test_result(name, dtype):
    values = initializers.get(name)((4, 4), dtype, rng())
    assert type(values) is np.ndarray
    assert values.shape == (4, 4)
    assert values.dtype == dtype
    assert values.flags.c_contiguous
    assert values.flags.writeable
    assert values.flags.owndata or values.base.flags.writeable
    double = initializers.get(name)((4, 4), "float64", rng())
    np.testing.assert_array_equal(values, double.astype(dtype), strict=True)


def test_float32_is_the_default():
    assert initializers.get("glorot_uniform")((2, 3)).dtype == np.float32


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("identity", "orthogonal")])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 3), (3, 0), (2, 3, 4)], ids=str)
def test_any_shape(name, shape):
    assert initializers.get(name)(shape).shape == shape


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
def test_empty_orthogonal(shape):
    assert initializers.Orthogonal()(shape).shape == shape


@pytest.mark.parametrize(("name", "config"), ELEMENTWISE)
def test_seeds(name, config):
    cls = getattr(initializers, name)
    shape = (2, 3, 4)
    seeded, unseeded = cls(**config), cls(**{**config, "seed": None})
    np.testing.assert_array_equal(seeded(shape), seeded(shape))
    np.testing.assert_array_equal(seeded(shape), seeded(shape, rng=rng(1)))
    np.testing.assert_array_equal(unseeded(shape, rng=rng(1)), unseeded(shape, rng=rng(1)))
    assert (unseeded(shape, rng=rng(1)) != unseeded(shape, rng=rng(2))).any()
    assert (unseeded(shape) != unseeded(shape)).any()
    generator = rng(1)
    assert (unseeded(shape, rng=generator) != unseeded(shape, rng=generator)).any()


@pytest.mark.parametrize("name", NAMES)
def test_get_by_name(keras, name):
    ours = initializers.get(name)
    assert type(ours).__name__ == getattr(keras.initializers, name).__name__
    assert type(initializers.get(type(ours).__name__)) is type(ours)
    assert type(initializers.get(type(ours))) is type(ours)
    assert initializers.get(ours) is ours


@pytest.mark.parametrize("name", ["normal", "one", "uniform", "zero", "IdentityInitializer", "OrthogonalInitializer"])
def test_other_names(keras, name):
    assert type(initializers.get(name)).__name__ == type(keras.initializers.get(name)).__name__


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_configs_travel_to_keras_and_back(keras, name, config):
    ours = getattr(initializers, name)(**config)
    description = json.loads(json.dumps(initializers.serialize(ours)))
    theirs = keras.initializers.deserialize(description)
    for argument in config:
        assert getattr(theirs, argument) == getattr(ours, argument)
    if name != "Identity":  # of which Keras forgets the gain
        assert keras.initializers.serialize(theirs) == description
    back = initializers.get(description)
    assert type(back) is type(ours)
    assert back.get_config() == ours.get_config()
    assert repr(back) == repr(ours)


def test_function():
    def ramp(shape, dtype=None):
        assert dtype == "float64"
        return np.arange(np.prod(shape)).reshape(shape)

    initializer = initializers.get(ramp)
    values = initializer((2, 3), "float64", rng())
    np.testing.assert_array_equal(values, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    assert values.dtype == np.float64
    assert initializers.serialize(initializer) is ramp


def test_function_gives_its_own_array_away():
    theirs = np.ones((2, 2), np.float32)
    ours = initializers.get(lambda shape, dtype=None: theirs)((2, 2))
    ours += 1
    assert (theirs == 1).all()


def test_keras_initializer_as_function(keras):
    theirs = keras.initializers.GlorotUniform(seed=3)
    np.testing.assert_array_equal(initializers.get(theirs)((3, 4)), theirs((3, 4)), strict=True)


def test_function_of_wrong_shape():
    initializer = initializers.get(lambda shape, dtype=None: np.ones(3))
    with pytest.raises(ValueError, match=r"must return shape \(2, 3\), got \(3,\)"):
        initializer((2, 3))


@pytest.mark.parametrize("identifier", ["glorot", "", {"class_name": "Glorot"}, {}])
def test_unknown(identifier):
    with pytest.raises(ValueError, match=r"kernel_initializer must be one of 'constant', .*'orthogonal', got "):
        initializers.get(identifier, "kernel_initializer")


@pytest.mark.parametrize("identifier", [3, None])
def test_not_an_initializer(identifier):
    with pytest.raises(TypeError, match=r"bias_initializer must be .* or a function, got (int|NoneType)"):
        initializers.get(identifier, "bias_initializer")


def test_config_with_a_wrong_argument():
    with pytest.raises(TypeError, match="stddev"):
        initializers.get({"class_name": "GlorotUniform", "config": {"stddev": 1.0}})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "int32", "complex64"])
def test_other_dtypes(name, dtype):
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64'"):
        initializers.get(name)((2, 2), dtype)


@pytest.mark.parametrize("make", [initializers.Identity, initializers.Orthogonal])
@pytest.mark.parametrize("shape", [(), (3,)], ids=str)
def test_matrices_only(make, shape):
    with pytest.raises(ValueError, match="shape must"):
        make()(shape)


def test_identity_is_flat():
    with pytest.raises(ValueError, match=r"shape must be \(rows, columns\) for an identity matrix, got \(2, 2, 2\)"):
        initializers.Identity()((2, 2, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0.0}, "scale must be above 0, got 0.0"),
        ({"scale": float("nan")}, "scale must be above 0, got nan"),
        ({"mode": "fan"}, "mode must be one of 'fan_in', 'fan_out', 'fan_avg', got 'fan'"),
        ({"distribution": "gamma"}, "distribution must be one of 'truncated_normal', .*, got 'gamma'"),
        ({"seed": -1}, "seed must be a non-negative integer or None, got -1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        initializers.VarianceScaling(**arguments)


def test_only_own_classes_can_be_serialized():
    class Mine(initializers.Zeros):
        pass

    with pytest.raises(ValueError, match="got Mine"):
        initializers.serialize(Mine())
