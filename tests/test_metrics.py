"""Metrics beside Keras's, or scikit-learn's, over several batches."""

import re

import numpy as np
import pytest

from fastrnn import metrics

BATCHES = 3


def binary(rng):
    return rng.integers(0, 2, (7, 1)), rng.random((7, 1))


def classes(rng):
    return rng.integers(0, 4, 7), rng.random((7, 4))


def steps(rng):
    return rng.integers(0, 4, (7, 5)), rng.random((7, 5, 4))


def one_hot(rng):
    y, p = classes(rng)
    return np.eye(4)[y], p


def real(rng):
    return rng.standard_normal((7, 2)), rng.standard_normal((7, 2))


CASES = [
    ("BinaryAccuracy", {}, binary),
    ("SparseCategoricalAccuracy", {}, classes),
    ("SparseCategoricalAccuracy", {}, steps),
    ("CategoricalAccuracy", {}, one_hot),
    ("MeanSquaredError", {}, real),
    ("MeanAbsoluteError", {}, real),
    ("Precision", {}, binary),
    ("Precision", {"thresholds": 0.3, "class_id": 2}, one_hot),
    ("Recall", {}, binary),
    ("Recall", {"thresholds": 0.3}, one_hot),
]


@pytest.mark.parametrize(("name", "arguments", "data"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_keras_s(name, arguments, data, weighted):
    keras = pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras
    ours, theirs = (getattr(module, name)(**arguments) for module in (metrics, keras.metrics))
    assert ours.name == re.sub(r"_\d+$", "", theirs.name)  # Keras counts some of them
    rng = np.random.default_rng(0)
    for _ in range(BATCHES):
        y_true, y_pred = data(rng)
        weight = rng.random(7) if weighted else None
        ours.update_state(y_true, y_pred, weight)
        theirs.update_state(y_true, y_pred, weight)
    np.testing.assert_allclose(ours.result(), float(theirs.result()), rtol=1e-6)
    ours.reset_state()
    assert ours.result() == 0.0


def test_auc():
    sklearn = pytest.importorskip("sklearn.metrics", reason="the AUC is scikit-learn's")
    rng = np.random.default_rng(0)
    metric, kept = metrics.AUC(), []
    assert metric.result() == 0.0
    for _ in range(BATCHES):
        y_true, y_pred = binary(rng)
        weight = rng.integers(0, 3, 7)
        metric.update_state(y_true, y_pred, weight)
        kept.append((y_true, y_pred, weight[:, None]))
    y_true, y_pred, weight = (np.concatenate(column)[:, 0] for column in zip(*kept, strict=True))
    assert metric.result() == sklearn.roc_auc_score(y_true, y_pred, sample_weight=weight)
    metric.reset_state()
    metric.update_state([1, 1], [0.5, 0.6])
    assert metric.result() == 0.0


def test_finding_metrics():
    def largest(y_true, y_pred):
        return np.abs(y_true - y_pred).max(axis=-1)

    assert metrics.get("mse").name == "mse"
    assert metrics.get("mean_absolute_error").name == "mean_absolute_error"
    assert metrics.get(largest).name == "largest"
    metric = metrics.get(largest)
    metric.update_state(np.zeros((2, 2)), np.array([[1.0, 2.0], [3.0, 0.0]]))
    assert metric.result() == 2.5
    described = metrics.serialize(metrics.BinaryAccuracy("mine", threshold=0.7))
    again = metrics.get(described)
    assert (again.name, again.threshold) == ("mine", 0.7)
    with pytest.raises(ValueError, match="only the classes of fastrnn"):
        metrics.serialize(metric)
    for wrong, error in (("f1", ValueError), (3, TypeError)):
        with pytest.raises(error, match="metric must be"):
            metrics.get(wrong)


@pytest.mark.parametrize(
    ("truth", "prediction", "kind"),
    [
        ((8,), (8, 1), metrics.BinaryAccuracy),
        ((8, 1), (8, 1), metrics.BinaryAccuracy),
        ((8,), (8, 3), metrics.SparseCategoricalAccuracy),
        ((8, 1), (8, 3), metrics.SparseCategoricalAccuracy),
        ((8, 5), (8, 5, 3), metrics.SparseCategoricalAccuracy),
        ((8, 3), (8, 3), metrics.CategoricalAccuracy),
    ],
)
def test_which_accuracy(truth, prediction, kind):
    assert type(metrics.accuracy("acc", truth, prediction)) is kind


def test_shapes_that_do_not_fit():
    for metric, truth, prediction in (
        (metrics.BinaryAccuracy(), (7, 2), (7, 3)),
        (metrics.SparseCategoricalAccuracy(), (7, 2), (7, 3)),
        (metrics.MeanSquaredError(), (6, 1), (7, 1)),
    ):
        with pytest.raises(ValueError, match="y_true must be"):
            metric.update_state(np.zeros(truth), np.zeros(prediction))
    for metric in (metrics.BinaryAccuracy(), metrics.Recall()):
        with pytest.raises(ValueError, match="sample_weight must be"):
            metric.update_state(np.zeros(7), np.zeros(7), np.zeros(6))
    with pytest.raises(ValueError, match="class_id must be below 2"):
        metrics.Precision(class_id=2).update_state(np.zeros((7, 2)), np.zeros((7, 2)))
    with pytest.raises(NotImplementedError, match="top_k"):
        metrics.Precision(top_k=2)
    with pytest.raises(TypeError, match="thresholds must be a number"):
        metrics.Precision(thresholds=[0.1, 0.9])


def test_masked_steps_are_neither_found_nor_missed():
    truth, prediction = np.array([[[1], [1], [0]]]), np.array([[[0.9], [0.1], [0.8]]])
    precision, recall = metrics.Precision(), metrics.Recall()
    for metric in (precision, recall):
        metric.update_state(truth, prediction, np.array([[1.0, 0.0, 1.0]]))
    assert (precision.result(), recall.result()) == (0.5, 1.0)
