"""RMSprop."""

from fastrnn import _check, _core
from fastrnn._check import Array
from fastrnn.optimizers.base import Optimizer, Rate


class RMSprop(Optimizer):
    """RMSprop: a step is the gradient over the root of its recent mean square.

    With the gradient g of the weight w, and v, a and m starting at 0::

        v = rho v + (1 - rho) g²
        a = rho a + (1 - rho) g                     if centered, else a = 0
        m = momentum m + learning_rate g / sqrt(v - a² + epsilon)
        w -= m

    Parameters
    ----------
    learning_rate : float or callable, default 0.001
        The size of a step, or a function of the number of steps made before.
    rho : float, default 0.9
        How much of v a step keeps, from 0 to below 1.
    momentum : float, default 0
        How much of m a step keeps, from 0 to below 1.
    epsilon : float, default 1e-7
        Keeps the quotient small where gradients are.
    centered : bool, default False
        Divide by the estimated standard deviation of the gradient.
    weight_decay, clipnorm, clipvalue, global_clipnorm : float, optional
        As for `Optimizer`.
    name : str, default "rmsprop"
        Kept for the configuration.

    Notes
    -----
    T. Tieleman and G. Hinton, lecture 6.5 of "Neural networks for machine learning", 2012, with Keras's epsilon under
    the root.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.optimizers import RMSprop
    >>> weights, optimizer = [np.array([1.0, 1.0])], RMSprop(learning_rate=0.1, rho=0.75)
    >>> optimizer.apply([[20.0, -0.3]], weights)
    >>> weights[0].round(4)
    array([0.8, 1.2])
    """

    _arguments = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "rmsprop",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho = _check.number("rho", rho, below=1.0)
        self.momentum = _check.number("momentum", momentum, below=1.0)
        self.epsilon = _check.number("epsilon", epsilon)
        self.centered = bool(centered)
        optional = {"momentum": self.momentum > 0, "average_gradient": self.centered}
        self._slots = ("velocity", *(slot for slot, wanted in optional.items() if wanted))

    def _update(self, g: Array, w: Array, slots: dict[str, Array], rate: float, decay: float) -> None:
        v, m, a = slots["velocity"], slots.get("momentum"), slots.get("average_gradient")
        _core.descend("rmsprop", w, g, m, v, a, rate, decay, self.momentum, self.rho, self.epsilon, False)
