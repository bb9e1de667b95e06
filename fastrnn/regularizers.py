"""What training adds to the loss for large weights or outputs, with Keras's names and defaults.

A regularizer is called with an array and gives a number::

    >>> from fastrnn import regularizers
    >>> regularizers.get("l2")([3.0, 4.0])
    0.25
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn._registry import Configurable, Registry

RegularizerLike: TypeAlias = "str | Mapping[str, Any] | Regularizer | type[Regularizer] | None"


class Regularizer(Configurable):
    """Base of all regularizers: the penalty l1 · sum(abs(w)) + l2 · sum(w²), of which a subclass may lack a part."""

    l1 = 0.0
    l2 = 0.0

    def __call__(self, w: ArrayLike) -> float:
        """Compute the penalty."""
        w = np.asarray(w, np.float64)
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.abs(w).sum())
        if self.l2:
            penalty += self.l2 * float(np.square(w).sum())
        return penalty

    def gradient(self, w: Array) -> Array:
        """Compute the penalty's gradient, an array shaped and typed as w; 0 where abs(w) has none."""
        gradient: Array = w * w.dtype.type(2.0 * self.l2)
        if self.l1:
            gradient += np.sign(w) * w.dtype.type(self.l1)
        return gradient


class L1(Regularizer):
    """The penalty l1 · sum(abs(w)), `l1` being 0.01 by default.

    Examples
    --------
    >>> from fastrnn.regularizers import L1
    >>> L1(0.1)([3.0, -4.0])
    0.7000000000000001
    """

    _arguments = ("l1",)

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _check.number("l1", l1)


class L2(Regularizer):
    """The penalty l2 · sum(w²), `l2` being 0.01 by default.

    Examples
    --------
    >>> from fastrnn.regularizers import L2
    >>> L2(0.1)([3.0, -4.0])
    2.5
    """

    _arguments = ("l2",)

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _check.number("l2", l2)


class L1L2(Regularizer):
    """The penalty l1 · sum(abs(w)) + l2 · sum(w²), both factors 0 by default.

    Examples
    --------
    >>> from fastrnn.regularizers import L1L2
    >>> L1L2(l1=0.1, l2=1.0)([3.0, -4.0])
    25.7
    """

    _arguments = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _check.number("l1", l1)
        self.l2 = _check.number("l2", l2)


l1, l2, l1_l2 = L1, L2, L1L2  # Keras has both names

_REGISTRY: Registry[Regularizer] = Registry(Regularizer, "regularizer", {"l1": L1, "l2": L2, "l1l2": L1L2})


def get(identifier: RegularizerLike, argument: str = "regularizer") -> Regularizer | None:
    """Find or make the regularizer that `identifier` stands for; None stands for none.

    Parameters
    ----------
    identifier : str, mapping, Regularizer, Regularizer class or None
        A name ("l1", "l2", "l1l2", or the class's); a mapping with "class_name" and "config", as `serialize` and
        Keras write it; a regularizer, returned as it is; or a class, called without arguments.
    argument : str, default "regularizer"
        What errors call it.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `identifier` is something else.

    Examples
    --------
    >>> from fastrnn import regularizers
    >>> regularizers.get({"class_name": "L2", "config": {"l2": 0.1}})([3.0, -4.0])
    2.5
    """
    return None if identifier is None else _REGISTRY.get(identifier, argument)


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """Describe a regularizer in Keras's form, which `get` accepts."""
    return _REGISTRY.serialize(regularizer, "keras.regularizers")
