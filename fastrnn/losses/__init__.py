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

from typing import Any

from fastrnn._registry import Registry
from fastrnn.losses.base import Loss, LossLike, LossTape
from fastrnn.losses.crossentropies import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from fastrnn.losses.errors import Huber, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "LossLike",
    "LossTape",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
    "serialize",
]

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
