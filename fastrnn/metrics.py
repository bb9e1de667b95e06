"""What training reports besides the loss, with Keras's names and defaults.

A metric gathers batches and gives a number::

    >>> from fastrnn.metrics import BinaryAccuracy
    >>> metric = BinaryAccuracy()
    >>> metric.update_state([[1], [0]], [[0.9], [0.6]])
    >>> metric.update_state([[1], [0]], [[0.8], [0.1]])
    >>> metric.result()
    0.75
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn._registry import Registry

MetricLike: TypeAlias = "str | Mapping[str, Any] | Metric | type[Metric] | Callable[[Array, Array], ArrayLike]"


class Metric:
    """Base of all metrics: a weighted mean of values that a subclass computes of each sample in `_values`.

    Parameters
    ----------
    name : str, optional
        What logs call it; by default the class's name in snake case.
    """

    _arguments: ClassVar[tuple[str, ...]] = ()
    _name = "metric"

    def __init__(self, name: str | None = None) -> None:
        self.name = self._name if name is None else name
        self.reset_state()

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Parameters
        ----------
        y_true, y_pred : array_like of shape (B, ...)
            The truth and the prediction, in the form that the class asks for.
        sample_weight : array_like, optional
            A factor for every sample (B,), or for every value (B, ...).

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        values = np.asarray(self._values(np.asarray(y_true), np.asarray(y_pred)), np.float64)
        if sample_weight is None:
            self._total += float(values.sum())
            self._count += values.size
            return
        weight = np.asarray(sample_weight, np.float64)
        if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
            weight = weight[..., 0]
        if values.ndim > weight.ndim:
            values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
        if weight.shape != values.shape:
            raise ValueError(f"sample_weight must be shaped as the samples, {values.shape}, got {weight.shape}")
        self._total += float((values * weight).sum())
        self._count += float(weight.sum())

    def result(self) -> float:
        """Return the mean over all batches since the last reset, 0.0 if there was none."""
        return self._total / self._count if self._count else 0.0

    def reset_state(self) -> None:
        """Forget all batches."""
        self._total = 0.0
        self._count = 0.0

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data that JSON can hold."""
        return {"name": self.name, **{name: getattr(self, name) for name in self._arguments}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a metric from what `get_config` returned."""
        return cls(**{name: value for name, value in config.items() if name != "dtype"})

    def _values(self, y_true: Array, y_pred: Array) -> Array:
        raise NotImplementedError


class BinaryAccuracy(Metric):
    """How often the truth is 1 where the prediction is above `threshold` (default 0.5), and 0 elsewhere.

    `y_true` is shaped as `y_pred`, (B, ..., outputs); either may lack a last axis of length 1.

    Examples
    --------
    >>> from fastrnn.metrics import BinaryAccuracy
    >>> metric = BinaryAccuracy()
    >>> metric.update_state([1, 0, 1, 1], [0.9, 0.2, 0.4, 0.6])
    >>> metric.result()
    0.75
    """

    _arguments = ("threshold",)
    _name = "binary_accuracy"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = _check.real("threshold", threshold)

    def _values(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _same_shape(y_true, y_pred)
        return np.asarray(y_true == (y_pred > self.threshold))


class CategoricalAccuracy(Metric):
    """How often the largest prediction is that of the class that the truth, one-hot, says.

    `y_true` and `y_pred` are (B, ..., classes).

    Examples
    --------
    >>> from fastrnn.metrics import CategoricalAccuracy
    >>> metric = CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    _name = "categorical_accuracy"

    def _values(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _same_shape(y_true, y_pred)
        return np.asarray(y_true.argmax(axis=-1) == y_pred.argmax(axis=-1))


class SparseCategoricalAccuracy(Metric):
    """How often the largest prediction is that of the true class, given by its number.

    `y_true` is (B, ...) or (B, ..., 1), `y_pred` (B, ..., classes).

    Examples
    --------
    >>> from fastrnn.metrics import SparseCategoricalAccuracy
    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.2, 0.8], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    _name = "sparse_categorical_accuracy"

    def _values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        if y_true.shape != y_pred.shape[:-1]:
            raise ValueError(
                f"y_true must be y_pred's shape without its classes, {y_pred.shape[:-1]}, got {y_true.shape}"
            )
        return np.asarray(y_true == y_pred.argmax(axis=-1))


class MeanSquaredError(Metric):
    """The mean of (y_true - y_pred)², of arrays shaped alike but for a last axis of length 1.

    Examples
    --------
    >>> from fastrnn.metrics import MeanSquaredError
    >>> metric = MeanSquaredError()
    >>> metric.update_state([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    2.0
    """

    _name = "mean_squared_error"

    def _values(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _same_shape(y_true, y_pred)
        return np.square(np.subtract(y_pred, y_true, dtype=np.float64))


class MeanAbsoluteError(Metric):
    """The mean of abs(y_true - y_pred), of arrays shaped alike but for a last axis of length 1.

    Examples
    --------
    >>> from fastrnn.metrics import MeanAbsoluteError
    >>> metric = MeanAbsoluteError()
    >>> metric.update_state([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    1.0
    """

    _name = "mean_absolute_error"

    def _values(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _same_shape(y_true, y_pred)
        return np.abs(np.subtract(y_pred, y_true, dtype=np.float64))


class _Hits(Metric):
    """Base of shares of true positives, among the samples that a subclass chooses in `_among`."""

    _arguments = ("thresholds", "class_id")

    def __init__(
        self,
        thresholds: float | None = None,
        top_k: None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        _check.not_implemented(top_k=top_k)
        self.thresholds = thresholds if thresholds is None else _check.rate("thresholds", thresholds)
        self.class_id = class_id if class_id is None else _check.count("class_id", class_id)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch; see `Metric.update_state`."""
        truth, prediction = _same_shape(np.asarray(y_true), np.asarray(y_pred))
        weight = np.asarray(1.0 if sample_weight is None else sample_weight, np.float64)
        if weight.shape != truth.shape[: weight.ndim]:
            raise ValueError(f"sample_weight must be shaped as the samples, {truth.shape}, got {weight.shape}")
        weight = np.broadcast_to(weight.reshape(*weight.shape, *(1,) * (truth.ndim - weight.ndim)), truth.shape)
        if self.class_id is not None:
            if self.class_id >= truth.shape[-1]:
                raise ValueError(
                    f"class_id must be below {truth.shape[-1]}, the classes of y_pred, got {self.class_id}"
                )
            truth, prediction, weight = (array[..., self.class_id] for array in (truth, prediction, weight))
        positive, found = truth != 0, prediction > (0.5 if self.thresholds is None else self.thresholds)
        self._total += float(weight[positive & found].sum())
        self._count += float(weight[self._among(positive, found)].sum())

    def _among(self, positive: Array, found: Array) -> Array:
        raise NotImplementedError


class Precision(_Hits):
    """How many of the predictions above a threshold are right.

    `y_true` holds 0 and 1 and is shaped as `y_pred`, (B, ..., outputs); either may lack a last axis of length 1.

    Parameters
    ----------
    thresholds : float, optional
        What a prediction must be above to be positive, 0.5 by default. A list, for several values, is refused.
    top_k : None
        Keras's, which is not implemented.
    class_id : int, optional
        The one class to look at, of those along the last axis; by default all of them together.
    name : str, optional
        What logs call it.

    Examples
    --------
    >>> from fastrnn.metrics import Precision
    >>> metric = Precision()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
    >>> round(metric.result(), 4)  # two of three
    0.6667
    """

    _name = "precision"

    def _among(self, positive: Array, found: Array) -> Array:
        return found


class Recall(_Hits):
    """How many of the positive samples have predictions above a threshold; see `Precision`.

    Examples
    --------
    >>> from fastrnn.metrics import Recall
    >>> metric = Recall()
    >>> metric.update_state([0, 1, 1, 1, 1], [0.9, 0.2, 0.8, 0.7, 0.6])
    >>> metric.result()  # three of four
    0.75
    """

    _name = "recall"

    def _among(self, positive: Array, found: Array) -> Array:
        return positive


class AUC(Metric):
    """Area under the ROC curve: how likely a positive sample is predicted above a negative one.

    `y_true` holds 0 and 1 and `y_pred` scores, (B,) or (B, 1); every one is kept until the next reset. The area is
    exact, where Keras's is that of 200 thresholds. It needs scikit-learn, and is 0.0 where all samples are of one kind.

    Examples
    --------
    >>> from fastrnn.metrics import AUC
    >>> metric = AUC()
    >>> metric.update_state([0, 1, 0, 1], [0.1, 0.3, 0.4, 0.8])
    >>> metric.result()
    0.75
    """

    _name = "auc"

    def __init__(self, name: str | None = None) -> None:
        try:
            from sklearn.metrics import roc_auc_score
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError("the metric AUC needs scikit-learn: pip install scikit-learn") from missing
        self._score = roc_auc_score
        super().__init__(name)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch."""
        truth, prediction = _same_shape(np.asarray(y_true), np.asarray(y_pred))
        weight = np.ones(truth.shape) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if weight.size != truth.size:
            raise ValueError(f"sample_weight must be one for each of {truth.shape}, got {weight.shape}")
        self._kept.append((truth.ravel(), prediction.ravel(), weight.ravel()))

    def result(self) -> float:
        """Return the area for all batches since the last reset."""
        if not self._kept:
            return 0.0
        truth, prediction, weight = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        used = weight > 0
        if len(np.unique(truth[used])) != 2:
            return 0.0
        return float(self._score(truth[used], prediction[used], sample_weight=weight[used]))

    def reset_state(self) -> None:
        """Forget all batches."""
        self._kept: list[tuple[Array, Array, Array]] = []


class _Function(Metric):
    """A user's `function(y_true, y_pred)` that returns one value for each sample."""

    def __init__(self, function: Callable[[Array, Array], ArrayLike], name: str | None = None) -> None:
        super().__init__(getattr(function, "__name__", "metric") if name is None else name)
        self.function = function

    def _values(self, y_true: Array, y_pred: Array) -> Array:
        return np.asarray(self.function(y_true, y_pred))


_REGISTRY: Registry[Metric] = Registry(
    Metric,
    "metric",
    {
        "binary_accuracy": BinaryAccuracy,
        "categorical_accuracy": CategoricalAccuracy,
        "sparse_categorical_accuracy": SparseCategoricalAccuracy,
        "mean_squared_error": MeanSquaredError,
        "mean_absolute_error": MeanAbsoluteError,
        "precision": Precision,
        "recall": Recall,
        "auc": AUC,
    },
    {"mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError},
    _Function,
)


def get(identifier: MetricLike) -> Metric:
    """Find or make the metric that `identifier` stands for.

    Parameters
    ----------
    identifier : str, mapping, Metric, Metric class or callable
        A name in snake case, as the class is called, or as Keras abbreviates it ("mse", "mae"), which the metric then
        goes by; a mapping with "class_name" and "config"; a metric, returned as it is; a class, called without
        arguments; or a function `f(y_true, y_pred)` that returns one value for each sample.

    Raises
    ------
    ValueError
        If the name is unknown. ("accuracy" depends on the shapes of truth and prediction: only a model knows it.)
    TypeError
        If `identifier` is something else.

    Examples
    --------
    >>> from fastrnn import metrics
    >>> metrics.get("mse").name
    'mse'
    """
    found = _REGISTRY.get(identifier)
    if isinstance(identifier, str):
        found.name = identifier
    return found


def serialize(metric: Metric) -> dict[str, Any]:
    """Describe a metric in Keras's form, which `get` accepts; a user's function cannot be."""
    return _REGISTRY.serialize(metric, "keras.metrics")


def accuracy(name: str, truth_shape: tuple[int, ...], prediction_shape: tuple[int, ...]) -> Metric:
    """Choose the accuracy for a truth and a prediction of these shapes, as Keras does for "accuracy"."""
    if prediction_shape[-1] == 1:
        return BinaryAccuracy(name)
    if len(truth_shape) < len(prediction_shape) or truth_shape[-1] == 1:
        return SparseCategoricalAccuracy(name)
    return CategoricalAccuracy(name)


def _same_shape(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    elif y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        y_true = y_true[..., None]
    if y_true.shape != y_pred.shape:
        raise ValueError(f"y_true must be shaped as y_pred, {y_pred.shape}, got {y_true.shape}")
    return y_true, y_pred
