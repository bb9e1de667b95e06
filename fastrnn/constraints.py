"""What training does to a weight after every step, with Keras's names, formulas and defaults.

A constraint is called with a weight and gives an array of its shape::

    >>> from fastrnn import constraints
    >>> constraints.MaxNorm(1.0)([[3.0], [4.0]]).round(4)
    array([[0.6],
           [0.8]])
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn._registry import Configurable, Registry

ConstraintLike: TypeAlias = "str | Mapping[str, Any] | Constraint | type[Constraint] | None"

_EPSILON = 1e-7  # keras.config.epsilon()


class Constraint(Configurable):
    """Base of all constraints. A subclass computes in `__call__` the array that satisfies it."""

    def __call__(self, w: ArrayLike) -> Array:
        """Compute the nearest weight that is allowed."""
        raise NotImplementedError


class MaxNorm(Constraint):
    """Norms along `axis` (default 0: of the weights into each unit) of at most `max_value` (default 2).

    Examples
    --------
    >>> from fastrnn.constraints import MaxNorm
    >>> MaxNorm(1.0)([[3.0, 0.3], [4.0, 0.4]]).round(4)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """

    _arguments = ("max_value", "axis")

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value = _check.number("max_value", max_value)
        self.axis = _axis(axis)

    def __call__(self, w: ArrayLike) -> Array:
        """Shrink what is too long."""
        w = np.asarray(w)
        norms = _norms(w, self.axis)
        shrunk: Array = w * (np.clip(norms, 0, self.max_value) / (_EPSILON + norms))
        return shrunk


class NonNeg(Constraint):
    """No value below 0.

    Examples
    --------
    >>> from fastrnn.constraints import NonNeg
    >>> NonNeg()([-1.0, 2.0])
    array([0., 2.])
    """

    def __call__(self, w: ArrayLike) -> Array:
        """Make what is negative 0."""
        return np.maximum(w, 0)


class UnitNorm(Constraint):
    """Norms along `axis` (default 0: of the weights into each unit) of 1.

    Examples
    --------
    >>> from fastrnn.constraints import UnitNorm
    >>> UnitNorm()([[3.0, 0.3], [4.0, 0.4]]).round(4)
    array([[0.6, 0.6],
           [0.8, 0.8]])
    """

    _arguments = ("axis",)

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = _axis(axis)

    def __call__(self, w: ArrayLike) -> Array:
        """Scale to length 1."""
        w = np.asarray(w)
        scaled: Array = w / (_EPSILON + _norms(w, self.axis))
        return scaled


class MinMaxNorm(Constraint):
    """Norms along `axis` between `min_value` and `max_value`, approached by the share `rate` in every step.

    Defaults are Keras's: from 0 to 1, rate 1, axis 0.

    Examples
    --------
    >>> from fastrnn.constraints import MinMaxNorm
    >>> MinMaxNorm(1.0, 2.0)([[3.0, 0.3], [4.0, 0.4]]).round(4)
    array([[1.2, 0.6],
           [1.6, 0.8]])
    """

    _arguments = ("min_value", "max_value", "rate", "axis")

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        self.min_value = _check.number("min_value", min_value)
        self.max_value = _check.number("max_value", max_value)
        self.rate = _check.rate("rate", rate)
        self.axis = _axis(axis)

    def __call__(self, w: ArrayLike) -> Array:
        """Shrink what is too long and stretch what is too short."""
        w = np.asarray(w)
        norms = _norms(w, self.axis)
        wanted = self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        scaled: Array = w * (wanted / (_EPSILON + norms))
        return scaled


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm  # Keras has both names

_REGISTRY: Registry[Constraint] = Registry(
    Constraint,
    "constraint",
    {"max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm},
    {"nonneg": NonNeg, "unitnorm": UnitNorm, "maxnorm": MaxNorm, "minmaxnorm": MinMaxNorm},
)


def get(identifier: ConstraintLike, argument: str = "constraint") -> Constraint | None:
    """Find or make the constraint that `identifier` stands for; None stands for none.

    Parameters
    ----------
    identifier : str, mapping, Constraint, Constraint class or None
        A name ("max_norm", "non_neg", "unit_norm", "min_max_norm", or the class's); a mapping with "class_name" and
        "config", as `serialize` and Keras write it; a constraint, returned as it is; or a class, called without
        arguments.
    argument : str, default "constraint"
        What errors call it.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `identifier` is something else.

    Examples
    --------
    >>> from fastrnn import constraints
    >>> constraints.get("non_neg")([-1.0, 2.0])
    array([0., 2.])
    """
    return None if identifier is None else _REGISTRY.get(identifier, argument)


def serialize(constraint: Constraint) -> dict[str, Any]:
    """Describe a constraint in Keras's form, which `get` accepts."""
    return _REGISTRY.serialize(constraint, "keras.constraints")


def _axis(axis: int | Sequence[int]) -> int | list[int]:
    if isinstance(axis, list | tuple):
        return [_check.integer(f"axis[{i}]", one) for i, one in enumerate(axis)]
    return _check.integer("axis", axis)


def _norms(w: Array, axis: int | Sequence[int]) -> Array:
    axes = axis if isinstance(axis, int) else tuple(axis)
    norms: Array = np.sqrt(np.square(w).sum(axis=axes, keepdims=True))
    return norms
