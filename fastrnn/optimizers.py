"""How training moves the weights: Adam, with Keras's formula and defaults."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array


class _Moments(NamedTuple):
    """What Adam remembers of one weight, shaped and typed like it."""

    mean: Array  # m: of the gradient
    square: Array  # v: of the gradient's square
    largest_square: Array | None  # the largest v so far, for AMSGrad
    scratch: Array  # for what is computed on the way, so that a step allocates nothing


class Adam:
    """Adam: every weight moves by about the learning rate, against the mean of its recent gradients.

    In step t = 1, 2, ..., with the gradient g of the weight w, m and v starting at 0::

        m += (1 - beta_1) (g - m)
        v += (1 - beta_2) (g² - v)
        w -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) · m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate : float, default 0.001
        The size of a step. The attribute may be changed between steps.
    beta_1, beta_2 : float, defaults 0.9 and 0.999
        How much of m and v a step keeps, from 0 to below 1.
    epsilon : float, default 1e-7
        Keeps the last quotient small where gradients are.
    amsgrad : bool, default False
        Divide by the largest v that there ever was instead of the current one.
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

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str = "adam",
    ) -> None:
        for argument, value, below in (
            ("learning_rate", learning_rate, math.inf),
            ("beta_1", beta_1, 1.0),
            ("beta_2", beta_2, 1.0),
            ("epsilon", epsilon, math.inf),
        ):
            if not 0.0 <= value < below:
                raise ValueError(f"{argument} must be at least 0 and below {below}, got {value!r}")
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = bool(amsgrad)
        self.name = name
        self.iterations = 0
        self._moments: list[_Moments] = []

    def apply(self, gradients: Sequence[ArrayLike], weights: Sequence[Array]) -> None:
        """Make one step: change the weights in place.

        The optimizer remembers the moments of each weight by its place in the list, so later calls must give the same
        list.

        Parameters
        ----------
        gradients : sequence of array_like
            For every weight, an array of its shape.
        weights : sequence of array
            What to change, such as a layer's `weights`: float32 or float64 arrays, each of which is computed in its
            own type.

        Raises
        ------
        TypeError
            If a weight is not a floating-point array, or a gradient does not hold real numbers.
        ValueError
            If there are not as many gradients as weights, a shape does not fit, a weight is read-only or given twice,
            or the weights are not shaped and typed as in the first call. Nothing has been changed then.
        """
        if len(gradients) != len(weights):
            raise ValueError(f"gradients must be as many as weights, {len(weights)}, got {len(gradients)}")
        for i, weight in enumerate(weights):
            _check_weight(f"weights[{i}]", weight)
        if len({id(weight) for weight in weights}) < len(weights):
            raise ValueError("weights must be different arrays, got one twice")
        moments = self._moments or [self._new_moments(weight) for weight in weights]
        known, got = ([(w.dtype.name, w.shape) for w in arrays] for arrays in ([m.mean for m in moments], weights))
        if known != got:
            raise ValueError(f"weights must be those of the first step, {known}, got {got}")
        checked = [
            _check.array(f"gradients[{i}]", gradient, weight.dtype, (), weight.shape)
            for i, (gradient, weight) in enumerate(zip(gradients, weights, strict=True))
        ]

        self._moments = moments
        self.iterations += 1
        correction = math.sqrt(1.0 - self.beta_2**self.iterations) / (1.0 - self.beta_1**self.iterations)
        for gradient, weight, moment in zip(checked, weights, moments, strict=True):
            self._update(gradient, weight, moment, self.learning_rate * correction)

    def _update(self, g: Array, w: Array, moments: _Moments, step: float) -> None:
        m, v, v_max, scratch = moments
        np.subtract(g, m, out=scratch)
        scratch *= 1.0 - self.beta_1
        m += scratch
        np.square(g, out=scratch)
        scratch -= v
        scratch *= 1.0 - self.beta_2
        v += scratch
        if v_max is not None:
            v = np.maximum(v_max, v, out=v_max)
        np.sqrt(v, out=scratch)
        scratch += self.epsilon
        np.divide(m, scratch, out=scratch)
        scratch *= step
        w -= scratch

    def _new_moments(self, weight: Array) -> _Moments:
        largest_square = np.zeros_like(weight) if self.amsgrad else None
        return _Moments(np.zeros_like(weight), np.zeros_like(weight), largest_square, np.empty_like(weight))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data that JSON can hold."""
        names = ("name", "learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an optimizer from what `get_config` returned. It starts at step 0."""
        return cls(**config)


def _check_weight(name: str, weight: Array) -> None:
    if not isinstance(weight, np.ndarray):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(weight).__name__}")
    if weight.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{name} must be float32 or float64, got {weight.dtype}")
    if not weight.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
