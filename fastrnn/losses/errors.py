"""Losses of the difference between truth and prediction."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn.losses.base import Loss, mean, same_shape


class _MeanError(Loss):
    """Base of losses that depend on y_pred - y_true alone."""

    _rounds_truth = True

    def _losses(self, y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array, None]:
        truth, y_pred = same_shape(y_true, y_pred)
        errors, derivative = self._of(y_pred - truth)
        derivative /= y_pred.shape[-1]
        return mean(errors, -1), derivative, None

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
