"""Adam, and AdamW with its weight decay."""

import math

from fastrnn import _check, _core
from fastrnn._check import Array
from fastrnn.optimizers.base import Optimizer, Rate


class Adam(Optimizer):
    """Adam: every weight moves by about the learning rate, against the mean of its recent gradients.

    In step t = 1, 2, ..., with the gradient g of the weight w, m and v starting at 0::

        m += (1 - beta_1) (g - m)
        v += (1 - beta_2) (g² - v)
        w -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) · m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate : float or callable, default 0.001
        The size of a step, or a function of the number of steps made before. The attribute may be changed between
        steps.
    beta_1, beta_2 : float, defaults 0.9 and 0.999
        How much of m and v a step keeps, from 0 to below 1.
    epsilon : float, default 1e-7
        Keeps the last quotient small where gradients are.
    amsgrad : bool, default False
        Divide by the largest v that there ever was instead of the current one.
    weight_decay, clipnorm, clipvalue, global_clipnorm : float, optional
        As for `Optimizer`.
    name : str, default "adam"
        Kept for the configuration.

    Attributes
    ----------
    iterations : int
        How many steps have been made.

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015, in the form before section 2.1
    with its "epsilon hat", as in Keras; PyTorch follows the paper's Algorithm 1. AMSGrad: S. J. Reddi, S. Kale and S.
    Kumar, "On the convergence of Adam and beyond", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.optimizers import Adam
    >>> weights, optimizer = [np.array([1.0, 1.0])], Adam(learning_rate=0.1)
    >>> optimizer.apply([[20.0, -0.3]], weights)
    >>> weights[0].round(4)
    array([0.9, 1.1])
    """

    _arguments = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adam",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.beta_1 = _check.number("beta_1", beta_1, below=1.0)
        self.beta_2 = _check.number("beta_2", beta_2, below=1.0)
        self.epsilon = _check.number("epsilon", epsilon)
        self.amsgrad = bool(amsgrad)
        self._slots = ("momentum", "velocity", *(("velocity_hat",) if self.amsgrad else ()))

    def _update(self, g: Array, w: Array, slots: dict[str, Array], rate: float, decay: float) -> None:
        m, v, a = slots["momentum"], slots["velocity"], slots.get("velocity_hat")
        t = self.iterations
        rate *= math.sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t)
        _core.descend("adam", w, g, m, v, a, rate, decay, self.beta_1, self.beta_2, self.epsilon, False)


class AdamW(Adam):
    """Adam with decoupled weight decay: before each step every weight loses the share weight_decay · learning_rate.

    Arguments are those of `Adam`, but `weight_decay` comes second, is 0.004 by default and must be given.

    Notes
    -----
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.optimizers import AdamW
    >>> weights, optimizer = [np.array([1.0])], AdamW(learning_rate=0.1, weight_decay=0.5)
    >>> optimizer.apply([[0.0]], weights)
    >>> weights[0]
    array([0.95])
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adamw",
    ) -> None:
        _check.number("weight_decay", weight_decay)
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name,
        )
