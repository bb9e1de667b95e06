"""Learning rates that change with the number of steps made, with Keras's names and formulas.

A schedule is called with that number and gives the rate. Any other function of it will do as well, except that a file
cannot hold it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from fastrnn import _check
from fastrnn._registry import Configurable, Registry


class LearningRateSchedule(Configurable):
    """Base of all schedules. A subclass computes the rate in `__call__`."""

    def __call__(self, step: int) -> float:
        """Compute the learning rate of a step; the first is step 0."""
        raise NotImplementedError


class ExponentialDecay(LearningRateSchedule):
    """The rate initial_learning_rate · decay_rate^(step / decay_steps); with `staircase` the exponent is floored.

    Examples
    --------
    >>> from fastrnn.optimizers.schedules import ExponentialDecay
    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = _check.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _check.positive_number("decay_steps", decay_steps)
        self.decay_rate = _check.number("decay_rate", decay_rate)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: int) -> float:
        """Compute the learning rate of a step; the first is step 0."""
        exponent: float = step / self.decay_steps
        if self.staircase:
            exponent = math.floor(exponent)
        return float(self.initial_learning_rate * self.decay_rate**exponent)


class CosineDecay(LearningRateSchedule):
    """Half a cosine from initial_learning_rate down to its share `alpha` in `decay_steps` steps, constant from there.

    With a `warmup_target`, the rate first rises to it, in a straight line in `warmup_steps` steps, and decays from it.

    Examples
    --------
    >>> from fastrnn.optimizers.schedules import CosineDecay
    >>> CosineDecay(0.1, decay_steps=10)(5)
    0.05
    """

    _arguments = ("initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = _check.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _check.positive_number("decay_steps", decay_steps)
        self.alpha = _check.real("alpha", alpha)
        self.name = name
        self.warmup_target = None if warmup_target is None else _check.number("warmup_target", warmup_target)
        self.warmup_steps = _check.number("warmup_steps", warmup_steps)

    def __call__(self, step: int) -> float:
        """Compute the learning rate of a step; the first is step 0."""
        start, done = self.initial_learning_rate, float(step)
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return start + (self.warmup_target - start) * step / self.warmup_steps
            start, done = self.warmup_target, step - self.warmup_steps
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(done / self.decay_steps, 1.0)))
        return start * ((1.0 - self.alpha) * cosine + self.alpha)


_REGISTRY: Registry[LearningRateSchedule] = Registry(
    LearningRateSchedule, "learning_rate", {"exponential_decay": ExponentialDecay, "cosine_decay": CosineDecay}
)


def get(identifier: Mapping[str, Any]) -> LearningRateSchedule:
    """Make the schedule that `serialize` described.

    Examples
    --------
    >>> from fastrnn.optimizers import schedules
    >>> config = {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}
    >>> schedules.get({"class_name": "ExponentialDecay", "config": config})(10)
    0.05
    """
    return _REGISTRY.get(identifier)


def serialize(schedule: Callable[[int], float]) -> dict[str, Any]:
    """Describe a schedule in Keras's form.

    Raises
    ------
    ValueError
        If it is not one of this module.
    """
    if not isinstance(schedule, LearningRateSchedule):
        raise ValueError(
            f"learning_rate must be a number or one of fastrnn.optimizers.schedules here, got {schedule!r}"
        )
    return _REGISTRY.serialize(schedule, "keras.optimizers.schedules")
