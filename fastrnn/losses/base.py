"""What all losses have: samples' losses and their derivatives, weights, reductions."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastrnn import _check
from fastrnn._check import Array

LossLike: TypeAlias = "str | Mapping[str, Any] | Loss | type[Loss]"

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
        prediction = array("y_pred", y_pred, dtype)
        if not -prediction.ndim <= self.axis < prediction.ndim or prediction.shape[self.axis] == 0:
            raise ValueError(f"y_pred must have at least one value along axis {self.axis}, got {prediction.shape}")
        self.check_truth(y_true)
        losses, derivative, valid = self._losses(y_true, prediction)

        weight = np.ones((), dtype)
        values = losses
        if sample_weight is not None:
            values, weight = match_ranks(losses, array("sample_weight", sample_weight, dtype))
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
        dvalue = array("dy", dy, tape.derivative.dtype)
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


def array(name: str, value: ArrayLike, dtype: np.dtype[Any]) -> Array:
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


def match_ranks(a: Array, b: Array) -> tuple[Array, Array]:
    """Add or drop a last axis of length 1, as Keras does where one array has it and the other does not."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, np.newaxis]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, np.newaxis], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def same_shape(y_true: ArrayLike, y_pred: Array) -> tuple[Array, Array]:
    """Return both as arrays of the same shape, or refuse the truth."""
    truth, prediction = match_ranks(array("y_true", y_true, y_pred.dtype), y_pred)
    if truth.shape != prediction.shape:
        raise ValueError(f"y_true must be shaped as y_pred, {y_pred.shape}, got {np.shape(y_true)}")
    return truth, prediction


def mean(values: Array, axis: int) -> Array:
    """Return the mean along an axis, which costs nothing if that has a single element."""
    result: Array = values.squeeze(axis) if values.shape[axis] == 1 else values.mean(axis=axis)
    return result
