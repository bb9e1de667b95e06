"""What training makes small: errors and cross-entropies, with Keras's names, defaults and reductions.

A loss is called with the truth and the prediction and gives a number::

    >>> from fastrnn.losses import SparseCategoricalCrossentropy
    >>> loss = SparseCategoricalCrossentropy()
    >>> round(loss([1, 2], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]]), 3)
    1.177

For training, ``value, tape = loss.forward(y_true, y_pred)`` keeps what ``dy_pred = loss.backward(1.0, tape)`` needs.

The cross-entropies take probabilities, or logits with `from_logits=True`. Logits, which come from a layer without an
activation, are exact at any size. Probabilities closer than 1e-7 to 0 or 1 count as 1e-7 away and get no gradient, as
in Keras.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastrnn import _check, _core
from fastrnn._check import Array
from fastrnn._registry import Registry

LossLike: TypeAlias = "str | Mapping[str, Any] | Loss | type[Loss]"

_EPSILON = 1e-7  # how close a probability may come to 0 and 1: keras.config.epsilon()

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")


class LossTape(NamedTuple):
    """What `Loss.backward` needs. It is read-only and shares no memory with the arguments and results of `forward`.

    Attributes
    ----------
    derivative : ndarray, shaped as y_pred
        Of each sample's loss with respect to the predictions it is made of. A last axis of length 1 that the truth
        lacks is missing.
    weight : ndarray, shaped as the samples' losses
        Derivative of the value with respect to each sample's loss.
    axis : int
        The axis of the derivative that the losses do not have.
    y_pred_shape, value_shape : tuple of int
        Shapes of the prediction and of the value that `forward` returned.
    """

    derivative: Array
    weight: Array
    axis: int
    y_pred_shape: tuple[int, ...]
    value_shape: tuple[int, ...]


class Loss:
    """Base of all losses. A subclass computes in `_losses` one loss per sample and its derivative.

    Parameters
    ----------
    reduction : str or None, default "sum_over_batch_size"
        What becomes of the samples' losses, each times its weight: "sum_over_batch_size" and "mean" divide their sum
        by their number, "mean_with_sample_weight" by the sum of the weights, "sum" by nothing; "none" and None return
        them as they are.
    name : str, optional
        By default the class's name in snake case.
    dtype : {"float32", "float64"}, optional
        What to compute in: by default float64 if the prediction is a float64 array, else float32.

    Raises
    ------
    ValueError
        If `reduction` or `dtype` is unknown.
    """

    _name: ClassVar[str] = "loss"
    _arguments: ClassVar[tuple[str, ...]] = ()
    _rounds_truth: ClassVar[bool] = False  # whether y_true is used in the type of y_pred only

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: DTypeLike | None = None
    ) -> None:
        self.reduction = None if reduction is None else _check.choice("reduction", reduction, _REDUCTIONS)
        self.name = self._name if name is None else name
        self.dtype = None if dtype is None else _check.float_dtype(dtype)
        self.axis = -1

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float | Array:
        """Compute the loss, as `forward` does, without a tape."""
        return self.forward(y_true, y_pred, sample_weight)[0]

    def forward(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float | Array, LossTape]:
        """Compute the loss and keep what its gradient needs.

        Parameters
        ----------
        y_true : array_like
            The truth, in the form that the class asks for.
        y_pred : array_like of shape (batch, ..., outputs)
            The prediction.
        sample_weight : array_like, optional
            A factor for every sample's loss, shaped as these losses, (batch, ...), or of length 1 where all are to
            share it.

        Returns
        -------
        value : float, or ndarray of shape (batch, ...) without a reduction
            The loss; 0.0 if there is nothing to divide by (no samples, or weights that sum to 0).
        tape : LossTape
            For `backward`.

        Raises
        ------
        ValueError
            If shapes do not fit or labels are out of range.
        TypeError
            If an argument is not a plain array of real numbers.
        """
        given = getattr(y_pred, "dtype", np.dtype(np.float32))
        is_double = given.kind == "f" and given.itemsize >= 8
        dtype = self.dtype or _check.FLOATS["float64" if is_double else "float32"]
        prediction = _array("y_pred", y_pred, dtype)
        if not -prediction.ndim <= self.axis < prediction.ndim or prediction.shape[self.axis] == 0:
            raise ValueError(f"y_pred must have at least one value along axis {self.axis}, got {prediction.shape}")
        self.check_truth(y_true)
        losses, derivative, valid = self._losses(y_true, prediction)

        weight = np.ones((), dtype)
        values = losses
        if sample_weight is not None:
            values, weight = _match_ranks(losses, _array("sample_weight", sample_weight, dtype))
            if not _broadcasts(weight.shape, values.shape):
                raise ValueError(f"sample_weight must be shaped as the losses, {losses.shape}, got {weight.shape}")
        if valid is not None:
            weight = weight * valid.reshape(values.shape)
        values = values * weight

        value: float | Array = values
        if self.reduction not in (None, "none"):
            divisor = self._divisor(values.size, valid, None if sample_weight is None else weight)
            value = float(values.sum(dtype=np.float64)) / divisor if divisor else 0.0
            weight = weight * dtype.type(1.0 / divisor if divisor else 0.0)
        weight = np.array(np.broadcast_to(weight, values.shape)).reshape(losses.shape)
        derivative.flags.writeable = weight.flags.writeable = False
        return value, LossTape(derivative, weight, self.axis, prediction.shape, np.shape(value))

    def backward(self, dy: ArrayLike, tape: LossTape) -> Array:
        """Compute the gradient with respect to the prediction.

        Parameters
        ----------
        dy : float, or array_like shaped as the value of `forward`
            Gradient of what training makes small with respect to that value: 1.0 if it is the value itself.
        tape : LossTape
            From `forward`. It can be used any number of times.

        Returns
        -------
        ndarray, shaped as y_pred
            A new array, of the type that the loss was computed in.

        Raises
        ------
        ValueError
            If `dy` is not shaped as the value.
        """
        dvalue = _array("dy", dy, tape.derivative.dtype)
        if dvalue.shape != tape.value_shape:
            raise ValueError(f"dy must be shaped as the value of forward, {tape.value_shape}, got {dvalue.shape}")
        dlosses = tape.weight * (dvalue.reshape(tape.weight.shape) if tape.value_shape else dvalue)
        gradient: Array = tape.derivative * np.expand_dims(dlosses, tape.axis)
        return gradient.reshape(tape.y_pred_shape)

    def check_truth(self, y_true: ArrayLike) -> None:
        """Refuse what no prediction could make a truth, in part or as a whole: for many calls of `step`.

        Raises
        ------
        ValueError
            If values are out of range.
        """

    def step(self, y_true: ArrayLike, y_pred: Array, sample_weight: ArrayLike | None = None) -> tuple[float, Array]:
        """Compute what a step of training needs: the value, and its gradient with respect to the prediction.

        These are what `forward` and `backward` compute, for a truth that `check_truth` has seen; without weights, at
        less cost.

        Raises
        ------
        ValueError
            Also if there is no reduction, and so more than one value.
        """
        if self.reduction in (None, "none"):
            raise ValueError(f"training needs one value, but the reduction of {self.name} is {self.reduction!r}")
        if sample_weight is None and type(y_pred) is np.ndarray and y_pred.dtype == (self.dtype or y_pred.dtype):
            losses, derivative, valid = self._losses(y_true, y_pred)
            if valid is None and losses.size:
                divisor = self._divisor(losses.size, None, None)
                derivative *= 1.0 / divisor
                return float(np.add.reduce(losses, axis=None, dtype=np.float64)) / divisor, derivative.reshape(
                    y_pred.shape
                )
        value, tape = self.forward(y_true, y_pred, sample_weight)
        return float(value), self.backward(1.0, tape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data that JSON can hold."""
        own = {name: getattr(self, name) for name in self._arguments}
        return {"name": self.name, "reduction": self.reduction, **own, "dtype": self.dtype and self.dtype.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a loss from what `get_config` returned."""
        return cls(**config)

    def _losses(self, y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array, NDArray[np.bool_] | None]:
        """Compute each sample's loss and its derivative, in new arrays, and which samples count (None: all)."""
        raise NotImplementedError

    def _divisor(self, count: int, valid: NDArray[np.bool_] | None, weight: Array | None) -> float:
        if self.reduction == "sum":
            return 1.0
        if self.reduction == "mean_with_sample_weight" and weight is not None:
            return float(weight.sum(dtype=np.float64))
        return float(count if valid is None else np.count_nonzero(valid))


class _MeanError(Loss):
    """Base of losses that depend on y_pred - y_true alone."""

    _rounds_truth = True

    def _losses(self, y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array, None]:
        truth, y_pred = _same_shape(y_true, y_pred)
        errors, derivative = self._of(y_pred - truth)
        derivative /= y_pred.shape[-1]
        return _mean(errors, -1), derivative, None

    def _of(self, difference: Array) -> tuple[Array, Array]:
        """Compute the error of a difference and its derivative."""
        raise NotImplementedError


class MeanSquaredError(_MeanError):
    """The mean over the last axis of (y_true - y_pred)².

    `y_true` is shaped as `y_pred`, (batch, ..., outputs); either may lack a last axis of length 1.

    Parameters
    ----------
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> from fastrnn.losses import MeanSquaredError
    >>> MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    0.5
    """

    _name = "mean_squared_error"

    def _of(self, difference: Array) -> tuple[Array, Array]:
        return np.square(difference), 2.0 * difference


class MeanAbsoluteError(_MeanError):
    """The mean over the last axis of abs(y_true - y_pred).

    `y_true` is shaped as `y_pred`, (batch, ..., outputs); either may lack a last axis of length 1. Where they
    are equal, the gradient is 0.

    Parameters
    ----------
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> from fastrnn.losses import MeanAbsoluteError
    >>> MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    0.5
    """

    _name = "mean_absolute_error"

    def _of(self, difference: Array) -> tuple[Array, Array]:
        return np.abs(difference), np.sign(difference)


class Huber(_MeanError):
    """The mean over the last axis of a square where y_true - y_pred is small, and of its size where it is large.

    With d = y_true - y_pred, it is d² / 2 up to abs(d) = delta, and delta·abs(d) - delta² / 2 beyond, so that single
    large errors do not rule the gradient. `y_true` is shaped as `y_pred`, (batch, ..., outputs); either may lack a last
    axis of length 1.

    Parameters
    ----------
    delta : float, default 1.0
        From where on the loss is linear.
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> from fastrnn.losses import Huber
    >>> Huber()([[0.0, 0.0]], [[1.0, 3.0]])  # (1 / 2 + 3 - 1 / 2) / 2
    1.5
    """

    _name = "huber_loss"
    _arguments = ("delta",)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.delta = _check.number("delta", delta)

    def _of(self, difference: Array) -> tuple[Array, Array]:
        slope = np.clip(difference, -self.delta, self.delta)
        return slope * (difference - 0.5 * slope), slope


class _Crossentropy(Loss):
    """Base of losses of probabilities, or of logits that stand for them, where the truth may be blurred."""

    _arguments = ("from_logits", "label_smoothing", "axis")
    _rounds_truth = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = _check.rate("label_smoothing", label_smoothing)
        self.axis = _check.integer("axis", axis)


class BinaryCrossentropy(_Crossentropy):
    """The mean along `axis` of -t·log(p) - (1 - t)·log(1 - p), for independent yes-or-no questions.

    `y_true` holds t, from 0 to 1, and is shaped as `y_pred`, (batch, ..., outputs); either may lack a last axis of
    length 1.

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits x, of which p is the sigmoid, rather than p. Then the loss is computed as
        max(x, 0) - t·x + log(1 + exp(-|x|)).
    label_smoothing : float, default 0.0
        From 0 to 1: how far every t is moved towards 1/2.
    axis : int, default -1
        The axis of the mean.
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> from fastrnn.losses import BinaryCrossentropy
    >>> round(BinaryCrossentropy()([[1], [0]], [[0.9], [0.2]]), 4)  # -(log 0.9 + log 0.8) / 2
    0.1643
    """

    _name = "binary_crossentropy"

    def check_truth(self, y_true: ArrayLike) -> None:
        """Refuse what is not from 0 to 1."""
        truth = _array("y_true", y_true, np.dtype(np.float32))
        if truth.size and (truth.min() < 0.0 or truth.max() > 1.0):
            raise ValueError(f"y_true must be from 0 to 1, got {truth.min()} to {truth.max()}")

    def _losses(self, y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array, None]:
        truth, y_pred = _same_shape(y_true, y_pred)
        if self.label_smoothing:
            truth = truth * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            tail = np.exp(-np.abs(y_pred))
            losses = np.maximum(y_pred, 0.0) - truth * y_pred + np.log1p(tail)
            sigmoid = np.where(y_pred >= 0.0, 1.0, tail) / (1.0 + tail)
            derivative = sigmoid - truth
        else:
            y_pred = np.ascontiguousarray(y_pred)
            losses, derivative = np.empty_like(y_pred), np.empty_like(y_pred)
            _core.binary_crossentropy(np.ascontiguousarray(truth), y_pred, losses, derivative, _EPSILON)
        if y_pred.shape[self.axis] > 1:
            derivative /= y_pred.shape[self.axis]
        return _mean(losses, self.axis), derivative, None


class CategoricalCrossentropy(_Crossentropy):
    """The sum along `axis` of -t·log(p), for one class out of several, where the truth is a distribution over them.

    `y_true` holds t, one-hot or a distribution, and is shaped as `y_pred`, (batch, ..., classes).

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits, of which p is the softmax, rather than p. Probabilities are divided by their sum
        first.
    label_smoothing : float, default 0.0
        From 0 to 1: how far every t is moved towards 1 / classes.
    axis : int, default -1
        The axis of the classes.
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> from fastrnn.losses import CategoricalCrossentropy
    >>> round(CategoricalCrossentropy()([[0, 1, 0]], [[0.1, 0.7, 0.2]]), 4)  # -log 0.7
    0.3567
    """

    _name = "categorical_crossentropy"

    def _losses(self, y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array, None]:
        truth, y_pred = _same_shape(y_true, y_pred)
        axis = self.axis
        if self.label_smoothing:
            # Keras divides by the length of the last axis even if the classes are along another.
            truth = truth * (1.0 - self.label_smoothing) + self.label_smoothing / truth.shape[axis]
        if self.from_logits:
            log_p, p = _log_softmax(y_pred, axis)
            derivative = p * truth.sum(axis=axis, keepdims=True) - truth
        else:
            total = y_pred.sum(axis=axis, keepdims=True)
            q = y_pred / total
            p = np.clip(q, _EPSILON, 1.0 - _EPSILON)
            log_p = np.log(p)
            # By q, then through the division by the total: d/dy = (d/dq - sum(d/dq · q)) / total.
            derivative = -truth / p * _unclipped(q)
            derivative -= (derivative * q).sum(axis=axis, keepdims=True)
            derivative /= total
        return -(truth * log_p).sum(axis=axis), derivative, None


class SparseCategoricalCrossentropy(Loss):
    """The -log(p) of the true class, for one class out of several, where the truth is that class's number.

    `y_true` holds whole numbers from 0 to classes - 1 and is shaped as `y_pred`, (batch, ..., classes), without the
    axis of the classes, or with length 1 there.

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits, of which p is the softmax, rather than p. Probabilities are divided by their sum
        first.
    ignore_class : int, optional
        A label whose samples count for nothing, neither in the value nor in the number that a mean divides by. It need
        not be a class.
    reduction : str or None, default "sum_over_batch_size"
        As for `Loss`.
    axis : int, default -1
        The axis of the classes.
    name, dtype
        As for `Loss`.

    Examples
    --------
    >>> from fastrnn.losses import SparseCategoricalCrossentropy
    >>> round(SparseCategoricalCrossentropy()([1], [[0.1, 0.7, 0.2]]), 4)  # -log 0.7
    0.3567
    """

    _name = "sparse_categorical_crossentropy"
    _arguments = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.ignore_class = None if ignore_class is None else _check.integer("ignore_class", ignore_class)
        self.axis = _check.integer("axis", axis)

    def _losses(self, y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array, NDArray[np.bool_] | None]:
        axis = self.axis
        labels, valid = self._labels(y_true, y_pred)
        if self.from_logits:
            log_p, derivative = _log_softmax(y_pred, axis)
            log_p_true = np.take_along_axis(log_p, labels, axis)
            p_true = np.take_along_axis(derivative, labels, axis)
            np.put_along_axis(derivative, labels, p_true - 1.0, axis)
        else:
            total = y_pred.sum(axis=axis, keepdims=True)
            q_true = np.take_along_axis(y_pred, labels, axis) / total
            log_p_true = np.log(np.clip(q_true, _EPSILON, 1.0 - _EPSILON))
            # Of -log(y / total), y being the true class's: 1 / total by every class and, by y, -1 / y more.
            inside = _unclipped(q_true)
            derivative = np.broadcast_to(inside / total, y_pred.shape).copy()
            at_true = (1.0 - 1.0 / np.maximum(q_true, _EPSILON)) / total * inside
            np.put_along_axis(derivative, labels, at_true, axis)
        losses = -np.squeeze(log_p_true, axis)
        if valid is not None:  # not a product: where samples do not count, neither does a NaN
            losses = np.where(valid, losses, 0.0)
            derivative = np.where(np.expand_dims(valid, axis), derivative, 0.0)
        return losses, derivative, valid

    def _labels(self, y_true: ArrayLike, y_pred: Array) -> tuple[NDArray[np.intp], NDArray[np.bool_] | None]:
        """Return the labels with an axis of length 1 for the classes, 0 if ignored, and which are not ignored."""
        classes = y_pred.shape[self.axis]
        truth: Array = np.asarray(y_true)
        if type(y_true) is not np.ndarray or truth.dtype.kind != "i":
            truth = _array("y_true", y_true, np.dtype(np.float64))  # holds every label exactly
        if truth.ndim == y_pred.ndim and truth.shape[self.axis] == 1:
            truth = np.squeeze(truth, self.axis)
        wanted = tuple(n for axis, n in enumerate(y_pred.shape) if axis != self.axis % y_pred.ndim)
        if truth.shape != wanted:
            raise ValueError(f"y_true must be y_pred's shape without its classes, {wanted}, got {np.shape(y_true)}")
        valid = None
        if self.ignore_class is not None:
            valid = truth != self.ignore_class
            truth = np.where(valid, truth, 0.0)
        wrong = truth[~((truth >= 0.0) & (truth < classes) & (truth == np.trunc(truth)))]
        if wrong.size:
            raise ValueError(f"y_true must hold whole numbers from 0 to {classes - 1}, got {wrong[0]:g}")
        return np.expand_dims(truth.astype(np.intp), self.axis), valid


_REGISTRY: Registry[Loss] = Registry(
    Loss,
    "loss",
    {
        "binary_crossentropy": BinaryCrossentropy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
        "mean_squared_error": MeanSquaredError,
        "mean_absolute_error": MeanAbsoluteError,
        "huber": Huber,
    },
    {
        "bce": BinaryCrossentropy,
        "BCE": BinaryCrossentropy,
        "mse": MeanSquaredError,
        "MSE": MeanSquaredError,
        "mae": MeanAbsoluteError,
        "MAE": MeanAbsoluteError,
    },
)


def get(identifier: LossLike) -> Loss:
    """Find or make the loss that `identifier` stands for.

    Parameters
    ----------
    identifier : str, mapping, Loss or Loss class
        A name in snake case, as the class is called, or as Keras abbreviates it ("mse", "mae", "bce"); a mapping with
        "class_name" and "config", as Keras writes it; a loss, returned as it is; or a class, called without arguments.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `identifier` is something else.

    Examples
    --------
    >>> get("mse")([[0.0, 1.0]], [[0.5, 1.0]])
    0.125
    """
    return _REGISTRY.get(identifier)


def serialize(loss: Loss) -> dict[str, Any]:
    """Describe a loss in Keras's form, which `get` accepts.

    Raises
    ------
    ValueError
        If the loss is of a class that is not this module's.
    """
    return _REGISTRY.serialize(loss, "keras.losses")


def _array(name: str, value: ArrayLike, dtype: np.dtype[Any]) -> Array:
    """Return value as an array of any shape."""
    if type(value) is np.ndarray and value.dtype is dtype and value.flags.carray:  # the usual case, at little cost
        return value
    try:
        ndim = np.ndim(value)
    except ValueError:  # no array at all, as _check is going to say
        ndim = 1
    return _check.array(name, value, dtype, (), (None,) * ndim)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return not shape or (len(shape) == len(to) and all(n in (1, m) for n, m in zip(shape, to, strict=True)))


def _match_ranks(a: Array, b: Array) -> tuple[Array, Array]:
    """Add or drop a last axis of length 1, as Keras does where one array has it and the other does not."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, np.newaxis]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, np.newaxis], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def _same_shape(y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array]:
    truth, prediction = _match_ranks(_array("y_true", y_true, y_pred.dtype), y_pred)
    if truth.shape != prediction.shape:
        raise ValueError(f"y_true must be shaped as y_pred, {y_pred.shape}, got {np.shape(y_true)}")
    return truth, prediction


def _mean(values: Array, axis: int) -> Array:
    mean: Array = values.squeeze(axis) if values.shape[axis] == 1 else values.mean(axis=axis)
    return mean


def _log_softmax(x: Array, axis: int) -> tuple[Array, Array]:
    """Return the softmax's logarithm and the softmax."""
    log_p = x - x.max(axis=axis, keepdims=True)
    p = np.exp(log_p)
    total = p.sum(axis=axis, keepdims=True)
    log_p -= np.log(total)
    p /= total
    return log_p, p


def _unclipped(p: Array) -> NDArray[np.bool_]:
    """Where clipping left a probability as it was, and so has derivative 1."""
    return (p >= _EPSILON) & (p <= 1.0 - _EPSILON)
