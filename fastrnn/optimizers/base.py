"""What optimizers share: the arguments of all of them, clipping, weight decay, and the order of one step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn.optimizers import schedules

OptimizerLike: TypeAlias = "str | Mapping[str, Any] | Optimizer | type[Optimizer]"
Rate: TypeAlias = "float | Callable[[int], float]"

# Keras's arguments that there are not, and the values with which they ask for nothing.
_ABSENT = {
    "use_ema": False,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


class Optimizer(ABC):
    """Base of all optimizers. A subclass names in `_slots` what it remembers of a weight, and moves it in `_update`.

    Parameters
    ----------
    learning_rate : float or callable
        The size of a step; or a function of the number of steps made before, such as an object of `schedules`.
    weight_decay : float, optional
        The share of each weight, times the learning rate, that it loses before a step.
    clipnorm : float, optional
        The largest norm of a weight's gradient; a larger gradient is scaled to it.
    clipvalue : float, optional
        The largest absolute value in a gradient.
    global_clipnorm : float, optional
        The largest norm of all gradients together.
    name : str
        Kept for the configuration.

    Attributes
    ----------
    iterations : int
        How many steps have been made.

    Raises
    ------
    ValueError
        If a number is out of range, or gradients are to be clipped in more than one way.
    """

    _arguments: ClassVar[tuple[str, ...]] = ()
    _slots: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
        name: str,
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = None if weight_decay is None else _check.number("weight_decay", weight_decay)
        self.clipnorm = None if clipnorm is None else _check.number("clipnorm", clipnorm)
        self.clipvalue = None if clipvalue is None else _check.number("clipvalue", clipvalue)
        self.global_clipnorm = None if global_clipnorm is None else _check.number("global_clipnorm", global_clipnorm)
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError("only one of clipnorm, clipvalue and global_clipnorm can be given")
        self._clips = bool(self.clipnorm or self.clipvalue or self.global_clipnorm)
        self.name = name
        self.iterations = 0
        self._state: list[dict[str, Array]] = []  # of every weight, its slots
        self._kinds: list[tuple[str, tuple[int, ...]]] = []  # type and shape of every weight
        self._known: Sequence[Array] | None = None  # the list that was found to fit the slots

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step. It may be set, to a number or a function, between steps."""
        return float(self._rate(self.iterations)) if callable(self._rate) else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        self._rate = value if callable(value) else _check.number("learning_rate", value)

    def apply(self, gradients: Sequence[ArrayLike], weights: Sequence[Array]) -> None:
        """Make one step: change the weights in place.

        The optimizer remembers what it knows of each weight by its place in the list, so later calls must give the same
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
        checked = [
            _check.array(f"gradients[{i}]", gradient, weight.dtype, (), weight.shape)
            for i, (gradient, weight) in enumerate(zip(gradients, weights, strict=True))
        ]
        checked = [
            np.array(gradient) if self._clips or np.may_share_memory(gradient, weight) else gradient
            for gradient, weight in zip(checked, weights, strict=True)
        ]
        dense = [np.require(weight, requirements=["C_CONTIGUOUS", "ALIGNED"]) for weight in weights]
        self._known = None  # the user's list may hold other arrays than before
        self.step(checked, dense)
        for weight, moved in zip(weights, dense, strict=True):
            if moved is not weight:
                weight[...] = moved

    def step(self, gradients: Sequence[Array], weights: Sequence[Array], parts: Sequence[Array] | None = None) -> None:
        """Make one step, as `apply` does, with arrays that need no checks; gradients may be changed.

        `parts` are the gradients of the single weights, where `weights` are buffers that hold many: views of
        `gradients`, to which alone the difference matters that `clipnorm` makes.
        """
        if weights is not self._known:
            self.prepare(weights)
        if self._clips:
            self._clip(gradients if parts is None else parts)
        rate = self.learning_rate
        decay = rate * self.weight_decay if self.weight_decay else 0.0
        self.iterations += 1
        for gradient, weight, slots in zip(gradients, weights, self._state, strict=True):
            self._update(gradient, weight, slots, rate, decay)

    def prepare(self, weights: Sequence[Array]) -> None:
        """Make the slots of these weights, all 0, or see that the slots are theirs."""
        kinds = [(weight.dtype.name, weight.shape) for weight in weights]
        if not self._state:
            self._state = [{slot: np.zeros(shape, dtype) for slot in self._slots} for dtype, shape in kinds]
            self._kinds = kinds
        elif kinds != self._kinds:
            raise ValueError(f"weights must be those of the first step, {self._kinds}, got {kinds}")
        self._known = weights

    @abstractmethod
    def _update(self, g: Array, w: Array, slots: dict[str, Array], rate: float, decay: float) -> None:
        """Move w in place, which loses the share `decay` before; `iterations` counts this step already."""

    def _clip(self, gradients: Sequence[Array]) -> None:
        """Clip gradients in place."""
        if self.clipnorm:
            for gradient in gradients:
                norm = math.sqrt(_squares(gradient))
                if not norm <= self.clipnorm:
                    gradient *= self.clipnorm / norm
        elif self.clipvalue:
            for gradient in gradients:
                np.clip(gradient, -self.clipvalue, self.clipvalue, out=gradient)
        elif self.global_clipnorm:
            norm = math.sqrt(sum(map(_squares, gradients)))
            if not norm <= self.global_clipnorm:
                for gradient in gradients:
                    gradient *= self.global_clipnorm / norm

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data that JSON can hold.

        Raises
        ------
        ValueError
            If the learning rate is a function that is not one of `schedules`.
        """
        rate = schedules.serialize(self._rate) if callable(self._rate) else self._rate
        limits = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
        own = {name: getattr(self, name) for name in self._arguments}
        return {"name": self.name, "learning_rate": rate, **own, **{name: getattr(self, name) for name in limits}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an optimizer from what `get_config` returned, or Keras's. It starts at step 0.

        Raises
        ------
        ValueError
            If an optimizer of Keras averages weights, accumulates gradients or scales the loss.
        """
        config = {name: value for name, value in config.items() if name != "ema_momentum"}
        for name, nothing in _ABSENT.items():
            value = config.pop(name, nothing)
            if value != nothing:
                raise ValueError(f"{name} must be {nothing}, for fastrnn has no such thing, got {value!r}")
        if isinstance(config.get("learning_rate"), Mapping):
            config["learning_rate"] = schedules.get(config["learning_rate"])
        return cls(**config)


def _squares(gradient: Array) -> float:
    flat = gradient.reshape(-1)
    return float(np.dot(flat, flat))


def _check_weight(name: str, weight: Array) -> None:
    if not isinstance(weight, np.ndarray):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(weight).__name__}")
    if weight.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{name} must be float32 or float64, got {weight.dtype}")
    if not weight.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
