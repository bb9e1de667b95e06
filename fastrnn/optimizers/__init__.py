"""How training moves the weights: SGD, RMSprop, Adam and AdamW, with Keras's formulas and defaults.

An optimizer changes weights in place, given their gradients::

    >>> import numpy as np
    >>> from fastrnn import optimizers
    >>> weights = [np.array([1.0, 1.0])]
    >>> optimizers.get("sgd").apply([[20.0, -0.3]], weights)
    >>> weights[0]
    array([0.8  , 1.003])

A learning rate is a number, or a function of the number of steps made so far, such as those in `schedules`::

    >>> optimizer = optimizers.SGD(lambda step: 0.1 / (1 + step))
    >>> optimizer.learning_rate
    0.1
"""

from typing import Any

from fastrnn._registry import Registry
from fastrnn.optimizers import schedules
from fastrnn.optimizers.adam import Adam, AdamW
from fastrnn.optimizers.base import Optimizer, OptimizerLike
from fastrnn.optimizers.rmsprop import RMSprop
from fastrnn.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "schedules", "serialize"]

_REGISTRY: Registry[Optimizer] = Registry(
    Optimizer,  # type: ignore[type-abstract] # the registry makes none of it
    "optimizer",
    {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW},
)


def get(identifier: OptimizerLike) -> Optimizer:
    """Find or make the optimizer that `identifier` stands for.

    Parameters
    ----------
    identifier : str, mapping, Optimizer or Optimizer class
        A name ("sgd", "rmsprop", "adam", "adamw", or the class's); a mapping with "class_name" and "config", as
        `serialize` writes it; an optimizer, returned as it is; or a class, called without arguments.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `identifier` is something else.

    Examples
    --------
    >>> from fastrnn import optimizers
    >>> optimizers.get({"class_name": "SGD", "config": {"momentum": 0.9}}).momentum
    0.9
    """
    return _REGISTRY.get(identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Describe an optimizer in Keras's form, which `get` accepts.

    Raises
    ------
    ValueError
        If the optimizer or its schedule is of a class that is not this module's.
    """
    return _REGISTRY.serialize(optimizer, "keras.optimizers")
