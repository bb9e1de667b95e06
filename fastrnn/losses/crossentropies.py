"""Losses of probabilities, or of logits that stand for them: -log p of what came true."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastrnn import _check, _core
from fastrnn._check import Array
from fastrnn.losses.base import Loss, array, mean, same_shape

_EPSILON = 1e-7  # how close a probability may come to 0 and 1: keras.config.epsilon()


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
        truth = array("y_true", y_true, np.dtype(np.float32))
        if truth.size and (truth.min() < 0.0 or truth.max() > 1.0):
            raise ValueError(f"y_true must be from 0 to 1, got {truth.min()} to {truth.max()}")

    def _losses(self, y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array, None]:
        truth, y_pred = same_shape(y_true, y_pred)
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
        return mean(losses, self.axis), derivative, None


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
        truth, y_pred = same_shape(y_true, y_pred)
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
            truth = array("y_true", y_true, np.dtype(np.float64))  # holds every label exactly
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
