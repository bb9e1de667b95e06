"""Losses beside Keras, their equations in float64, finite differences and PyTorch."""

import json

import mpmath
import numpy as np
import pytest
from differences import central_differences
from tolerance import assert_close, largest, unit_roundoff

from fastrnn import losses
from fastrnn.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)

REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None]
KINDS = {
    "mse": (MeanSquaredError, {}),
    "mae": (MeanAbsoluteError, {}),
    "huber": (Huber, {"delta": 0.7}),
    "binary": (BinaryCrossentropy, {}),
    "binary-smooth": (BinaryCrossentropy, {"label_smoothing": 0.2}),
    "binary-logits": (BinaryCrossentropy, {"from_logits": True}),
    "binary-logits-smooth": (BinaryCrossentropy, {"from_logits": True, "label_smoothing": 0.2}),
    "categorical": (CategoricalCrossentropy, {}),
    "categorical-smooth": (CategoricalCrossentropy, {"label_smoothing": 0.2}),
    "categorical-logits": (CategoricalCrossentropy, {"from_logits": True}),
    "categorical-logits-smooth": (CategoricalCrossentropy, {"from_logits": True, "label_smoothing": 0.2}),
    "sparse": (SparseCategoricalCrossentropy, {}),
    "sparse-logits": (SparseCategoricalCrossentropy, {"from_logits": True}),
    "sparse-ignore": (SparseCategoricalCrossentropy, {"ignore_class": 1}),
    "sparse-logits-ignore": (SparseCategoricalCrossentropy, {"from_logits": True, "ignore_class": 1}),
}
ERRORS = [MeanSquaredError, MeanAbsoluteError, Huber]
CROSSENTROPIES = [BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy]

kinds = pytest.mark.parametrize("kind", KINDS)
reductions = pytest.mark.parametrize("reduction", REDUCTIONS)
shapes = pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4)], ids=str)


@pytest.fixture(scope="module")
def keras():
    from keras_oracle import keras

    return keras


def problem(kind, shape, dtype="float64", seed=0):
    """Truth and prediction, of which no probability is so near 0 or 1 that it would be clipped."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), *shape])
    cls, arguments = KINDS[kind]
    y_pred = rng.normal(size=shape)
    if cls in CROSSENTROPIES and not arguments.get("from_logits"):
        y_pred = rng.uniform(0.05, 0.95, shape)
    if cls in ERRORS:
        y_true = rng.normal(size=shape)
    elif cls is BinaryCrossentropy:
        y_true = rng.uniform(size=shape).round(1)
    elif cls is CategoricalCrossentropy:
        y_true = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    else:
        y_true = rng.integers(shape[-1], size=shape[:-1])
        y_true.flat[:2] = 1, 2  # ignored and not, whatever was drawn
    return y_true, y_pred.astype(dtype)


def sample_weights(weighting, shape):
    rng = np.random.default_rng([1, *shape])
    full = rng.uniform(0.5, 2.0, shape[:-1])
    return {None: None, "samples": full, "broadcast": full[..., :1] if len(shape) > 2 else full, "scalar": 1.5}[
        weighting
    ]


def equation(kind, y_true, y_pred):
    """The loss of each sample, in float64 and by the textbook's formulas."""
    cls, arguments = KINDS[kind]
    p, n = np.asarray(y_pred, np.float64), y_pred.shape[-1]
    if cls in ERRORS:
        errors = {
            MeanSquaredError: lambda d: d**2,
            MeanAbsoluteError: np.abs,
            Huber: lambda d: np.where(np.abs(d) <= 0.7, d**2 / 2, 0.7 * np.abs(d) - 0.7**2 / 2),
        }
        return errors[cls](y_true - p).sum(axis=-1) / n
    smoothing, logits = arguments.get("label_smoothing", 0.0), arguments.get("from_logits", False)
    if cls is BinaryCrossentropy:
        p = 1 / (1 + np.exp(-p)) if logits else p
        t = y_true + smoothing * (0.5 - y_true)
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=-1) / n
    p = np.exp(p) if logits else p
    p = p / p.sum(axis=-1, keepdims=True)
    t = y_true if cls is CategoricalCrossentropy else np.eye(n)[y_true]
    t = t + smoothing * (1 / n - t)
    values = -(t * np.log(p)).sum(axis=-1)
    return np.where(y_true == arguments["ignore_class"], 0.0, values) if "ignore_class" in arguments else values


@kinds
@shapes
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equation(kind, shape, dtype):
    """An error of the logarithm's argument, a few roundings of values around 1, is divided by at least 0.01."""
    y_true, y_pred = problem(kind, shape, dtype)
    cls, arguments = KINDS[kind]
    got = cls(reduction=None, **arguments)(y_true, y_pred)
    want = equation(kind, y_true.astype(dtype) if y_true.dtype.kind == "f" else y_true, y_pred)
    assert got.dtype == dtype
    assert_close(got, want, 100 * (4 + shape[-1]) * unit_roundoff(dtype))


@kinds
@shapes
@reductions
@pytest.mark.parametrize("weighting", [None, "samples", "broadcast", "scalar"])
def test_keras(keras, kind, shape, reduction, weighting):
    cls, arguments = KINDS[kind]
    y_true, y_pred = problem(kind, shape, "float32")
    weight = sample_weights(weighting, shape)
    if weight is not None and "ignore_class" in arguments:
        weight = np.array(np.broadcast_to(weight, shape[:-1]))  # for Keras, which cannot broadcast weights to a mask
    ours = cls(reduction=reduction, **arguments)(y_true, y_pred, weight)
    theirs = getattr(keras.losses, cls.__name__)(reduction=reduction, **arguments)
    with np.errstate(invalid="ignore"):  # Keras divides 0 by 0 for ignored samples
        want = np.asarray(theirs(y_true, y_pred, weight))
    assert np.shape(ours) == want.shape
    assert_close(ours, want, 200 * (4 + shape[-1]) * unit_roundoff(np.float32) * max(1.0, largest(want)))
    assert type(ours) is (float if reduction not in (None, "none") else np.ndarray)


@kinds
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 3)], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "mean_with_sample_weight", "sum", None])
@pytest.mark.parametrize("weighting", [None, "samples", "broadcast"])
def test_gradient_by_finite_differences(kind, shape, reduction, weighting):
    """A central difference with step h is off by h² f''' / 6, f''' up to 2 / 0.05³, and by u |f| / h for rounding."""
    cls, arguments = KINDS[kind]
    loss = cls(reduction=reduction, **arguments)
    y_true, y_pred = problem(kind, shape)
    weight = sample_weights(weighting, shape)
    value, tape = loss.forward(y_true, y_pred, weight)
    dy = np.random.default_rng(0).normal(size=np.shape(value))
    got = loss.backward(dy, tape)
    want = central_differences(lambda: float((dy * loss(y_true, y_pred, weight)).sum()), y_pred)
    assert_close(got, want, 1e-6 * largest(dy) * (1.0 if weight is None else largest(weight)))


@pytest.mark.pytorch
@kinds
@shapes
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_by_pytorch(kind, shape, dtype):
    import torch

    cls, arguments = KINDS[kind]
    y_true, y_pred = problem(kind, shape, dtype)
    leaf = torch.tensor(y_pred.astype(np.float64), requires_grad=True)
    truth = torch.tensor(y_true)
    smoothing, logits = arguments.get("label_smoothing", 0.0), arguments.get("from_logits", False)
    F = torch.nn.functional
    if cls in ERRORS:
        value = {
            MeanSquaredError: F.mse_loss,
            MeanAbsoluteError: F.l1_loss,
            Huber: lambda *pair: F.huber_loss(*pair, delta=0.7),
        }[cls](leaf, truth)
    elif cls is BinaryCrossentropy:
        truth = truth * (1 - smoothing) + smoothing / 2
        value = (F.binary_cross_entropy_with_logits if logits else F.binary_cross_entropy)(leaf, truth)
    else:
        scores = leaf if logits else torch.log(leaf)  # the softmax of a logarithm divides by the sum
        value = F.cross_entropy(
            scores.reshape(-1, shape[-1]),
            truth.reshape(-1, shape[-1]) if cls is CategoricalCrossentropy else truth.reshape(-1),
            label_smoothing=smoothing,
            ignore_index=arguments.get("ignore_class", -100),
        )
    value.backward()
    got_value, tape = cls(**arguments).forward(y_true, y_pred)
    got = cls(**arguments).backward(1.0, tape)
    assert got.dtype == dtype
    tolerance = 100 * (4 + shape[-1]) * unit_roundoff(dtype)
    assert_close(got_value, value.item(), tolerance)
    assert_close(got, leaf.grad.numpy(), tolerance * largest(leaf.grad.numpy()))


@pytest.mark.parametrize("x", [-1e4, -200.0, -30.0, -1.0, 0.0, 1.0, 30.0, 200.0, 1e4])
@pytest.mark.parametrize("t", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_logits_are_exact_at_any_size(x, t, dtype):
    loss = BinaryCrossentropy(from_logits=True)
    value, tape = loss.forward([[t]], np.array([[x]], dtype))
    with mpmath.workdps(50):
        log_p, log_not_p = (-mpmath.log1p(mpmath.exp(sign * mpmath.mpf(x))) for sign in (-1, 1))
        want = float(-t * log_p - (1 - t) * log_not_p)
        dwant = float(mpmath.exp(log_p) - t)
    u, tiny = unit_roundoff(dtype), float(np.finfo(dtype).tiny)
    assert abs(value - want) <= 4 * u * want + tiny
    assert abs(loss.backward(1.0, tape)[0, 0] - dwant) <= 4 * u * max(abs(dwant), t) + tiny


@pytest.mark.parametrize("spread", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_class_logits_are_exact_at_any_size(spread, offset, dtype):
    logits = (np.array([[0.0, -0.5, 1.0, 0.25]]) * spread + offset).astype(dtype)
    with mpmath.workdps(50):
        exact = [mpmath.mpf(float(v)) for v in logits[0]]
        log_sum = mpmath.log(mpmath.fsum(mpmath.exp(v - max(exact)) for v in exact)) + max(exact)
        want = np.array([float(log_sum - v) for v in exact])
        p = np.array([float(mpmath.exp(v - log_sum)) for v in exact])
    tolerance = 8 * unit_roundoff(dtype) * np.maximum(1.0, want)
    for k, one_hot in enumerate(np.eye(4)):
        for loss, truth in [
            (SparseCategoricalCrossentropy(from_logits=True), [k]),
            (CategoricalCrossentropy(from_logits=True), [one_hot]),
        ]:
            value, tape = loss.forward(truth, logits)
            assert abs(value - want[k]) <= tolerance[k]
            np.testing.assert_allclose(loss.backward(1.0, tape)[0], p - one_hot, rtol=0, atol=8 * unit_roundoff(dtype))


@pytest.mark.parametrize("cls", CROSSENTROPIES)
def test_impossible_predictions_are_clipped(keras, cls):
    """At 0 and 1 the loss is that of 1e-7, and the gradient of what is clipped is 0."""
    y_pred = np.array([[0.0, 1.0], [1.0, 0.0], [1e-9, 1.0]], np.float32)
    y_true = np.array([0, 0, 0]) if cls is SparseCategoricalCrossentropy else np.array([[1.0, 0.0]] * 3)
    value, tape = cls(reduction=None).forward(y_true, y_pred)
    want = getattr(keras.losses, cls.__name__)(reduction=None)(y_true, y_pred)
    # Near 1 the distance to 1 is rounded, to one of very few floats.
    np.testing.assert_allclose(value, want, rtol=1e-6, atol=1e-7)
    assert abs(value[0] - -np.log(1e-7)) < 0.2
    assert not cls(reduction=None).backward(np.ones(3), tape).any()


def test_truths_without_the_last_axis(keras):
    y_true, y_pred = np.array([0.0, 1.0, 1.0]), np.array([[0.2], [0.7], [0.4]], np.float32)
    for cls in (BinaryCrossentropy, MeanSquaredError):
        theirs = getattr(keras.losses, cls.__name__)()
        value, tape = cls().forward(y_true, y_pred)
        np.testing.assert_allclose(value, theirs(y_true, y_pred), rtol=1e-6)
        np.testing.assert_allclose(
            cls()(y_true[:, None], y_pred[:, 0]), theirs(y_true[:, None], y_pred[:, 0]), rtol=1e-6
        )
        assert cls().backward(1.0, tape).shape == (3, 1)
        np.testing.assert_array_equal(cls()(y_true[:, None], y_pred), value)
    sparse = SparseCategoricalCrossentropy()
    assert sparse([[1], [0]], np.full((2, 2), 0.5)) == sparse([1, 0], np.full((2, 2), 0.5))


def test_sequence_of_truths_without_the_last_axis(keras):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(2, size=(3, 4)), rng.uniform(0.1, 0.9, (3, 4, 1))
    value, tape = BinaryCrossentropy(reduction=None).forward(y_true, y_pred)
    np.testing.assert_allclose(value, keras.losses.BinaryCrossentropy(reduction=None)(y_true, y_pred), rtol=1e-5)
    got = BinaryCrossentropy(reduction=None).backward(np.ones(3), tape)
    want = BinaryCrossentropy(reduction=None).backward(
        np.ones(3), BinaryCrossentropy(reduction=None).forward(y_true, y_pred[..., 0])[1]
    )
    np.testing.assert_array_equal(got[..., 0], want)
    assert got.any()


def test_weights_with_a_last_axis(keras):
    y_true, y_pred = problem("mse", (6, 4), "float32")
    weight = sample_weights("samples", (6, 4))[:, None]
    for reduction in REDUCTIONS:
        loss = MeanSquaredError(reduction)
        value, tape = loss.forward(y_true, y_pred, weight)
        want = keras.losses.MeanSquaredError(reduction)(y_true, y_pred, weight)
        assert np.shape(value) == np.shape(want)
        np.testing.assert_allclose(value, want, rtol=1e-5)
        assert loss.backward(np.ones_like(value), tape).shape == (6, 4)


@pytest.mark.parametrize("cls", CROSSENTROPIES)
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_axis(cls, from_logits, axis):
    """The same as with the axis moved to the end."""
    rng = np.random.default_rng(0)
    y_pred = rng.uniform(0.1, 0.9, (3, 4, 5))
    moved = np.moveaxis(y_pred, axis, -1)
    smoothing = {} if cls is SparseCategoricalCrossentropy else {"label_smoothing": 0.1}
    y_true = rng.integers(3, size=moved.shape[:-1]) if not smoothing else rng.uniform(size=moved.shape)
    loss = cls(from_logits=from_logits, axis=axis, reduction=None, **smoothing)
    last = cls(from_logits=from_logits, reduction=None, **smoothing)
    value, tape = loss.forward(np.moveaxis(y_true, -1, axis) if smoothing else y_true, y_pred)
    want, want_tape = last.forward(y_true, moved)
    np.testing.assert_allclose(value, want, rtol=1e-14)
    dy = rng.normal(size=want.shape)
    np.testing.assert_allclose(
        loss.backward(dy, tape), np.moveaxis(last.backward(dy, want_tape), -1, axis), rtol=1e-13, atol=1e-14
    )


@kinds
def test_tape_is_the_callers_alone(kind):
    cls, arguments = KINDS[kind]
    loss = cls(**arguments)
    y_true, y_pred = problem(kind, (6, 4))
    weight = sample_weights("samples", (6, 4))
    _, tape = loss.forward(y_true, y_pred, weight)
    before = loss.backward(1.0, tape)
    for array in (y_pred, weight):
        array[...] = np.nan
    np.testing.assert_array_equal(loss.backward(1.0, tape), before)
    np.testing.assert_array_equal(loss.backward(2.0, tape), 2 * before)
    before += 1
    assert not (loss.backward(1.0, tape) == before).any()
    for array in (tape.derivative, tape.weight):
        with pytest.raises(ValueError, match="read-only"):
            array += 1


@kinds
def test_types(kind):
    cls, arguments = KINDS[kind]
    y_true, y_pred = problem(kind, (6, 4), "float32")
    for given, dtype, want in [
        (y_pred, None, np.float32),
        (y_pred.astype(np.float64), None, np.float64),
        (y_pred.astype(">f8"), None, np.float64),
        (y_pred.tolist(), None, np.float32),
        (y_pred, "float64", np.float64),
        (y_pred.astype(np.float64), "float32", np.float32),
    ]:
        loss = cls(dtype=dtype, **arguments)
        _, tape = loss.forward(y_true, given)
        assert loss.backward(1.0, tape).dtype == want


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", ">i4", "bool"])
def test_types_of_labels(dtype):
    y_pred = [[0.2, 0.8], [0.5, 0.5]]
    loss = SparseCategoricalCrossentropy()
    assert loss(np.array([1, 0]).astype(dtype), y_pred) == loss([1, 0], y_pred)


@kinds
@reductions
def test_no_samples(kind, reduction):
    cls, arguments = KINDS[kind]
    loss = cls(reduction=reduction, **arguments)
    y_true = np.ones((0,) if cls is SparseCategoricalCrossentropy else (0, 4))
    value, tape = loss.forward(y_true, np.ones((0, 4)))
    assert np.shape(value) == ((0,) if reduction in (None, "none") else ())
    assert np.sum(value) == 0.0
    assert loss.backward(value, tape).shape == (0, 4)


def test_nothing_counts():
    """Weights that sum to 0 and labels that are all ignored leave nothing to divide by."""
    loss = MeanSquaredError("mean_with_sample_weight")
    value, tape = loss.forward([[1.0], [2.0]], [[0.0], [0.0]], [0.0, 0.0])
    assert value == 0.0
    assert not loss.backward(1.0, tape).any()
    loss = SparseCategoricalCrossentropy(ignore_class=-1)
    value, tape = loss.forward([-1, -1], [[0.5, 0.5], [0.1, 0.9]])
    assert value == 0.0
    assert not loss.backward(1.0, tape).any()


def test_ignored_samples_may_be_nan():
    loss = SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    value, tape = loss.forward([1, 255], [[1.0, 2.0], [np.nan, 1.0]])
    assert value == pytest.approx(np.log1p(np.exp(-1.0)), rel=1e-6)
    gradient = loss.backward(1.0, tape)
    assert not gradient[1].any()
    np.testing.assert_allclose(gradient[0], loss.backward(1.0, loss.forward([1], [[1.0, 2.0]])[1])[0])


@pytest.mark.parametrize("kind", ["mse", "binary-logits", "categorical-logits", "sparse-logits"])
def test_nan_stays_in_its_sample(kind):
    cls, arguments = KINDS[kind]
    loss = cls(reduction=None, **arguments)
    y_true, y_pred = problem(kind, (6, 4))
    y_pred[2, 1] = np.nan
    value, tape = loss.forward(y_true, y_pred)
    assert np.isnan(value).tolist() == [i == 2 for i in range(6)]
    gradient = loss.backward(np.ones(6), tape)
    assert np.isnan(gradient).any(axis=1).tolist() == [i == 2 for i in range(6)]


@pytest.mark.parametrize("kind", KINDS)
def test_config_travels_to_keras_and_back(keras, kind):
    cls, arguments = KINDS[kind]
    loss = cls(reduction="sum", **arguments)
    config = json.loads(json.dumps(loss.get_config()))
    theirs = getattr(keras.losses, cls.__name__).from_config(config)
    assert config.items() >= theirs.get_config().items()
    assert config.items() >= {"reduction": "sum", **arguments}.items()
    described = keras.losses.serialize(theirs)
    described["config"] |= arguments  # Keras's Huber forgets its delta
    back = losses.get(described)
    assert type(back) is cls
    assert back.get_config() == cls.from_config(config).get_config() == config


@pytest.mark.parametrize(
    "name",
    ["bce", "BCE", "mse", "MSE", "mae", "MAE", *losses._REGISTRY.all],
)
def test_get(keras, name):
    loss = losses.get(name)
    assert losses.get(loss) is loss
    assert type(losses.get(type(loss))) is type(loss)
    theirs = keras.losses.get(name)
    assert loss.name in (getattr(theirs, "name", None), getattr(theirs, "__name__", ""), f"{name}_loss")


@pytest.mark.parametrize("identifier", ["crossentropy", {"class_name": "Hinge"}, {}])
def test_unknown(identifier):
    with pytest.raises(ValueError, match=r"loss must be one of 'binary_crossentropy', .*, got "):
        losses.get(identifier)


@pytest.mark.parametrize("identifier", [None, 3, print])
def test_not_a_loss(identifier):
    with pytest.raises(TypeError, match="loss must be a name, a config or a Loss, got "):
        losses.get(identifier)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MeanSquaredError("average"), "reduction must be one of 'sum_over_batch_size', .*, got 'average'"),
        (lambda: MeanSquaredError(dtype="float16"), "dtype must be 'float32' or 'float64', got 'float16'"),
        (lambda: BinaryCrossentropy(label_smoothing=1.5), "label_smoothing must be a number from 0 to 1, got 1.5"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


LABELS = SparseCategoricalCrossentropy
BAD = {
    "binary truth": (BinaryCrossentropy, [[0, 2]], [[0.5, 0.5]], r"y_true must be from 0 to 1, got 0.0 to 2.0"),
    "other shape": (MeanSquaredError, [[1]], [[1, 2]], r"y_true must be shaped as y_pred, \(1, 2\), got \(1, 1\)"),
    "no one-hot": (CategoricalCrossentropy, [1, 0], np.ones((2, 3)), r"y_true .* as y_pred, \(2, 3\), got \(2,\)"),
    "one-hot": (LABELS, np.eye(3), np.ones((3, 3)), r"y_true .* without its classes, \(3,\), got \(3, 3\)"),
    "label too large": (LABELS, [0, 3], np.ones((2, 3)), r"y_true must hold whole numbers from 0 to 2, got 3"),
    "negative label": (LABELS, [0, -1], np.ones((2, 3)), r"y_true must hold whole numbers from 0 to 2, got -1"),
    "fraction": (LABELS, [0, 0.5], np.ones((2, 3)), r"y_true must hold whole numbers .* got 0.5"),
    "NaN": (LABELS, [0, np.nan], np.ones((2, 3)), r"y_true must hold whole numbers .* got nan"),
    "scalar": (MeanSquaredError, 1.0, 1.0, r"y_pred must have at least one value along axis -1, got \(\)"),
    "no outputs": (MeanSquaredError, np.ones((2, 0)), np.ones((2, 0)), r"y_pred must have at least one value"),
    "ragged": (MeanSquaredError, [[1.0], [1.0, 2.0]], np.ones((2, 2)), r"y_true must .*nested sequences"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_values(case):
    cls, y_true, y_pred, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        cls()(y_true, y_pred)


@pytest.mark.parametrize(
    ("losses_shape", "shape"),
    [((2,), (3,)), ((2,), (2, 2)), ((2,), (1, 2)), ((2, 2), (2,)), ((2, 2), (3, 1)), ((2, 2), (2, 2, 2))],
    ids=str,
)
def test_wrong_weights(losses_shape, shape):
    """Also those that would broadcast to more losses or, one for each sample, along time."""
    truth = np.ones((*losses_shape, 3))
    with pytest.raises(ValueError, match=r"sample_weight must be shaped as the losses, \(2,.*\), got \("):
        MeanSquaredError()(truth, truth, np.ones(shape))


@pytest.mark.parametrize("name", ["y_true", "y_pred", "sample_weight"])
@pytest.mark.parametrize("wrong", [np.ones((2, 1), complex), np.full((2, 1), "a"), np.ma.ones((2, 1))], ids=str)
def test_wrong_types(name, wrong):
    arguments = {"y_true": np.ones((2, 1)), "y_pred": np.ones((2, 1)), "sample_weight": np.ones((2, 1)), name: wrong}
    with pytest.raises(TypeError, match=f"{name} must"):
        MeanSquaredError()(**arguments)


def test_wrong_upstream_gradient():
    loss = MeanSquaredError(reduction=None)
    _, tape = loss.forward(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"dy must be shaped as the value of forward, \(2,\), got \(\)"):
        loss.backward(1.0, tape)
