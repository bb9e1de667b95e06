"""Gradient descent."""

from fastrnn import _check, _core
from fastrnn._check import Array
from fastrnn.optimizers.base import Optimizer, Rate


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted.

    With the gradient g of the weight w, and m starting at 0::

        m = momentum m - learning_rate g
        w += m                                      or, with Nesterov's momentum,
        w += momentum m - learning_rate g

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        The size of a step, or a function of the number of steps made before.
    momentum : float, default 0
        How much of m a step keeps, from 0 to 1.
    nesterov : bool, default False
        Whether to look ahead along m.
    weight_decay, clipnorm, clipvalue, global_clipnorm : float, optional
        As for `Optimizer`.
    name : str, default "sgd"
        Kept for the configuration.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.optimizers import SGD
    >>> weights, optimizer = [np.array([1.0])], SGD(0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.apply([[1.0]], weights)
    >>> weights[0].round(4)
    array([0.71])
    """

    _arguments = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "sgd",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.momentum = _check.rate("momentum", momentum)
        self.nesterov = bool(nesterov)
        self._slots = ("momentum",) if self.momentum else ()

    def _update(self, g: Array, w: Array, slots: dict[str, Array], rate: float, decay: float) -> None:
        m = slots.get("momentum")
        _core.descend("sgd", w, g, m, None, None, rate, decay, self.momentum, 0.0, 0.0, self.nesterov)
